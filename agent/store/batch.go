package store

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
)

// A batch is what one transaction takes at most.
const (
	maxBatch      = 512
	maxBatchBytes = 32 << 20
)

// entry is an event on its way into the database.
type entry struct {
	ctx    context.Context
	event  Event
	digest string // 16 bytes of the SHA-256 of the idempotency key
	body   []byte // compressed

	// Filled in before done is closed.
	id        int64
	duplicate bool
	err       error
	done      chan struct{}
}

// The stages of a job: whoever moves it on from queued owns it.
const (
	queued int32 = iota
	taken
	abandoned
)

// job is a function that waits for the writer.
type job struct {
	ctx      context.Context
	fn       func(*Tx) error
	stage    atomic.Int32
	tx       *Tx
	err      error
	panicked any
	done     chan struct{}
}

// request is one of the two.
type request struct {
	entry *entry
	job   *job
}

func (r request) size() int {
	if r.entry != nil {
		return len(r.entry.body) + 300
	}
	return 8 << 10
}

// queue takes requests from many goroutines and gives them out in batches.
type queue struct {
	mu     sync.RWMutex
	closed bool
	ch     chan request
}

func newQueue() *queue { return &queue{ch: make(chan request, 2*maxBatch)} }

// put waits for room, until ctx ends or the queue is closed.
func (q *queue) put(ctx context.Context, r request) error {
	q.mu.RLock()
	defer q.mu.RUnlock()
	if q.closed {
		return ErrClosed
	}
	select {
	case q.ch <- r:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// close lets no more in; what is in comes out.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.closed = true
		close(q.ch)
	}
}

// next waits for a request and takes all that wait with it; nil when the queue is
// closed and empty. While one batch is synced to disk the next one gathers here:
// that is what makes many writers cheap.
func (q *queue) next() []request {
	first, open := <-q.ch
	if !open {
		return nil
	}
	q.gather()
	batch, size := []request{first}, first.size()
	for len(batch) < maxBatch && size < maxBatchBytes {
		select {
		case r, open := <-q.ch:
			if !open {
				return batch
			}
			batch = append(batch, r)
			size += r.size()
		default:
			return batch
		}
	}
	return batch
}

// gather lets those run who are about to ask, for as long as more come: they were
// told of the last commit a moment ago. When nobody else runs it takes no time.
func (q *queue) gather() {
	for before, idle := len(q.ch), 0; idle < 3; {
		runtime.Gosched()
		if n := len(q.ch); n > before {
			before, idle = n, 0
		} else {
			idle++
		}
	}
}

// await waits for an entry to be committed.
func (a *entry) await(ctx context.Context) error {
	select {
	case <-a.done:
		return a.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// inserter stores entries that differ in their digests, in one statement or few,
// and returns the ids of those that were new, by digest.
type inserter func(fresh []*entry) (map[string]int64, error)

// storeEntries gives the entries their ids by insert, in the order in which they
// came, or by finding those that are known.
func storeEntries(ctx context.Context, run runner, d *dialect, entries []*entry, insert inserter) error {
	first := make(map[string]*entry, len(entries))
	fresh := make([]*entry, 0, len(entries))
	for _, a := range entries {
		if first[a.digest] == nil {
			first[a.digest] = a
			fresh = append(fresh, a)
		}
	}
	ids, err := insert(fresh)
	if err != nil {
		return err
	}
	var unknown []any
	for _, a := range fresh {
		if _, isNew := ids[a.digest]; !isNew {
			unknown = append(unknown, []byte(a.digest))
			first[a.digest] = nil
		}
	}
	if len(unknown) > 0 {
		err := queryRows(ctx, run, d.say("SELECT id, digest FROM event WHERE digest IN ("+marks(len(unknown))+")"), func(r Row) error {
			return scanID(r, ids)
		}, unknown...)
		if err != nil {
			return err
		}
	}
	for _, a := range entries {
		id, ok := ids[a.digest]
		if !ok {
			return fmt.Errorf("event %q was neither new nor known", a.event.IdempotencyKey)
		}
		a.id, a.duplicate = id, first[a.digest] != a
	}
	return nil
}

func scanID(r Row, ids map[string]int64) error {
	var id int64
	var digest []byte
	if err := r.Scan(&id, &digest); err != nil {
		return err
	}
	ids[string(digest)] = id
	return nil
}

// ended tells the waiting goroutines what became of their entries.
func (s *Store) ended(entries []*entry, err error) {
	stored := 0
	for _, a := range entries {
		a.err = err
		switch {
		case err != nil:
		case a.duplicate:
			s.counts.duplicates.Add(1)
		default:
			stored++
		}
	}
	s.counts.events.Add(int64(stored)) // before those who wait are told: they may ask for it
	for _, a := range entries {
		close(a.done)
	}
	if stored > 0 {
		s.wake()
	}
}

// wanted are the entries that somebody still waits for.
func wanted(entries []*entry) (live []*entry) {
	for _, a := range entries {
		if err := a.ctx.Err(); err != nil {
			a.err = err
			close(a.done)
			continue
		}
		live = append(live, a)
	}
	return live
}
