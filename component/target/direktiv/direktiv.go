// Package direktiv brings a namespace of Direktiv to the head of a branch: it
// starts the namespace's mirror sync, follows it to its true end and says why it
// failed.
//
// Rules:
//
//   - The v2 API is asked first, the legacy one (up to v0.8.4) only when the
//     answer shows that v2 is not there.
//   - Syncs are listed before one is started. A lost answer is looked up in the
//     list and never sent again, and a sync that somebody else started after our
//     listing is as good as ours: it clones the head that we saw, or a newer one.
//   - "Already running" looks like any server fault; the list tells them apart.
//     The running sync may have cloned before this push, so it is waited for and
//     another one is started.
//   - Logs come seconds late or never. They explain; they decide nothing, except
//     where DIREKTIV_FAIL_ON_WARN asks for it.
//   - Direktiv does not say which commit it cloned, so no revision is reported.
//
// [Admin] creates, changes and shows the mirror itself.
package direktiv

import (
	"context"
	"errors"
	"strings"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
)

// Target is the mirror of one namespace.
type Target struct {
	config Config
	call   *caller
	pace   pace
}

// pace is how long the target waits for what.
type pace struct {
	first, last time.Duration // between two reads of the status
	success     time.Duration // for the log of a sync that worked
	failure     time.Duration // for the log of one that did not, or that must have no warnings
	quiet       time.Duration // without a new line, until a log that decides is taken for whole
	gateway     time.Duration // for a sync to appear after a gateway lost the answer
}

var usual = pace{first: 20 * time.Millisecond, last: 2 * time.Second, success: 2 * time.Second, failure: 10 * time.Second, quiet: time.Second, gateway: 3 * time.Second}

// New makes a target of a valid c that makes its calls through out.
func New(c Config, out *rest.Client) (*Target, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &Target{config: c, call: newCaller(c, out), pace: usual}, nil
}

// Name is "direktiv".
func (t *Target) Name() string { return "direktiv" }

// Place is the namespace.
func (t *Target) Place() string { return t.config.Namespace }

// Plan lists the requests of a sync that goes well on Direktiv v0.8.5 or later.
func (t *Target) Plan(ev delivery.Event) ([]string, error) {
	if ev.Deleted {
		return []string{"nothing: the ref was deleted"}, nil
	}
	v2 := &apiV2{t.call, t.config.Namespace}
	lines := []string{
		"GET " + t.call.url(v2.namespacePath()) + " (which ref the mirror follows; skipped unless it is " + ev.Ref + ")",
		"GET " + t.call.url(v2.syncsPath()),
		"POST " + t.call.url(v2.syncsPath()),
	}
	if t.config.anyRef() {
		lines[0] = "GET " + t.call.url(v2.namespacePath()) + " (the mirror may follow any ref)"
	}
	if !t.config.NoWait {
		lines = append(lines, "GET "+t.call.url(v2.syncsPath())+" (until the sync has ended)", "GET "+t.call.url(v2.namespacePath()+"/logs")+" (what it says)")
	}
	return lines, nil
}

// Apply starts a sync and waits for its end. The receipt holds the sync's id,
// warnings and the tail of its log, also when the sync failed.
func (t *Target) Apply(ctx context.Context, ev delivery.Event) (delivery.Receipt, error) {
	r := &run{Target: t, ev: ev}
	err := r.apply(ctx)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = late(err)
	}
	return t.call.clean(r.receipt, err)
}

// late adds to a fault that the deadline may be at fault: a request that it cut
// off looks like a server that does not answer.
func late(err error) error {
	var f *delivery.Fault
	if !errors.As(err, &f) || delivery.StateOf(err) != delivery.Retry || strings.Contains(f.Remedy, "REMORA_TIMEOUT") {
		return err
	}
	g := *f
	g.Remedy += ", or give it longer with REMORA_TIMEOUT"
	return &g
}

// run is one Apply.
type run struct {
	*Target
	ev      delivery.Event
	api     api
	mirror  *mirrorState // nil if it could not be read
	receipt delivery.Receipt
}

func (r *run) apply(ctx context.Context) error {
	if r.ev.Deleted {
		return delivery.Skip("ref was deleted")
	}
	if err := r.preflight(ctx); err != nil {
		return err
	}
	p, err := r.start(ctx)
	if err != nil {
		return err
	}
	r.receipt.ID = p.id
	r.receipt.Request += ", sync " + p.id
	if r.config.NoWait {
		r.receipt.Started = true
		return nil
	}
	p, err = r.follow(ctx, p, nil)
	if err != nil {
		return err
	}
	return r.finish(ctx, p)
}

func (r *run) warn(text string) { r.receipt.Warnings = append(r.receipt.Warnings, text) }

// clean takes our own secrets out of whatever a server sent back. Errors that
// hold none stay as they are, with what they wrap.
func (c *caller) clean(receipt delivery.Receipt, err error) (delivery.Receipt, error) {
	o := c.scrub.Outcome(delivery.Outcome{Receipt: receipt, Err: err})
	if err == nil || c.speaks(err) {
		return o.Receipt, o.Err
	}
	return o.Receipt, err
}

// speaks says whether an error, or one that it wraps, holds a secret.
func (c *caller) speaks(err error) bool {
	var f *delivery.Fault
	for e := err; e != nil; e = errors.Unwrap(e) {
		text := e.Error()
		if errors.As(e, &f) {
			text += f.Summary + f.Cause + f.Remedy + f.Request
		}
		if c.scrub.Text(text) != text {
			return true
		}
	}
	return false
}
