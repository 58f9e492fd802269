package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"gitlab.com/remora-ci/remora/agent/config"
	"gitlab.com/remora-ci/remora/agent/doctor"
	"gitlab.com/remora-ci/remora/component"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab"
)

func (p *program) doctorCommand() *cli.Command {
	return &cli.Command{
		Name:  "doctor",
		Usage: "look at an installation from all sides, and say what helps",
		Description: `Looks at the configuration, the database, every GitLab (reachable, TLS, clock),
every token (alive, whose, scopes, role, days to its end, rate limit), every target,
the agent's own address, hooks, schedules and deliveries, and tells what is wrong,
the worst first, each with what helps. It changes nothing, and it ends within half a
minute, whatever does not answer. With --test-hooks GitLab calls some of the hooks
with an example event, which its list of deliveries shows.

In a CI job (where CI_JOB_ID is set and no file is named) it looks at what the job
has: its token, its targets, and the agent in REMORA_AGENT_URL.

EXAMPLES:
   remora doctor --config /etc/remora/remora.yaml
   remora doctor --output json | jq '.findings[] | select(.level == "fail")'

EXIT CODES:
   0 all passed, or there are warnings only, 1 something fails, 2 misuse, or a
   configuration that cannot be read`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "config", Usage: "configuration file of the agent; without it the variables are all ($REMORA_CONFIG)", TakesFile: true},
			&cli.StringFlag{Name: "output", Usage: "table or json: one object with all findings ($REMORA_OUTPUT)", DefaultText: "table"},
			&cli.BoolFlag{Name: "test-hooks", Usage: "have GitLab call some of the hooks with an example: that alone shows that it reaches the agent"},
			&cli.StringFlag{Name: "timeout", Usage: "what one check may take, such as 5s", DefaultText: "10s"},
		},
		Action: p.doctor,
	}
}

func (p *program) doctor(c *cli.Context) error {
	if err := errors.Join(noArguments(c), p.format(c)); err != nil {
		return err
	}
	o := doctor.Options{Version: version(), TestHooks: c.Bool("test-hooks")}
	if text := c.String("timeout"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 || d > 5*time.Minute {
			return misuse("--timeout: want a duration such as 5s, at most 5m, not %q", text)
		}
		o.Each = d
	}
	file := p.configFile(c)
	if job, ok := p.env.Lookup("CI_JOB_ID"); ok && job != "" && file == "" {
		return p.doctorOfJob(c, o)
	}
	loaded, warnings, err := config.Load(c.Context, file, p.env)
	if err != nil {
		return misuse("%w", err)
	}
	o.Warnings = warnings
	return p.printFindings(doctor.Examine(c.Context, loaded, o))
}

// doctorOfJob looks at what a CI job was told.
func (p *program) doctorOfJob(c *cli.Context, o doctor.Options) error {
	told, err := component.Load(c.Context, nil, p.env)
	if err != nil {
		return err
	}
	if told.GitLab.Enabled() {
		if err := told.GitLab.Validate(); err != nil {
			return misuse("%w", err)
		}
	}
	id, _ := strconv.ParseInt(told.CI.ProjectID, 10, 64) // one that is none leads nowhere, and that is found
	agent, _ := p.env.Lookup("REMORA_AGENT_URL")
	return p.printFindings(doctor.ExamineJob(c.Context, doctor.Job{
		GitLab: told.GitLab, Project: gitlab.ProjectInfo{ID: id, Path: told.CI.ProjectPath},
		Targets: told.Targets, AgentURL: agent, CAFile: told.CI.CAFile, Scrub: told.Scrubber(),
	}, o))
}

// printFindings tells the findings, the worst first, and sets the exit code.
func (p *program) printFindings(found []delivery.Finding) error {
	worst := doctor.Worst(found)
	if worst == delivery.Fail {
		p.code = component.ExitFailed
	}
	found = doctor.Sorted(found)
	if p.json {
		return p.encode(map[string]any{"level": worst, "findings": found})
	}
	counts := map[delivery.Level]int{}
	for _, f := range found {
		counts[f.Level]++
	}
	_, err := fmt.Fprintf(p.stdout, "remora doctor  %d fail, %d warn, %d pass\n", counts[delivery.Fail], counts[delivery.Warn], counts[delivery.Pass])
	for _, f := range found {
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(p.stdout, "  %s  %s: %s\n", f.Level, inert(f.Subject), inert(f.Text))
		if err == nil && f.Remedy != "" {
			_, err = fmt.Fprintf(p.stdout, "        try: %s\n", inert(f.Remedy))
		}
	}
	return err
}
