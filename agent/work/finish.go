package work

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component/delivery"
)

const (
	finishPatience = 10 * time.Second
	finishPause    = 100 * time.Millisecond

	// finishTries is how often the caller's own part of the transaction may fail
	// before the run is ended without it, to be tried again as a whole.
	finishTries = 3

	maxErrorText = 2000
)

// The ends of a run. Each is the end of the run with this fence and of no other;
// "asked > seen" is somebody who asked for the key while it ran.
const (
	fenced   = " WHERE key = ? AND fence = ? AND state = 'running' RETURNING state"
	released = "lease = 0, owner = '', updated_at = ?, error = ?, "
	askedDue = "asked > seen AND not_before <= ?"

	doneSQL = "UPDATE work SET " + released + "done = taken, attempts = 0, held = 0, " +
		"state = CASE WHEN " + askedDue + " THEN 'ready' WHEN asked > seen THEN 'later' ELSE 'idle' END" + fenced

	againSQL = "UPDATE work SET " + released + "done = taken, attempts = 0, held = 0, " +
		"state = CASE WHEN " + askedDue + " THEN 'ready' ELSE 'later' END, " +
		"first_at = CASE WHEN asked > seen THEN first_at ELSE CAST(? AS BIGINT) END, " +
		"not_before = CASE WHEN asked > seen THEN LEAST(not_before, CAST(? AS BIGINT)) ELSE CAST(? AS BIGINT) END" + fenced

	// News has all its attempts before it, but not before the pause that any
	// failure is followed by.
	retrySQL = "UPDATE work SET " + released +
		"attempts = CASE WHEN asked > seen THEN 0 ELSE attempts END, " +
		"held = CAST(? AS BIGINT), " +
		"first_at = CASE WHEN asked > seen THEN first_at ELSE CAST(? AS BIGINT) END, " +
		"not_before = CASE WHEN asked > seen THEN GREATEST(not_before, CAST(? AS BIGINT)) ELSE CAST(? AS BIGINT) END, " +
		"state = CASE WHEN asked <= seen AND attempts >= ? THEN 'dead' ELSE 'later' END" + fenced

	deadSQL = "UPDATE work SET " + released +
		"attempts = CASE WHEN asked > seen THEN 0 ELSE attempts END, " +
		"state = CASE WHEN " + askedDue + " THEN 'ready' WHEN asked > seen THEN 'later' ELSE 'dead' END" + fenced

	releaseSQL = "UPDATE work SET " + released + "attempts = attempts - 1, state = 'ready'" + fenced
)

// finish stores the end of a run until that works or the lease is lost. A run
// that a drain ended becomes ready as if it had not begun.
func (q *Queue) finish(h *hold, res Result, drained bool) {
	pause := finishPause
	for try := 1; ; try++ {
		err := q.finishOnce(h, res, drained)
		if err == nil {
			return
		}
		log := zerolog.Ctx(h.ctx).With().Str("key", h.item.Key).Logger()
		if errors.Is(err, errLost) {
			log.Warn().Msg("lease lost")
			return
		}
		log.Error().Err(err).Int("try", try).Msg("outcome not stored")
		var own *finishError
		if errors.As(err, &own) && try >= finishTries {
			res = Result{Err: fmt.Errorf("store outcome: %w", own.err)}
		}
		last := h.ctx.Err() != nil
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-h.ctx.Done():
		}
		timer.Stop()
		if errors.Is(context.Cause(h.ctx), errLost) || last && try >= finishTries {
			return // the lease runs out, and the key is tried again
		}
		pause = min(2*pause, 2*time.Second)
	}
}

// finishError is an error of the caller's part.
type finishError struct{ err error }

func (f *finishError) Error() string { return f.err.Error() }
func (f *finishError) Unwrap() error { return f.err }

// finishOnce ends the run in one transaction with the caller's part. With errLost
// nothing is stored.
func (q *Queue) finishOnce(h *hold, res Result, drained bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(h.ctx), finishPatience)
	defer cancel()
	query, args := q.end(h.item, res, drained)
	return q.store.Write(ctx, func(tx *store.Tx) error {
		state := ""
		if err := tx.Query(func(r store.Row) error { return r.Scan(&state) }, query, args...); err != nil {
			return fmt.Errorf("end run: %w", err)
		}
		if state == "" {
			return errLost
		}
		if state == "ready" {
			tx.OnCommit(q.Kick)
		}
		if res.Finish == nil || drained {
			return nil
		}
		if err := res.Finish(tx); err != nil {
			return &finishError{err}
		}
		return nil
	})
}

// end chooses the statement that ends a run.
func (q *Queue) end(it Item, res Result, drained bool) (query string, args []any) {
	now := q.o.Now()
	us := now.UnixMicro()
	args = []any{us, text(res.Err)}
	switch state := delivery.StateOf(res.Err); {
	case drained:
		args[1] = ""
		query = releaseSQL
	case state == delivery.Failed:
		query, args = deadSQL, append(args, us)
	case state == delivery.Retry:
		held := int64(0)
		at := now.Add(max(q.pause(it.Attempts), res.After))
		floor := now.Add(max(q.o.Backoff, res.After))
		if res.After > 0 {
			held = now.Add(res.After).UnixMicro()
		}
		query, args = retrySQL, append(args, held, at.UnixMicro(), floor.UnixMicro(), at.UnixMicro(), q.o.MaxAttempts)
	case res.After > 0:
		at := now.Add(res.After).UnixMicro()
		args[1] = ""
		query, args = againSQL, append(args, us, at, at, at)
	default:
		args[1] = ""
		query, args = doneSQL, append(args, us)
	}
	return query, append(args, it.Key, it.Fence)
}

// pause is how long to wait after so many attempts: twice as long each time, a
// fifth more or less, so that what failed together does not come back together.
func (q *Queue) pause(attempts int) time.Duration {
	d := q.o.MaxBackoff
	if shift := attempts - 1; shift < 30 {
		d = min(q.o.Backoff<<max(shift, 0), q.o.MaxBackoff)
	}
	return d - d/5 + rand.N(max(2*d/5, 1))
}

// text is what is stored of an error, bounded.
func text(err error) string {
	if err == nil {
		return ""
	}
	s := err.Error()
	if len(s) > maxErrorText {
		s = s[:maxErrorText] + "…"
	}
	return strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "")
}
