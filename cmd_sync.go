package main

import (
	"errors"
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

With REMORA_AGENT_URL a Remora agent does all of this in place of the job, with its
own credentials: the project needs no token of a target and none of the bot. The job
shows its ID token, which the component's template asks GitLab for:

   ` + component.IDTokenLines + `

Then it follows until the true result. A deadline or a signal ends the job, not the
delivery: the agent goes on.

Every variable but a secret is also a flag; a flag beats the variable. Secrets
are read from variables, or from the file that the variable with _FILE names:

` + secretNames() + `

EXAMPLES:
   remora sync                                  in a CI job, all from variables
   remora sync --dry-run                        say what would be sent
   remora sync --agent-url https://remora.example.com   have the agent do it
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
	if c.Bool("finish") && c.Bool("dry-run") {
		return misuse("--finish ends statuses and --dry-run sends nothing; give one of them")
	}
	config, err := p.load(c)
	if err != nil {
		return errors.Join(err, config.Validate())
	}
	ctx := p.logger(config.Job.Log).WithContext(c.Context)
	switch {
	case c.Bool("finish"):
		n, err := component.Finish(ctx, config, version())
		return errors.Join(p.printFinished(n), err)
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
	if result.ExitCode != component.ExitDone && ctx.Err() != nil {
		result.ExitCode = signalCode(ctx)
	}
	p.code = result.ExitCode
	return result.Print(p.stdout, p.style())
}

// printFinished says how many statuses were ended, if there were any.
func (p *program) printFinished(n int) error {
	var err error
	switch {
	case p.json:
		_, err = fmt.Fprintf(p.stdout, "{\"ended\": %d}\n", n)
	case n > 0:
		_, err = fmt.Fprintf(p.stdout, "remora: ended %d open statuses as canceled\n", n)
	}
	return err
}

// load reads the configuration, from flags too but for those named; from then on
// errors have the form that was asked for.
func (p *program) load(c *cli.Context, without ...string) (component.Config, error) {
	flags := given(c)
	for _, name := range without {
		delete(flags, name)
	}
	if c.IsSet("namespace") {
		flags["DIREKTIV_NAMESPACE"] = c.String("namespace")
	}
	config, err := component.Load(c.Context, flags, p.env)
	p.json = config.Job.Output == "json"
	return config, err
}
