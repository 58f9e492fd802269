package store

import (
	"context"
	"fmt"
	"iter"
	"time"
)

// Audit is one outbound call: what was asked of whom, with which token, and how
// that went. It never holds a token's value.
type Audit struct {
	ID       int64
	At       time.Time // the call began
	Token    string    // name of the token; "" for a call without one
	Instance string    // scheme and host that were called
	Method   string
	Route    string // path with placeholders for what differs, such as /api/v4/projects/:id
	Status   int    // HTTP status; 0 if no answer came
	Took     time.Duration
	Error    string // why no answer came, scrubbed
}

// AuditFilter chooses calls; what is empty does not choose.
type AuditFilter struct {
	Since    time.Time // called then or later
	Token    string
	Instance string
	Method   string
	Route    string
	Status   int
	Failed   bool // only those without an answer, or with a status of 400 and above
	Limit    int
	Before   int64 // ids below this one: the next page
}

const auditColumns = "id, at, token, instance, method, route, status, took, error"

// AddAudit stores calls, all or none, and returns after the commit: some hundred
// at once, not more. IDs are given by the store; At defaults to now.
func (s *Store) AddAudit(ctx context.Context, rows ...Audit) error {
	if len(rows) == 0 {
		return nil
	}
	if err := s.Write(ctx, func(tx *Tx) error { return tx.addAudit(rows) }); err != nil {
		return fmt.Errorf("store audit: %w", err)
	}
	return nil
}

func (tx *Tx) addAudit(rows []Audit) error {
	for _, a := range rows {
		if a.At.IsZero() {
			a.At = time.Now()
		}
		_, err := tx.Exec("INSERT INTO audit (at, token, instance, method, route, status, took, error) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
			micros(a.At), clean(a.Token), clean(a.Instance), clean(a.Method), clean(a.Route), a.Status, a.Took.Microseconds(), clean(a.Error))
		if err != nil {
			return err
		}
	}
	return nil
}

// Audits lists the chosen calls, newest first, read in pages.
func (s *Store) Audits(ctx context.Context, f AuditFilter) iter.Seq2[Audit, error] {
	return pages(f.Limit, func(limit int) ([]Audit, error) {
		w := f.where()
		var page []Audit
		err := s.Query(ctx, func(r Row) error {
			a, err := scanAudit(r)
			page = append(page, a)
			return err
		}, "SELECT "+auditColumns+" FROM audit"+w.String()+" ORDER BY id DESC LIMIT ?", append(w.args, limit)...)
		if err != nil {
			return nil, fmt.Errorf("read audit: %w", err)
		}
		if len(page) > 0 {
			f.Before = page[len(page)-1].ID
		}
		return page, nil
	})
}

func (f AuditFilter) where() *where {
	w := &where{}
	if !f.Since.IsZero() {
		w.and("at >= ?", micros(f.Since))
	}
	for _, c := range []struct{ column, value string }{{"token", f.Token}, {"instance", f.Instance}, {"method", f.Method}, {"route", f.Route}} {
		if c.value != "" {
			w.and(c.column+" = ?", c.value)
		}
	}
	if f.Status != 0 {
		w.and("status = ?", f.Status)
	}
	if f.Failed {
		w.and("(status = 0 OR status >= 400)")
	}
	if f.Before > 0 {
		w.and("id < ?", f.Before)
	}
	return w
}

func scanAudit(r Row) (Audit, error) {
	var a Audit
	var at, took int64
	err := r.Scan(&a.ID, &at, &a.Token, &a.Instance, &a.Method, &a.Route, &a.Status, &took, &a.Error)
	a.At, a.Took = instant(at), time.Duration(took)*time.Microsecond
	return a, err
}

// sweepAudit walks the rows by id: ids grow with time.
func (s *Store) sweepAudit(ctx context.Context, before int64) (int, error) {
	return s.walk(ctx, before,
		"SELECT id, at FROM audit WHERE id > ? ORDER BY id LIMIT ?",
		"DELETE FROM audit WHERE id > ? AND id <= ? AND at < ?")
}
