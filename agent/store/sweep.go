package store

import (
	"context"
	"fmt"
	"time"
)

// sweepStep is how many rows one step looks at. Between two steps others write.
const sweepStep = 200

// Sweep deletes what ended longer ago than the retention and says how many rows
// that were: events with their bodies, deliveries, firings, idle and dead work,
// calls of the audit, commits that were allowed, budgets of tokens that are not used
// any more; and ID tokens that have ended. What
// has not ended stays, however old: events not routed, events and work of deliveries
// that still wait. So does the last firing of each schedule.
func (s *Store) Sweep(ctx context.Context, now time.Time) (n int, err error) {
	before := micros(now.Add(-s.retention))
	for _, sweep := range []func(context.Context, int64) (int, error){s.sweepDeliveries, s.sweepEvents, s.sweepWork, s.sweepFirings, s.sweepAudit, s.sweepAllowed, s.sweepBudgets} {
		m, err := sweep(ctx, before)
		n += m
		if err != nil {
			return n, fmt.Errorf("sweep: %w", err)
		}
	}
	m, err := s.sweepTokens(ctx, micros(now))
	if n += m; err != nil {
		return n, fmt.Errorf("sweep: %w", err)
	}
	if n > 0 && !s.dialect.postgres {
		err = s.shrink(ctx)
	}
	return n, err
}

// sweepTokens forgets the ID tokens that nobody can use any more.
func (s *Store) sweepTokens(ctx context.Context, now int64) (n int, err error) {
	for {
		var deleted int64
		err := s.Write(ctx, func(tx *Tx) (err error) {
			deleted, err = tx.Exec("DELETE FROM id_token WHERE expires_at < ? AND expires_at <= (SELECT max(o.expires_at) FROM (SELECT expires_at FROM id_token ORDER BY expires_at LIMIT ?) o)", now, sweepStep)
			return err
		})
		n += int(deleted)
		if err != nil || deleted < sweepStep {
			return n, err
		}
	}
}

// sweepDeliveries walks the rows by id, oldest first, and stops at the first step
// whose last row is young: ids grow with time.
func (s *Store) sweepDeliveries(ctx context.Context, before int64) (int, error) {
	return s.walk(ctx, before,
		"SELECT id, created_at FROM delivery WHERE id > ? ORDER BY id LIMIT ?",
		"DELETE FROM delivery WHERE id > ? AND id <= ? AND ended_at < ? AND NOT ("+openStates+")")
}

func (s *Store) sweepEvents(ctx context.Context, before int64) (int, error) {
	return s.walk(ctx, before,
		"SELECT id, received_at FROM event WHERE id > ? ORDER BY id LIMIT ?",
		"DELETE FROM event WHERE id > ? AND id <= ? AND received_at < ? AND state <> 'received' AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.event = event.id)",
		"DELETE FROM event_body WHERE id > ? AND id <= ? AND NOT EXISTS (SELECT 1 FROM event e WHERE e.id = event_body.id)")
}

// walk goes through a table in steps. The first deletion takes the bounds of the
// step and the time, the second its bounds; the rows of the first are counted.
func (s *Store) walk(ctx context.Context, before int64, step string, deletions ...string) (n int, err error) {
	for from := int64(0); ; {
		to, last, rows := from, int64(0), 0
		err := s.Query(ctx, func(r Row) error {
			rows++
			return r.Scan(&to, &last)
		}, step, from, sweepStep)
		if err != nil || rows == 0 {
			return n, err
		}
		var deleted int64
		err = s.Write(ctx, func(tx *Tx) (err error) {
			deleted, err = tx.Exec(deletions[0], from, to, before)
			if err != nil || deleted == 0 || len(deletions) == 1 {
				return err
			}
			_, err = tx.Exec(deletions[1], from, to)
			return err
		})
		n += int(deleted)
		if err != nil || rows < sweepStep || last >= before {
			return n, err
		}
		from = to
	}
}

// sweepWork walks the keys in their order.
func (s *Store) sweepWork(ctx context.Context, before int64) (n int, err error) {
	for from := ""; ; {
		to, rows := from, 0
		err := s.Query(ctx, func(r Row) error {
			rows++
			return r.Scan(&to)
		}, "SELECT key FROM work WHERE key > ? ORDER BY key LIMIT ?", from, sweepStep)
		if err != nil || rows == 0 {
			return n, err
		}
		var deleted int64
		err = s.Write(ctx, func(tx *Tx) (err error) {
			deleted, err = tx.Exec("DELETE FROM work WHERE key > ? AND key <= ? AND state IN ('idle', 'dead') AND updated_at < ?", from, to, before)
			return err
		})
		n += int(deleted)
		if err != nil || rows < sweepStep {
			return n, err
		}
		from = to
	}
}

func (s *Store) sweepFirings(ctx context.Context, before int64) (n int, err error) {
	err = s.Write(ctx, func(tx *Tx) error {
		deleted, err := tx.Exec("DELETE FROM firing WHERE slot < ? AND slot < (SELECT max(f.slot) FROM firing f WHERE f.name = firing.name)", before)
		n = int(deleted)
		return err
	})
	return n, err
}

// shrink gives pages back to the disk, some at a time, when a quarter of the file
// is free. Below that they are kept for what comes.
func (s *Store) shrink(ctx context.Context) error {
	for {
		var free, all int64
		if err := s.Query(ctx, func(r Row) error { return r.Scan(&free, &all) }, "SELECT f.freelist_count, p.page_count FROM pragma_freelist_count f, pragma_page_count p"); err != nil {
			return fmt.Errorf("shrink: %w", err)
		}
		if free < 1024 || free < all/4 {
			return nil
		}
		err := s.Write(ctx, func(tx *Tx) error {
			return tx.Query(func(Row) error { return nil }, "PRAGMA incremental_vacuum(512)")
		})
		if err != nil {
			return fmt.Errorf("shrink: %w", err)
		}
	}
}
