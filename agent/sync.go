package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/work"
	"gitlab.com/remora-ci/remora/component/delivery"
)

// row is a delivery, and the work that it keeps.
type row struct {
	store.Delivery
	work payload
}

func readRow(d store.Delivery) (row, error) {
	r := row{Delivery: d}
	if err := json.Unmarshal(d.Payload, &r.work); err != nil {
		return r, fmt.Errorf("read work of delivery %d: %w", d.ID, err)
	}
	r.work.Event.SHA = d.SHA
	return r, nil
}

// later says whether r tells of something newer than other: what was received
// later, whatever the order in which it was routed.
func (r row) later(other row) bool {
	if r.Event != other.Event {
		return r.Event > other.Event
	}
	return r.ID > other.ID
}

// deletes says whether r tells of the end of its ref.
func (r row) deletes() bool { return r.work.Event.Deleted }

// syncRun is one run of a key of kind sync.
type syncRun struct {
	a     *Agent
	s     *setup
	it    work.Item
	log   zerolog.Logger
	rows  []row // that wait, oldest first
	last  row   // the newest of them
	row   row   // the one that is delivered
	fresh bool  // row is not stored yet
	start time.Time
}

// sync brings one target to what one ref is now.
func (a *Agent) sync(ctx context.Context, it work.Item) work.Result {
	it, found, err := a.take(ctx, it)
	if err != nil {
		return work.Result{Err: err}
	}
	if len(found) == 0 {
		return work.Result{}
	}
	r := &syncRun{a: a, s: a.current(), it: it, start: a.o.now(), log: zerolog.Ctx(ctx).With().Str("key", it.Key).Logger()}
	for _, d := range found {
		one, err := readRow(d)
		if err != nil {
			return r.unreadable(d, err)
		}
		r.rows = append(r.rows, one)
		if r.last.ID == 0 || one.later(r.last) {
			r.last = one
		}
	}
	r.log = r.log.With().Int64("event", r.last.Event).Str("project", r.last.Project).Str("target", r.last.Target).Logger()
	ctx, end := a.trace.start(ctx, "deliver", r.last.work.Trace)
	defer end()
	r.log = a.trace.named(ctx, r.log)
	return r.run(r.log.WithContext(ctx))
}

// take reads what waits, and with it takes on all that was asked for until then.
func (a *Agent) take(ctx context.Context, it work.Item) (taken work.Item, found []store.Delivery, err error) {
	err = a.store.Write(ctx, func(tx *store.Tx) error {
		var held bool
		var err error
		if taken, held, err = a.queue.Take(tx, it); err != nil {
			return err
		}
		if !held {
			return errNotOurs
		}
		found, err = tx.WaitingOf(it.Key)
		return err
	})
	return taken, found, err
}

func (r *syncRun) run(ctx context.Context) work.Result {
	h, err := r.head(ctx)
	if err != nil {
		return r.postponed(err)
	}
	if h.instead != "" {
		return work.Result{Finish: func(tx *store.Tx) error { return r.overtakeAll(tx, h.instead, h.result) }}
	}
	r.choose(h)
	d, err := r.s.delivering(r.row.work.Work)
	if err != nil {
		return r.ended(ctx, delivery.Outcome{Target: r.row.Target, State: delivery.Failed, Err: err, Attempt: r.it.Attempts}, d)
	}
	if why := r.untouched(ctx); why != "" {
		return r.ended(ctx, delivery.Outcome{Target: r.row.Target, State: delivery.Skipped, Err: delivery.Skip(why), Attempt: r.it.Attempts}, d)
	}
	if err := r.begin(ctx); err != nil {
		return work.Result{Err: err}
	}
	r.log.Debug().Str("sha", delivery.ShortSHA(r.row.SHA)).Int("attempt", r.it.Attempts).Msg("delivering")
	limited, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	o := delivery.Deliver(limited, r.row.work.Event, d.target, r.it.Attempts)
	if o.State == delivery.Retry && ctx.Err() == nil && errors.Is(limited.Err(), context.DeadlineExceeded) {
		f := *delivery.Explain(o.Err)
		f.Summary, f.Err = "no result after "+delivery.Span(d.timeout), o.Err
		o.Err = &f
	}
	return r.ended(ctx, o, d)
}

// choose finds the delivery for what the ref is: the newest of those that wait
// for that commit, else a new one.
func (r *syncRun) choose(h head) {
	defer func() { r.row.work.Event.SHA = r.row.SHA }()
	if h.sha == "" {
		r.row = r.last
		for _, one := range r.rows {
			if h.gone && one.deletes() && (!r.row.deletes() || one.later(r.row)) {
				r.row = one
			}
		}
		return
	}
	for _, one := range r.rows {
		if (one.SHA == h.sha || one.SHA == "") && !one.work.Event.Deleted && (r.row.ID == 0 || one.later(r.row)) {
			r.row = one
		}
	}
	if r.row.ID != 0 {
		r.row.SHA = h.sha
		r.borrow()
		return
	}
	r.fresh, r.row = true, r.last
	ev := &r.row.work.Event
	r.row.ID, r.row.State, r.row.Result, r.row.Error = 0, store.Waiting, nil, ""
	r.row.CreatedAt, r.row.StartedAt, r.row.SHA = time.Time{}, time.Time{}, h.sha
	ev.Before, ev.Deleted, ev.Pipeline = "", false, nil
}

// borrow takes the merge request and the pipeline from another event of the same
// commit: of a push and its merge request, either may be the newer.
func (r *syncRun) borrow() {
	ev := &r.row.work.Event
	for _, one := range r.rows {
		if one.SHA != r.row.SHA {
			continue
		}
		if ev.MergeRequest == nil && one.work.Event.MergeRequest != nil {
			ev.MergeRequest, r.row.MergeRequest = one.work.Event.MergeRequest, one.MergeRequest
		}
		if ev.Pipeline == nil {
			ev.Pipeline = one.work.Event.Pipeline
		}
	}
}

var errNotOurs = fmt.Errorf("the run is another agent's: %w", context.Canceled)

// begin stores that the delivery runs, and asks for that to be shown.
func (r *syncRun) begin(ctx context.Context) error {
	r.row.State, r.row.Attempts = store.Running, r.it.Attempts
	if r.row.StartedAt.IsZero() {
		r.row.StartedAt = r.start
	}
	return r.a.store.Write(ctx, func(tx *store.Tx) error {
		ours, err := r.a.queue.Holds(tx, r.it)
		if err != nil {
			return err
		}
		if !ours {
			return errNotOurs
		}
		if err := r.save(tx); err != nil {
			return err
		}
		if err := r.a.changed(tx, r.events()...); err != nil {
			return err
		}
		return r.putStatus(tx, r.row.SHA, r.a.o.openAfter)
	})
}

// save stores the row of the run. It may be called again by a transaction that
// is repeated.
func (r *syncRun) save(tx *store.Tx) error {
	text, err := json.Marshal(r.row.work)
	if err != nil {
		return fmt.Errorf("encode work: %w", err)
	}
	r.row.Payload = text
	if !r.fresh {
		return tx.UpdateDelivery(r.row.Delivery)
	}
	r.row.CreatedAt = r.start
	r.row.ID, err = tx.AddDelivery(r.row.Delivery)
	if err == nil {
		tx.OnCommit(func() { r.fresh = false })
	}
	return err
}

// postponed ends a run before it began, because GitLab could not be asked.
func (r *syncRun) postponed(err error) work.Result {
	r.log.Warn().Err(err).Msg("head not read")
	told := r.last
	return work.Result{Err: err, After: retryAfter(err), Finish: func(tx *store.Tx) error {
		told.Error = r.s.scrub.Text(err.Error())
		if told.State == store.Waiting {
			told.State = store.Retry
		}
		return tx.UpdateDelivery(told.Delivery)
	}}
}

// unreadable gives up a delivery that this version cannot read. The others of the
// key have their turn right after.
func (r *syncRun) unreadable(d store.Delivery, err error) work.Result {
	r.log.Error().Err(err).Msg("delivery unreadable")
	d.State, d.Error, d.EndedAt = store.Failed, err.Error(), r.a.o.now()
	return work.Result{After: time.Millisecond, Finish: func(tx *store.Tx) error { return tx.UpdateDelivery(d) }}
}

// retryAfter is how long the other side asked to wait.
func retryAfter(err error) time.Duration {
	var asked interface{ RetryAfter() time.Duration }
	if errors.As(err, &asked) {
		return asked.RetryAfter()
	}
	return 0
}
