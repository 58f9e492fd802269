package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/sethvargo/go-envconfig"
	"github.com/urfave/cli/v2"

	"gitlab.com/remora-ci/remora/agent/config"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component"
)

const storeHelp = `Reads the agent's database while the agent runs, or while it does not: that of
REMORA_DATABASE_URL (PostgreSQL), else the file in REMORA_DATA_DIR.

EXAMPLES:
`

const storeExits = `

EXIT CODES:
   0 done, 1 the database cannot be read or has no such row, 2 misuse`

// shownRows is how many rows a table shows where no limit is given.
const shownRows = 50

// storeFlags are those of every command that reads the agent's database.
func storeFlags(more ...cli.Flag) []cli.Flag {
	return append(more,
		&cli.StringFlag{Name: "output", Usage: "table or json: one object per line ($REMORA_OUTPUT)", DefaultText: "table"},
		&cli.StringFlag{Name: "config", Usage: "configuration file of the agent ($REMORA_CONFIG)"},
		&cli.StringFlag{Name: "data-dir", Usage: "folder of the SQLite database ($REMORA_DATA_DIR)"},
	)
}

// choiceFlags choose rows of a list.
func choiceFlags(limit string, more ...cli.Flag) []cli.Flag {
	return storeFlags(append([]cli.Flag{
		&cli.StringFlag{Name: "since", Usage: "that old or younger: 90m, 2h, 7d, or a time such as 2026-11-20T14:00:00Z"},
		&cli.StringFlag{Name: "limit", Usage: "how many, the newest", DefaultText: limit},
		&cli.StringFlag{Name: "state", Usage: "only those in this state"},
		&cli.StringFlag{Name: "project", Usage: "only those of this project, by its path"},
	}, more...)...)
}

// group is a command that only has commands.
func group(name, usage string, commands ...*cli.Command) *cli.Command {
	names := make([]string, len(commands))
	for i, c := range commands {
		names[i] = c.Name
	}
	all := strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
	return &cli.Command{
		Name: name, Usage: usage, Subcommands: commands,
		Description: "Each command has examples: remora " + name + " " + names[0] + " --help",
		Action: func(c *cli.Context) error {
			if word := c.Args().First(); word != "" {
				return misuse("unknown command %q; remora %s has %s", word, name, all)
			}
			return cli.ShowSubcommandHelp(c)
		},
	}
}

// format reads --output; from then on errors have the form that was asked for.
func (p *program) format(c *cli.Context) error {
	output := c.String("output")
	if output == "" {
		output, _ = p.env.Lookup("REMORA_OUTPUT")
	}
	p.json = output == "json"
	if output != "" && output != "json" && output != "table" {
		return misuse("--output: want table or json, not %q", output)
	}
	return nil
}

// withStore opens the agent's database for one command.
func (p *program) withStore(c *cli.Context, do func(*store.Store) error) error {
	place, err := p.storeConfig(c)
	if err != nil {
		return err
	}
	place.AsIs = true // the agent that runs may be older
	s, err := store.Open(c.Context, place)
	if err != nil {
		return component.Explained(err)
	}
	err = do(s)
	// What closing tidies, the agent tidies too: only the command's own end counts.
	_ = s.Close()
	return err
}

// storeConfig is where the database is: as the file says, or the environment. The
// key of its secrets is not asked for: no secret is read here.
func (p *program) storeConfig(c *cli.Context) (store.Config, error) {
	env, dir := p.env, c.String("data-dir")
	if dir != "" {
		env = inFolder{env, dir}
	}
	place, err := config.LoadStore(c.Context, p.configFile(c), env)
	if err != nil {
		return place, misuse("%w", err)
	}
	if dir != "" {
		place.URL = ""
	}
	place.Key = ""
	return place, nil
}

// configFile is the agent's configuration file; empty: there is none.
func (p *program) configFile(c *cli.Context) string {
	file := c.String("config")
	if file == "" {
		file, _ = p.env.Lookup("REMORA_CONFIG")
	}
	return file
}

// inFolder is an environment whose database is in a folder.
type inFolder struct {
	envconfig.Lookuper
	dir string
}

func (f inFolder) Lookup(key string) (string, bool) {
	switch key {
	case "REMORA_DATA_DIR":
		return f.dir, true
	case "REMORA_DATABASE_URL", "REMORA_DATABASE_URL_FILE":
		return "", false
	}
	return f.Lookuper.Lookup(key)
}

// choice is what the flags of a list say.
type choice struct {
	since          time.Time
	limit          int
	state, project string
}

// chosen reads the flags of a list. tableLimit bounds a table for people where
// they gave no limit; 0 is all.
func (p *program) chosen(c *cli.Context, tableLimit int, states ...string) (choice, error) {
	got := choice{state: c.String("state"), project: strings.Trim(c.String("project"), "/")}
	var errs []error
	if got.state != "" && !slices.Contains(states, got.state) {
		errs = append(errs, fmt.Errorf("--state: want one of %s, not %q", strings.Join(states, ", "), got.state))
	}
	if !p.json {
		got.limit = tableLimit
	}
	if text := c.String("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			errs = append(errs, fmt.Errorf("--limit: want a number, 0 for all, not %q", text))
		}
		got.limit = n
	}
	since, err := store.ParseSince(c.String("since"), time.Now())
	if err != nil {
		errs = append(errs, fmt.Errorf("--since: %w, not %q", err, c.String("since")))
	}
	got.since = since
	if err := errors.Join(errs...); err != nil {
		return got, misuse("%w", err)
	}
	return got, nil
}

// ids are the numbers behind a command. Flags may stand behind them, too: that is
// where people write them.
func ids(c *cli.Context) ([]int64, error) {
	var list []int64
	for args := c.Args().Slice(); len(args) > 0; args = args[1:] {
		word := args[0]
		if flag, ok := strings.CutPrefix(word, "-"); ok {
			name, value, has := strings.Cut(strings.TrimPrefix(flag, "-"), "=")
			switch {
			case has:
			case isSwitch(c.Command, name):
				value = "true"
			case len(args) > 1:
				value, args = args[1], args[1:]
			}
			if err := c.Set(name, value); err != nil {
				return nil, misuse("flag %s: %w; see %s --help", word, err, c.Command.HelpName)
			}
			continue
		}
		id, err := strconv.ParseInt(word, 10, 64)
		if err != nil || id <= 0 {
			return nil, misuse("%q is no id: ids are the numbers that list shows", word)
		}
		list = append(list, id)
	}
	return list, nil
}

func isSwitch(command *cli.Command, name string) bool {
	return slices.ContainsFunc(command.Flags, func(f cli.Flag) bool {
		_, ok := f.(*cli.BoolFlag)
		return ok && slices.Contains(f.Names(), name)
	})
}

// oneID is the id of a command that shows one thing.
func oneID(c *cli.Context) (int64, error) {
	list, err := ids(c)
	if err == nil && len(list) != 1 {
		err = misuse("which one? %s takes one id", c.Command.HelpName)
	}
	if err != nil {
		return 0, err
	}
	return list[0], nil
}

// printLine writes v as one line of JSON.
func (p *program) printLine(v any) error {
	e := json.NewEncoder(p.stdout)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// table is rows for people. It is written in parts, so that a long one is not
// held in memory.
type table struct {
	w    *tabwriter.Writer
	rows int
}

func (p *program) table(heads ...string) *table {
	t := &table{w: tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)}
	_, _ = fmt.Fprintln(t.w, strings.Join(heads, "\t"))
	return t
}

func (t *table) row(cells ...string) error {
	for i, cell := range cells {
		cells[i] = inert(cell)
	}
	if t.rows++; t.rows%1000 == 0 {
		if err := t.w.Flush(); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(t.w, strings.Join(cells, "\t"))
	return err
}

// inert is text from outside, safe for a terminal and on one line.
func inert(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
}

// cut is text of at most n characters.
func cut(text string, n int) string {
	if r := []rune(text); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return text
}

// list prints rows as they come from the database, and says if there may be more.
func list[T any](p *program, c *cli.Context, all iter.Seq2[T, error], put func(T) error, end func() error) error {
	rows := 0
	for row, err := range all {
		if err != nil {
			return component.Explained(err)
		}
		if err := put(row); err != nil {
			return err
		}
		rows++
	}
	p.more(c, rows)
	return end()
}

// more says that a table ended at its own limit.
func (p *program) more(c *cli.Context, rows int) {
	if !p.json && c.String("limit") == "" && rows == shownRows {
		_, _ = fmt.Fprintf(p.stderr, "remora: the newest %d; --limit 0 shows all\n", shownRows)
	}
}

// local is a time as people read it; empty for never.
func local(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format(time.DateTime)
}

// absent turns "there is no such row" into words; list is the command that shows
// what there is.
func absent(what, list string, id int64, err error) error {
	if !errors.Is(err, store.ErrNotFound) {
		return component.Explained(err)
	}
	return fmt.Errorf("no %s has the id %d; %s shows what there is", what, id, list)
}

// openBeside opens the agent's store as it is, for the agent that runs may be older;
// where there is none yet, it is made.
func openBeside(ctx context.Context, place store.Config) (*store.Store, error) {
	place.AsIs = true
	s, err := store.Open(ctx, place)
	if errors.Is(err, store.ErrAbsent) {
		place.AsIs = false
		return store.Open(ctx, place)
	}
	return s, err
}
