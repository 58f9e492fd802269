package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
)

// place is a target made of a function.
type place struct {
	name  string
	apply func(ctx context.Context, attempt int32) (delivery.Receipt, error)
	calls atomic.Int32
}

func (p *place) Name() string { return p.name }

func (p *place) Apply(ctx context.Context, _ delivery.Event) (delivery.Receipt, error) {
	return p.apply(ctx, p.calls.Add(1))
}

type busy struct{ after time.Duration }

func (b busy) Error() string             { return "busy" }
func (b busy) RetryAfter() time.Duration { return b.after }

func TestSync(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	tests := []struct {
		name  string
		apply func(ctx context.Context, attempt int32) (delivery.Receipt, error)
		state delivery.State
		calls int32
		says  string
	}{
		{"what works is done at once", func(context.Context, int32) (delivery.Receipt, error) {
			return delivery.Receipt{Result: "pushed"}, nil
		}, delivery.Done, 1, "pushed"},
		{"a passing fault is tried again", func(_ context.Context, n int32) (delivery.Receipt, error) {
			if n < 4 {
				return delivery.Receipt{}, boom
			}
			return delivery.Receipt{}, nil
		}, delivery.Done, 4, "done"},
		{"a permanent fault is not", func(context.Context, int32) (delivery.Receipt, error) {
			return delivery.Receipt{}, delivery.Permanent(fmt.Errorf("ask: %w", boom))
		}, delivery.Failed, 1, "boom"},
		{"a skip is no failure", func(context.Context, int32) (delivery.Receipt, error) {
			return delivery.Receipt{}, delivery.Skip("mirror follows main")
		}, delivery.Skipped, 1, "mirror follows main"},
		{"what never works has no result at the deadline", func(context.Context, int32) (delivery.Receipt, error) {
			return delivery.Receipt{}, boom
		}, delivery.Failed, 24, "no result after 5m"},
		{"what hangs has no result at the deadline", func(ctx context.Context, _ int32) (delivery.Receipt, error) {
			<-ctx.Done()
			return delivery.Receipt{}, ctx.Err()
		}, delivery.Failed, 1, "no result after 5m"},
		{"a target that asks for a minute gets it", func(_ context.Context, n int32) (delivery.Receipt, error) {
			if n == 1 {
				return delivery.Receipt{}, busy{time.Minute}
			}
			return delivery.Receipt{Result: "free"}, nil
		}, delivery.Done, 2, "free"},
		{"a panic is a failure of that target alone", func(context.Context, int32) (delivery.Receipt, error) {
			panic("oh")
		}, delivery.Failed, 1, "oh"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
				defer cancel()
				target := &place{name: "a", apply: tt.apply}
				other := &place{name: "b", apply: func(context.Context, int32) (delivery.Receipt, error) { return delivery.Receipt{}, nil }}
				var told []string
				got := delivery.Sync(ctx, delivery.Event{}, []delivery.Target{target, other}, func(o delivery.Outcome) { told = append(told, o.Target) })
				if len(told) != 2 {
					t.Errorf("done was called for %v, want both once", told)
				}
				if got[1].State != delivery.Done {
					t.Errorf("the other target is %s, want done", got[1].State)
				}
				o := got[0]
				if o.State != tt.state || o.Summary() != tt.says {
					t.Errorf("got %s %q (%v), want %s %q", o.State, o.Summary(), o.Err, tt.state, tt.says)
				}
				if calls := target.calls.Load(); calls < tt.calls-4 || calls > tt.calls {
					t.Errorf("applied %d times, want about %d", calls, tt.calls)
				}
			})
		})
	}
}

func TestNoResultNamesTheLastRealCause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		refused := &place{name: "a", apply: func(ctx context.Context, n int32) (delivery.Receipt, error) {
			if n < 3 {
				return delivery.Receipt{}, &delivery.Fault{Summary: "no connection", Cause: "connection refused", Remedy: "check the address"}
			}
			<-ctx.Done()
			return delivery.Receipt{}, ctx.Err()
		}}
		o := delivery.Sync(ctx, delivery.Event{}, []delivery.Target{refused}, nil)[0]
		f := delivery.Explain(o.Err)
		if !o.Overdue() || f.Summary != "no result after 1m" || f.Cause != "connection refused" || f.Remedy != "check the address" {
			t.Errorf("got %+v", f)
		}
	})
}

func TestSyncCanceled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		hanging := &place{name: "a", apply: func(ctx context.Context, _ int32) (delivery.Receipt, error) {
			<-ctx.Done()
			return delivery.Receipt{}, errors.New("connection closed")
		}}
		go func() { time.Sleep(time.Second); cancel() }()
		o := delivery.Sync(ctx, delivery.Event{}, []delivery.Target{hanging}, nil)[0]
		if !o.Canceled() || !o.Failing() || o.Overdue() || o.Summary() != "canceled" {
			t.Errorf("got %+v, want canceled and failing", o)
		}
	})
}

func TestOptionalNeverFails(t *testing.T) {
	t.Parallel()
	o := delivery.Outcome{State: delivery.Failed, Optional: true}
	if o.Failing() {
		t.Error("an optional failure fails")
	}
}
