package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/rs/zerolog"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/work"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab"
	"gitlab.com/remora-ci/remora/component/report"
	"gitlab.com/remora-ci/remora/component/trigger"
)

// single is what a delivery of kind report is to show.
type single struct {
	trigger.Report
	Timed bool `json:"timed"` // the caller said when the state was reached
}

// final says whether a state is the end of a build.
func (s *single) final() bool { return s.State != "pending" && s.State != "running" }

// before says whether s tells of something older than other, which was stored
// before it: by the time that the callers gave, and where they gave none, a build
// that has ended is not at work again.
func (s *single) before(other *single) bool {
	if s.Timed && other.Timed {
		return s.At.Before(other.At)
	}
	return !s.final() && other.final()
}

// postRun is one run of a key of kind report: all that build systems say of a
// commit.
type postRun struct {
	a     *Agent
	s     *setup
	it    work.Item
	rows  []row // that wait, oldest first
	again error
}

// post shows what build systems reported of a commit: of each name the newest.
func (a *Agent) post(ctx context.Context, it work.Item) work.Result {
	it, found, err := a.take(ctx, it)
	if err != nil || len(found) == 0 {
		return work.Result{Err: err}
	}
	log := zerolog.Ctx(ctx).With().Str("key", it.Key).Str("project", it.Project).Logger()
	ctx, cancel := context.WithTimeout(log.WithContext(ctx), reportTime)
	defer cancel()
	p := &postRun{a: a, s: a.current(), it: it}
	for _, d := range found {
		r, err := readRow(d)
		if err != nil || r.work.Single == nil {
			r.State, r.Error, r.EndedAt = store.Failed, "the report cannot be read", a.o.now()
		}
		p.rows = append(p.rows, r)
	}
	for i := range p.rows {
		if p.rows[i].EndedAt.IsZero() && !p.newerFollows(i) {
			if err := p.showOne(ctx, i); err != nil {
				return work.Result{Err: err}
			}
		}
	}
	return work.Result{Err: p.again, After: retryAfter(p.again), Finish: p.finish}
}

// newerFollows ends a row whose name has something newer to show in this run.
func (p *postRun) newerFollows(i int) bool {
	r := &p.rows[i]
	for _, other := range p.rows[i+1:] {
		if other.Target == r.Target && other.work.Single != nil && !other.work.Single.before(r.work.Single) {
			r.State, r.Error, r.EndedAt = store.Skipped, overtakenBy+"a newer report", p.a.o.now()
			return true
		}
	}
	return false
}

// shown is what was shown last under the name of a row.
func (p *postRun) shown(ctx context.Context, r row) (*single, error) {
	var last *single
	for d, err := range p.a.store.Deliveries(ctx, store.DeliveryFilter{Key: p.it.Key, Target: r.Target, State: store.Done, Limit: maxReported}) {
		if err != nil {
			return nil, err
		}
		if known, err := readRow(d); err == nil && known.work.Single != nil && (last == nil || last.before(known.work.Single)) {
			last = known.work.Single
		}
	}
	return last, nil
}

// showOne shows a row, and ends it if that worked or never will.
func (p *postRun) showOne(ctx context.Context, i int) error {
	r := &p.rows[i]
	last, err := p.shown(ctx, *r)
	if err != nil {
		return err
	}
	r.Attempts = p.it.Attempts
	if last != nil && r.work.Single.before(last) {
		r.State, r.Error, r.EndedAt = store.Skipped, "a newer report was shown", p.a.o.now()
		return nil
	}
	start := p.a.o.now()
	o := delivery.Outcome{Target: r.Target, Attempt: p.it.Attempts, State: delivery.Done}
	o.Receipt, o.Err = p.tell(ctx, *r)
	if o.Err != nil {
		o.State = delivery.StateOf(o.Err)
	}
	o.Took = p.a.o.now().Sub(start)
	o = p.s.scrub.Outcome(o)
	r.StartedAt, r.Result, r.Error = start, encodeOutcome(o), errorText(o)
	switch o.State {
	case delivery.Done:
		r.State, r.EndedAt = store.Done, p.a.o.now()
	case delivery.Failed:
		r.State, r.EndedAt = store.Failed, p.a.o.now()
	default:
		r.State, p.again = store.Retry, errors.Join(p.again, o.Err)
	}
	zerolog.Ctx(ctx).Info().Int64("event", r.Event).Str("target", r.Target).Str("state", r.State).Str("reason", r.Error).Dur("took", o.Took).Msg("reported")
	return nil
}

// tell has GitLab show one report.
func (p *postRun) tell(ctx context.Context, r row) (delivery.Receipt, error) {
	ev, q := r.work.Event, r.work.Single
	gl := p.s.tokens.For(ev.Instance, ev.Project.Path)
	if gl == nil {
		return delivery.Receipt{}, delivery.Permanent(&delivery.Fault{
			Summary: "no token", Cause: "no token of the agent is for the project " + ev.Project.Path, Remedy: "add the project to the globs of a token in remora.yaml",
		})
	}
	if q.Note != "" && ev.MergeRequest == nil {
		found, err := gl.CommitMergeRequests(ctx, gitlabProject(ev.Project), ev.SHA)
		if err != nil && passing(err) {
			return delivery.Receipt{}, err
		}
		i := slices.IndexFunc(found, func(m gitlab.MergeRequest) bool { return ev.Ref == "" || m.SourceBranch == ev.Ref })
		if i >= 0 {
			m := found[i]
			ev.MergeRequest = &delivery.MergeRequest{IID: m.IID, ProjectID: m.ProjectID, ProjectPath: ev.Project.Path, SourceProjectID: m.SourceProjectID, SourceBranch: m.SourceBranch, TargetBranch: m.TargetBranch, URL: m.URL}
		}
	}
	got := report.Post(ctx, report.Config{}, gl, ev,
		report.Options{Version: p.s.version, Now: p.a.o.now, Gauge: p.s.tokens.gauge(ev.Instance, ev.Project.Path)},
		report.Single{Name: q.Name, State: q.State, Description: p.s.scrub.Text(q.Description), URL: q.URL, NoteText: p.s.scrub.Text(q.Note)})
	p.a.metrics.reported(kindReport, got)
	receipt := delivery.Receipt{Result: fmt.Sprintf("statuses %d", got.Statuses), URL: got.NoteURL}
	if got.Note != "" {
		receipt.Result += ", note " + got.Note
	}
	switch {
	case len(got.Problems) == 0:
		return receipt, nil
	case got.Temporary():
		return receipt, got.Problems[0]
	}
	return receipt, delivery.Permanent(got.Problems[0])
}

// finish stores what became of the rows.
func (p *postRun) finish(tx *store.Tx) error {
	dead := false
	if p.again != nil && p.it.Last {
		var err error
		if dead, err = p.a.queue.GivenUp(tx, p.it); err != nil {
			return err
		}
	}
	events := make([]int64, 0, len(p.rows))
	for _, r := range p.rows {
		if dead && r.State == store.Retry {
			r.State, r.EndedAt = store.Dead, p.a.o.now()
			r.Error = fmt.Sprintf("given up after %d attempts: %s", p.it.Attempts, r.Error)
		}
		if err := tx.UpdateDelivery(r.Delivery); err != nil {
			return err
		}
		events = append(events, r.Event)
	}
	return p.a.changed(tx, events...)
}
