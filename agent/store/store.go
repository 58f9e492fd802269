package store

import (
	"context"
	"database/sql"
	"fmt"
	"sync/atomic"
	"time"
)

// patience is how long a database that is away is waited for when the caller's
// context allows it.
const patience = 5 * time.Second

// Store is an open database. Its methods are safe for many goroutines.
type Store struct {
	dialect   *dialect
	engine    engine
	read      *sql.DB
	vault     *vault
	retention time.Duration
	arrived   chan struct{}
	warnings  []string
	counts    counts
}

// engine is what the two databases do each in their own way.
type engine interface {
	// append commits an entry, together with others that wait, and fills it in.
	append(ctx context.Context, a *entry) error

	// write runs fn in a transaction and commits it.
	write(ctx context.Context, fn func(*Tx) error) error

	// close commits what waits and lets go of the database.
	close() error
}

type counts struct{ commits, events, duplicates atomic.Int64 }

// Stats counts what this process has committed since it opened the store.
type Stats struct {
	Commits    int64 // transactions that changed something, each one sync
	Events     int64 // events stored
	Duplicates int64 // events that were known
}

// Open opens the store, brings its tables up to date and checks that a commit is
// durable. What is not right and can be lived with is in [Store.Warnings].
func Open(ctx context.Context, c Config) (*Store, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	s := &Store{dialect: &dialect{postgres: c.postgres()}, arrived: make(chan struct{}, 1)}
	s.retention, _ = c.retention() // checked above
	if !c.Key.Empty() {
		v, err := newVault(c.Key)
		if err != nil {
			return nil, fmt.Errorf("REMORA_ENCRYPTION_KEY: %w", err)
		}
		s.vault = v
	}
	open := openSQLite
	if c.postgres() {
		open = openPostgres
	}
	if err := open(ctx, s, c); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := s.checkKey(ctx); err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("open store: %w", err)
	}
	return s, nil
}

// Close commits what waits and closes the database. Nothing may be called later.
func (s *Store) Close() error {
	err := s.engine.close()
	if readErr := s.read.Close(); err == nil {
		err = readErr
	}
	if err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// Write runs fn in one transaction and returns after the commit; when fn returns
// an error, nothing is changed and Write returns that error as it is.
//
// fn must be short, must reach for nothing but tx and values of its own, and may
// run more than once: PostgreSQL may ask for a transaction to be repeated. It must
// not call other methods of the store, which may wait for the same writer. When
// ctx ends before fn has begun, fn does not run. When the connection breaks in the
// middle of COMMIT, the error leaves open what became of it.
func (s *Store) Write(ctx context.Context, fn func(*Tx) error) error {
	return s.engine.write(ctx, fn)
}

// Ready says whether the store can be read and written now.
func (s *Store) Ready(ctx context.Context) error {
	var one int
	if err := s.read.QueryRowContext(ctx, "SELECT 1").Scan(&one); err != nil {
		return fmt.Errorf("read store: %w", err)
	}
	if err := s.Write(ctx, func(*Tx) error { return nil }); err != nil {
		return fmt.Errorf("write store: %w", err)
	}
	return nil
}

// Query runs a statement outside of any transaction, with ? for its arguments,
// and calls scan for each row.
func (s *Store) Query(ctx context.Context, scan func(Row) error, query string, args ...any) error {
	return queryRows(ctx, s.read, s.dialect.say(query), scan, args...)
}

// Arrived has a value after events became received in this process: time to call
// [Store.Received] until it is empty. Other agents' events are found by polling.
func (s *Store) Arrived() <-chan struct{} { return s.arrived }

// Warnings are sentences for the log, about settings of the database that can be
// lived with.
func (s *Store) Warnings() []string { return s.warnings }

// Stats are the counts since the store was opened.
func (s *Store) Stats() Stats {
	return Stats{Commits: s.counts.commits.Load(), Events: s.counts.events.Load(), Duplicates: s.counts.duplicates.Load()}
}

func (s *Store) wake() {
	select {
	case s.arrived <- struct{}{}:
	default:
	}
}
