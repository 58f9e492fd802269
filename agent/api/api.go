package api

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"path"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/rs/zerolog"

	"gitlab.com/remora-ci/remora/agent/auth"
	"gitlab.com/remora-ci/remora/agent/store"
)

// Prefix begins the paths of every operation.
const Prefix = "/api/v1/"

// Options are what the API stands on. Desk, Verifier, IDTokens and Store are needed.
type Options struct {
	Desk     Desk // a [Watcher] too, or streams learn of changes by asking
	Verifier Verifier
	IDTokens IDTokens
	Store    *store.Store

	// Draining is closed when the agent takes nothing more in; nil: never.
	Draining <-chan struct{}

	// Observe is called once for each call, for metrics. The route is the method and
	// the pattern of the path, " stream" behind it for server-sent events; "" for an
	// unknown one.
	Observe func(route string, status int, took time.Duration)
	Now     func() time.Time

	heartbeat, recheck, writeTime, bodyTime time.Duration
	streams, perCaller                      int
}

func (o Options) withDefaults() Options {
	if o.Observe == nil {
		o.Observe = func(string, int, time.Duration) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	for _, d := range []struct {
		value *time.Duration
		usual time.Duration
	}{{&o.heartbeat, 15 * time.Second}, {&o.recheck, 5 * time.Second}, {&o.writeTime, 30 * time.Second}, {&o.bodyTime, 15 * time.Second}} {
		if *d.value == 0 {
			*d.value = d.usual
		}
	}
	if o.streams == 0 {
		o.streams, o.perCaller = 2000, 20
	}
	return o
}

// server is the API. It may be used by many goroutines at once.
type server struct {
	o       Options
	mux     *http.ServeMux
	api     huma.API
	watcher Watcher // nil: none
	streams *streams
	paces   paces
}

// New makes the handler of every path under [Prefix]. It answers others with 404,
// and logs to the logger in the request's context.
func New(o Options) (http.Handler, error) {
	var errs []error
	for name, missing := range map[string]bool{"desk": o.Desk == nil, "verifier": o.Verifier == nil, "ID tokens": o.IDTokens == nil, "store": o.Store == nil} {
		if missing {
			errs = append(errs, errors.New("make the API: no "+name))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return newServer(o), nil
}

func newServer(o Options) *server {
	s := &server{o: o.withDefaults(), mux: http.NewServeMux()}
	s.watcher, _ = o.Desk.(Watcher)
	s.streams = &streams{all: s.o.streams, each: s.o.perCaller, open: map[string]int{}}
	s.register()
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{}
	start := s.o.Now()
	r = r.WithContext(context.WithValue(r.Context(), callKey{}, c))
	a := &answer{ResponseWriter: w}
	h := a.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	defer func() {
		if broken := recover(); broken != nil {
			c.panicked(a, broken)
		}
		took := s.o.Now().Sub(start)
		s.o.Observe(c.route, a.status, took)
		s.log(r, c, a.status, took)
	}()
	if allow, known := s.find(r, c); !known {
		c.refuse(a, noPath(r.URL.Path))
	} else if allow != "" {
		a.Header().Set("Allow", allow)
		c.refuse(a, noMethod(r.Method, r.URL.Path, allow))
	} else {
		s.mux.ServeHTTP(a, r)
	}
}

// find says whether there is an operation at the path, and with allow which methods
// it has if the method is none of them. A mux alone would answer in plain text, and
// odd paths with a redirect.
func (s *server) find(r *http.Request, c *call) (allow string, known bool) {
	if !strings.HasPrefix(r.URL.Path, "/") || path.Clean(r.URL.Path) != r.URL.Path {
		return "", false
	}
	if _, c.route = s.mux.Handler(r); c.route != "" {
		return "", true
	}
	var methods []string
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		other := &http.Request{Method: method, URL: r.URL, Host: r.Host}
		if _, pattern := s.mux.Handler(other); pattern != "" {
			methods = append(methods, method)
		}
	}
	return strings.Join(methods, ", "), len(methods) > 0
}

// call is one request on its way: what is learned of it for the log.
type call struct {
	route  string
	caller auth.Caller
	job    *auth.Job // with an ID token
	reason string    // why it was refused or failed, in full
	quiet  bool      // the caller is gone
}

type callKey struct{}

// callOf is the call that ctx belongs to.
func callOf(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

// answer remembers the status.
type answer struct {
	http.ResponseWriter
	status int
}

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// log writes the one line of a call: refusals and faults in full.
func (s *server) log(r *http.Request, c *call, status int, took time.Duration) {
	level, message := zerolog.DebugLevel, "api call"
	switch {
	case c.quiet:
	case status >= http.StatusInternalServerError:
		level, message = zerolog.ErrorLevel, "api call failed"
	case status >= http.StatusBadRequest:
		level, message = zerolog.WarnLevel, "api call refused"
	}
	line := zerolog.Ctx(r.Context()).WithLevel(level)
	if !line.Enabled() {
		return
	}
	line = line.Int("status", status)
	if c.route != "" {
		line = line.Str("route", c.route)
	}
	if s.o.Verifier != nil {
		line = line.Stringer("client", s.o.Verifier.Client(r.Header, peer(r)))
	}
	if name := c.caller.Name; name != "" {
		line = line.Str("caller", name)
	}
	if c.job != nil {
		line = line.Str("project", c.job.ProjectPath)
	}
	if c.reason != "" {
		line = line.Str("reason", c.reason)
	}
	line.Dur("took", took).Msg(message)
}

// peer is the other end of the connection; the zero Addr where it has none.
func peer(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr()
}
