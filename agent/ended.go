package agent

import (
	"context"
	"fmt"
	"strings"
	"time"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/work"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/report"
)

// toldAttempt is the attempt whose failure a note tells before the end: what
// mends itself in a moment is no news.
const toldAttempt = 3

// noteDebounce gathers what becomes of several targets into one note.
const noteDebounce = 300 * time.Millisecond

// openAfter is how long a delivery runs before it is shown as running: one that
// ends sooner costs one status instead of two.
const openAfter = 300 * time.Millisecond

// ended is the end of a run: its outcome, that of all that it covers, and what is
// to be reported, in the one transaction that ends it.
func (r *syncRun) ended(ctx context.Context, o delivery.Outcome, d delivering) work.Result {
	after := retryAfter(o.Err)
	o = r.s.scrub.Outcome(o)
	o.Optional = d.optional
	r.row.Error, r.row.Result, r.row.Attempts = errorText(o), encodeOutcome(o), r.it.Attempts
	if r.row.StartedAt.IsZero() {
		r.row.StartedAt = r.start
	}
	again := false
	switch o.State {
	case delivery.Done:
		r.row.State = store.Done
	case delivery.Skipped:
		r.row.State = store.Skipped
	case delivery.Failed:
		r.row.State = store.Failed
	default:
		again = !r.it.Last
		if r.row.State = store.Retry; !again {
			r.row.State = store.Dead
			r.row.Error = fmt.Sprintf("given up after %d attempts: %s", r.it.Attempts, r.row.Error)
		}
	}
	if !again {
		r.row.EndedAt = r.a.o.now()
	}
	if ctx.Err() == nil {
		r.tell(o)
	}
	return work.Result{Err: o.Err, After: after, Finish: func(tx *store.Tx) error { return r.finish(tx, again) }}
}

// tell logs and counts an outcome.
func (r *syncRun) tell(o delivery.Outcome) {
	r.a.metrics.delivered(o)
	line := r.log.Info()
	if o.Err != nil && o.State != delivery.Skipped {
		line = r.log.Warn()
	}
	if r.row.Error != "" {
		line = line.Str("reason", r.row.Error)
	}
	line.Str("state", r.row.State).Str("ref", r.row.Ref).Str("sha", delivery.ShortSHA(r.row.SHA)).
		Int("attempt", r.it.Attempts).Dur("took", o.Took).Msg("delivered")
}

// finish stores the end of the run.
func (r *syncRun) finish(tx *store.Tx, again bool) error {
	if err := r.save(tx); err != nil {
		return err
	}
	if again {
		if r.it.Attempts == toldAttempt {
			return r.putNote(tx)
		}
		return nil
	}
	if err := r.overtake(tx, r.row.SHA, r.row.ID, r.row.Result); err != nil {
		return err
	}
	if err := r.putStatus(tx, r.row.SHA, 0); err != nil {
		return err
	}
	return r.putNote(tx)
}

// overtakeAll ends a run without a delivery.
func (r *syncRun) overtakeAll(tx *store.Tx, by string) error {
	r.log.Info().Str("reason", overtakenBy+by).Msg("overtaken")
	return r.overtake(tx, by, 0, nil)
}

// overtake ends all that waited when the run began, but for one, as covered. A
// status that is open on one of their commits is ended.
func (r *syncRun) overtake(tx *store.Tx, by string, but int64, result []byte) error {
	const covered = " WHERE work_key = ? AND id <= ? AND id <> ? AND state IN ('waiting', 'running', 'retry')"
	var open []string
	err := tx.Query(func(row store.Row) error {
		var sha string
		err := row.Scan(&sha)
		open = append(open, sha)
		return err
	}, "SELECT DISTINCT sha FROM delivery"+covered+" AND started_at > 0 ORDER BY sha", r.it.Key, r.upTo, but)
	if err != nil {
		return fmt.Errorf("read what is overtaken: %w", err)
	}
	_, err = tx.Exec("UPDATE delivery SET state = 'skipped', error = ?, result = ?, ended_at = ?"+covered,
		overtakenBy+by, result, r.a.o.now().UnixMicro(), r.it.Key, r.upTo, but)
	if err != nil {
		return fmt.Errorf("end what is overtaken: %w", err)
	}
	for _, sha := range open {
		if sha != r.row.SHA {
			if err := r.putStatus(tx, sha, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// putStatus asks for what is known of a commit to be shown.
func (r *syncRun) putStatus(tx *store.Tx, sha string, wait time.Duration) error {
	c := r.last.work.Report
	if c.Report == report.ReportOff || delivery.ZeroSHA(sha) {
		return nil
	}
	return r.a.queue.Put(tx, work.Put{Key: statusKey(r.it.Key, sha), Project: r.it.Project, Wanted: r.it.Wanted, Debounce: wait})
}

// putNote asks for the note of the merge request, where one is known.
func (r *syncRun) putNote(tx *store.Tx) error {
	c := r.last.work.Report
	if r.row.MergeRequest == 0 || c.Report == report.ReportOff || c.Report == report.ReportStatus || c.Note == report.NoteOff {
		return nil
	}
	return r.a.queue.Put(tx, work.Put{Key: noteKey(r.it.Key, r.row.MergeRequest), Project: r.it.Project, Wanted: r.it.Wanted, Debounce: r.a.o.noteDebounce})
}

// abandoned ends the deliveries of a run whose agents died again and again.
func (a *Agent) abandoned(tx *store.Tx, it work.Item) error {
	switch kind, _, _ := strings.Cut(it.Key, ":"); kind {
	case kindStatus, kindNote: // an open status must not stay for ever
		return a.queue.Put(tx, work.Put{Key: it.Key, Project: it.Project, Wanted: it.Wanted, NotBefore: a.o.now().Add(restlessPause)})
	case kindSync:
	default:
		return nil
	}
	return a.giveUp(tx, it, "the agent stopped each time")
}

// giveUp ends the deliveries of a run for which nothing else can be stored. What
// was asked for after the run had begun stays.
func (a *Agent) giveUp(tx *store.Tx, it work.Item, why string) error {
	const open = " WHERE work_key = ? AND event <= ? AND state IN ('waiting', 'running', 'retry')"
	var shas []string
	err := tx.Query(func(row store.Row) error {
		var sha string
		err := row.Scan(&sha)
		shas = append(shas, sha)
		return err
	}, "SELECT DISTINCT sha FROM delivery"+open+" AND started_at > 0 ORDER BY sha", it.Key, it.Wanted)
	if err != nil {
		return fmt.Errorf("read what is abandoned: %w", err)
	}
	if _, err := tx.Exec("UPDATE delivery SET state = 'dead', error = ?, ended_at = ?"+open,
		fmt.Sprintf("given up after %d attempts: %s", it.Attempts, why), a.o.now().UnixMicro(), it.Key, it.Wanted); err != nil {
		return fmt.Errorf("give up deliveries: %w", err)
	}
	for _, sha := range shas {
		if err := a.queue.Put(tx, work.Put{Key: statusKey(it.Key, sha), Project: it.Project, Wanted: it.Wanted}); err != nil {
			return err
		}
	}
	return nil
}
