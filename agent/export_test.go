package agent

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gitlab.com/remora-ci/remora/agent/config"
	"gitlab.com/remora-ci/remora/component/rest"
)

// Hastened is o for tests: it looks often and waits little.
func Hastened(o Options, lease time.Duration) Options {
	o.poll, o.lease, o.backoff = 20*time.Millisecond, lease, 50*time.Millisecond
	o.noteDebounce, o.openAfter = 20*time.Millisecond, 20*time.Millisecond
	return o
}

// RouteOf is the label of a request to GitLab.
var RouteOf = routeOf

// Registry has the metrics of an agent.
func (a *Agent) Registry() prometheus.Gatherer { return a.metrics.registry }

// Retry is what `remora deliveries retry` does.
func (a *Agent) Retry(ctx context.Context, key string) error { return a.queue.Retry(ctx, key) }

// NewTokens makes the tokens of a configuration.
func NewTokens(c *config.Config) (*Tokens, error) {
	return newTokens(c, "1.0.0", func(string, rest.Attempt) {})
}

// NameFor is the name of the token for a project.
func (t *Tokens) NameFor(instance, project string) string {
	if s := t.speaker(instance, project); s != nil {
		return s.Name
	}
	return ""
}

// NewBudget makes a budget.
func NewBudget(now func() time.Time) *budget { return newBudget(now) }

// Learn is learn.
func (b *budget) Learn(a rest.Attempt) { b.learn(a) }
