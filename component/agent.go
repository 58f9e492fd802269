package component

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/trigger"
)

// Agent is the agent that is asked instead of the targets. It delivers and reports
// with its own credentials, so the project needs none.
type Agent struct {
	URL     string          `env:"REMORA_AGENT_URL" usage:"base URL of a Remora agent that delivers and reports in place of this job; it is asked with the job's ID token, and the project needs no other secret"`
	Targets string          `env:"REMORA_AGENT_TARGETS" usage:"targets that the agent is asked for, by name and comma; empty: all that its route leads to"`
	IDToken delivery.Secret `env:"REMORA_ID_TOKEN" usage:"the job's ID token for the agent, of the keyword id_tokens"`
	Token   delivery.Secret `env:"REMORA_AGENT_TOKEN" usage:"project token of the agent (remora token issue), for remora report where there is no ID token"`
}

// Enabled says whether an agent is asked.
func (a Agent) Enabled() bool { return a.URL != "" }

// IDTokenLines are what a job needs to have an ID token for the agent, in one line of
// YAML.
const IDTokenLines = "id_tokens: {REMORA_ID_TOKEN: {aud: 'remora:$REMORA_AGENT_URL'}}"

func (a Agent) validate() error {
	if err := trigger.CheckURL(a.URL); err != nil {
		return fmt.Errorf("REMORA_AGENT_URL: %w", err)
	}
	return nil
}

// validateIDToken says what a job does to have one.
func (a Agent) validateIDToken() error {
	if !a.IDToken.Empty() {
		return nil
	}
	return errors.New("REMORA_ID_TOKEN: missing; the agent knows a job by its ID token. The component's template asks GitLab for it; a job of your own needs the line " + IDTokenLines)
}

// names are the targets that are asked for; nil for all.
func (a Agent) names() []string {
	var names []string
	for name := range strings.SplitSeq(a.Targets, ",") {
		if name = strings.TrimSpace(name); name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// host is where the agent is, in a word.
func (a Agent) host() string {
	u, err := url.Parse(a.URL)
	if err != nil {
		return ""
	}
	return u.Host
}

// validateAsking tells everything that keeps an agent from being asked, as a
// [Misuse].
func (c Config) validateAsking() error {
	errs := []error{c.Agent.validate(), c.Agent.validateIDToken(), c.Job.Validate(), c.Job.validateOptional(c.Agent.names()), c.Report.Validate(), c.CI.validate()}
	for _, id := range []pair{{"CI_JOB_ID", c.CI.JobID}, {"CI_PIPELINE_ID", c.CI.PipelineID}} {
		if id.value == "" {
			errs = append(errs, fmt.Errorf("%s: missing; an agent is asked by a GitLab CI job", id.name))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return &Misuse{err}
	}
	return nil
}

// request is what the agent is asked for.
func (c Config) request() trigger.Request {
	ci := c.CI
	r := trigger.Request{
		JobID: number(ci.JobID), PipelineID: number(ci.PipelineID), SHA: ci.CommitSHA, JobName: ci.JobName, JobURL: ci.JobURL,
		PipelineURL: ci.PipelineURL, Targets: c.Agent.names(),
	}
	if !delivery.ZeroSHA(ci.CommitBefore) {
		r.Before = ci.CommitBefore
	}
	if ci.MRIID != "" {
		mr := ci.mergeRequest("")
		r.MergeRequest = &trigger.MergeRequest{IID: mr.IID, ProjectID: mr.ProjectID, SourceProjectID: mr.SourceProjectID, SourceSHA: ci.MRSourceSHA}
	}
	return r
}

// key is the same for every request of this job about the same targets, so that a
// process that is started again asks for nothing new.
func (c Config) key() string {
	key := "job-" + c.CI.JobID
	names := c.Agent.names()
	if len(names) == 0 {
		return key
	}
	slices.Sort(names)
	sum := sha256.Sum256([]byte(strings.Join(names, ",")))
	return key + "-" + hex.EncodeToString(sum[:8])
}

// unused names what is set and has no say where an agent delivers.
func (c Config) unused() (notices []string) {
	var targets, route []string
	t := c.Targets
	for _, v := range []struct {
		name string
		set  bool
	}{
		{"DIREKTIV_URL", t.Direktiv.URL != ""}, {"DIREKTIV_TOKEN", !t.Direktiv.Token.Empty()},
		{"REMORA_HTTP_URL", t.HTTP.URL != ""}, {"REMORA_HTTP_TOKEN", !t.HTTP.Token.Empty()}, {"REMORA_HTTP_HEADERS", !t.HTTP.Headers.Empty()},
		{"REMORA_MIRROR_URL", t.Mirror.URL != ""}, {"REMORA_MIRROR_TOKEN", !t.Mirror.Token.Empty()}, {"REMORA_MIRROR_SSH_KEY", !t.Mirror.SSHKey.Empty()},
	} {
		if v.set {
			targets = append(targets, v.name)
		}
	}
	if len(targets) > 0 {
		notices = append(notices, "the agent delivers; "+list(targets)+" not used")
	}
	defaults := map[string]string{}
	for _, s := range Settings() {
		defaults[s.Env] = s.Default
	}
	for _, p := range []pair{{"REMORA_PATHS", c.Paths.Paths}, {"REMORA_REPORT", c.Report.Report},
		{"REMORA_NOTE", c.Report.Note}, {"REMORA_STATUS_ON", c.Report.StatusOn}} {
		if p.value != "" && p.value != defaults[p.name] {
			route = append(route, p.name)
		}
	}
	if len(route) > 0 {
		notices = append(notices, "the agent's route decides about paths and reports; "+list(route)+" not used")
	}
	return notices
}

// list is "A is" or "A, B are".
func list(names []string) string {
	if len(names) == 1 {
		return names[0] + " is"
	}
	return strings.Join(names, ", ") + " are"
}

// inTheClear warns of a token that travels where others can read it.
func (a Agent) inTheClear() string {
	u, err := url.Parse(a.URL)
	if err != nil || u.Scheme != "http" || u.Hostname() == "localhost" {
		return ""
	}
	if ip := net.ParseIP(u.Hostname()); ip != nil && ip.IsLoopback() {
		return ""
	}
	return "REMORA_AGENT_URL begins with http: whoever is on the way can read the job's ID token; have the agent behind https"
}

// ownNamespace says whether the project is in the namespace of the person whose push
// it was, as a fork for a merge request is.
func (c CI) ownNamespace() bool { return c.UserLogin != "" && c.RootNamespace == c.UserLogin }
