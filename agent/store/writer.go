package store

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"sync/atomic"
)

const (
	// tidyAfter is how much is written before the log is copied into the database.
	tidyAfter = 8 << 20

	// maxStatements is how many statements stay prepared.
	maxStatements = 256
)

// sqliteEngine is the one writer of a SQLite file, and the keeper of its log.
type sqliteEngine struct {
	store  *Store
	db     *sql.DB // one connection: the writer's
	keeper *sql.DB // one connection: the checkpoints'
	queue  *queue

	dirty   int64 // bytes since the last checkpoint, about
	tidy    chan struct{}
	settled atomic.Bool // a checkpoint has run: the writer may finish it and start the log anew
	all     sync.WaitGroup
	conn    *statements // nil before the first batch and after a fault
}

func (e *sqliteEngine) start() {
	e.all.Go(func() {
		defer close(e.tidy)
		for batch := e.queue.next(); batch != nil; batch = e.queue.next() {
			e.commit(batch)
		}
	})
	e.all.Go(func() {
		for range e.tidy {
			// Copies what is committed while the writer goes on.
			if _, err := e.keeper.ExecContext(context.Background(), "PRAGMA wal_checkpoint(PASSIVE)"); err == nil {
				e.settled.Store(true)
			}
		}
	})
}

func (e *sqliteEngine) append(ctx context.Context, a *entry) error {
	if err := e.queue.put(ctx, request{entry: a}); err != nil {
		return err
	}
	return a.await(ctx)
}

func (e *sqliteEngine) write(ctx context.Context, fn func(*Tx) error) error {
	j := &job{ctx: ctx, fn: fn, done: make(chan struct{})}
	if err := e.queue.put(ctx, request{job: j}); err != nil {
		return err
	}
	select {
	case <-j.done:
	case <-ctx.Done():
		if j.stage.CompareAndSwap(queued, abandoned) {
			return context.Cause(ctx)
		}
		<-j.done // fn runs; what it touches is not ours again before its end
	}
	if j.panicked != nil {
		panic(j.panicked)
	}
	if j.err != nil {
		return j.err
	}
	for _, hook := range j.tx.hooks {
		hook()
	}
	return nil
}

func (e *sqliteEngine) close() error {
	e.queue.close()
	e.all.Wait()
	if e.conn != nil {
		e.conn.close()
	}
	_, err := e.db.ExecContext(context.Background(), "PRAGMA wal_checkpoint(TRUNCATE)")
	for _, db := range []*sql.DB{e.keeper, e.db} {
		if closeErr := db.Close(); err == nil {
			err = closeErr
		}
	}
	return err
}

// commit takes a batch into one transaction and tells everybody how it went.
func (e *sqliteEngine) commit(batch []request) {
	var entries []*entry
	var jobs []*job
	size := int64(0)
	for _, r := range batch {
		size += int64(r.size())
		switch {
		case r.entry != nil:
			entries = append(entries, r.entry)
		case r.job.stage.CompareAndSwap(queued, taken):
			jobs = append(jobs, r.job)
		}
	}
	entries = wanted(entries)
	if len(entries)+len(jobs) == 0 {
		return
	}
	err := e.transact(entries, jobs)
	if err == nil {
		e.store.counts.commits.Add(1)
	} else if e.conn != nil {
		e.conn.close() // closing it undoes what is open, whatever state it is in
		e.conn = nil
	}
	e.store.ended(entries, err)
	for _, j := range jobs {
		if err != nil {
			j.err, j.panicked = err, nil
		}
		close(j.done)
	}
	if e.dirty += size; e.dirty > tidyAfter {
		e.dirty = 0
		select {
		case e.tidy <- struct{}{}:
		default:
		}
	}
}

// transact runs and commits one transaction. An error undoes all of it.
func (e *sqliteEngine) transact(entries []*entry, jobs []*job) error {
	ctx := context.Background() // an interrupt would undo the others' work
	if err := e.connect(ctx); err != nil {
		return err
	}
	if e.settled.Swap(false) {
		// Little is left to copy now, and with nothing left the log starts anew.
		if _, err := e.conn.ExecContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)"); err != nil {
			return err
		}
	}
	if _, err := e.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if len(entries) > 0 {
		err := storeEntries(ctx, e.conn, e.store.dialect, entries, func(fresh []*entry) (map[string]int64, error) {
			return insertSQLite(ctx, e.conn, fresh)
		})
		if err != nil {
			return err
		}
	}
	for _, j := range jobs {
		if err := e.perform(ctx, j); err != nil {
			return err
		}
	}
	_, err := e.conn.ExecContext(ctx, "COMMIT")
	return err
}

func (e *sqliteEngine) connect(ctx context.Context) error {
	if e.conn != nil {
		return nil
	}
	conn, err := e.db.Conn(ctx)
	if err == nil {
		e.conn = &statements{conn: conn, prepared: map[string]*sql.Stmt{}}
	}
	return err
}

// perform runs one job in a savepoint. The error is that of the transaction; the
// job's own error is the job's.
func (e *sqliteEngine) perform(ctx context.Context, j *job) error {
	if _, err := e.conn.ExecContext(ctx, "SAVEPOINT job"); err != nil {
		return err
	}
	j.tx = &Tx{ctx: context.WithoutCancel(j.ctx), run: e.conn, dialect: e.store.dialect, vault: e.store.vault}
	j.run()
	if j.err != nil || j.panicked != nil {
		if _, err := e.conn.ExecContext(ctx, "ROLLBACK TO job"); err != nil {
			return fmt.Errorf("undo: %w", err)
		}
	}
	_, err := e.conn.ExecContext(ctx, "RELEASE job")
	return err
}

// run calls the function; its panic is kept for the goroutine that wrote it.
func (j *job) run() {
	defer func() { j.panicked = recover() }()
	j.err = j.fn(j.tx)
}
