package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"strings"
)

// statements is the writer's connection with its prepared statements.
type statements struct {
	conn     *sql.Conn
	prepared map[string]*sql.Stmt
}

func (s *statements) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	stmt, err := s.prepare(ctx, query) //nolint:sqlclosecheck // it stays prepared
	if err != nil {
		return nil, err
	}
	if stmt == nil {
		return s.conn.ExecContext(ctx, query, args...)
	}
	return stmt.ExecContext(ctx, args...)
}

func (s *statements) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	stmt, err := s.prepare(ctx, query) //nolint:sqlclosecheck // it stays prepared
	if err != nil {
		return nil, err
	}
	if stmt == nil {
		return s.conn.QueryContext(ctx, query, args...)
	}
	return stmt.QueryContext(ctx, args...)
}

// prepare is nil when there are too many statements already.
func (s *statements) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if stmt := s.prepared[query]; stmt != nil {
		return stmt, nil
	}
	if len(s.prepared) >= maxStatements {
		return nil, nil
	}
	stmt, err := s.conn.PrepareContext(ctx, query)
	if err == nil {
		s.prepared[query] = stmt
	}
	return stmt, err
}

// close drops the connection, and with it a transaction that is open.
func (s *statements) close() {
	for _, stmt := range s.prepared {
		_ = stmt.Close()
	}
	_ = s.conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = s.conn.Close()
}

// chunks are the lengths in which rows are inserted, so that few statements serve
// batches of every size.
var chunks = []int{128, 32, 8, 1}

// insertSQLite stores the entries and their bodies.
func insertSQLite(ctx context.Context, run runner, fresh []*entry) (map[string]int64, error) {
	ids := make(map[string]int64, len(fresh))
	err := inChunks(fresh, func(some []*entry) error {
		args := make([]any, 0, 11*len(some))
		for _, a := range some {
			e := &a.event
			args = append(args, []byte(a.digest), e.IdempotencyKey, e.Kind, e.Instance, e.Project, e.ProjectID, e.Ref, e.SHA, micros(e.ReceivedAt), e.Reason, e.TraceParent)
		}
		query := "INSERT INTO event (digest, idempotency_key, kind, instance, project, project_id, ref, sha, received_at, reason, trace_parent, state) VALUES " +
			tuples(len(some), "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'received')") + " ON CONFLICT (digest) DO NOTHING RETURNING id, digest"
		return queryRows(ctx, run, query, func(r Row) error { return scanID(r, ids) }, args...)
	})
	if err != nil {
		return nil, err
	}
	stored := make([]*entry, 0, len(fresh))
	for _, a := range fresh {
		if _, ok := ids[a.digest]; ok {
			stored = append(stored, a)
		}
	}
	err = inChunks(stored, func(some []*entry) error {
		args := make([]any, 0, 2*len(some))
		for _, a := range some {
			args = append(args, ids[a.digest], a.body)
		}
		_, err := run.ExecContext(ctx, "INSERT INTO event_body (id, body) VALUES "+tuples(len(some), "(?, ?)"), args...)
		return err
	})
	return ids, err
}

// inChunks calls do with all entries, some at a time.
func inChunks(entries []*entry, do func([]*entry) error) error {
	for _, size := range chunks {
		for len(entries) >= size {
			if err := do(entries[:size]); err != nil {
				return err
			}
			entries = entries[size:]
		}
	}
	return nil
}

func tuples(n int, one string) string {
	return strings.TrimSuffix(strings.Repeat(one+", ", n), ", ")
}
