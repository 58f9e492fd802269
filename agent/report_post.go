package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/rs/zerolog"

	"gitlab.com/remora-ci/remora/agent/auth"
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
	Timed bool      `json:"timed"`         // the caller said when the state was reached
	Job   *auth.Job `json:"job,omitempty"` // that reports; nil: the holder of a project token
}

// final says whether a state is the end of a build.
func (s *single) final() bool { return s.State != "pending" && s.State != "running" }

// older says whether a tells of something older than b, of the same name: by the
// times that the callers gave. Where they gave none, a build that has ended is not at
// work again, and what was received first is older, also when it is replayed.
func older(a, b row) bool {
	s, other := a.work.Single, b.work.Single
	switch {
	case s.Timed && other.Timed:
		return s.At.Before(other.At)
	case s.final() != other.final():
		return !s.final()
	}
	return !s.Timed && !other.Timed && a.Event < b.Event
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
		if other.Target == r.Target && other.work.Single != nil && !older(other, *r) {
			r.State, r.Error, r.EndedAt = store.Skipped, overtakenBy+"a newer report", p.a.o.now()
			return true
		}
	}
	return false
}

// newerShown says whether something newer than a row was shown under its name, in
// this run or before it.
func (p *postRun) newerShown(ctx context.Context, r row) (bool, error) {
	newer := func(known row) bool {
		return known.Target == r.Target && known.State == store.Done && known.work.Single != nil && older(r, known)
	}
	if slices.ContainsFunc(p.rows, newer) { // what this run has shown is not stored yet
		return true, nil
	}
	for d, err := range p.a.store.Deliveries(ctx, store.DeliveryFilter{Key: p.it.Key, Target: r.Target, State: store.Done, Limit: maxReported}) {
		if err != nil {
			return false, err
		}
		if known, err := readRow(d); err == nil && newer(known) {
			return true, nil
		}
	}
	return false, nil
}

// showOne shows a row, and ends it if that worked or never will.
func (p *postRun) showOne(ctx context.Context, i int) error {
	r := &p.rows[i]
	newer, err := p.newerShown(ctx, *r)
	if err != nil {
		return err
	}
	r.Attempts = p.it.Attempts
	if newer {
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

// own refuses what a job says of a commit or a merge request that is not its own.
// The job of a merge request's pipeline may report on the commits of that merge
// request too, which its token does not name.
func (s *single) own(ctx context.Context, gl *gitlab.Client, ev delivery.Event) error {
	job := s.Job
	if job == nil || s.SHA == job.SHA && s.MergeRequest == 0 {
		return nil
	}
	what := fmt.Sprintf("commit %s is", delivery.ShortSHA(s.SHA))
	var found []gitlab.MergeRequest
	var err error
	if s.SHA != job.SHA {
		found, err = gl.CommitMergeRequests(ctx, gitlabProject(ev.Project), s.SHA)
	} else {
		what = fmt.Sprintf("merge request !%d is", s.MergeRequest)
		found = make([]gitlab.MergeRequest, 1)
		found[0], err = gl.MergeRequest(ctx, gitlabProject(ev.Project), s.MergeRequest)
	}
	if err != nil && passing(err) {
		return err
	}
	if err == nil && slices.ContainsFunc(found, func(m gitlab.MergeRequest) bool {
		return m.SourceBranch == job.Ref && m.SourceProjectID == job.SourceID && (s.MergeRequest == 0 || m.IID == s.MergeRequest)
	}) {
		return nil
	}
	return delivery.Permanent(&delivery.Fault{
		Summary: "not the job's own", Cause: fmt.Sprintf("%s of no open merge request from %s, the ref of the job's ID token", what, job.Ref),
		Remedy: "report on the job's own commit and merge request; a project token (remora token issue) speaks for all of a project", Err: err,
	})
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
	if ev.Project.ID == 0 { // GitLab was away when it came, and notes are known by the id
		found, err := gl.Project(ctx, gitlab.Project(ev.Project.Path))
		if err != nil && passing(err) {
			return delivery.Receipt{}, err
		}
		if err == nil && strings.EqualFold(found.Path, ev.Project.Path) {
			ev.Project.ID = found.ID
		}
	}
	if err := q.own(ctx, gl, ev); err != nil {
		return delivery.Receipt{}, err
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
	got := report.Post(ctx, report.Config{StatusOn: report.OnSource}, gl, ev, // the commit that was named, and no other
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
