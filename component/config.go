package component

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sethvargo/go-envconfig"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab"
	"gitlab.com/remora-ci/remora/component/paths"
	"gitlab.com/remora-ci/remora/component/report"
	"gitlab.com/remora-ci/remora/component/target"
)

// Misuse is a configuration that cannot be run. Nothing was sent.
type Misuse struct{ Err error }

func (m *Misuse) Error() string { return m.Err.Error() }
func (m *Misuse) Unwrap() error { return m.Err }

// Config is everything a job is told, as text; [Config.Validate] reads it.
type Config struct {
	Targets target.Config
	Report  report.Config
	GitLab  gitlab.Config
	Paths   paths.Config
	Agent   Agent
	Job     Job
	CI      CI

	secrets []delivery.Secret // every secret that was read, to be scrubbed
}

// Job is how the job itself behaves.
type Job struct {
	Wait        string `env:"REMORA_WAIT, default=true" usage:"wait for the true result of each target; false: start it and go on"`
	Timeout     string `env:"REMORA_TIMEOUT, default=5m" usage:"one deadline for all targets, such as 90s or 10m"`
	Optional    string `env:"REMORA_OPTIONAL" usage:"targets, by name and comma, whose failure is shown but fails neither job nor status"`
	Output      string `env:"REMORA_OUTPUT, default=table" usage:"what is printed: table or json"`
	JUnit       string `env:"REMORA_JUNIT" usage:"file for a JUnit report, one test case per target"`
	Dotenv      string `env:"REMORA_DOTENV" usage:"file for variables of later jobs: SYNC_STATE, SYNC_URL, …"`
	Annotations string `env:"REMORA_ANNOTATIONS" usage:"file for the external links that GitLab shows on the job's page"`
	Journal     string `env:"REMORA_JOURNAL" usage:"file that remembers open statuses; default beside the job's clone"`
	Log         string `env:"REMORA_LOG, default=info" usage:"what is logged on stderr: error, warn, info or debug; debug names every request"`
}

// Load reads flags, then env. A variable that is set but empty counts as unset.
// Secrets are read from NAME or from the file that NAME_FILE names. The error is
// a [Misuse] that tells everything wrong at once; the Config comes with it, as
// far as it could be read.
func Load(ctx context.Context, flags map[string]string, env envconfig.Lookuper) (Config, error) {
	var c Config
	r := newReader(flags, env)
	err := envconfig.ProcessWith(ctx, &envconfig.Config{Target: &c, Lookuper: r})
	c.secrets = r.secrets
	c.defaults()
	if err := errors.Join(append(r.errs, err)...); err != nil {
		return c, &Misuse{err}
	}
	return c, nil
}

// defaults fills in what one setting takes from another.
func (c *Config) defaults() {
	if c.GitLab.URL == "" {
		c.GitLab.URL = c.CI.ServerURL
	}
	c.Targets.Mirror.ProjectToken = c.GitLab.Token
	if c.Job.Journal == "" && c.CI.ProjectDir != "" {
		c.Job.Journal = filepath.Join(c.CI.ProjectDir, fmt.Sprintf(".remora-%s-%s.journal", strings.ReplaceAll(c.Report.Name, "/", "-"), c.CI.JobID))
	}
}

// Validate tells everything that keeps a sync from being tried, as a [Misuse]. Where
// an agent is asked, the targets are its own.
func (c Config) Validate() error {
	if c.Agent.Enabled() {
		return c.validateAsking()
	}
	errs := []error{c.Targets.Validate(), c.Job.Validate(), c.Job.validateOptional(c.targetNames()), c.Paths.Validate(), c.validateReport(), c.CI.validate()}
	if err := errors.Join(errs...); err != nil {
		return &Misuse{err}
	}
	return nil
}

func (c Config) validateReport() error {
	if c.GitLab.Token.Empty() {
		return c.Report.Validate()
	}
	return errors.Join(c.Report.Validate(), c.GitLab.Validate())
}

// targetNames are the names of the targets that are switched on.
func (c Config) targetNames() []string {
	var names []string
	if c.Targets.Direktiv.Enabled() {
		names = append(names, "direktiv")
	}
	if c.Targets.HTTP.Enabled() {
		names = append(names, "http")
	}
	if c.Targets.Mirror.Enabled() {
		names = append(names, "mirror")
	}
	return names
}

// Validate tells every value that cannot be used, but for Optional: that depends on
// the targets.
func (j Job) Validate() error {
	var errs []error
	if _, err := strconv.ParseBool(j.Wait); err != nil {
		errs = append(errs, fmt.Errorf("REMORA_WAIT: want true or false, not %.80q", j.Wait))
	}
	if d, err := time.ParseDuration(j.Timeout); err != nil || d <= 0 || d > 24*time.Hour {
		errs = append(errs, fmt.Errorf("REMORA_TIMEOUT: want a duration such as 90s or 10m, at most 24h, not %.80q", j.Timeout))
	}
	if j.Output != "table" && j.Output != "json" {
		errs = append(errs, fmt.Errorf("REMORA_OUTPUT: want table or json, not %.80q", j.Output))
	}
	switch j.Log {
	case "error", "warn", "info", "debug":
	default:
		errs = append(errs, fmt.Errorf("REMORA_LOG: want error, warn, info or debug, not %.80q", j.Log))
	}
	return errors.Join(errs...)
}

func (j Job) validateOptional(targets []string) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(j.optional())) {
		if !slices.Contains(targets, name) && len(targets) > 0 {
			errs = append(errs, fmt.Errorf("REMORA_OPTIONAL: %.80q is no target that is switched on; there is %s", name, strings.Join(targets, ", ")))
		}
	}
	return errors.Join(errs...)
}

// optional is the set of targets whose failure fails nothing.
func (j Job) optional() map[string]bool {
	set := map[string]bool{}
	for name := range strings.SplitSeq(j.Optional, ",") {
		if name = strings.TrimSpace(name); name != "" {
			set[name] = true
		}
	}
	return set
}

// wait and Deadline read what Validate has accepted.
func (j Job) wait() bool { on, _ := strconv.ParseBool(j.Wait); return on }

// Deadline is how long all of the work may take.
func (j Job) Deadline() time.Duration { d, _ := time.ParseDuration(j.Timeout); return d }
