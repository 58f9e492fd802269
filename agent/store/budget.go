package store

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// PermitAsk asks for leave to make requests with a token, which all agents of a
// database share.
type PermitAsk struct {
	Token  string        // its fingerprint
	N      int           // requests
	Every  time.Duration // between two requests in the long run
	Burst  int           // requests at once, after none for Burst times Every
	Strict time.Duration // for so long the token is known to be limited

	// Now is the time of a clock that all agents have; the zero time, as usual, is
	// that of the database, so that their own clocks need not agree.
	Now time.Time
}

// Permits are what was given.
type Permits struct {
	Wait   time.Duration // after which the N requests may be made
	Strict time.Duration // for so long the token is limited, as far as any agent knows; 0: it is not
}

// TakePermits gives leave for N requests, if not now, then after Wait: however many
// ask, those that may be made in any time t are no more than Burst + t/Every. What
// was given is not given back.
//
// It is the generic cell rate algorithm: of a token only the time is kept at which
// it would be as if it had never been used.
func (s *Store) TakePermits(ctx context.Context, ask PermitAsk) (p Permits, err error) {
	err = s.Write(ctx, func(tx *Tx) error {
		clock, args := tx.dialect.clock(ask.Now)
		cost, strict := int64(ask.N)*ask.Every.Microseconds(), max(ask.Strict, 0).Microseconds()
		values := slices.Concat([]any{ask.Token}, args, []any{cost}, args, []any{strict}, args, []any{cost}, args)
		return tx.Query(func(r Row) error {
			var full, until, now int64
			err := r.Scan(&full, &until, &now)
			p.Wait = max(time.Duration(full-now)*time.Microsecond-time.Duration(ask.Burst)*ask.Every, 0)
			p.Strict = max(time.Duration(until-now)*time.Microsecond, 0)
			return err
		}, `INSERT INTO budget (token, tat, until) VALUES (?, `+clock+` + ?, `+clock+` + ?)
			ON CONFLICT (token) DO UPDATE SET tat = GREATEST(budget.tat, `+clock+`) + ?, until = GREATEST(budget.until, excluded.until)
			RETURNING tat, until, `+clock, values...)
	})
	if err != nil {
		return Permits{}, fmt.Errorf("take share of requests: %w", err)
	}
	return p, nil
}

// StrictFor is for how long a token is limited, as far as any agent knows; 0: it
// is not. now is as in [PermitAsk].
func (s *Store) StrictFor(ctx context.Context, token string, now time.Time) (strict time.Duration, err error) {
	clock, args := s.dialect.clock(now)
	err = s.Query(ctx, func(r Row) error {
		var us int64
		err := r.Scan(&us)
		strict = max(time.Duration(us)*time.Microsecond, 0)
		return err
	}, "SELECT until - "+clock+" FROM budget WHERE token = ?", append(args, token)...)
	if err != nil {
		return 0, fmt.Errorf("read share of requests: %w", err)
	}
	return strict, nil
}

// clock is the time in statements, in microseconds, with its arguments.
func (d *dialect) clock(now time.Time) (sql string, args []any) {
	if now.IsZero() && d.postgres {
		return "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)", nil
	}
	if now.IsZero() {
		now = time.Now() // the database is on this machine
	}
	return "CAST(? AS BIGINT)", []any{micros(now)}
}

// sweepBudgets forgets tokens that nobody has used for long.
func (s *Store) sweepBudgets(ctx context.Context, before int64) (int, error) {
	var deleted int64
	err := s.Write(ctx, func(tx *Tx) (err error) {
		deleted, err = tx.Exec("DELETE FROM budget WHERE tat < ? AND until < ?", before, before)
		return err
	})
	return int(deleted), err
}
