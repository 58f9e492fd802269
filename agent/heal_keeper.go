package agent

import (
	"context"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gitlab.com/remora-ci/remora/agent/config"
	"gitlab.com/remora-ci/remora/agent/hooks"
	"gitlab.com/remora-ci/remora/agent/route"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
)

// HookKeepers are those of every instance of c, for the command line. They speak with the tokens that are in force, and their requests are
// written down for the audit; end waits for that.
func HookKeepers(ctx context.Context, c *config.Config, st *store.Store, version string) (all []*hooks.Keeper, end func(), err error) {
	if c, err = c.Effective(ctx, st); err != nil {
		return nil, nil, err
	}
	u := newAuditor(st, prometheus.NewRegistry())
	tokens, err := newTokens(c, version, st, func(token string, r rest.Attempt) {
		base, _, _ := strings.Cut(r.URL, "/api/v4/")
		u.add(auditOf(token, base, gitlabRoute(r.URL), r))
	})
	if err != nil {
		return nil, nil, err
	}
	for _, i := range c.Instances {
		k, err := newHookKeeper(c, i, tokens, st, time.Now)
		if err != nil {
			return nil, nil, err
		}
		all = append(all, k)
	}
	return all, u.start(ctx), nil
}

// newHookKeeper keeps the hooks of an instance as c wants them.
func newHookKeeper(c *config.Config, i config.Instance, tokens *Tokens, st *store.Store, now func() time.Time) (*hooks.Keeper, error) {
	covered, err := coveredBy(c, i.URL)
	if err != nil {
		return nil, err
	}
	k := &hooks.Keeper{
		Store: st, Instance: i.URL, Config: c.Hooks, Wanted: covered, Now: now,
		TokenFor: func(project string) string { t, _ := c.TokenFor(i.Name, project); return t.Name },
		Vault:    hooks.Vault{Store: st, Instance: i.URL, Configured: c.Auth, Now: now},
	}
	if len(k.Config.Events) == 0 {
		var kinds []string
		for _, r := range c.Rules() {
			kinds = append(kinds, onOf(r)...)
		}
		if k.Config.Events = hooks.EventsFor(kinds, c.Commands.Enabled); len(k.Config.Events) == 0 {
			k.Config.Events = hooks.EventsFor(onOf(route.Rule{}), false)
		}
	}
	for _, t := range c.Tokens {
		if t.Instance == i.Name {
			k.Tokens = append(k.Tokens, hooks.Token{Name: t.Name, Projects: t.Projects, GitLab: tokens.byName[t.Name].gl})
		}
	}
	return k, nil
}

// coveredBy says of the path of a project whether a route is for it, whatever the
// ref.
func coveredBy(c *config.Config, instance string) (func(string) bool, error) {
	var rules []route.Rule
	for _, r := range c.Rules() {
		rules = append(rules, route.Rule{On: []string{route.Push}, Projects: r.Projects, Sync: r.Sync})
	}
	table, err := route.New(route.Config{Instances: []route.Instance{{URL: instance}}, Rules: rules})
	if err != nil {
		return nil, err
	}
	return func(project string) bool {
		works, _ := table.Decide(route.Fact{
			Kind: route.Push, Instance: instance, Project: delivery.Project{Path: project},
			Changes: []route.Change{{Ref: "refs/heads/any", SHA: anySHA}},
		})
		return len(works) > 0
	}, nil
}

// anySHA is a commit that is nobody's.
const anySHA = "0123456789012345678901234567890123456789"
