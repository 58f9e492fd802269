package agent

import (
	"context"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/webhook"
	"gitlab.com/remora-ci/remora/agent/work"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/report"
	"gitlab.com/remora-ci/remora/component/rest"
)

// metrics count what happens. No label names a project or a person: there may be
// thousands of them.
type metrics struct {
	registry *prometheus.Registry

	received       *prometheus.CounterVec
	accept         prometheus.Histogram
	attempts       *prometheus.CounterVec
	deliveries     *prometheus.CounterVec
	took           *prometheus.HistogramVec
	reports        *prometheus.CounterVec
	requests       *prometheus.CounterVec
	requestTook    *prometheus.HistogramVec
	remaining      *prometheus.GaugeVec
	scheduleFired  *prometheus.GaugeVec
	calls          *prometheus.CounterVec
	callTook       *prometheus.HistogramVec
	lastConfigLoad prometheus.Gauge
	unread         prometheus.Counter
}

func newMetrics(version string, s *store.Store, q *work.Queue) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "remora", Name: name, Help: help}, labels)
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "remora", Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "remora", Name: name, Help: help, Buckets: buckets}, labels)
	}
	long := []float64{.01, .05, .1, .5, 1, 5, 15, 60, 300, 900}
	m := &metrics{
		registry:      prometheus.NewRegistry(),
		received:      counter("webhook_received_total", "Webhooks by kind of event and by what became of them.", "event", "outcome"),
		accept:        prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "remora", Name: "webhook_accept_duration_seconds", Help: "Time from a webhook to its answer.", Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, 1, 5}}),
		attempts:      counter("job_attempts_total", "Runs of work by kind and result.", "kind", "result"),
		deliveries:    counter("deliveries_total", "Attempts to deliver by what became of them.", "state"),
		took:          histogram("delivery_duration_seconds", "Time of one attempt to deliver.", long, "state"),
		reports:       counter("reports_total", "Reports to GitLab by kind and result.", "kind", "result"),
		requests:      counter("gitlab_requests_total", "Requests to GitLab.", "route", "method", "code"),
		requestTook:   histogram("gitlab_request_duration_seconds", "Time of one request to GitLab.", []float64{.01, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}, "route", "method"),
		remaining:     gauge("gitlab_ratelimit_remaining", "Requests that GitLab said are left, by name of the token.", "token"),
		calls:         counter("api_requests_total", "Calls of the API by route and status.", "route", "status"),
		callTook:      histogram("api_request_duration_seconds", "Time of one call of the API, but for streams.", []float64{.001, .0025, .005, .01, .025, .05, .1, .25, 1, 5, 60, 300}, "route"),
		scheduleFired: gauge("schedule_last_success_timestamp_seconds", "When the work of a schedule was last made.", "name"),
	}
	m.lastConfigLoad = prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "remora", Name: "config_last_load_success_timestamp_seconds", Help: "When the configuration in use was loaded."})
	m.unread = prometheus.NewCounter(prometheus.CounterOpts{Namespace: "remora", Name: "http_unread_requests_total", Help: "Requests whose head was malformed, too large or too slow, or cut off, so that nothing else counts them."})
	build := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "remora", Name: "build_info", Help: "The running version.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()}})
	build.Set(1)
	m.registry.MustRegister(m.received, m.accept, m.attempts, m.deliveries, m.took, m.reports, m.requests, m.requestTook, m.remaining, m.scheduleFired, m.calls, m.callTook, m.lastConfigLoad, m.unread, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), newDepth(s, q))
	return m
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}

func (m *metrics) webhook(o webhook.Observation) {
	m.received.WithLabelValues(o.Kind, o.Outcome).Inc()
	m.accept.Observe(o.Took.Seconds())
}

func (m *metrics) api(route string, status int, took time.Duration) {
	m.calls.WithLabelValues(route, strconv.Itoa(status)).Inc()
	if !strings.HasSuffix(route, " stream") { // it takes as long as the target
		m.callTook.WithLabelValues(route).Observe(took.Seconds())
	}
}

func (m *metrics) attempted(kind string, err error) {
	m.attempts.WithLabelValues(kind, string(delivery.StateOf(err))).Inc()
}

func (m *metrics) delivered(o delivery.Outcome) {
	m.deliveries.WithLabelValues(string(o.State)).Inc()
	m.took.WithLabelValues(string(o.State)).Observe(o.Took.Seconds())
}

func (m *metrics) reported(kind string, r report.Result) {
	result := "done"
	switch {
	case r.Temporary():
		result = "retry"
	case len(r.Problems) > 0:
		result = "failed"
	}
	m.reports.WithLabelValues(kind, result).Inc()
}

// gitlab is told of every request to GitLab.
func (m *metrics) gitlab(token string, a rest.Attempt) {
	route := routeOf(a.URL)
	m.requests.WithLabelValues(route, a.Method, strconv.Itoa(a.Code)).Inc()
	m.requestTook.WithLabelValues(route, a.Method).Observe(a.Took.Seconds())
	if left, err := strconv.Atoi(a.Remaining); err == nil {
		m.remaining.WithLabelValues(token).Set(float64(left))
	}
}

// words are the parts of a path that are no names or numbers.
var words = map[string]bool{
	"projects": true, "repository": true, "commits": true, "statuses": true, "branches": true, "tags": true, "merge_requests": true,
	"notes": true, "discussions": true, "members": true, "pipelines": true, "compare": true, "merge_base": true, "award_emoji": true, "user": true,
	"groups": true, "hooks": true, "events": true, "test": true, "resend": true, "versions": true,
}

// routeOf is the path of a request with a colon for what differs from one to the
// next: /projects/:/merge_requests/:/notes.
func routeOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "unknown"
	}
	_, path, ok := strings.Cut(u.EscapedPath(), "/api/v4/")
	if !ok {
		return "unknown"
	}
	parts := strings.Split(path, "/")
	value := false // behind a word comes a name or a number
	for i, part := range parts {
		value = !value && words[part]
		if !value {
			parts[i] = ":"
		}
		if part == "repository" {
			value = false
		}
	}
	return "/" + strings.Join(parts, "/")
}

// depth reads the queue when it is asked for.
type depth struct {
	store                     *store.Store
	queue                     *work.Queue
	keys, oldest, stored, dup *prometheus.Desc
	commits                   *prometheus.Desc
}

func newDepth(s *store.Store, q *work.Queue) *depth {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("remora_"+name, help, labels, nil)
	}
	return &depth{
		store: s, queue: q,
		keys:    desc("queue_depth", "Keys of work by state.", "state"),
		oldest:  desc("queue_oldest_age_seconds", "How long the oldest key that is due has waited."),
		stored:  desc("store_events_total", "Events stored by this process."),
		dup:     desc("store_duplicates_total", "Events that were known already."),
		commits: desc("store_commits_total", "Transactions of this process."),
	}
}

// Describe is part of [prometheus.Collector].
func (d *depth) Describe(to chan<- *prometheus.Desc) {
	for _, one := range []*prometheus.Desc{d.keys, d.oldest, d.stored, d.dup, d.commits} {
		to <- one
	}
}

// Collect is part of [prometheus.Collector]. While the database is away, its
// numbers are missing and the others are not.
func (d *depth) Collect(to chan<- prometheus.Metric) {
	stats := d.store.Stats()
	to <- prometheus.MustNewConstMetric(d.stored, prometheus.CounterValue, float64(stats.Events))
	to <- prometheus.MustNewConstMetric(d.dup, prometheus.CounterValue, float64(stats.Duplicates))
	to <- prometheus.MustNewConstMetric(d.commits, prometheus.CounterValue, float64(stats.Commits))
	ctx, cancel := context.WithTimeout(context.Background(), readyTime)
	defer cancel()
	keys, oldest, err := d.queue.Depth(ctx)
	if err != nil {
		return
	}
	for state, n := range keys {
		to <- prometheus.MustNewConstMetric(d.keys, prometheus.GaugeValue, float64(n), state)
	}
	to <- prometheus.MustNewConstMetric(d.oldest, prometheus.GaugeValue, oldest.Seconds())
}
