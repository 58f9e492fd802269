package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/rs/zerolog"
	"github.com/sethvargo/go-envconfig"
	"github.com/urfave/cli/v2"

	"gitlab.com/remora-ci/remora/component"
	"gitlab.com/remora-ci/remora/component/delivery"
)

// program is what the commands share: where they read and write, and how the
// process will end.
type program struct {
	env            envconfig.Lookuper
	stdout, stderr io.Writer
	code           int  // set by a command that ran
	json           bool // errors are JSON too
}

func (p *program) app() *cli.App {
	cli.VersionPrinter = func(*cli.Context) { p.printVersion() }
	return &cli.App{
		Name:  "remora",
		Usage: "bring targets to the state of a GitLab project, and show the true result on the merge request",
		Description: "In a GitLab CI job, three lines do it all:\n\n" +
			"   include:\n     - component: $CI_SERVER_FQDN/remora-ci/remora/sync@1\n       inputs: {direktiv-url: https://…, direktiv-namespace: demo}",
		Version:              version(),
		Writer:               p.stdout,
		ErrWriter:            p.stderr,
		EnableBashCompletion: true,
		HideHelpCommand:      true,
		Commands:             p.commands(),
		Action:               p.noCommand,
		OnUsageError:         usageError,
		ExitErrHandler:       func(*cli.Context, error) {}, // run maps errors to codes
	}
}

func (p *program) commands() []*cli.Command {
	commands := []*cli.Command{p.syncCommand(), p.agentCommand(), p.reportCommand(), p.mirrorCommand(), p.eventsCommand(), p.deliveriesCommand(), p.hooksCommand(), p.doctorCommand(), p.auditCommand(), p.tokenCommand(), p.keysCommand(), p.configCommand(), p.openapiCommand(), p.versionCommand(), p.completionCommand()}
	for _, c := range commands {
		prepareCommand(c)
	}
	return commands
}

// prepareCommand has every command, nested ones too, return its usage errors.
func prepareCommand(c *cli.Command) {
	c.OnUsageError = usageError
	c.HideHelpCommand = true
	for _, sub := range c.Subcommands {
		prepareCommand(sub)
	}
}

// noCommand runs when no command of the program was named.
func (p *program) noCommand(c *cli.Context) error {
	name := c.Args().First()
	if name == "" {
		return cli.ShowAppHelp(c)
	}
	hint := cli.SuggestCommand(c.App.Commands, name) // "Did you mean …?"
	return misuse("unknown command %q. %s See remora --help", name, hint)
}

func usageError(c *cli.Context, err error, _ bool) error {
	return misuse("%w; see %s --help", err, c.Command.HelpName)
}

func misuse(format string, args ...any) error {
	return &component.Misuse{Err: fmt.Errorf(format, args...)}
}

// noArguments refuses positional arguments; a flag behind one would be lost.
func noArguments(c *cli.Context) error {
	if c.Args().Present() {
		return misuse("unexpected argument %q; %s takes flags only", c.Args().First(), c.Command.HelpName)
	}
	return nil
}

// exitCode tells an error, once, and maps it.
func (p *program) exitCode(ctx context.Context, err error) int {
	if err != nil {
		p.tell(err)
		var m *component.Misuse
		if errors.As(err, &m) {
			return component.ExitMisuse
		}
		p.code = max(p.code, component.ExitFailed) // a result that could not be printed keeps its own
	}
	if p.code != component.ExitDone && ctx.Err() != nil {
		return signalCode(ctx)
	}
	return p.code
}

// signalCode is 128 and the number of the signal that ended ctx.
func signalCode(ctx context.Context) int {
	if strings.Contains(context.Cause(ctx).Error(), syscall.SIGTERM.String()) {
		return 128 + int(syscall.SIGTERM)
	}
	return 128 + int(syscall.SIGINT)
}

// tell prints an error: one line for each thing that is wrong, or one JSON object.
func (p *program) tell(err error) {
	text := (*delivery.Scrubber)(nil).Text(err.Error())
	if p.json {
		e := json.NewEncoder(p.stdout)
		e.SetEscapeHTML(false)
		code := component.ExitFailed
		var m *component.Misuse
		if errors.As(err, &m) {
			code = component.ExitMisuse
		}
		_ = e.Encode(map[string]any{"error": strings.Split(text, "\n"), "exit_code": code})
		return
	}
	for line := range strings.SplitSeq(text, "\n") {
		_, _ = fmt.Fprintln(p.stderr, "remora:", line)
	}
}

// logger writes to stderr: lines for people, or JSON where JSON is asked for.
func (p *program) logger(level string) zerolog.Logger {
	var w io.Writer = p.stderr
	if !p.json {
		w = zerolog.ConsoleWriter{Out: p.stderr, NoColor: !isTerminal(p.stderr, p.env), PartsExclude: []string{zerolog.TimestampFieldName}, FormatLevel: levelWord}
	}
	l, err := zerolog.ParseLevel(level)
	if err != nil {
		l = zerolog.InfoLevel
	}
	return zerolog.New(zerolog.SyncWriter(w)).Level(l)
}

func levelWord(level any) string {
	if word, ok := level.(string); ok && word != "info" {
		return word + ":"
	}
	return "remora:"
}

// style is how results are printed to stdout.
func (p *program) style() component.Style {
	return component.Style{JSON: p.json, Color: isTerminal(p.stdout, p.env)}
}

// isTerminal says whether color may be used on w.
func isTerminal(w io.Writer, env envconfig.Lookuper) bool {
	if v, _ := env.Lookup("NO_COLOR"); v != "" {
		return false
	}
	if v, _ := env.Lookup("TERM"); v == "dumb" {
		return false
	}
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
