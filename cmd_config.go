package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"gitlab.com/remora-ci/remora/agent/config"
)

const configExits = `

EXIT CODES:
   0 good, 2 something is wrong, and all of it was told`

func (p *program) configCommand() *cli.Command {
	return group("config", "check and show what the agent is told", p.configValidate(), p.configPrint(), p.configSchema())
}

func configFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "config", Usage: "configuration file of the agent; without it the variables are all ($REMORA_CONFIG)"},
		&cli.StringFlag{Name: "output", Usage: "table or json ($REMORA_OUTPUT)", DefaultText: "table"},
	}
}

func (p *program) configValidate() *cli.Command {
	return &cli.Command{
		Name:  "validate",
		Usage: "tell everything that is wrong with a configuration",
		Description: `Reads the file and the environment as the agent would, files of secrets too, and
tells all faults at once, each with its line and column. What works and should be
mended is a warning. Nothing is sent anywhere.

EXAMPLES:
   remora config validate --config remora.yaml` + configExits,
		Flags: configFlags(),
		Action: func(c *cli.Context) error {
			loaded, warnings, err := p.readConfig(c)
			if err != nil {
				return err
			}
			if p.json {
				return p.encode(map[string]any{"valid": true, "file": loaded.File, "warnings": shown(warnings)})
			}
			_, err = fmt.Fprintf(p.stdout, "%s: good: %s\n", source(loaded), strings.Join([]string{
				count(len(loaded.Instances), "instance"), count(len(loaded.Tokens), "token"), count(len(loaded.Targets), "target"),
				count(len(loaded.Routes), "route"), count(len(loaded.Schedules), "schedule"),
			}, ", "))
			return err
		},
	}
}

func (p *program) configPrint() *cli.Command {
	return &cli.Command{
		Name:  "print",
		Usage: "show every setting in force, and where it comes from",
		Description: `Shows the configuration as the agent would run with it: each value with the place
in the file, the variable or the default that it comes from. Secrets are masked.

EXAMPLES:
   remora config print --config remora.yaml
   remora config print --output json | jq '.settings[] | select(.origin == "default")'` + configExits,
		Flags: configFlags(),
		Action: func(c *cli.Context) error {
			loaded, warnings, err := p.readConfig(c)
			if err != nil {
				return err
			}
			if p.json {
				return p.encode(map[string]any{"file": loaded.File, "settings": settingsJSON(loaded), "warnings": shown(warnings)})
			}
			t := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
			_, _ = fmt.Fprintln(t, "KEY\tVALUE\tFROM")
			for _, s := range loaded.Settings() {
				value := fmt.Sprint(s.Value)
				if list, ok := s.Value.([]string); ok {
					value = strings.Join(list, ", ")
				}
				_, _ = fmt.Fprintf(t, "%s\t%s\t%s\n", s.Key, inert(value), inert(s.Origin.String()))
			}
			return t.Flush()
		},
	}
}

func (p *program) configSchema() *cli.Command {
	return &cli.Command{
		Name:  "schema",
		Usage: "print the JSON schema of remora.yaml, for editors",
		Description: `Editors that know YAML check and complete a file whose first line names a schema:

   # yaml-language-server: $schema=remora.schema.json

EXAMPLES:
   remora config schema > remora.schema.json`,
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			_, err := p.stdout.Write(config.Schema())
			return err
		},
	}
}

// readConfig reads what the agent would read, and tells the warnings.
func (p *program) readConfig(c *cli.Context) (*config.Config, []config.Warning, error) {
	if err := errors.Join(noArguments(c), p.format(c)); err != nil {
		return nil, nil, err
	}
	loaded, warnings, err := config.Load(c.Context, p.configFile(c), p.env)
	if !p.json {
		for _, w := range warnings {
			_, _ = fmt.Fprintln(p.stderr, "remora: warning:", inert(w.String()))
		}
	}
	if err != nil {
		return nil, warnings, misuse("%w", err)
	}
	return loaded, warnings, nil
}

func (p *program) encode(v any) error {
	e := json.NewEncoder(p.stdout)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// place is where a fault is, or a value comes from, as JSON has it.
type place struct {
	Key    string `json:"key,omitempty"`
	Value  any    `json:"value,omitempty"`
	Text   string `json:"text,omitempty"`
	Origin string `json:"origin"` // remora.yaml:3:5, a variable, or default
}

func shown(warnings []config.Warning) []place {
	list := []place{}
	for _, w := range warnings {
		list = append(list, place{Key: w.Key, Text: w.Text, Origin: w.Origin.String()})
	}
	return list
}

func settingsJSON(c *config.Config) []place {
	list := []place{}
	for _, s := range c.Settings() {
		list = append(list, place{Key: s.Key, Value: s.Value, Origin: s.Origin.String()})
	}
	return list
}

func source(c *config.Config) string {
	if c.File == "" {
		return "the environment"
	}
	return c.File
}

func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
