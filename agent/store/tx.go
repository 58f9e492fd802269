package store

import (
	"context"
	"database/sql"
	"time"
)

// runner is what a connection, a transaction and a pool have in common.
type runner interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Tx is a transaction of [Store.Write]. It is good until the function returns,
// and for one goroutine.
type Tx struct {
	ctx      context.Context
	run      runner
	dialect  *dialect
	vault    *vault
	hooks    []func()
	notified map[string]bool
}

// Exec runs a statement with ? for its arguments and says how many rows changed.
func (tx *Tx) Exec(query string, args ...any) (int64, error) {
	res, err := tx.run.ExecContext(tx.ctx, tx.dialect.say(query), args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// Query runs a statement and calls scan for each row. scan must not use the
// transaction.
func (tx *Tx) Query(scan func(Row) error, query string, args ...any) error {
	return queryRows(tx.ctx, tx.run, tx.dialect.say(query), scan, args...)
}

// Row is one row of an answer.
type Row interface {
	Scan(dest ...any) error
}

// OnCommit has f called after the commit; it is not called when there is none.
func (tx *Tx) OnCommit(f func()) { tx.hooks = append(tx.hooks, f) }

// Serialize waits until no other transaction that called it with the same number
// is open. SQLite has one writer anyway.
func (tx *Tx) Serialize(number int64) error {
	if !tx.dialect.postgres {
		return nil
	}
	_, err := tx.Exec("SELECT pg_advisory_xact_lock(?)", number)
	return err
}

// Notify wakes those who [Store.Listen] on channel, after the commit. Where one
// process has the database to itself, there is nobody to wake.
func (tx *Tx) Notify(channel string) error {
	if !tx.dialect.postgres || tx.notified[channel] {
		return nil
	}
	if tx.notified == nil {
		tx.notified = map[string]bool{}
	}
	tx.notified[channel] = true
	_, err := tx.Exec("SELECT pg_notify(?, '')", channel)
	return err
}

// Postgres says whether the statements go to PostgreSQL.
func (tx *Tx) Postgres() bool { return tx.dialect.postgres }

// queryRows calls scan for each row of the answer.
func queryRows(ctx context.Context, run runner, query string, scan func(Row) error, args ...any) error {
	rows, err := run.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// micros is how a time is stored; the zero time is 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// instant is the time that was stored.
func instant(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
