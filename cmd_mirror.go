package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"gitlab.com/remora-ci/remora/component"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
	"gitlab.com/remora-ci/remora/component/target/direktiv"
)

const mirrorSecrets = `Secrets are read from variables, or from the file that the variable with _FILE
names, and are never flags:

   DIREKTIV_TOKEN            API key or token of Direktiv
   DIREKTIV_GIT_TOKEN        what the mirror reads the repository with: user:token, or a
                             GitLab token with read_repository
   DIREKTIV_GIT_SSH_KEY      or an SSH private key, with DIREKTIV_GIT_PUBLIC_KEY
   DIREKTIV_GIT_PASSPHRASE   of that key, if it has one

`

const mirrorExits = `
EXIT CODES:
   0 done, 1 Direktiv refused it or the sync failed, 2 misuse (nothing was tried)`

func (p *program) mirrorCommand() *cli.Command {
	return &cli.Command{
		Name:  "mirror",
		Usage: "set up and look at a Direktiv mirror",
		Description: "The administration of a mirror, for every release of Direktiv's API since v0.6.6. Each\n" +
			"command has examples: remora mirror create --help",
		Subcommands: []*cli.Command{p.mirrorCreate(), p.mirrorUpdate(), p.mirrorShow()},
		Action: func(c *cli.Context) error {
			if name := c.Args().First(); name != "" {
				return misuse("unknown command %q; remora mirror has create, update and show", name)
			}
			return cli.ShowSubcommandHelp(c)
		},
	}
}

func (p *program) mirrorCreate() *cli.Command {
	return &cli.Command{
		Name:  "create",
		Usage: "make a namespace that mirrors a branch of a repository",
		Description: mirrorSecrets + `EXAMPLES:
   remora mirror create --namespace demo --url https://gitlab.example.com/acme/app.git --ref main
   DIREKTIV_GIT_TOKEN=glpat-… remora mirror create --namespace demo --url https://… --ref main --sync
   DIREKTIV_GIT_SSH_KEY_FILE=key DIREKTIV_GIT_PUBLIC_KEY_FILE=key.pub \
      remora mirror create --namespace demo --url git@gitlab.example.com:acme/app.git --ref main
` + mirrorExits,
		Flags:  append(mirrorFlags(), specFlags()...),
		Action: func(c *cli.Context) error { return p.changeMirror(c.Context, c, true) },
	}
}

func (p *program) mirrorUpdate() *cli.Command {
	return &cli.Command{
		Name:  "update",
		Usage: "change a mirror; what is not named stays as it is",
		Description: mirrorSecrets + `EXAMPLES:
   remora mirror update --namespace demo --ref stable --sync
   remora mirror update --namespace demo --url https://gitlab.example.com/acme/new.git
   DIREKTIV_GIT_TOKEN_FILE=token remora mirror update --namespace demo
   remora mirror update --namespace demo --auth none
` + mirrorExits,
		Flags:  append(mirrorFlags(), specFlags()...),
		Action: func(c *cli.Context) error { return p.changeMirror(c.Context, c, false) },
	}
}

func (p *program) mirrorShow() *cli.Command {
	return &cli.Command{
		Name:  "show",
		Usage: "show a mirror and its last syncs with their logs",
		Description: `Shows no secret. DIREKTIV_TOKEN is read from the variable, or from the file that
DIREKTIV_TOKEN_FILE names.

EXAMPLES:
   remora mirror show --namespace demo
   remora mirror show --namespace demo --last 1 --output json | jq '.syncs[0].status'
` + mirrorExits,
		Flags:  append(mirrorFlags(), &cli.IntFlag{Name: "last", Value: 5, Usage: "how many syncs, 0 to 50"}),
		Action: p.showMirror,
	}
}

func mirrorFlags() []cli.Flag {
	namespace := &cli.StringFlag{Name: "namespace", Usage: "short for --direktiv-namespace"}
	return append([]cli.Flag{namespace}, settingFlags(func(s component.Setting) bool {
		switch s.Env {
		case "DIREKTIV_URL", "DIREKTIV_NAMESPACE", "DIREKTIV_AUTH", "DIREKTIV_DIRECTORY", "REMORA_OUTPUT", "REMORA_TIMEOUT", "CI_SERVER_TLS_CA_FILE":
			return true
		}
		return false
	})...)
}

func specFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "url", Usage: "repository: https://host/path.git or git@host:path.git"},
		&cli.StringFlag{Name: "ref", Usage: "branch that the mirror follows, by its plain name"},
		&cli.StringFlag{Name: "auth", Usage: "none, token or ssh; default: as the secrets that are set say"},
		&cli.BoolFlag{Name: "insecure", Usage: "accept any certificate of the git server; --insecure=false to stop that"},
		&cli.StringFlag{Name: "cron", Usage: "schedule of the mirror; old releases of Direktiv only"},
		&cli.BoolFlag{Name: "sync", Usage: "start a sync afterwards and wait for its result"},
	}
}

// mirrorJob is what the three commands share.
type mirrorJob struct {
	admin   *direktiv.Admin
	timeout time.Duration
}

// mirrorJob reads the settings. wrong is what the command found to be wrong itself;
// all of it is told at once.
func (p *program) mirrorJob(c *cli.Context, wrong ...error) (mirrorJob, error) {
	if err := noArguments(c); err != nil {
		return mirrorJob{}, err
	}
	config, err := p.load(c)
	if err == nil {
		err = errors.Join(config.Targets.Direktiv.Validate(), config.Job.Validate())
	}
	if err := errors.Join(append([]error{err}, wrong...)...); err != nil {
		return mirrorJob{}, misuse("%w", err)
	}
	out, err := rest.New(rest.Config{CAFile: config.CI.CAFile, UserAgent: "remora/" + version()})
	if err != nil {
		return mirrorJob{}, misuse("CI_SERVER_TLS_CA_FILE: %w", err)
	}
	admin, err := direktiv.NewAdmin(config.Targets.Direktiv, out)
	if err != nil {
		return mirrorJob{}, misuse("%w", err)
	}
	return mirrorJob{admin, config.Job.Deadline()}, nil
}

// mirrorResult is what a command prints.
type mirrorResult struct {
	direktiv.MirrorView
	Sync *mirrorSync `json:"sync,omitempty"`
}

// mirrorSync is the sync that --sync asked for.
type mirrorSync struct {
	ID       string             `json:"id"`
	Result   string             `json:"result"`
	Warnings []string           `json:"warnings,omitempty"`
	Log      []delivery.LogLine `json:"log,omitempty"`
}

func (p *program) changeMirror(ctx context.Context, c *cli.Context, create bool) error {
	spec, err := p.mirrorSpec(c)
	job, err := p.mirrorJob(c, err, spec.Validate(create))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, job.timeout)
	defer cancel()
	change := job.admin.Update
	if create {
		change = job.admin.Create
	}
	view, err := change(ctx, spec)
	if err != nil {
		return component.Explained(err)
	}
	result := mirrorResult{MirrorView: view}
	if c.Bool("sync") {
		receipt, failed := job.admin.Sync(ctx)
		result.Sync = &mirrorSync{ID: receipt.ID, Result: receipt.Result, Warnings: receipt.Warnings, Log: receipt.Log}
		if failed != nil {
			result.Sync.Result = "failed: " + delivery.Explain(failed).Summary
			err = component.Explained(failed)
		}
	}
	return errors.Join(p.printMirror(result), err)
}

func (p *program) showMirror(c *cli.Context) error {
	last := c.Int("last")
	var wrong error
	if last < 0 || last > 50 {
		wrong = fmt.Errorf("--last: want 0 to 50, not %d", last)
	}
	job, err := p.mirrorJob(c, wrong)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Context, job.timeout)
	defer cancel()
	view, err := job.admin.Show(ctx, last)
	if err != nil {
		return component.Explained(err)
	}
	return p.printMirror(mirrorResult{MirrorView: view})
}

// mirrorSpec reads flags and secrets.
func (p *program) mirrorSpec(c *cli.Context) (direktiv.MirrorSpec, error) {
	s := direktiv.MirrorSpec{URL: c.String("url"), Ref: c.String("ref"), Auth: c.String("auth"), Sync: c.Bool("sync")}
	if c.IsSet("insecure") {
		v := c.Bool("insecure")
		s.Insecure = &v
	}
	if c.IsSet("cron") {
		v := c.String("cron")
		s.Cron = &v
	}
	var public delivery.Secret
	var errs []error
	for _, v := range []struct {
		name string
		to   *delivery.Secret
	}{{"DIREKTIV_GIT_TOKEN", &s.Token}, {"DIREKTIV_GIT_SSH_KEY", &s.PrivateKey}, {"DIREKTIV_GIT_PUBLIC_KEY", &public}, {"DIREKTIV_GIT_PASSPHRASE", &s.Passphrase}} {
		value, err := component.ReadSecret(p.env, v.name)
		*v.to = value
		errs = append(errs, err)
	}
	s.PublicKey = public.Reveal()
	return s, errors.Join(errs...)
}

// printMirror writes the mirror, then its notes, then its syncs; or one JSON
// object.
func (p *program) printMirror(r mirrorResult) error {
	if p.json {
		e := json.NewEncoder(p.stdout)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "remora mirror  %s\n", r.Namespace)
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	insecure := ""
	if r.Insecure {
		insecure = "yes: any certificate of the git server is accepted"
	}
	if !r.Mirror {
		_, _ = fmt.Fprintln(t, "  no mirror\tmake it one with remora mirror update --url … --ref …")
	}
	for _, f := range [][2]string{{"url", r.URL}, {"ref", r.Ref}, {"auth", r.Auth}, {"public key", r.PublicKey}, {"insecure", insecure}, {"cron", r.Cron}} {
		if f[1] != "" {
			_, _ = fmt.Fprintf(t, "  %s\t%s\n", f[0], f[1])
		}
	}
	_ = t.Flush()
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "  note: %s\n", n)
	}
	for _, s := range r.Syncs {
		fmt.Fprintf(&b, "sync %s  %s  %s\n", s.ID, s.Started.UTC().Format("2006-01-02 15:04:05 UTC"), s.Status)
		logLines(&b, s.Log)
	}
	if s := r.Sync; s != nil {
		fmt.Fprintf(&b, "sync %s  %s\n", s.ID, s.Result)
		logLines(&b, s.Log)
	}
	_, err := io.WriteString(p.stdout, b.String())
	return err
}

func logLines(b *strings.Builder, lines []delivery.LogLine) {
	for _, l := range lines {
		fmt.Fprintf(b, "    %-5s %s\n", l.Level, l.Text)
	}
}
