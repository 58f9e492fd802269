package httppost

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
)

// Target is one system with an HTTP trigger. It keeps nothing between calls.
type Target struct {
	settings
	out    *rest.Client
	token  delivery.Secret
	scrub  *delivery.Scrubber
	noWait bool
	insist bool
	pace   pace
}

// pace says when to poll.
type pace struct {
	first, last time.Duration // pauses between polls, the first and the longest
	grace       time.Duration // how long after the trigger a 404 means "not yet"
}

// New makes the target that c describes; its calls go through out. The error is
// that of [Config.Validate].
func New(c Config, out *rest.Client) (*Target, error) {
	s, err := c.parse()
	if err != nil {
		return nil, err
	}
	return &Target{
		settings: s, out: out, token: c.token(), scrub: delivery.NewScrubber(c.Secrets()...), noWait: c.NoWait, insist: c.Insist,
		pace: pace{first: 50 * time.Millisecond, last: 2 * time.Second, grace: 5 * time.Second},
	}, nil
}

// Name implements [delivery.Target].
func (t *Target) Name() string { return "http" }

// Place is the host that is called.
func (t *Target) Place() string { return t.url.Host }

// Apply triggers the system and waits for its result. It returns a skip if
// REMORA_HTTP_BODY gives nothing for ev, and [delivery.ErrNoResult] if the
// deadline passes after the call may have arrived, so that it is not made again.
func (t *Target) Apply(ctx context.Context, ev delivery.Event) (delivery.Receipt, error) {
	r := &run{Target: t, start: time.Now()}
	err := r.do(ctx, ev)
	return r.receipt, err
}

// run is one Apply.
type run struct {
	*Target
	start   time.Time
	receipt delivery.Receipt
}

func (r *run) do(ctx context.Context, ev delivery.Event) error {
	call, err := r.call(ctx, ev)
	if err != nil {
		return err
	}
	a, err := r.send(ctx, call)
	if err != nil {
		return r.triggerFault(ctx, err)
	}
	r.receipt.Request = a.String()
	err = r.follow(ctx, ev, a)
	if errors.Is(err, context.DeadlineExceeded) {
		return r.cut(ctx, "the call was accepted, but what came of it was not found out in time")
	}
	return err
}

// follow finds out what came of a call that was accepted.
func (r *run) follow(ctx context.Context, ev delivery.Event, a *rest.Answer) error {
	answer, err := valueOf(a)
	if err != nil {
		return r.explain(err, trigger)
	}
	r.fill(&r.receipt, answer)
	next, err := r.statusURL(ctx, ev, answer, r.location(a))
	switch {
	case err != nil:
		return err
	case next == nil:
		return r.accepted(ctx, a, answer)
	case r.noWait:
		r.receipt.Started = true
		return nil
	}
	return r.await(ctx, next, rest.RetryAfter(a.Header, time.Now()))
}

// send makes a call. An error may quote the answer; secrets that the server
// echoed are taken out of it before anyone sees it.
func (t *Target) send(ctx context.Context, call rest.Call) (*rest.Answer, error) {
	a, err := t.out.Do(ctx, call)
	if status, ok := asStatus(err); ok && status.Body != "" {
		status.Body = t.brief(string(a.Body), 300)
	}
	return a, err
}

// location is the Location header as a whole address; nil without one.
func (t *Target) location(a *rest.Answer) any {
	u, err := resolve(t.url, a.Header.Get("Location"))
	if err != nil {
		return nil
	}
	return u.String()
}

// accepted ends a run without a status address: the answer is the result. A
// state that it holds is believed only if it is known.
func (r *run) accepted(ctx context.Context, a *rest.Answer, answer any) error {
	state, err := r.stateOf(ctx, a, answer)
	if err != nil {
		return err
	}
	switch r.states.of(state) {
	case bad:
		return r.failed(a, state, answer)
	case good:
		r.receipt.Result = r.brief(state, 60)
	default:
		r.receipt.Result = fmt.Sprintf("accepted, status %d", a.Code)
	}
	return nil
}

// headers are those of a call to u: secrets only if it is home.
func (t *Target) headers(home bool) http.Header {
	if !home {
		return http.Header{}
	}
	h := t.header.Clone()
	if !t.token.Empty() {
		h.Set("Authorization", "Bearer "+t.token.Reveal())
	}
	return h
}
