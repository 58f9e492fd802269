package agent

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Hastened is o for tests: it looks often and waits little.
func Hastened(o Options, lease time.Duration) Options {
	o.poll, o.lease, o.backoff, o.noteDebounce = 20*time.Millisecond, lease, 50*time.Millisecond, 20*time.Millisecond
	return o
}

// RouteOf is the label of a request to GitLab.
var RouteOf = routeOf

// Registry has the metrics of an agent.
func (a *Agent) Registry() prometheus.Gatherer { return a.metrics.registry }
