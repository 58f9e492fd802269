package schedule

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"gitlab.com/remora-ci/remora/agent/store"
)

// Book is where firings are kept: a [store.Store].
type Book interface {
	Write(ctx context.Context, fn func(*store.Tx) error) error
	LastFired(ctx context.Context, name string) (time.Time, error)
}

// Put puts the work of a firing, within the transaction that notes the firing. It
// may run more than once for one firing, of which one is kept.
type Put func(tx *store.Tx, c Config, slot time.Time) error

// Options are what a Runner may be given besides.
type Options struct {
	Now func() time.Time // default time.Now

	// Reloaded says that the agent has not started but read its configuration
	// again: on_start is passed over.
	Reloaded bool
}

const (
	longestSleep  = time.Minute // clocks are set and machines sleep: look again
	firstPause    = time.Second
	longestPause  = time.Minute
	beginPrefix   = "began:" // of the name under which the first sight of a schedule is kept
	startRounding = time.Minute
)

// Runner waits for the slots of schedules.
type Runner struct {
	book    Book
	put     Put
	o       Options
	entries []*entry
}

// entry is a schedule and how far it has come.
type entry struct {
	Config
	spec  Spec
	last  time.Time // newest slot that is done with; zero if not known yet
	start bool      // is to be fired as the agent has started
}

// NewRunner makes a runner. Its error tells what is wrong with all schedules.
func NewRunner(book Book, schedules []Config, put Put, o Options) (*Runner, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	r := &Runner{book: book, put: put, o: o}
	var errs []error
	names := map[string]bool{}
	for _, c := range schedules {
		spec, _ := c.Spec()
		errs = append(errs, c.Validate())
		if names[c.Name] {
			errs = append(errs, fmt.Errorf("%s: name: is given twice", c.Name))
		}
		names[c.Name] = true
		r.entries = append(r.entries, &entry{Config: c, spec: spec, start: c.OnStart && !o.Reloaded})
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return r, nil
}

// Run fires what is due until ctx ends, then returns nil. What cannot be fired is
// logged and tried again: the slot stays due.
func (r *Runner) Run(ctx context.Context) error {
	started := r.o.Now()
	pause := firstPause
	for {
		var wait time.Duration
		now := r.o.Now() // one for all that follows, or a slot could pass in between
		if err := r.round(ctx, started, now); err == nil {
			wait, pause = r.wait(now), firstPause
		} else {
			if ctx.Err() == nil { // else it ends, and that is no fault
				zerolog.Ctx(ctx).Error().Err(err).Msg("schedule not fired")
			}
			wait, pause = pause, min(2*pause, longestPause)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// round fires every schedule that is due. One that fails does not hold up others.
func (r *Runner) round(ctx context.Context, started, now time.Time) error {
	var errs []error
	for _, e := range r.entries {
		if err := r.visit(ctx, e, started, now); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", e.Name, err))
		}
	}
	return errors.Join(errs...)
}

func (r *Runner) visit(ctx context.Context, e *entry, started, now time.Time) error {
	if e.last.IsZero() {
		last, err := r.begin(ctx, e.Name, started)
		if err != nil {
			return err
		}
		e.last = last
	}
	if e.start {
		// Rounded, so that agents that start together, or one that starts again and
		// again, fire once.
		if err := r.fire(ctx, e, started.Truncate(startRounding)); err != nil {
			return err
		}
		e.start = false
	}
	if slot, ok := e.spec.Due(e.last, now); ok {
		return r.fire(ctx, e, slot)
	}
	return nil
}

// begin is from when on the slots of a schedule count: after the last that was
// fired or, if none was, from when an agent first had the schedule.
func (r *Runner) begin(ctx context.Context, name string, started time.Time) (time.Time, error) {
	for _, key := range []string{name, beginPrefix + name} {
		last, err := r.book.LastFired(ctx, key)
		if err != nil || !last.IsZero() {
			return last, err
		}
	}
	return started, r.book.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Fire(beginPrefix+name, started)
		return err
	})
}

// fire notes the firing and puts its work, unless another agent has.
func (r *Runner) fire(ctx context.Context, e *entry, slot time.Time) error {
	var first bool
	err := r.book.Write(ctx, func(tx *store.Tx) (err error) {
		if first, err = tx.Fire(e.Name, slot); err != nil || !first {
			return err
		}
		return r.put(tx, e.Config, slot)
	})
	if err != nil {
		return err
	}
	if slot.After(e.last) {
		e.last = slot
	}
	if first {
		zerolog.Ctx(ctx).Info().Str("schedule", e.Name).Time("slot", slot).Msg("schedule fired")
	}
	return nil
}

// wait is how long nothing is due that was not at now.
func (r *Runner) wait(now time.Time) time.Duration {
	next := now.Add(longestSleep)
	for _, e := range r.entries {
		if slot := e.spec.Next(now); !slot.IsZero() && slot.Before(next) {
			next = slot
		}
	}
	return next.Sub(r.o.Now()) // a timer of less than nothing ends at once
}
