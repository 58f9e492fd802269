package agent

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gitlab.com/remora-ci/remora/agent/config"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/work"
	"gitlab.com/remora-ci/remora/component/rest"
)

// Hastened is o for tests: it looks often and waits little.
func Hastened(o Options, lease time.Duration) Options {
	o.poll, o.lease, o.backoff = 20*time.Millisecond, lease, 50*time.Millisecond
	o.noteDebounce, o.openAfter = 20*time.Millisecond, 20*time.Millisecond
	return o
}

// Patient is o with a clock of the test's, the pauses of a real agent, and leases
// that a leap of the clock does not end.
func Patient(o Options, now func() time.Time) Options {
	o.now, o.backoff, o.maxBackoff, o.lease = now, 0, 0, 24*time.Hour
	return o
}

// Attempts is o with quick attempts, so that all of them are used up soon.
func Attempts(o Options) Options {
	o.backoff, o.maxBackoff = time.Millisecond, 5*time.Millisecond
	return o
}

// Hurried is o with little patience with a GitLab that does not answer.
func Hurried(o Options, head time.Duration) Options {
	o.headTime = head
	return o
}

// LimitDisk lets the database have so many pages, as a disk that is full does.
func (a *Agent) LimitDisk(ctx context.Context, pages int) error {
	return a.store.Write(ctx, func(tx *store.Tx) error {
		return tx.Query(func(store.Row) error { return nil }, "PRAGMA max_page_count("+strconv.Itoa(pages)+")")
	})
}

// Write is a transaction on the agent's own store.
func (a *Agent) Write(ctx context.Context, f func(*store.Tx) error) error {
	return a.store.Write(ctx, f)
}

// Put asks for work.
func (a *Agent) Put(tx *store.Tx, p work.Put) error { return a.queue.Put(tx, p) }

// RouteOf is the label of a request to GitLab.
var RouteOf = routeOf

// Registry has the metrics of an agent.
func (a *Agent) Registry() prometheus.Gatherer { return a.metrics.registry }

// Retry is what `remora deliveries retry` does.
func (a *Agent) Retry(ctx context.Context, key string) error { return a.queue.Retry(ctx, key) }

// NewTokens makes the tokens of a configuration.
func NewTokens(c *config.Config) (*Tokens, error) {
	return newTokens(c, "1.0.0", nil, func(string, rest.Attempt) {})
}

// NameFor is the name of the token for a project.
func (t *Tokens) NameFor(instance, project string) string {
	if s := t.speaker(instance, project); s != nil {
		return s.Name
	}
	return ""
}

// Handler answers the calls of an agent.
func (a *Agent) Handler() http.Handler { return a.handler() }
