package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sosodev/duration"
	"github.com/urfave/cli/v2"

	"gitlab.com/remora-ci/remora/agent/auth"
	"gitlab.com/remora-ci/remora/component"
)

func (p *program) tokenCommand() *cli.Command {
	return group("token", "make tokens that let the hooks of one project or group call the agent", p.tokenIssueCommand(), p.tokenKeyCommand())
}

func (p *program) tokenIssueCommand() *cli.Command {
	return &cli.Command{
		Name:  "issue",
		Usage: "make a token for the hooks and reports of one project or group",
		Description: `Prints a token to be pasted into GitLab as the secret token of a webhook. The
agent accepts it for events of that project alone, until it expires. It is signed
with REMORA_TOKEN_KEY (or the file that REMORA_TOKEN_KEY_FILE names), which the
agent has too; of two keys the first signs and both are accepted, so a key is
replaced without a gap.

A build system outside of GitLab reports with it too: as REMORA_AGENT_TOKEN of
remora report, or as the bearer token of POST /api/v1/reports. It may then set a
status on every commit of the project.

A hook of a group also sends what happens in its subgroups: give its token
--subgroups, or such events are refused, and GitLab may switch the hook off.

EXAMPLES:
   remora token issue --project acme/app --expires P90D
   remora token issue --project acme --group --subgroups --expires P1Y --output json

EXIT CODES:
   0 done, 2 misuse`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "project", Usage: "full path of the project, or with --group of the group"},
			&cli.BoolFlag{Name: "group", Usage: "the path is a group's: its own projects"},
			&cli.BoolFlag{Name: "subgroups", Usage: "with --group: the projects of its subgroups too"},
			&cli.StringFlag{Name: "expires", Usage: "how long it is good, as an ISO 8601 duration, at most 400 days: P90D, P12W, PT1H"},
			&cli.StringFlag{Name: "output", Usage: "table (the token alone) or json ($REMORA_OUTPUT)", DefaultText: "table"},
		},
		Action: p.issueToken,
	}
}

func (p *program) tokenKeyCommand() *cli.Command {
	return &cli.Command{
		Name:  "key",
		Usage: "make a key for REMORA_TOKEN_KEY",
		Description: `Prints 32 random bytes in base64. To replace a key put the new one before the old
one, with a space between them; take the old one out when its tokens have expired.

EXAMPLES:
   remora token key > /etc/remora/token.key`,
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			key := make([]byte, 32)
			_, _ = rand.Read(key) // it never fails
			_, err := fmt.Fprintln(p.stdout, base64.StdEncoding.EncodeToString(key))
			return err
		},
	}
}

func (p *program) issueToken(c *cli.Context) error {
	if err := errors.Join(noArguments(c), p.format(c)); err != nil {
		return err
	}
	now := time.Now()
	grant := auth.Grant{Path: strings.Trim(c.String("project"), "/"), Group: c.Bool("group"), Subgroups: c.Bool("subgroups"), Issued: now}
	if grant.Path == "" {
		return misuse("--project: missing; name the project or group that the token is for")
	}
	var err error
	if grant.Expires, err = expiry(now, c.String("expires")); err != nil {
		return misuse("--expires: %w", err)
	}
	keys, err := component.ReadSecret(p.env, "REMORA_TOKEN_KEY")
	if err != nil {
		return misuse("%w", err)
	}
	issued, err := auth.Issue(keys, grant)
	if err != nil {
		return misuse("%w", err)
	}
	if !p.json {
		_, _ = fmt.Fprintf(p.stderr, "remora: token %s for %s, good until %s\n", issued.ID, grant.Path, grant.Expires.UTC().Format(time.RFC3339))
		_, err := fmt.Fprintln(p.stdout, issued.Token.Reveal())
		return err
	}
	return json.NewEncoder(p.stdout).Encode(map[string]any{
		"token": issued.Token.Reveal(), "id": issued.ID, "key_id": issued.KeyID, "path": grant.Path,
		"group": grant.Group, "subgroups": grant.Subgroups, "expires_at": grant.Expires.UTC().Format(time.RFC3339),
	})
}

// expiry is the time that is an ISO 8601 duration after now, by the calendar.
func expiry(now time.Time, text string) (time.Time, error) {
	if text == "" {
		return now, errors.New("missing; say how long the token is good, such as P90D")
	}
	d, err := duration.Parse(text)
	if err != nil || d.Negative {
		return now, fmt.Errorf("want an ISO 8601 duration such as P90D or PT1H, not %q", text)
	}
	whole := func(f float64) bool { return f == float64(int16(f)) }
	if !whole(d.Years) || !whole(d.Months) {
		return now, fmt.Errorf("want whole years and months, not %q", text)
	}
	end := now.AddDate(int(d.Years), int(d.Months), 0)
	d.Years, d.Months = 0, 0
	return end.Add(d.ToTimeDuration()), nil
}
