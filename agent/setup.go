package agent

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"gitlab.com/remora-ci/remora/agent/auth"
	"gitlab.com/remora-ci/remora/agent/command"
	"gitlab.com/remora-ci/remora/agent/config"
	"gitlab.com/remora-ci/remora/agent/route"
	"gitlab.com/remora-ci/remora/agent/webhook"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
	"gitlab.com/remora-ci/remora/component/target"
)

// setup is what a configuration comes to. It does not change.
type setup struct {
	*config.Config
	configured *config.Config // before stored tokens took the place of those that they came from

	version  string
	table    *route.Table
	commands command.Config
	tokens   *Tokens
	hooks    http.Handler
	verifier *auth.Verifier
	api      http.Handler
	ways     []*rest.Client // to let go of when there is another setup
	scrub    *delivery.Scrubber
	auditor  *auditor

	mu      sync.Mutex
	targets map[way]delivery.Target
}

// way is how a target is delivered to.
type way struct {
	name    string
	timeout time.Duration
	noWait  bool
	token   string // that reads the project, where the target reads it itself
}

// usualTimeout is that of deliveries whose route is no more.
const usualTimeout = 5 * time.Minute

// newSetup makes all that c asks for. Nothing is sent.
func (a *Agent) newSetup(c *config.Config) (*setup, error) {
	s := &setup{Config: c, version: a.o.Version, scrub: delivery.NewScrubber(c.Secrets()...), auditor: a.auditor, targets: map[way]delivery.Target{}}
	var err error
	if s.tokens, err = newTokens(c, a.o.Version, a.store, a.askedGitLab); err != nil {
		return nil, err
	}
	s.commands = c.Commands.WithDefaults()
	instances := make([]route.Instance, len(c.Instances))
	for i, at := range c.Instances {
		instances[i].URL = at.URL
	}
	if s.table, err = route.New(route.Config{Instances: instances, Rules: c.Rules(), Deletes: c.Deletes(), Commands: s.commands.Enabled, CommandPrefix: s.commands.Prefix}); err != nil {
		return nil, err
	}
	if s.verifier, err = auth.New(c.Auth, nil); err != nil {
		return nil, err
	}
	s.hooks = webhook.New(a.store, s.verifier, webhook.Options{
		Instances: c.InstanceURLs(), MemoryBudget: c.Limits.Memory, Observe: a.observed, TraceParent: a.trace.parent(),
	})
	for _, speaks := range s.tokens.byName {
		s.ways = append(s.ways, speaks.way)
	}
	if s.api, err = a.newAPI(s); err != nil {
		return nil, err
	}
	for _, t := range c.Targets {
		if _, err := s.build(way{name: t.Name, timeout: usualTimeout}); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// delivering is how work is done: by its route, as that is now.
type delivering struct {
	target   delivery.Target
	timeout  time.Duration
	optional bool
}

// delivering finds the target of work and the terms of its route. The error is
// permanent: the target is no more.
func (s *setup) delivering(w route.Work) (delivering, error) {
	d := delivering{timeout: usualTimeout}
	at := way{name: w.Target}
	if r, ok := s.Route(w.Rule); ok {
		at.noWait, d.timeout, d.optional = !r.Wait, r.Timeout, slices.Contains(r.Optional, w.Target)
	}
	at.timeout = d.timeout
	if t, ok := s.Target(w.Target); ok && t.Config.Mirror.Enabled() {
		if who := s.tokens.speaker(w.Event.Instance, w.Event.Project.Path); who != nil {
			at.token = who.Name
		}
	}
	var err error
	d.target, err = s.build(at)
	return d, err
}

// build makes a target once for each way. It cannot fail for what [setup] was
// made with.
func (s *setup) build(at way) (delivery.Target, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.targets[at]; t != nil {
		return t, nil
	}
	c, ok := s.Target(at.name)
	if !ok {
		return nil, delivery.Permanent(&delivery.Fault{
			Summary: "target is gone", Cause: fmt.Sprintf("target %q is not configured any more", at.name), Remedy: "name it in the configuration again, or let it be",
		})
	}
	if who := s.tokens.byName[at.token]; who != nil {
		c.Config.Mirror.ProjectToken = who.Value
	}
	c.Config.HTTP.Insist = true
	made, err := target.Build(c.Config, rest.Config{CAFile: c.CAFile, UserAgent: "remora/" + s.version, Audit: s.audit(at.name)}, at.timeout, at.noWait)
	if err != nil {
		return nil, delivery.Permanent(fmt.Errorf("target %s: %w", at.name, err))
	}
	if len(made) != 1 {
		return nil, delivery.Permanent(fmt.Errorf("target %s: %d kinds are switched on, want one", at.name, len(made)))
	}
	t := named(made[0], at.name)
	s.targets[at] = t
	return t, nil
}

// named gives a target the name that it has in the configuration.
func named(t delivery.Target, name string) delivery.Target {
	if p, ok := t.(delivery.Placer); ok {
		return placed{renamed{t, name}, p}
	}
	return renamed{t, name}
}

type renamed struct {
	delivery.Target
	name string
}

func (r renamed) Name() string { return r.name }

type placed struct {
	renamed
	delivery.Placer
}
