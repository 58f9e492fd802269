package config

import (
	"context"
	"slices"
	"time"

	"github.com/sethvargo/go-envconfig"

	"gitlab.com/remora-ci/remora/agent/auth"
	"gitlab.com/remora-ci/remora/agent/command"
	"gitlab.com/remora-ci/remora/agent/hooks"
	"gitlab.com/remora-ci/remora/agent/route"
	"gitlab.com/remora-ci/remora/agent/schedule"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/target"
)

// Config is everything an agent is told, checked.
type Config struct {
	File      string // that it was read from; empty: the environment alone
	Instances []Instance
	Tokens    []Token
	Targets   []Target
	Routes    []Route
	Schedules []Schedule
	Auth      auth.Config
	URL       string         // how GitLab and its jobs reach the agent, without trailing slash; empty if it was not said
	Audiences []string       // of ID tokens that are taken, besides URL and trigger.AudiencePrefix + URL
	Commands  command.Config // in notes
	Hooks     hooks.Config   // in GitLab
	Store     store.Config
	Listen    string        // host:port
	Shutdown  time.Duration // what work in hand gets after SIGTERM
	Limits    Limits
	Log       string // error, warn, info or debug

	secrets  []delivery.Secret
	settings []Setting
}

// Instance is a GitLab that events come from.
type Instance struct {
	Name   string // unique; default: the host
	URL    string // base URL, as GitLab names itself in its webhooks
	CAFile string // PEM file of more authorities to trust
}

// Token is what the agent speaks to GitLab with, about some projects.
type Token struct {
	Name     string // unique, for logs and metrics
	Instance string // name of its instance
	Value    delivery.Secret
	Projects []string // globs of project paths, in any case
	Rotate   bool     // replace it before it expires; only the agent holds it then
}

// Target is a place to deliver to. In Config exactly one kind is switched on.
type Target struct {
	Name   string // unique
	Kind   string // direktiv, http or mirror
	CAFile string // PEM file of more authorities to trust
	Config target.Config
}

// Route is which events lead to which targets, and how they are delivered.
type Route struct {
	route.Rule
	Optional []string      // targets of Sync whose failure fails nothing
	Timeout  time.Duration // one deadline for a delivery
	Wait     bool          // for the true result
	Debounce time.Duration // how long to wait for more events of the same ref
}

// Schedule is a delivery that no event asks for.
type Schedule struct {
	schedule.Config
	Instance string // name of the instance of the projects
}

// Limits bound what the agent does at once.
type Limits struct {
	PerProject  int           // deliveries at a time, over all agents
	Workers     int           // deliveries at a time to each target, in this agent
	MaxAttempts int           // tries of one delivery
	Lease       time.Duration // how long a delivery in hand waits for an agent that died
	Memory      int64         // bytes of webhook bodies in memory

	// FreeRequests allows more than 600 requests in a minute with one token, as long
	// as GitLab names no limit.
	FreeRequests bool
}

// Load reads a file, and env over it; without a file it is [FromEnv]. The error
// joins a [*Fault] for everything that is wrong. Warnings come in any case.
func Load(ctx context.Context, file string, env envconfig.Lookuper) (*Config, []Warning, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	l := newLoader(file, env)
	if file == "" {
		l.readEnv()
	} else if l.readFile() {
		l.overFile()
	}
	return l.finish()
}

// FromEnv makes the Config of the environment alone: the variables of the
// component say the targets, one route leads to all of them.
func FromEnv(ctx context.Context, env envconfig.Lookuper) (*Config, []Warning, error) {
	return Load(ctx, "", env)
}

// Parse is [Load] of a file whose content is at hand.
func Parse(file string, content []byte, env envconfig.Lookuper) (*Config, []Warning, error) {
	l := newLoader(file, env)
	if l.parse(content) {
		l.overFile()
	}
	return l.finish()
}

// Rules are the routes as package route wants them.
func (c *Config) Rules() []route.Rule {
	rules := make([]route.Rule, 0, len(c.Routes))
	for _, r := range c.Routes {
		rules = append(rules, r.Rule)
	}
	return rules
}

// Deletes are the names of the targets that act on the end of a ref.
func (c *Config) Deletes() []string {
	var names []string
	for _, t := range c.Targets {
		if t.Kind == kindMirror {
			names = append(names, t.Name)
		}
	}
	return names
}

// InstanceURLs are the base URLs of the instances.
func (c *Config) InstanceURLs() []string {
	urls := make([]string, 0, len(c.Instances))
	for _, i := range c.Instances {
		urls = append(urls, i.URL)
	}
	return urls
}

// Target is the target with that name.
func (c *Config) Target(name string) (Target, bool) {
	i := slices.IndexFunc(c.Targets, func(t Target) bool { return t.Name == name })
	if i < 0 {
		return Target{}, false
	}
	return c.Targets[i], true
}

// Route is the route with that name.
func (c *Config) Route(name string) (Route, bool) {
	i := slices.IndexFunc(c.Routes, func(r Route) bool { return r.Name == name })
	if i < 0 {
		return Route{}, false
	}
	return c.Routes[i], true
}

// Secrets are all secrets, each by itself, to be scrubbed from what is shown.
func (c *Config) Secrets() []delivery.Secret { return slices.Clone(c.secrets) }
