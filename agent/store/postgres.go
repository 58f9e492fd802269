package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"gitlab.com/remora-ci/remora/component/delivery"
)

const (
	// appenders is how many goroutines commit events: while one waits for the
	// disk, the other gathers and sends.
	appenders = 2

	postgresConns = 24

	// migrationLock is held while the tables are brought up to date.
	migrationLock = 7_366_601_001

	oldestPostgres = 13_00_00
)

// postgresEngine commits events in batches, and every other transaction by itself.
type postgresEngine struct {
	store *Store
	db    *sql.DB
	queue *queue
	all   sync.WaitGroup
}

// openPostgres waits for the server, checks it and brings the tables up to date.
func openPostgres(ctx context.Context, s *Store, c Config) error {
	cfg, err := pgx.ParseConfig(c.URL)
	if err != nil {
		// The text of the error may hold parts of the address.
		return delivery.Permanent(&delivery.Fault{Summary: "database address is wrong", Cause: "PostgreSQL's driver does not understand it", Remedy: "look at REMORA_DATABASE_URL: postgres://user:password@host:5432/name"})
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = patience
	}
	if cfg.RuntimeParams["application_name"] == "" {
		cfg.RuntimeParams["application_name"] = "remora"
	}
	if err := s.checkServer(ctx, cfg); err != nil {
		return err
	}
	db := stdlib.OpenDB(*cfg)
	db.SetMaxOpenConns(postgresConns)
	db.SetMaxIdleConns(postgresConns)
	db.SetConnMaxIdleTime(5 * time.Minute)
	prepare := migrateLocked
	if c.AsIs {
		prepare = func(ctx context.Context, db *sql.DB) error { return checkTables(ctx, db, true) }
	}
	if err := prepare(ctx, db); err != nil {
		_ = db.Close()
		return err
	}
	e := &postgresEngine{store: s, db: db, queue: newQueue()}
	for range appenders {
		e.all.Go(e.appendBatches)
	}
	s.engine, s.read = e, db
	return nil
}

// checkServer looks at the version and at what a commit is worth, and makes it
// durable in our own sessions where the server would not.
func (s *Store) checkServer(ctx context.Context, cfg *pgx.ConnConfig) error {
	var version int
	var commit, fsync string
	err := persist(ctx, func() error {
		conn, err := pgx.ConnectConfig(ctx, cfg)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
		return conn.QueryRow(ctx, "SELECT current_setting('server_version_num')::int, current_setting('synchronous_commit'), current_setting('fsync')").Scan(&version, &commit, &fsync)
	}, passing)
	if err != nil {
		return &delivery.Fault{
			Summary: "database cannot be reached", Cause: fmt.Sprintf("PostgreSQL at %s, database %s, user %s: %s", cfg.Host, cfg.Database, cfg.User, why(err)),
			Remedy: "look at REMORA_DATABASE_URL and at the server; " + whichOne, Err: err,
		}
	}
	if version < oldestPostgres {
		return delivery.Permanent(&delivery.Fault{Summary: "PostgreSQL is too old", Cause: fmt.Sprintf("the server has version %d.%d", version/10000, version%10000), Remedy: "use PostgreSQL 13 or newer"})
	}
	if commit == "off" || commit == "local" && fsync == "off" {
		cfg.RuntimeParams["synchronous_commit"] = "on"
		s.warnings = append(s.warnings, "PostgreSQL has synchronous_commit="+commit+": remora's own sessions use on, or an answered event could be lost")
	}
	if fsync == "off" {
		s.warnings = append(s.warnings, "PostgreSQL has fsync=off: a power cut can lose answered events, or the database")
	}
	return nil
}

// why is what the server said, or what came in between, in few words and without
// a secret.
func why(err error) string {
	var said *pgconn.PgError
	var dial *net.OpError
	var name *net.DNSError
	switch {
	case errors.As(err, &said):
		return strings.ToLower(said.Severity) + ": " + said.Message
	case errors.As(err, &name):
		return "no host has that name"
	case errors.As(err, &dial):
		return dial.Op + ": " + dial.Err.Error()
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	}
	return "no answer that helps"
}

// migrateLocked migrates while no other agent does.
func migrateLocked(ctx context.Context, db *sql.DB) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock($1)", int64(migrationLock)); err != nil {
		return err
	}
	err = migrate(ctx, db, true)
	if _, unlockErr := conn.ExecContext(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1)", int64(migrationLock)); err == nil {
		err = unlockErr
	}
	return err
}

func (e *postgresEngine) append(ctx context.Context, a *entry) error {
	if err := e.queue.put(ctx, request{entry: a}); err != nil {
		return err
	}
	return a.await(ctx)
}

func (e *postgresEngine) close() error {
	e.queue.close()
	e.all.Wait()
	return nil // the pool is closed as the one that reads
}

// appendBatches commits batch after batch until the queue is closed. Storing one
// twice is harmless, so it is tried again whenever the server was away.
func (e *postgresEngine) appendBatches() {
	for batch := e.queue.next(); batch != nil; batch = e.queue.next() {
		entries := make([]*entry, len(batch))
		for i, r := range batch {
			entries[i] = r.entry
		}
		if entries = wanted(entries); len(entries) == 0 {
			continue
		}
		err := persist(context.Background(), func() error {
			ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
			defer cancel()
			return storeEntries(ctx, e.db, e.store.dialect, entries, func(fresh []*entry) (map[string]int64, error) {
				return insertPostgres(ctx, e.db, fresh)
			})
		}, passing)
		if err == nil {
			e.store.counts.commits.Add(1)
		}
		e.store.ended(entries, err)
	}
}

// insertPostgres stores the entries and their bodies in one statement of one size.
func insertPostgres(ctx context.Context, run runner, fresh []*entry) (map[string]int64, error) {
	n := len(fresh)
	digests, bodies := make([][]byte, n), make([][]byte, n)
	keys, kinds, instances, projects, refs, shas, reasons, parents := make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	projectIDs, times := make([]int64, n), make([]int64, n)
	for i, a := range fresh {
		v := &a.event
		digests[i], bodies[i] = []byte(a.digest), a.body
		keys[i], kinds[i], instances[i], projects[i], refs[i], shas[i], reasons[i], parents[i] = v.IdempotencyKey, v.Kind, v.Instance, v.Project, v.Ref, v.SHA, v.Reason, v.TraceParent
		projectIDs[i], times[i] = v.ProjectID, micros(v.ReceivedAt)
	}
	ids := make(map[string]int64, n)
	err := queryRows(ctx, run, insertPostgresSQL, func(r Row) error { return scanID(r, ids) },
		digests, keys, kinds, instances, projects, projectIDs, refs, shas, times, reasons, parents, bodies)
	return ids, err
}

const insertPostgresSQL = `WITH fresh AS (
  INSERT INTO event (digest, idempotency_key, kind, instance, project, project_id, ref, sha, received_at, reason, trace_parent, state)
  SELECT u.*, 'received' FROM unnest($1::bytea[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::bigint[], $10::text[], $11::text[]) AS u
  ON CONFLICT (digest) DO NOTHING
  RETURNING id, digest
), bodies AS (
  INSERT INTO event_body (id, body)
  SELECT fresh.id, b.body FROM fresh JOIN unnest($1::bytea[], $12::bytea[]) AS b (digest, body) ON b.digest = fresh.digest
)
SELECT id, digest FROM fresh`

// write runs fn in a transaction of its own. It is tried again when the server
// asks for it, and while the server is away, but never after a commit whose end
// is not known.
func (e *postgresEngine) write(ctx context.Context, fn func(*Tx) error) error {
	var hooks []func()
	err := persist(ctx, func() (err error) {
		tx, err := e.db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }() // nothing to do after a commit
		t := &Tx{ctx: ctx, run: tx, dialect: e.store.dialect, vault: e.store.vault}
		if err := fn(t); err != nil {
			return err
		}
		hooks = t.hooks
		if err := tx.Commit(); err != nil {
			return &commitError{err}
		}
		return nil
	}, func(err error) bool {
		var c *commitError
		return repeat(err) || passing(err) && !errors.As(err, &c)
	})
	if err != nil {
		return err
	}
	e.store.counts.commits.Add(1)
	for _, hook := range hooks {
		hook()
	}
	return nil
}

// commitError is an error of COMMIT itself: what became of it may be unknown.
type commitError struct{ err error }

func (c *commitError) Error() string { return "commit: " + c.err.Error() }
func (c *commitError) Unwrap() error { return c.err }

// persist calls do until it works, its error is not one to try again after, ctx
// ends, or patience does.
func persist(ctx context.Context, do func() error, again func(error) bool) error {
	start := time.Now()
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 250*time.Millisecond) {
		err := do()
		if err == nil || ctx.Err() != nil || !again(err) && !repeat(err) || time.Since(start) > patience {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
}

// repeat says whether the server wants the transaction to be repeated.
func repeat(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == "40001" || e.Code == "40P01")
}

// passing says whether err may be gone in a moment: the server is away, starting,
// stopping or full.
func passing(err error) bool {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return strings.HasPrefix(e.Code, "08") || strings.HasPrefix(e.Code, "57P0") || e.Code == "53300"
	}
	var connect *pgconn.ConnectError
	return errors.As(err, &connect) || errors.Is(err, driver.ErrBadConn) || broken(err)
}
