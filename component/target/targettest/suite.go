// Package targettest is the contract of a target as one test suite: what every
// [delivery.Target] must do, whatever it speaks.
//
// A target's own tests call [Run] once, with a few functions that make the
// target in a given situation. A part that makes no sense for a target is left
// out on purpose, with its reason, in [Suite].Without; leaving a function nil
// without a reason fails the suite.
package targettest

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gitlab.com/remora-ci/remora/component/delivery"
)

// Part is a part of the contract that a target may be without.
type Part string

// The parts that may be left out, with a reason.
const (
	Skips   Part = "skips"   // there is no event that does not concern the target
	Plan    Part = "plan"    // it cannot say what it would send
	Refused Part = "refused" // it has no credentials
	HTTP    Part = "http"    // it does not speak HTTP: no hostile server
	Midway  Part = "midway"  // it makes one request only, or speaks no HTTP
	Check   Part = "check"   // it cannot say whether it would work
)

// Suite says how to make a target in each situation. Every target that it makes
// holds the canaries as credentials, and polls at intervals of milliseconds; an
// HTTP client of package rest is best made with Retries: -1.
type Suite struct {
	Name     string         // what Name must return, always
	Event    delivery.Event // an event that concerns the target
	Canaries []string       // secrets in the configuration of every target made here

	// New makes a target whose system works. It may be used several times.
	New func(t *testing.T) delivery.Target
	// At makes a target that is led to base, an HTTP address of the suite.
	At func(t *testing.T, base string) delivery.Target
	// Handler is a working system for At, a fresh one each time. One of its
	// requests at a time is answered by a hostile server instead.
	Handler func(t *testing.T) http.Handler
	// Refused makes a target whose system refuses its credentials. nil with At:
	// a server that answers 401 with an empty body to all.
	Refused func(t *testing.T) delivery.Target
	// Skips are situations with nothing to do, by name.
	Skips map[string]func(t *testing.T) (delivery.Target, delivery.Event)
	// Hostile are more answers that must end in an error, by name, such as an
	// unknown state. Each serves a target made by At.
	Hostile map[string]func() http.Handler
	// Without are the parts left out, each with its reason. The name of one
	// hostile answer is a part too: a target that takes any 2xx for success has
	// nothing to say against "binary noise".
	Without map[Part]string
}

const (
	prompt   = 3 * time.Second        // how late a return is still prompt on a busy machine
	patience = 700 * time.Millisecond // the deadline given where an error is expected
)

// Run holds the target to its contract. Call it from a test that is not
// parallel: it also looks for goroutines that outlive a call.
func Run(t *testing.T, s Suite) {
	t.Helper()
	if s.New == nil || s.Name == "" || len(s.Canaries) == 0 {
		t.Fatal("a suite needs Name, New and Canaries")
	}
	s.part(t, "name", "", true, s.name)
	s.part(t, "an event is applied and a receipt comes back", "", true, s.applies)
	s.part(t, "applying twice is harmless", "", true, s.twice)
	s.part(t, "two deliveries at once are safe", "", true, s.atOnce)
	s.part(t, "a canceled context sends nothing to done", "", true, s.canceledBefore)
	s.part(t, "what does not concern it is skipped", Skips, len(s.Skips) > 0, s.skips)
	s.part(t, "refused credentials are permanent", Refused, s.Refused != nil || s.At != nil, s.refused)
	s.part(t, "a plan sends nothing", Plan, true, s.plan)
	s.part(t, "a check finds out and changes nothing", Check, s.At != nil, s.check)
	s.part(t, "a cancel ends the wait", HTTP, s.At != nil, s.cancelDuring)
	s.part(t, "a deadline ends the wait", HTTP, s.At != nil, s.deadlineDuring)
	s.part(t, "hostile answers give an error that helps", HTTP, s.At != nil, s.hostile)
	s.part(t, "credentials do not follow a redirect", HTTP, s.At != nil, s.redirect)
	s.part(t, "a hostile answer midway does no harm", Midway, s.Handler != nil && s.At != nil, s.midway)
}

// part runs one part and then looks for goroutines it left behind.
func (s Suite) part(t *testing.T, name string, p Part, possible bool, run func(*testing.T)) {
	t.Helper()
	if reason, out := s.Without[p]; out {
		if strings.TrimSpace(reason) == "" {
			t.Errorf("part %q is left out without a reason", p)
		}
		return
	}
	before := goleak.IgnoreCurrent()
	t.Run(name, func(t *testing.T) {
		if !possible {
			t.Fatalf("part %q has no function and no reason in Without", p)
		}
		run(t)
	})
	if err := goleak.Find(before); err != nil {
		t.Errorf("%s: a goroutine outlives the call: %v", name, err)
	}
}

var shortName = regexp.MustCompile(`^[a-z][a-z0-9-]{1,19}$`)

func (s Suite) name(t *testing.T) {
	a, b := s.New(t), s.New(t)
	if a.Name() != s.Name || b.Name() != s.Name || a.Name() != a.Name() {
		t.Errorf("Name() = %q and %q, want %q always", a.Name(), b.Name(), s.Name)
	}
	if !shortName.MatchString(s.Name) {
		t.Errorf("Name() = %q, want it to match %s, for it is part of a status name", s.Name, shortName)
	}
	if p, ok := a.(delivery.Placer); ok {
		s.clean(t, "place", p.Place())
	}
}

func (s Suite) applies(t *testing.T) { s.done(t, s.New(t)) }

func (s Suite) twice(t *testing.T) {
	target := s.New(t)
	s.done(t, target)
	s.done(t, target)
}

func (s Suite) done(t *testing.T, target delivery.Target) {
	t.Helper()
	o := s.deliver(t, context.Background(), target, s.Event)
	if o.State != delivery.Done {
		t.Fatalf("state = %q (%v), want done", o.State, o.Err)
	}
	r := o.Receipt
	if r.ID == "" && r.URL == "" && r.Result == "" && r.Request == "" {
		t.Errorf("receipt = %+v, want something a person can look at", r)
	}
}

func (s Suite) atOnce(t *testing.T) {
	target := s.New(t)
	outcomes := make(chan delivery.Outcome, 2)
	for range 2 {
		go func() { outcomes <- s.deliver(t, context.Background(), target, s.Event) }()
	}
	for range 2 {
		if o := <-outcomes; o.State != delivery.Done && o.State != delivery.Retry {
			t.Errorf("state = %q (%v), want done or retry", o.State, o.Err)
		}
	}
}

func (s Suite) canceledBefore(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if o := s.deliver(t, ctx, s.New(t), s.Event); o.State != delivery.Retry {
		t.Errorf("state = %q (%v), want retry: a cancel is neither done nor permanent", o.State, o.Err)
	}
}

func (s Suite) skips(t *testing.T) {
	for name, situation := range s.Skips {
		t.Run(name, func(t *testing.T) {
			target, ev := situation(t)
			o := s.deliver(t, context.Background(), target, ev)
			if reason, ok := delivery.SkipReason(o.Err); !ok || reason == "" {
				t.Errorf("error = %v, want a skip with a reason", o.Err)
			}
		})
	}
}

func (s Suite) refused(t *testing.T) {
	target := s.Refused
	if target == nil {
		target = func(t *testing.T) delivery.Target {
			return s.At(t, serve(t, status(http.StatusUnauthorized, "", "")).URL)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	o := s.deliver(t, ctx, target(t), s.Event)
	if o.State != delivery.Failed {
		t.Errorf("state = %q (%v), want failed: the same credentials are refused again", o.State, o.Err)
	}
	s.helps(t, o, "")
}

func (s Suite) plan(t *testing.T) {
	var seen counter
	target := s.New(t)
	if s.At != nil {
		target = s.At(t, serve(t, seen.wrap(status(http.StatusTeapot, "", ""))).URL)
	}
	planner, ok := target.(delivery.Planner)
	if !ok {
		t.Fatal("the target has no Plan, and no reason in Without")
	}
	lines, err := planner.Plan(s.Event)
	if err != nil || len(lines) == 0 {
		t.Errorf("Plan() = %q, %v; want lines", lines, err)
	}
	s.clean(t, "plan", strings.Join(lines, "\n"))
	if n := seen.count(); n != 0 {
		t.Errorf("Plan() made %d requests, want none", n)
	}
}

// deliver applies ev and checks what must hold for every outcome: it comes in
// time, without a panic and without a secret.
func (s Suite) deliver(t *testing.T, ctx context.Context, target delivery.Target, ev delivery.Event) delivery.Outcome { //nolint:revive // t first, as in all helpers of tests
	t.Helper()
	limit := 30 * time.Second
	if d, ok := ctx.Deadline(); ok {
		limit = time.Until(d) + prompt
	}
	if ctx.Err() != nil {
		limit = prompt
	}
	start := time.Now()
	o := delivery.Deliver(ctx, ev, target, 1)
	if took := time.Since(start); took > limit {
		t.Errorf("Apply took %s, want less than %s", took, limit)
	}
	if o.Err != nil && strings.Contains(o.Err.Error(), "stopped unexpectedly") {
		t.Errorf("Apply panicked: %v", o.Err)
	}
	s.cleanOutcome(t, o)
	return o
}

// helps checks that an error names the request, that is the host, and a remedy.
func (s Suite) helps(t *testing.T, o delivery.Outcome, host string) {
	t.Helper()
	if o.Err == nil {
		t.Errorf("no error, want one; receipt %+v", o.Receipt)
		return
	}
	var f *delivery.Fault
	if !errors.As(o.Err, &f) {
		t.Errorf("error = %v (%T), want a *delivery.Fault", o.Err, o.Err)
		return
	}
	if f.Summary == "" || f.Remedy == "" {
		t.Errorf("fault = %+v, want a summary and a remedy", *f)
	}
	if !strings.Contains(f.Request+" "+o.Err.Error(), host) {
		t.Errorf("fault = %+v, want it to name the request to %s", *f, host)
	}
	if len(f.Summary) > 60 {
		t.Errorf("summary = %q, %d bytes, want a few words that fit a table", f.Summary, len(f.Summary))
	}
}
