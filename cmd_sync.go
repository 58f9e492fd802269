package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"gitlab.com/remora-ci/remora/component"
)

func (p *program) syncCommand() *cli.Command {
	return &cli.Command{
		Name:  "sync",
		Usage: "bring every configured target to the state of the commit, once, and report",
		Description: `Reads the variables of a GitLab CI job, brings all targets to the state of its
commit at once, waits for the true results, shows them as commit statuses and as
one note on the merge request, and prints them.

Every variable but a secret is also a flag; a flag beats the variable. Secrets
are read from variables, or from the file that the variable with _FILE names:

` + secretNames() + `

EXAMPLES:
   remora sync                                  in a CI job, all from variables
   remora sync --dry-run                        say what would be sent
   remora sync --output json | jq .state        for scripts
   remora sync --finish                         end what a killed job left open

EXIT CODES:
   0 done or skipped, 1 a target failed, 2 misuse (nothing was tried),
   3 deadline passed, 130 or 143 after a signal`,
		Flags: append(settingFlags(func(component.Setting) bool { return true }),
			&cli.BoolFlag{Name: "dry-run", Usage: "print what would be sent, and send nothing"},
			&cli.BoolFlag{Name: "finish", Usage: "end, as canceled, the statuses that a killed sync left open"},
		),
		Action: p.sync,
	}
}

func (p *program) sync(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	config, err := p.load(c)
	if err != nil {
		return err
	}
	ctx := p.logger(config.Job.Log).WithContext(c.Context)
	switch {
	case c.Bool("finish"):
		n, err := component.Finish(ctx, config, version())
		if n > 0 {
			_, _ = fmt.Fprintf(p.stdout, "remora: ended %d open statuses as canceled\n", n)
		}
		return err
	case c.Bool("dry-run"):
		plan, err := component.PlanOf(ctx, config, version())
		if err != nil {
			return err
		}
		return plan.Print(p.stdout, p.style())
	}
	result, err := component.Run(ctx, config, version())
	if err != nil {
		return err
	}
	p.code = result.ExitCode
	return result.Print(p.stdout, p.style())
}

// load reads the configuration; from then on errors have the form that was
// asked for.
func (p *program) load(c *cli.Context) (component.Config, error) {
	config, err := component.Load(c.Context, given(c), p.env)
	p.json = config.Job.Output == "json"
	return config, err
}
