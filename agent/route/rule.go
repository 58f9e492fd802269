package route

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"gitlab.com/remora-ci/remora/component/paths"
	"gitlab.com/remora-ci/remora/component/report"
)

// Rule is one route: which events lead to which targets.
type Rule struct {
	Name     string
	On       []string      // kinds; empty: push, tag_push and merge_request
	Projects []string      // globs of paths, of any case: group/**, !group/old; empty: all
	Refs     []string      // globs of short names, or of full ones that begin with refs/; of a merge request, its source branch; empty: all
	Forks    string        // merge requests from forks, whose commits others wrote: one of the Forks constants
	Open     bool          // of jobs: also those of refs that are not protected
	Paths    []string      // globs of files, for the worker to decide
	Sync     []string      // names of targets
	Report   report.Config // what is shown in GitLab
}

// What a route does about merge requests from forks.
const (
	ForksAllowed = ""      // takes the commits that somebody has allowed
	ForksAll     = "true"  // takes them all
	ForksNever   = "never" // takes none
)

// Instance is a GitLab that events may come from.
type Instance struct {
	URL       string // base URL
	BotUserID int64  // of our own user there; 0 if there is none
}

// Config is what a [Table] is made of.
type Config struct {
	Instances []Instance
	Rules     []Rule
	Deletes   []string // names of targets that act on the end of a ref; the others get none

	Commands      bool   // notes may command the agent
	CommandPrefix string // first word of a command; empty: /remora
}

// Table decides about events. It may be used by several goroutines.
type Table struct {
	instances []instance
	rules     []rule
	deletes   []string
	commands  bool
	prefix    string
}

type rule struct {
	Rule
	projects, refs globs
	paths          string
}

type instance struct {
	Instance
	host, root string
}

// kinds are those that a route can name.
var kinds = []string{Push, TagPush, MergeRequest, Pipeline, Deployment, Release, Job}

// usual are the kinds of a route that names none.
var usual = []string{Push, TagPush, MergeRequest}

// New makes a table. Its error tells everything that is wrong at once, each line
// beginning with the route's name.
func New(c Config) (*Table, error) {
	t := &Table{deletes: c.Deletes, commands: c.Commands, prefix: cmp.Or(c.CommandPrefix, usualPrefix)}
	var errs []error
	for _, i := range c.Instances {
		u, err := url.Parse(strings.TrimRight(i.URL, "/"))
		if err != nil || u.Host == "" || u.User != nil {
			errs = append(errs, errors.New("instance: want a base URL such as https://gitlab.example.com, without user or password"))
			continue
		}
		i.URL = strings.TrimSuffix(u.String(), "/api/v4")
		u.Path = strings.TrimSuffix(u.Path, "/api/v4")
		t.instances = append(t.instances, instance{Instance: i, host: host(u), root: u.Path})
	}
	if len(c.Instances) == 0 {
		errs = append(errs, errors.New("instance: none is configured"))
	}
	for n, r := range c.Rules {
		if r.Name == "" {
			r.Name = fmt.Sprintf("route %d", n+1)
		}
		made, err := newRule(r)
		errs = append(errs, err)
		t.rules = append(t.rules, made)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return t, nil
}

func newRule(r Rule) (rule, error) {
	made := rule{Rule: r, paths: strings.Join(r.Paths, "\n")}
	var errs []error
	wrong := func(field string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %s: %w", r.Name, field, err))
		}
	}
	made.On = nil
	for _, kind := range r.On {
		known := strings.ReplaceAll(strings.ToLower(strings.TrimSpace(kind)), "-", "_")
		if !slices.Contains(kinds, known) {
			wrong("on", fmt.Errorf("%q is none of %s", kind, strings.Join(kinds, ", ")))
		}
		made.On = append(made.On, known)
	}
	if len(r.On) == 0 {
		made.On = usual
	}
	var err error
	made.projects, err = compile(r.Projects, true)
	wrong("projects", err)
	made.refs, err = compile(r.Refs, false)
	wrong("refs", err)
	wrong("paths", paths.Config{Paths: made.paths}.Validate())
	wrong("report", r.Report.Validate())
	if len(r.Sync) == 0 {
		wrong("sync", errors.New("names no target"))
	}
	for _, name := range r.Sync {
		if name == "" || strings.ContainsAny(name, ": \t\n") {
			wrong("sync", fmt.Errorf("%q is no name of a target", name))
		}
	}
	return made, errors.Join(errs...)
}

// host is the host of u with its port, without the port that the scheme implies.
func host(u *url.URL) string {
	name := strings.ToLower(u.Host)
	for scheme, port := range map[string]string{"http": ":80", "https": ":443"} {
		if strings.EqualFold(u.Scheme, scheme) {
			name = strings.TrimSuffix(name, port)
		}
	}
	return name
}
