package agent

import (
	"context"
	"fmt"
	"maps"
	"slices"
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
		again, r.row.State = true, store.Retry
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
	if again && r.it.Last {
		dead, err := r.a.queue.GivenUp(tx, r.it)
		if err != nil {
			return err
		}
		if dead {
			again = false
			reason := r.row.Error
			defer func() { r.row.Error = reason }() // the transaction may be repeated
			r.row.State, r.row.EndedAt = store.Dead, r.a.o.now()
			r.row.Error = fmt.Sprintf("given up after %d attempts: %s", r.it.Attempts, reason)
			tx.OnCommit(func() { r.log.Warn().Int("attempts", r.it.Attempts).Msg("given up") })
		}
	}
	if err := r.save(tx); err != nil {
		return err
	}
	if err := r.a.changed(tx, r.events()...); err != nil {
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

// overtakeAll ends a run without a delivery. result is that of the delivery that
// stands for it, if there is one.
func (r *syncRun) overtakeAll(tx *store.Tx, by string, result []byte) error {
	r.log.Info().Str("reason", overtakenBy+by).Msg("overtaken")
	if err := r.a.changed(tx, r.events()...); err != nil {
		return err
	}
	return r.overtake(tx, by, 0, result)
}

// events are those whose deliveries the run is about.
func (r *syncRun) events() []int64 {
	list := make([]int64, 0, len(r.rows))
	for _, one := range r.rows {
		list = append(list, one.Event)
	}
	return list
}

// coverAtOnce is how many deliveries one statement ends, always as many: it stays
// prepared.
const coverAtOnce = 50

// overtake ends all that the run has read, but for one, as covered. What came
// later waits for the next run, even if its id is lower: PostgreSQL gives ids out
// before it commits. A status that is open on one of their commits is ended.
func (r *syncRun) overtake(tx *store.Tx, by string, but int64, result []byte) error {
	open := map[string]bool{}
	end := func(which string, args ...any) error {
		args = append([]any{overtakenBy + by, result, r.a.o.now().UnixMicro(), r.it.Key}, args...)
		return tx.Query(func(row store.Row) error {
			var sha string
			var started int64
			err := row.Scan(&sha, &started)
			open[sha] = open[sha] || started > 0
			return err
		}, "UPDATE delivery SET state = 'skipped', error = ?, result = ?, ended_at = ? WHERE work_key = ? AND state IN ('waiting', 'running', 'retry') AND "+which+" RETURNING sha, started_at", args...)
	}
	for part := range slices.Chunk(r.rows, coverAtOnce) {
		ids := make([]any, coverAtOnce)
		for i := range ids {
			if ids[i] = any(int64(0)); i < len(part) && part[i].ID != but {
				ids[i] = part[i].ID
			}
		}
		if err := end("id IN (?"+strings.Repeat(", ?", coverAtOnce-1)+")", ids...); err != nil {
			return fmt.Errorf("end what is overtaken: %w", err)
		}
	}
	if len(r.rows) >= store.MaxWaiting { // there are older ones
		if err := end("id < ?", r.rows[0].ID); err != nil {
			return fmt.Errorf("end what was overtaken long ago: %w", err)
		}
	}
	for _, sha := range slices.Sorted(maps.Keys(open)) {
		if open[sha] && sha != r.row.SHA {
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
	return r.a.queue.Put(tx, work.Put{Key: statusKey(r.it.Key, sha), Pool: reportPool(kindStatus, r.it.Key), Project: r.it.Project, Wanted: r.it.Wanted, Debounce: wait})
}

// putNote asks for the note of the merge request, where one is known.
func (r *syncRun) putNote(tx *store.Tx) error {
	c := r.last.work.Report
	if r.row.MergeRequest == 0 || c.Report == report.ReportOff || c.Report == report.ReportStatus || c.Note == report.NoteOff {
		return nil
	}
	return r.a.queue.Put(tx, work.Put{Key: noteKey(r.it.Key, r.row.MergeRequest), Pool: reportPool(kindNote, r.it.Key), Project: r.it.Project, Wanted: r.it.Wanted, Debounce: r.a.o.noteDebounce})
}

// abandoned ends the deliveries of a run whose agents died again and again.
func (a *Agent) abandoned(tx *store.Tx, it work.Item) error {
	switch kind, _, _ := strings.Cut(it.Key, ":"); kind {
	case kindStatus, kindNote: // an open status must not stay for ever
		return a.queue.Put(tx, work.Put{Key: it.Key, Pool: it.Pool, Project: it.Project, Wanted: it.Wanted, NotBefore: a.o.now().Add(restlessPause)})
	case kindSync, kindReport, kindCommand:
	default:
		return nil
	}
	return a.giveUp(tx, it, "the agent stopped each time")
}

// giveUp ends the deliveries of a run for which nothing else can be stored. They
// go on waiting if the key was asked for again meanwhile: then it has all its
// attempts before it.
func (a *Agent) giveUp(tx *store.Tx, it work.Item, why string) error {
	if dead, err := a.queue.GivenUp(tx, it); err != nil || !dead {
		return err
	}
	const open = " WHERE work_key = ? AND state IN ('waiting', 'running', 'retry')"
	var shas []string
	err := tx.Query(func(row store.Row) error {
		var sha string
		err := row.Scan(&sha)
		shas = append(shas, sha)
		return err
	}, "SELECT DISTINCT sha FROM delivery"+open+" AND started_at > 0 ORDER BY sha", it.Key)
	if err != nil {
		return fmt.Errorf("read what is abandoned: %w", err)
	}
	if _, err := tx.Exec("UPDATE delivery SET state = 'dead', error = ?, ended_at = ?"+open,
		fmt.Sprintf("given up after %d attempts: %s", it.Attempts, why), a.o.now().UnixMicro(), it.Key); err != nil {
		return fmt.Errorf("give up deliveries: %w", err)
	}
	if err := a.changed(tx); err != nil {
		return err
	}
	if !strings.HasPrefix(it.Key, kindSync+":") {
		return nil
	}
	for _, sha := range shas {
		if err := a.queue.Put(tx, work.Put{Key: statusKey(it.Key, sha), Pool: reportPool(kindStatus, it.Key), Project: it.Project, Wanted: it.Wanted}); err != nil {
			return err
		}
	}
	return nil
}
