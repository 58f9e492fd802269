package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	gl "gitlab.com/gitlab-org/api/client-go/v2"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component/rest"
)

const (
	auditEvery = time.Second // at most one write in that time
	auditBatch = 500         // requests of one write
	auditRoom  = 8192        // requests that wait for it; more are dropped and counted
	auditEnd   = 5 * time.Second
)

// auditor writes down every request that is made to GitLab and to targets, beside
// the work: whoever makes one never waits for it.
type auditor struct {
	store   *store.Store
	waiting chan store.Audit
	dropped prometheus.Counter

	mu   sync.Mutex
	lost int // dropped and not told yet
}

func newAuditor(s *store.Store, r prometheus.Registerer) *auditor {
	u := &auditor{store: s, waiting: make(chan store.Audit, auditRoom), dropped: prometheus.NewCounter(prometheus.CounterOpts{
		Namespace: "remora", Name: "audit_dropped_total", Help: "Requests that were made and not written down, because the database was too slow.",
	})}
	r.MustRegister(u.dropped)
	return u
}

// add takes a request. It never blocks.
func (u *auditor) add(a store.Audit) {
	select {
	case u.waiting <- a:
	default:
		u.drop(1)
	}
}

func (u *auditor) drop(n int) {
	u.dropped.Add(float64(n))
	u.mu.Lock()
	defer u.mu.Unlock()
	u.lost += n
}

// start writes until the function that it returns is called, which writes the rest.
func (u *auditor) start(ctx context.Context) (end func()) {
	base, stop := context.WithCancel(context.WithoutCancel(ctx))
	var all sync.WaitGroup
	all.Go(func() { u.run(base) })
	return func() {
		stop()
		all.Wait()
	}
}

func (u *auditor) run(ctx context.Context) {
	ticker := time.NewTicker(auditEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			u.write(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditEnd)
			defer cancel()
			for u.write(last) {
			}
			return
		}
	}
}

// write stores what waits, a batch at most, and says whether there may be more.
func (u *auditor) write(ctx context.Context) bool {
	batch := make([]store.Audit, 0, min(len(u.waiting), auditBatch))
	for len(batch) < cap(batch) {
		batch = append(batch, <-u.waiting) // there is one: nobody else takes them out
	}
	u.tell(ctx)
	if len(batch) == 0 {
		return false
	}
	limited, cancel := context.WithTimeout(ctx, auditEnd)
	defer cancel()
	if err := u.store.AddAudit(limited, batch...); err != nil {
		zerolog.Ctx(ctx).Error().Err(err).Int("requests", len(batch)).Msg("audit not written")
		u.drop(len(batch))
		return false
	}
	return true
}

// tell logs what was dropped, once.
func (u *auditor) tell(ctx context.Context) {
	u.mu.Lock()
	lost := u.lost
	u.lost = 0
	u.mu.Unlock()
	if lost > 0 {
		zerolog.Ctx(ctx).Warn().Int("requests", lost).Msg("audit has gaps: the database is too slow")
	}
}

// askedGitLab is told of every request to GitLab.
func (a *Agent) askedGitLab(token string, r rest.Attempt) {
	a.metrics.gitlab(token, r)
	base, _, _ := strings.Cut(r.URL, "/api/v4/")
	a.auditor.add(auditOf(token, base, gitlabRoute(r.URL), r))
}

// audit tells of the requests to a target.
func (s *setup) audit(name string) func(rest.Attempt) {
	return func(r rest.Attempt) {
		base, route := targetRoute(r.URL)
		s.auditor.add(auditOf("target/"+name, base, route, r))
	}
}

func auditOf(token, instance, route string, r rest.Attempt) store.Audit {
	return store.Audit{At: time.Now(), Token: token, Instance: instance, Method: r.Method, Route: route, Status: r.Code, Took: r.Took, Error: errorClass(r.Err)}
}

// gitlabRoute is the route of a request, without ids, names and refs.
func gitlabRoute(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "unknown"
	}
	_, path, ok := strings.Cut(u.EscapedPath(), "/api/v4/")
	if !ok {
		return "unknown"
	}
	if r, ok := gl.MatchRoute(path); ok {
		return "/api/v4" + r.String()
	}
	return "/api/v4" + routeOf(address)
}

// targetWords are the parts of a target's path that are told. Any other may be a
// name, or a secret in the address of a hook.
var targetWords = map[string]bool{"api": true, "v1": true, "v2": true, "namespaces": true, "syncs": true, "logs": true, "status": true, "tree": true, "instances": true}

// targetRoute is the origin of a target and the route of a request to it.
func targetRoute(address string) (base, route string) {
	u, err := url.Parse(address)
	if err != nil {
		return "", "unknown"
	}
	parts := strings.Split(strings.Trim(u.EscapedPath(), "/"), "/")
	for i, part := range parts {
		if !targetWords[part] && part != "" {
			parts[i] = ":"
		}
	}
	return u.Scheme + "://" + u.Host, "/" + strings.Join(parts[:min(len(parts), 12)], "/")
}

// errorClass says in a word what kept an answer away. The text of the error may
// hold what the other side said.
func errorClass(err error) string {
	var dns *net.DNSError
	var timeout net.Error
	var op *net.OpError
	var proxy *rest.ProxyError
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case err == nil:
		return ""
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case errors.As(err, &dns):
		return "unknown host"
	case errors.As(err, &proxy):
		return "proxy"
	case errors.As(err, &certificate), errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return "tls"
	case errors.As(err, &op) && op.Op == "dial":
		return "no connection"
	}
	return "broken connection"
}
