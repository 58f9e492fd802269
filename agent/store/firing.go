package store

import (
	"context"
	"fmt"
	"time"
)

// Fire notes that the schedule name fires for slot. first is true for whoever
// comes first, over all agents: put the work in the same transaction, and it is
// done once.
func (tx *Tx) Fire(name string, slot time.Time) (first bool, err error) {
	n, err := tx.Exec("INSERT INTO firing (name, slot, fired_at) VALUES (?, ?, ?) ON CONFLICT (name, slot) DO NOTHING", name, micros(slot), micros(time.Now()))
	if err != nil {
		return false, fmt.Errorf("note firing of %s: %w", name, err)
	}
	return n > 0, nil
}

// LastFired is the newest slot that name fired for; the zero time if there is none.
func (s *Store) LastFired(ctx context.Context, name string) (time.Time, error) {
	var slot int64
	err := queryRows(ctx, s.read, s.dialect.say("SELECT COALESCE(max(slot), 0) FROM firing WHERE name = ?"), func(r Row) error { return r.Scan(&slot) }, name)
	if err != nil {
		return time.Time{}, fmt.Errorf("read last firing of %s: %w", name, err)
	}
	return instant(slot), nil
}
