package main

import (
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"gitlab.com/remora-ci/remora/component"
)

func (p *program) reportCommand() *cli.Command {
	return &cli.Command{
		Name:  "report",
		Usage: "report the state of any job as a commit status, and if wanted as a note on the merge request",
		Description: `For build systems: the bot's status and note without code of your own. Project,
commit, pipeline and merge request are those of the CI job, or of the flags.
The token is read from REMORA_GITLAB_TOKEN (or GITLAB_TOKEN, or the file that
REMORA_GITLAB_TOKEN_FILE names).

With REMORA_AGENT_URL a Remora agent reports, and no token of the bot is needed: a
GitLab CI job shows its ID token (REMORA_ID_TOKEN, of the keyword id_tokens), any
other build system a project token of the agent (REMORA_AGENT_TOKEN, made by remora
token issue). Each can be a file too: REMORA_AGENT_TOKEN_FILE. A call that is to be
repeated safely gives a key of its own to each state.

EXAMPLES:
   remora report --name rpm-build:fedora --state running --url https://build.example.com/1
   remora report --name rpm-build:fedora --state failed --description "2 tests failed" --note-file report.md
   remora report --agent-url https://remora.example.com --project-path acme/app --commit-sha $SHA \
      --name rpm-build --state success --idempotency-key build-17-success

EXIT CODES:
   0 reported, 1 GitLab or the agent refused something, 2 misuse`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "name", Usage: "name of the status, and key of the note"},
			&cli.StringFlag{Name: "state", Usage: "pending, running, success, failed, canceled or skipped"},
			&cli.StringFlag{Name: "description", Usage: "one line, at most 255 characters"},
			&cli.StringFlag{Name: "url", Usage: "where to look at the job"},
			&cli.StringFlag{Name: "note-file", Usage: "markdown file for the merge request's note; - for standard input"},
			&cli.StringFlag{Name: "idempotency-key", Usage: "for an agent: the same key of the same project is the same report ($REMORA_REPORT_KEY); a new one for each call if not given"},
		}, settingFlags(reportSetting)...),
		Action: p.report,
	}
}

// reportSetting says which settings concern a report that is not a sync.
func reportSetting(s component.Setting) bool {
	switch s.Env {
	case "REMORA_NOTE", "REMORA_STATUS_ON", "REMORA_GITLAB_URL", "REMORA_AGENT_URL", "REMORA_TIMEOUT", "REMORA_OUTPUT", "REMORA_LOG":
		return true
	}
	return strings.HasPrefix(s.Env, "CI_")
}

func (p *program) report(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	config, err := p.load(c, "REMORA_NAME") // --name is the status's here
	if err != nil {
		return err
	}
	single := component.Single{Name: c.String("name"), State: c.String("state"), Description: c.String("description"), URL: c.String("url"), NoteFile: c.String("note-file"), Key: c.String("idempotency-key")}
	if single.Key == "" {
		single.Key, _ = p.env.Lookup("REMORA_REPORT_KEY")
	}
	result, err := component.Post(p.logger(config.Job.Log).WithContext(c.Context), config, single, os.Stdin, version())
	if err != nil {
		return err
	}
	p.code = result.ExitCode()
	return result.Print(p.stdout, p.style())
}
