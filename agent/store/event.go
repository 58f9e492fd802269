package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/klauspost/compress/s2"
)

// The states of an event.
const (
	Received = "received" // stored, not looked at yet
	Routed   = "routed"   // work was made of it
	Ignored  = "ignored"  // it led to nothing; Reason says why
)

// Event is a webhook, or another fact from outside, as it came.
type Event struct {
	ID             int64
	IdempotencyKey string // as received, or "sha256:…" of the body
	Kind           string // push, tag_push, merge_request, note, …, or as GitLab names it
	Instance       string
	Project        string // path
	ProjectID      int64
	Ref            string
	SHA            string
	ReceivedAt     time.Time
	State          string // received, routed, ignored
	Reason         string
	TraceParent    string
	Body           []byte // raw; nil where it was not asked for
}

// EventFilter chooses events; what is empty does not choose.
type EventFilter struct {
	IDs     []int64
	Since   time.Time // received then or later
	State   string
	Project string
	Kind    string
	Limit   int
	Before  int64 // ids below this one: the next page
	Bodies  bool  // read the bodies too
}

const eventColumns = "e.id, e.idempotency_key, e.kind, e.instance, e.project, e.project_id, e.ref, e.sha, e.received_at, e.state, e.reason, e.trace_parent"

// OwnPrefix begins the idempotency keys of events that an agent makes itself. What
// comes from outside never has such a key: whoever takes it in sees to that.
const OwnPrefix = "remora:"

// Append stores an event and returns after the commit. An event whose key is
// known is not stored again: duplicate is true and id that of the first.
//
// The state is received; ReceivedAt defaults to now. While the database is away
// Append waits for it until ctx ends, five seconds at most. After an error the
// event may be stored all the same: the sender's next try is then a duplicate.
func (s *Store) Append(ctx context.Context, e Event) (id int64, duplicate bool, err error) {
	if e.IdempotencyKey == "" {
		return 0, false, errors.New("store event: it has no idempotency key")
	}
	if e.ReceivedAt.IsZero() {
		e.ReceivedAt = time.Now()
	}
	digest := sha256.Sum256([]byte(e.IdempotencyKey))
	for _, f := range []*string{&e.IdempotencyKey, &e.Kind, &e.Instance, &e.Project, &e.Ref, &e.SHA, &e.Reason, &e.TraceParent} {
		*f = clean(*f)
	}
	a := &entry{ctx: ctx, event: e, digest: string(digest[:16]), body: s2.Encode(nil, e.Body), done: make(chan struct{})}
	a.event.Body = nil
	if err := s.engine.append(ctx, a); err != nil {
		return 0, false, fmt.Errorf("store event: %w", err)
	}
	return a.id, a.duplicate, nil
}

// clean is text that both databases take: valid UTF-8 without NUL. What comes
// from outside may hold both, and one such event must not fail a whole batch.
func clean(text string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", "\uFFFD"), "\uFFFD")
}

// Received lists events that are not routed yet, oldest first, with bodies: at
// most limit, and no more than 32 MB of bodies beyond the first.
func (s *Store) Received(ctx context.Context, limit int) ([]Event, error) {
	var events []Event
	size := 0
	err := queryRows(ctx, s.read, s.dialect.say(receivedSQL), func(r Row) error {
		if size > maxBatchBytes {
			return nil
		}
		e, err := scanEvent(r, true)
		size += len(e.Body)
		events = append(events, e)
		return err
	}, limit)
	if err != nil {
		return nil, fmt.Errorf("read received events: %w", err)
	}
	return events, nil
}

const receivedSQL = "SELECT " + eventColumns + ", b.body FROM event e JOIN event_body b ON b.id = e.id WHERE e.state = 'received' ORDER BY e.id LIMIT ?"

// Event is one event with its body, or [ErrNotFound].
func (s *Store) Event(ctx context.Context, id int64) (Event, error) {
	for e, err := range s.Events(ctx, EventFilter{IDs: []int64{id}, Limit: 1, Bodies: true}) {
		return e, err
	}
	return Event{}, fmt.Errorf("event %d: %w", id, ErrNotFound)
}

// Events lists the chosen events, newest first. It reads in pages, so that a slow
// reader holds no transaction open.
func (s *Store) Events(ctx context.Context, f EventFilter) iter.Seq2[Event, error] {
	return pages(f.Limit, func(limit int) ([]Event, error) {
		query, args := f.query(limit)
		var page []Event
		err := queryRows(ctx, s.read, s.dialect.say(query), func(r Row) error {
			e, err := scanEvent(r, f.Bodies)
			page = append(page, e)
			return err
		}, args...)
		if err != nil {
			return nil, fmt.Errorf("read events: %w", err)
		}
		if len(page) > 0 {
			f.Before = page[len(page)-1].ID
		}
		return page, nil
	})
}

func (f EventFilter) query(limit int) (string, []any) {
	w := f.where("e.")
	columns, from := eventColumns, "event e"
	if f.Bodies {
		columns, from = columns+", b.body", from+" JOIN event_body b ON b.id = e.id"
	}
	return "SELECT " + columns + " FROM " + from + w.String() + " ORDER BY e.id DESC LIMIT ?", append(w.args, limit)
}

func (f EventFilter) where(prefix string) *where {
	w := &where{}
	if !f.Since.IsZero() {
		w.and(prefix+"received_at >= ?", micros(f.Since))
	}
	if f.State != "" {
		// Written out where there is an index for it.
		if f.State == Received {
			w.and(prefix + "state = 'received'")
		} else {
			w.and(prefix+"state = ?", f.State)
		}
	}
	if f.Project != "" {
		w.and(prefix+"project = ?", f.Project)
	}
	if f.Kind != "" {
		w.and(prefix+"kind = ?", f.Kind)
	}
	if f.Before > 0 {
		w.and(prefix+"id < ?", f.Before)
	}
	w.in(prefix+"id", f.IDs)
	return w
}

func scanEvent(r Row, body bool) (Event, error) {
	var e Event
	var at int64
	var packed []byte
	dest := []any{&e.ID, &e.IdempotencyKey, &e.Kind, &e.Instance, &e.Project, &e.ProjectID, &e.Ref, &e.SHA, &at, &e.State, &e.Reason, &e.TraceParent}
	if body {
		dest = append(dest, &packed)
	}
	if err := r.Scan(dest...); err != nil {
		return Event{}, err
	}
	e.ReceivedAt = instant(at)
	if !body {
		return e, nil
	}
	var err error
	if e.Body, err = s2.Decode([]byte{}, packed); err != nil {
		return Event{}, fmt.Errorf("body of event %d: %w", e.ID, err)
	}
	return e, nil
}

// Replay puts the chosen events back to received, so that they are routed again,
// and says how many. A limit takes the newest.
func (s *Store) Replay(ctx context.Context, f EventFilter) (n int, err error) {
	f.Bodies = false
	var ids []int64
	for e, err := range s.Events(ctx, f) {
		if err != nil {
			return 0, err
		}
		if e.State != Received {
			ids = append(ids, e.ID)
		}
	}
	for len(ids) > 0 {
		step := ids[:min(len(ids), maxBatch)]
		ids = ids[len(step):]
		err := s.Write(ctx, func(tx *Tx) error {
			w := &where{}
			w.in("id", step)
			_, err := tx.Exec("UPDATE event SET state = 'received', reason = ''"+w.String(), w.args...)
			return err
		})
		if err != nil {
			return n, fmt.Errorf("replay events: %w", err)
		}
		n += len(step)
		s.wake()
	}
	return n, nil
}

// MarkRouted ends the routing of an event: state is routed or ignored. If it is
// not received any more, the error is [ErrNotReceived], and the transaction is
// still good for other events.
func (tx *Tx) MarkRouted(id int64, state, reason string) error {
	n, err := tx.Exec("UPDATE event SET state = ?, reason = ? WHERE id = ? AND state = 'received'", state, clean(reason), id)
	if err != nil {
		return fmt.Errorf("mark event %d %s: %w", id, state, err)
	}
	if n == 0 {
		return fmt.Errorf("mark event %d %s: %w", id, state, ErrNotReceived)
	}
	return nil
}
