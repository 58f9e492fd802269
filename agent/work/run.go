package work

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"gitlab.com/remora-ci/remora/agent/store"
)

// Result is what became of a run.
type Result struct {
	// Err is nil or a delivery.Skip when the run ended well, delivery.Permanent
	// when the key is to be given up, and anything else to try again after a pause.
	Err error

	// After is the least pause before the next attempt, as the other side asked
	// for it. Without an error it is when to run again.
	After time.Duration

	// Finish stores the outcome in the transaction that ends the run: both or none.
	// It is not called when the run has lost its lease, nor when a drain ended it,
	// and it may be called more than once, each time in a new transaction.
	Finish func(*store.Tx) error
}

var (
	errLost    = errors.New("lease lost: another agent may run this key")
	errDrained = fmt.Errorf("time to drain is over: %w", context.Canceled)
)

// Run claims keys and calls handle for each, in a goroutine of its own, until ctx
// ends. Then it takes no more; runs in hand get Options.Drain, then their context
// is canceled and they become ready for the next agent. Run returns when every
// call of handle has returned, and nothing is left. Call it once at a time.
//
// The context of handle ends when the lease is lost: it must stop then. A panic
// of handle is an error of its run.
func (q *Queue) Run(ctx context.Context, handle func(ctx context.Context, it Item) Result) error {
	inHand, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	var helpers, runs sync.WaitGroup
	helpers.Go(func() { q.store.Listen(ctx, channel, q.Kick) })
	helpers.Go(func() { q.beat(inHand) })
	if q.o.Alone {
		if err := q.inherit(ctx); err != nil {
			zerolog.Ctx(ctx).Error().Err(err).Msg("old leases not ended")
		}
	}

	q.loop(ctx, func(it Item) {
		h := q.hold(inHand, it)
		runs.Go(func() {
			q.perform(h, handle)
			q.drop(h)
			q.Kick() // there is room
		})
	})

	over := time.AfterFunc(q.o.Drain, func() { stop(errDrained) })
	runs.Wait()
	over.Stop()
	stop(nil)
	helpers.Wait()
	return nil
}

// inherit ends the leases of agents that are no more.
func (q *Queue) inherit(ctx context.Context) error {
	return q.store.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec("UPDATE work SET lease = 1 WHERE state = 'running' AND owner <> ?", q.owner)
		return err
	})
}

// loop claims as long as ctx lasts.
func (q *Queue) loop(ctx context.Context, start func(Item)) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		items, wait, err := q.claim(ctx)
		if err != nil && ctx.Err() == nil {
			zerolog.Ctx(ctx).Error().Err(err).Msg("claim failed")
		}
		if ctx.Err() != nil {
			q.giveBack(ctx, items)
			return
		}
		for _, it := range items {
			start(it)
		}
		if len(items) > 0 {
			continue // there may be more
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-q.kick:
		}
	}
}

// giveBack makes ready what was claimed when there was no time left to begin it.
func (q *Queue) giveBack(ctx context.Context, items []Item) {
	for _, it := range items {
		h := q.hold(context.WithoutCancel(ctx), it)
		q.finish(h, Result{Err: errDrained}, true)
		q.drop(h)
	}
}

// perform runs one item and stores what became of it.
func (q *Queue) perform(h *hold, handle func(context.Context, Item) Result) {
	res := call(h, handle)
	if errors.Is(context.Cause(h.ctx), errLost) {
		zerolog.Ctx(h.ctx).Warn().Str("key", h.item.Key).Msg("lease lost")
		return
	}
	drained := h.ctx.Err() != nil && errors.Is(res.Err, context.Canceled)
	q.finish(h, res, drained)
}

func call(h *hold, handle func(context.Context, Item) Result) (res Result) {
	defer func() {
		if r := recover(); r != nil {
			res = Result{Err: fmt.Errorf("run stopped unexpectedly: %v", r)}
		}
	}()
	return handle(h.ctx, h.item)
}
