package store

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"
)

// The states of a delivery. It has ended in done, skipped, failed and dead.
const (
	Waiting = "waiting"
	Running = "running"
	Done    = "done"
	Skipped = "skipped"
	Failed  = "failed"
	Retry   = "retry" // tried, and to be tried again
	Dead    = "dead"  // given up after many attempts, until a person retries it
)

// Delivery is one event on its way to one target.
type Delivery struct {
	ID           int64
	Event        int64
	Key          string // of the work
	Target       string
	Project      string
	ProjectID    int64
	Ref          string
	SHA          string
	MergeRequest int64 // iid, or 0
	State        string
	Attempts     int
	Error        string
	Payload      []byte // JSON: the work as routed
	Result       []byte // JSON: the outcome, scrubbed
	CreatedAt    time.Time
	StartedAt    time.Time
	EndedAt      time.Time
}

// DeliveryFilter chooses deliveries; what is empty does not choose.
type DeliveryFilter struct {
	Event     int64
	Since     time.Time // created then or later
	State     string
	Project   string
	ProjectID int64
	SHA       string
	Target    string
	Key       string
	Limit     int
	Before    int64 // ids below this one: the next page

	MergeRequest int64 // iid, in the project
	NoProjectID  bool  // only those whose project has no known id
}

const deliveryColumns = "id, event, work_key, target, project, project_id, ref, sha, merge_request, state, attempts, error, payload, result, created_at, started_at, ended_at"

const (
	openStates = "state IN ('waiting', 'running', 'retry')"
	lostStates = "state IN ('failed', 'dead')"
)

// AddDelivery stores a new delivery and returns its id. Its state defaults to
// waiting, CreatedAt to now.
func (tx *Tx) AddDelivery(d Delivery) (int64, error) {
	if d.State == "" {
		d.State = Waiting
	}
	if d.CreatedAt.IsZero() {
		d.CreatedAt = time.Now()
	}
	var id int64
	err := tx.Query(func(r Row) error { return r.Scan(&id) },
		"INSERT INTO delivery (event, work_key, target, project, project_id, ref, sha, merge_request, state, attempts, error, payload, result, created_at, started_at, ended_at) VALUES ("+marks(16)+") RETURNING id",
		d.Event, clean(d.Key), clean(d.Target), clean(d.Project), d.ProjectID, clean(d.Ref), clean(d.SHA), d.MergeRequest, d.State, d.Attempts, clean(d.Error), d.Payload, d.Result, micros(d.CreatedAt), micros(d.StartedAt), micros(d.EndedAt))
	if err != nil {
		return 0, fmt.Errorf("store delivery of event %d: %w", d.Event, err)
	}
	return id, nil
}

// UpdateDelivery changes what changes on the way: SHA, MergeRequest, State,
// Attempts, Error, Payload, Result, StartedAt, EndedAt. The rest is the row's own.
func (tx *Tx) UpdateDelivery(d Delivery) error {
	n, err := tx.Exec("UPDATE delivery SET sha = ?, merge_request = ?, state = ?, attempts = ?, error = ?, payload = ?, result = ?, started_at = ?, ended_at = ? WHERE id = ?",
		clean(d.SHA), d.MergeRequest, d.State, d.Attempts, clean(d.Error), d.Payload, d.Result, micros(d.StartedAt), micros(d.EndedAt), d.ID)
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("update delivery %d: %w", d.ID, err)
	}
	return nil
}

// Reopen puts the newest failed or dead delivery of a key, of each of its targets,
// back to waiting, for a person who retries it, and says whether there was one: a key
// of reports has several, by the names of their statuses. The row of work is to be
// made ready in the same transaction.
func (tx *Tx) Reopen(key string) (bool, error) {
	n, err := tx.Exec("UPDATE delivery SET state = 'waiting', ended_at = 0 WHERE "+lostStates+" AND id IN (SELECT max(id) FROM delivery WHERE work_key = ? AND "+lostStates+" GROUP BY target)", key)
	if err != nil {
		return false, fmt.Errorf("reopen delivery of %s: %w", key, err)
	}
	return n > 0, nil
}

// Delivery is one delivery, or [ErrNotFound].
func (s *Store) Delivery(ctx context.Context, id int64) (Delivery, error) {
	found, err := s.deliveries(ctx, " WHERE id = ?", id)
	if err == nil && len(found) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Delivery{}, fmt.Errorf("delivery %d: %w", id, err)
	}
	return found[0], nil
}

// Deliveries lists the chosen deliveries, newest first, read in pages.
func (s *Store) Deliveries(ctx context.Context, f DeliveryFilter) iter.Seq2[Delivery, error] {
	return pages(f.Limit, func(limit int) ([]Delivery, error) {
		w := f.where()
		page, err := s.deliveries(ctx, w.String()+" ORDER BY id DESC LIMIT ?", append(w.args, limit)...)
		if err != nil {
			return nil, fmt.Errorf("read deliveries: %w", err)
		}
		if len(page) > 0 {
			f.Before = page[len(page)-1].ID
		}
		return page, nil
	})
}

func (f DeliveryFilter) where() *where {
	w := &where{}
	for _, c := range []struct {
		column string
		value  string
	}{{"state", f.State}, {"project", f.Project}, {"sha", f.SHA}, {"target", f.Target}, {"work_key", f.Key}} {
		if c.value != "" {
			w.and(c.column+" = ?", c.value)
		}
	}
	for _, c := range []struct {
		condition string
		value     int64
	}{{"event = ?", f.Event}, {"project_id = ?", f.ProjectID}, {"merge_request = ?", f.MergeRequest}, {"created_at >= ?", micros(f.Since)}, {"id < ?", f.Before}} {
		if c.value != 0 {
			w.and(c.condition, c.value)
		}
	}
	if f.NoProjectID {
		w.and("project_id = 0")
	}
	return w
}

// WaitingOf lists the deliveries of a key that have not ended, oldest first:
// waiting, to be retried, or left running by an agent that is no more. There may
// be many; the newest thousand are given.
func (s *Store) WaitingOf(ctx context.Context, key string) ([]Delivery, error) {
	return waitingOf(ctx, s.read, s.dialect, key)
}

// WaitingOf is that of the store, in the transaction.
func (tx *Tx) WaitingOf(key string) ([]Delivery, error) {
	return waitingOf(tx.ctx, tx.run, tx.dialect, key)
}

func waitingOf(ctx context.Context, run runner, d *dialect, key string) ([]Delivery, error) {
	found, err := readDeliveries(ctx, run, d, waitingWhere, key)
	if err != nil {
		return nil, fmt.Errorf("read waiting deliveries of %s: %w", key, err)
	}
	slices.Reverse(found)
	return found, nil
}

// MaxWaiting is how many of the deliveries that wait for a key are read, the newest.
const MaxWaiting = 1000

// The index is named because SQLite would take the one of all deliveries of the
// key, which grows.
const waitingWhere = " INDEXED BY delivery_open WHERE work_key = ? AND " + openStates + " ORDER BY id DESC LIMIT 1000" // MaxWaiting

func (s *Store) deliveries(ctx context.Context, rest string, args ...any) ([]Delivery, error) {
	return readDeliveries(ctx, s.read, s.dialect, rest, args...)
}

func readDeliveries(ctx context.Context, run runner, dialect *dialect, rest string, args ...any) ([]Delivery, error) {
	var found []Delivery
	err := queryRows(ctx, run, dialect.say("SELECT "+deliveryColumns+" FROM delivery"+rest), func(r Row) error {
		var d Delivery
		var created, started, ended int64
		if err := r.Scan(&d.ID, &d.Event, &d.Key, &d.Target, &d.Project, &d.ProjectID, &d.Ref, &d.SHA, &d.MergeRequest, &d.State, &d.Attempts, &d.Error, &d.Payload, &d.Result, &created, &started, &ended); err != nil {
			return err
		}
		d.CreatedAt, d.StartedAt, d.EndedAt = instant(created), instant(started), instant(ended)
		found = append(found, d)
		return nil
	}, args...)
	return found, err
}
