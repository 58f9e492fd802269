package webhook

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"gitlab.com/remora-ci/remora/agent/auth"
	"gitlab.com/remora-ci/remora/agent/store"
)

// Appender keeps events.
type Appender interface {
	// Append returns when e is on disk. An event whose IdempotencyKey is known is
	// not stored again: duplicate is true, and id is that of the first, also when
	// both come at once. It may wait until ctx ends for a store that is away. It
	// does not keep e.Body after it has returned.
	Append(ctx context.Context, e store.Event) (id int64, duplicate bool, err error)
}

// Options are how the handler behaves. The zero value of each field is its default.
type Options struct {
	Instances    []string      // URLs of the configured GitLab instances; an event of any other host is marked
	MaxBody      int64         // bytes; 26 MiB, as GitLab sends up to 25 MB
	MemoryBudget int64         // bytes of bodies in memory at once; 64 MiB, never below MaxBody; half of it for callers that have proved nothing yet
	Wait         time.Duration // for room and for the store together; 5 s, as GitLab waits 10
	BodyTimeout  time.Duration // for a body to arrive; 15 s, and less for one that comes slowly

	Observe     func(Observation)          // called once for each call, for metrics
	TraceParent func(*http.Request) string // W3C trace context of a call; default: its header traceparent
	Now         func() time.Time
}

// Observation is what became of one call. All its texts are of small sets, fit
// for labels; Kind is "other" for one that GitLab does not document.
type Observation struct {
	Route   string // path of the hook, or "" for an unknown one
	Outcome string // one of the Outcome constants
	Refusal string // with OutcomeRefused: auth.Code
	Kind    string // "" where the body was not read
	Status  int
	Bytes   int // of the body
	Took    time.Duration
}

// handler is a webhook endpoint. It may be used by many goroutines at once.
type handler struct {
	store     Appender
	verifier  *auth.Verifier
	o         Options
	instances instances
	room      *room
}

// New makes the handler for every path that [Route] knows. It answers others with
// 404, so that it can be the only one, and logs to the logger in the request's
// context: refusals and faults as warnings and errors, what was stored as debug.
//
// Mount it before any ServeMux, which would answer "//hooks/gitlab" with a
// redirect; GitLab takes that for success.
func New(s Appender, v *auth.Verifier, o Options) http.Handler {
	o.MaxBody = cmp.Or(o.MaxBody, 26<<20)
	o.MemoryBudget = max(cmp.Or(o.MemoryBudget, 64<<20), o.MaxBody)
	o.Wait = cmp.Or(o.Wait, 5*time.Second)
	o.BodyTimeout = cmp.Or(o.BodyTimeout, 15*time.Second)
	if o.Observe == nil {
		o.Observe = func(Observation) {}
	}
	if o.TraceParent == nil {
		o.TraceParent = traceParent
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &handler{store: s, verifier: v, o: o, instances: newInstances(o.Instances), room: newRoom(o.MemoryBudget)}
}

// Route is the hook that a path belongs to, in the form of a pattern; "" for
// none. The paths are ours, and those that installations of Port, GitPulse and
// Packit have told GitLab. A slash too many does not matter.
func Route(path string) string {
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	path = strings.TrimSuffix(path, "/")
	switch path {
	case "/hooks/gitlab", "/integration/webhook", "/integration/system/hook", "/api/v1/webhooks/gitlab", "/api/webhooks/gitlab":
		return path
	}
	if group, ok := strings.CutPrefix(path, "/integration/hook/"); ok && group != "" && !strings.Contains(group, "/") {
		return "/integration/hook/{group}"
	}
	return ""
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{handler: h, w: w, r: r, start: h.o.Now(), seen: Observation{Route: Route(r.URL.Path)}}
	a := c.serve(r.Context())
	c.finish(a)
}

// call is one request on its way.
type call struct {
	*handler
	w       http.ResponseWriter
	r       *http.Request
	start   time.Time
	waited  time.Duration // for room
	reading bool          // of the body has begun
	body    arrival
	caller  auth.Caller
	seen    Observation
}

// serve is the way in: each step ends the call or lets it go on.
func (c *call) serve(ctx context.Context) answer {
	switch {
	case c.seen.Route == "":
		return noPath(c.r.URL.Path)
	case c.r.Method != http.MethodPost:
		return noMethod(c.r.Method)
	case c.r.ContentLength > c.o.MaxBody:
		return oversize(c.o.MaxBody)
	}
	admission, err := c.verifier.Admit(c.r.Header, peer(c.r))
	if err != nil {
		return refused(err)
	}
	c.body.share = share{room: c.room, stranger: !admission.Proved()}
	defer c.body.release()
	if err := c.takeRoom(ctx, c.first()); err != nil {
		return noRoom(ctx, err)
	}
	body, err := c.readBody(ctx)
	if err != nil {
		return c.noBody(ctx, err)
	}
	c.seen.Bytes = len(body)
	if c.caller, err = admission.Verify(body); err != nil {
		return refused(err)
	}
	e, err := Parse(c.r.Header, body)
	if err != nil {
		return malformed(err)
	}
	c.seen.Kind = kindLabel(e.Kind)
	if err := c.checkScope(e); err != nil {
		return refused(err)
	}
	return c.keep(ctx, c.event(e, body))
}

// checkScope refuses an event that the caller may not speak for. A group's token
// also brings what belongs to no project, such as a new member.
func (c *call) checkScope(e Envelope) error {
	if c.caller.Scope.All || e.Group && c.caller.Scope.Group && len(e.Paths) == 0 {
		return nil
	}
	if e.Project == "" {
		return auth.OutOfScope(c.caller, "")
	}
	for _, path := range e.Paths {
		if !c.verifier.Covers(c.caller, path) {
			return auth.OutOfScope(c.caller, path)
		}
	}
	return nil
}

// event is what is stored.
func (c *call) event(e Envelope, body []byte) store.Event {
	event := store.Event{
		IdempotencyKey: e.IdempotencyKey, Kind: e.Kind, Project: e.Project, ProjectID: e.ProjectID, Ref: e.Ref, SHA: e.SHA,
		ReceivedAt: c.start, State: store.Received, TraceParent: c.o.TraceParent(c.r), Body: body,
	}
	if !c.caller.Scope.All {
		event.ProjectID = 0 // it may be another project's
	}
	if e.Kind == Unknown {
		event.Reason = "the body has neither object_kind nor event_name"
	}
	var foreign bool
	if event.Instance, foreign = c.instances.place(e.Instances); foreign {
		event.Reason = "instance " + event.Instance + " is not configured"
	}
	return event
}

// keep stores the event. The body is here, so it is stored even when the caller
// has hung up meanwhile: GitLab does not send it again.
func (c *call) keep(ctx context.Context, e store.Event) answer {
	wait := max(c.o.Wait-c.waited, c.o.Wait/5)
	storing, cancel := context.WithTimeout(context.WithoutCancel(ctx), wait)
	defer cancel()
	id, duplicate, err := c.store.Append(storing, e)
	if err != nil {
		return noStore(err)
	}
	return kept(id, duplicate, e)
}

// peer is the other end of the connection; the zero Addr where it has none.
func peer(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr()
}

// finish answers, counts and logs, each once.
func (c *call) finish(a answer) {
	lingers := c.lingers(a)
	a.close = a.close || lingers
	a.write(c.w, c.r.Method)
	c.seen.Outcome, c.seen.Status, c.seen.Took = a.outcome, a.status, c.o.Now().Sub(c.start)
	var refusal *auth.Refusal
	if errors.As(a.err, &refusal) {
		c.seen.Refusal = string(refusal.Code)
	}
	c.o.Observe(c.seen)
	c.log(a)
	if lingers {
		c.linger()
	}
}

func (c *call) log(a answer) {
	line := zerolog.Ctx(c.r.Context()).WithLevel(a.level)
	if !line.Enabled() {
		return
	}
	line = line.Int("status", a.status).Str("outcome", a.outcome).Stringer("client", c.verifier.Client(c.r.Header, peer(c.r)))
	if c.seen.Route != "" {
		line = line.Str("route", c.seen.Route)
	}
	if c.caller.Name != "" {
		line = line.Str("caller", c.caller.Name)
	}
	if a.event != nil {
		line = line.Int64("event", a.id).Str("kind", a.event.Kind).Str("project", a.event.Project).Str("instance", a.event.Instance)
		if a.event.Reason != "" {
			line = line.Str("reason", a.event.Reason)
		}
	}
	if a.err != nil {
		line = line.Str("reason", a.err.Error())
	}
	line.Int("bytes", c.seen.Bytes).Dur("took", c.seen.Took).Msg(a.message)
}
