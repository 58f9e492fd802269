package delivery

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	firstPause = 500 * time.Millisecond
	lastPause  = 15 * time.Second
)

// Deliver applies ev to t once. A panic of the target becomes a permanent
// failure: one target must not take the others with it.
func Deliver(ctx context.Context, ev Event, t Target, attempt int) (o Outcome) {
	start := time.Now()
	o = Outcome{Target: t.Name(), Attempt: attempt}
	if p, ok := t.(Placer); ok {
		o.Place = p.Place()
	}
	defer func() {
		if r := recover(); r != nil {
			o.Err = Permanent(fmt.Errorf("target stopped unexpectedly: %v", r))
		}
		o.State = StateOf(o.Err)
		o.Took = time.Since(start)
	}()
	o.Receipt, o.Err = t.Apply(ctx, ev)
	return o
}

// Sync delivers ev to all targets at once, to each again while its state is
// [Retry], until ctx ends. At the deadline of ctx such an outcome becomes failed
// with [ErrNoResult]; when ctx is canceled it stays [Retry] and is Canceled.
//
// done is called once for each target when its outcome is final, one call at a
// time; it may be nil. Outcomes come in the order of targets. Sync returns when
// every target has returned.
func Sync(ctx context.Context, ev Event, targets []Target, done func(Outcome)) []Outcome {
	outcomes := make([]Outcome, len(targets))
	var calls sync.Mutex
	var all sync.WaitGroup
	for i, t := range targets {
		all.Go(func() {
			o := untilFinal(ctx, ev, t)
			outcomes[i] = o
			if done != nil {
				calls.Lock()
				defer calls.Unlock()
				done(o)
			}
		})
	}
	all.Wait()
	return outcomes
}

func untilFinal(ctx context.Context, ev Event, t Target) Outcome {
	start := time.Now()
	var cause error // of the last attempt that was not cut short
	for attempt := 1; ; attempt++ {
		o := Deliver(ctx, ev, t, attempt)
		if o.State == Retry && ctx.Err() == nil {
			cause = o.Err
		}
		if o.State != Retry || Wait(ctx, pause(attempt, o.Err)) != nil {
			o.Took = time.Since(start)
			return end(ctx, o, cause)
		}
	}
}

// end gives an outcome that ran out of time or was stopped its final form. What
// cut the last attempt short says nothing; cause, if there is one, says why the
// attempts before it failed.
func end(ctx context.Context, o Outcome, cause error) Outcome {
	if o.State != Retry {
		return o
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		o.State, o.Err = Failed, noResult(o, cause)
		return o
	}
	if !isCanceled(o.Err) {
		o.Err = fmt.Errorf("%w after: %w", context.Canceled, o.Err)
	}
	return o
}

func noResult(o Outcome, cause error) *Fault {
	if cause == nil || !errors.Is(o.Err, context.DeadlineExceeded) {
		cause = o.Err
	}
	f := *Explain(cause)
	if errors.Is(cause, context.DeadlineExceeded) {
		f.Cause = "the target had not finished: " + f.Cause
	}
	f.Summary = "no result after " + Span(o.Took.Round(time.Second))
	if f.Remedy == "" {
		f.Remedy = "give it longer with REMORA_TIMEOUT, or look at the target itself"
	}
	f.Err = ErrNoResult
	return &f
}

// pause is how long to wait after the given attempt: twice as long each time,
// never less than the target asked for.
func pause(attempt int, err error) time.Duration {
	d := lastPause
	if attempt < 6 {
		d = min(firstPause<<(attempt-1), lastPause)
	}
	d += rand.N(d / 4)
	var asked interface{ RetryAfter() time.Duration }
	if errors.As(err, &asked) {
		d = max(d, asked.RetryAfter())
	}
	return d
}

// Wait waits for d. Its error is that of ctx if it ends first, or has ended.
func Wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return ctx.Err()
}
