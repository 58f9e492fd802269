package work

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"gitlab.com/remora-ci/remora/agent/store"
)

// hold is a run of this agent.
type hold struct {
	item   Item
	ctx    context.Context // of the run: a field because the heartbeat ends it
	cancel context.CancelCauseFunc
	until  time.Time // end of the lease as this agent knows it; under the queue's lock
}

func (q *Queue) hold(ctx context.Context, it Item) *hold {
	h := &hold{item: it}
	h.ctx, h.cancel = context.WithCancelCause(ctx)
	q.mu.Lock()
	defer q.mu.Unlock()
	h.until = q.o.Now().Add(q.o.Lease)
	q.held[it.Key] = h
	q.busy[it.Pool]++
	return h
}

func (q *Queue) drop(h *hold) {
	h.cancel(nil)
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.busy[h.item.Pool]--; q.busy[h.item.Pool] == 0 {
		delete(q.busy, h.item.Pool)
	}
	if q.held[h.item.Key] == h {
		delete(q.held, h.item.Key)
	}
}

// beat prolongs the leases of all runs, three times in the length of one, until
// ctx ends. A run whose lease could not be prolonged is stopped before others can
// take it.
func (q *Queue) beat(ctx context.Context) {
	ticker := time.NewTicker(q.o.Lease / 3)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		q.mu.Lock()
		holds := make([]*hold, 0, len(q.held))
		for _, h := range q.held {
			holds = append(holds, h)
		}
		q.mu.Unlock()
		for len(holds) > 0 {
			n := min(len(holds), 500)
			if err := q.prolong(ctx, holds[:n]); err != nil && ctx.Err() == nil {
				zerolog.Ctx(ctx).Error().Err(err).Msg("heartbeat failed")
			}
			holds = holds[n:]
		}
		q.stopLost()
	}
}

// prolong moves the end of the leases, and stops the runs that have none any more.
func (q *Queue) prolong(ctx context.Context, holds []*hold) error {
	now := q.o.Now()
	until := now.Add(q.o.Lease)
	args := []any{until.UnixMicro(), q.owner}
	for _, h := range holds {
		args = append(args, h.item.Key)
	}
	query := "UPDATE work SET lease = ? WHERE state = 'running' AND owner = ? AND key IN (" +
		strings.TrimSuffix(strings.Repeat("?, ", len(holds)), ", ") + ") RETURNING key, fence"
	var fences map[string]int64
	ctx, cancel := context.WithTimeout(ctx, q.o.Lease/3)
	defer cancel()
	err := q.store.Write(ctx, func(tx *store.Tx) error {
		fences = map[string]int64{}
		return tx.Query(func(r store.Row) error {
			var key string
			var fence int64
			err := r.Scan(&key, &fence)
			fences[key] = fence
			return err
		}, query, args...)
	})
	if err != nil {
		return fmt.Errorf("prolong leases: %w", err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, h := range holds {
		switch {
		case fences[h.item.Key] == h.item.Fence:
			h.until = until
		case q.held[h.item.Key] == h: // else it has ended meanwhile
			h.cancel(errLost)
		}
	}
	return nil
}

// stopLost stops the runs whose lease is about to end.
func (q *Queue) stopLost() {
	soon := q.o.Now().Add(q.o.Lease / 6)
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, h := range q.held {
		if h.until.Before(soon) {
			h.cancel(errLost)
		}
	}
}
