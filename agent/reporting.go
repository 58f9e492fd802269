package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/work"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab"
	"gitlab.com/remora-ci/remora/component/report"
)

const (
	reportTime = 2 * time.Minute // for one report

	// restlessPause is how often a report is tried that has used up its attempts,
	// and restlessTime for how long: no status is left open by a GitLab that was
	// away for a night.
	restlessPause = 10 * time.Minute
	restlessTime  = 72 * time.Hour
)

// reported are deliveries that are shown together: of one ref, by one Config.
type reported struct {
	ref    string
	config report.Config
	rows   []row // newest first
}

// report shows what is known of a commit or of a merge request.
func (a *Agent) report(ctx context.Context, it work.Item) work.Result {
	key, ok := parseReportKey(it.Key)
	if !ok {
		return work.Result{Err: delivery.Permanent(fmt.Errorf("work %q: no key of a report", it.Key))}
	}
	log := zerolog.Ctx(ctx).With().Str("key", it.Key).Str("project", it.Project).Logger()
	ctx, cancel := context.WithTimeout(log.WithContext(ctx), reportTime)
	defer cancel()
	groups, err := a.reported(ctx, key)
	if err != nil {
		return work.Result{Err: err}
	}
	p := presenter{a: a, s: a.current(), key: key, it: it}
	var newest time.Time
	for _, g := range groups {
		if key.kind == kindNote {
			p.note(ctx, g)
		} else {
			p.statuses(ctx, g)
		}
		newest = maxTime(newest, g.rows[0].CreatedAt)
	}
	err = errors.Join(p.again...)
	if err != nil && it.Last && a.o.now().Sub(newest) < restlessTime {
		log.Warn().Err(err).Msg("report put off")
		return work.Result{After: restlessPause}
	}
	return work.Result{Err: err, After: retryAfter(err), Finish: p.finish}
}

func maxTime(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// reported are the deliveries that a key is about, in the groups that are shown
// each for itself.
func (a *Agent) reported(ctx context.Context, key reportKey) ([]*reported, error) {
	var groups []*reported
	for d, err := range a.store.Deliveries(ctx, key.rows()) {
		if err != nil {
			return nil, err
		}
		r, err := readRow(d)
		if err != nil || projectOf(d.Key) != key.project {
			continue // it was told when it was to be delivered; or it is another instance's
		}
		i := slices.IndexFunc(groups, func(g *reported) bool { return g.ref == r.work.Event.FullRef() && g.config == r.work.Report })
		if i < 0 {
			groups = append(groups, &reported{ref: r.work.Event.FullRef(), config: r.work.Report})
			i = len(groups) - 1
		}
		groups[i].rows = append(groups[i].rows, r)
	}
	return groups, nil
}

// presenter shows groups and gathers what is to follow.
type presenter struct {
	a     *Agent
	s     *setup
	key   reportKey
	it    work.Item
	again []error
	notes []noteFor
}

// noteFor is a merge request that was found for deliveries of a commit.
type noteFor struct {
	syncKey string
	ref     string
	iid     int64
}

// weight orders rows of one target by how much they say: one that has begun or
// ended by itself, one that was overtaken after it had begun, any other.
func (r row) weight() int {
	begun := !r.StartedAt.IsZero()
	switch {
	case !overtaken(r.Delivery) && (begun || r.State != store.Waiting):
		return 2
	case begun:
		return 1
	}
	return 0
}

// perTarget is the newest of those rows of each target that say the most, in the
// order of their names.
func perTarget(rows []row) []row {
	newest := map[string]row{}
	for _, r := range rows {
		if known, ok := newest[r.Target]; !ok || r.weight() > known.weight() {
			newest[r.Target] = r
		}
	}
	var list []row
	for _, r := range newest {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b row) int { return strings.Compare(a.Target, b.Target) })
	return list
}

// statuses shows one status for each target that has begun on the commit.
func (p *presenter) statuses(ctx context.Context, g *reported) {
	if g.config.Report == report.ReportNote || g.config.Report == report.ReportOff {
		return
	}
	var outcomes []delivery.Outcome
	var running []string
	for _, r := range perTarget(g.rows) {
		o, known := outcomeOf(r.Delivery)
		switch {
		case overtaken(r.Delivery) && !r.StartedAt.IsZero():
			o.State, o.Err = delivery.Retry, &delivery.Fault{Summary: shortOvertaken(r.Error), Err: context.Canceled}
			outcomes = append(outcomes, o)
		case overtaken(r.Delivery):
		case r.State == store.Running, r.State == store.Retry && known:
			running = append(running, r.Target)
		case known && r.State != store.Waiting:
			outcomes = append(outcomes, o)
		}
	}
	if len(outcomes)+len(running) == 0 {
		return
	}
	ev := g.event()
	ev.SHA = p.key.last
	c := g.config
	c.Report = report.ReportStatus
	p.show(ctx, c, ev, outcomes, running)
	if len(running) == 0 {
		p.findMergeRequest(ctx, g)
	}
}

// shortOvertaken is the error of a row that was overtaken, with a short SHA.
func shortOvertaken(text string) string {
	by := strings.TrimPrefix(text, overtakenBy)
	if len(by) >= 40 && !strings.Contains(by, " ") {
		by = delivery.ShortSHA(by)
	}
	return overtakenBy + by
}

// event is what the newest row of the group tells, with a merge request if any of
// its rows names one.
func (g *reported) event() delivery.Event {
	ev := g.rows[0].work.Event
	for _, r := range g.rows {
		if ev.MergeRequest == nil && r.SHA == g.rows[0].SHA {
			ev.MergeRequest = r.work.Event.MergeRequest
		}
	}
	ev.Job = nil
	return ev
}

// show shows, and sorts what could not be shown.
func (p *presenter) show(ctx context.Context, c report.Config, ev delivery.Event, outcomes []delivery.Outcome, running []string) {
	gl := p.s.tokens.For(ev.Instance, ev.Project.Path)
	log := zerolog.Ctx(ctx)
	if gl == nil {
		log.Debug().Msg("not reported: no token for the project")
		return
	}
	got := report.Show(ctx, c, gl, ev, report.Options{Version: p.s.version, Now: p.a.o.now, Gauge: p.s.tokens.gauge(ev.Instance, ev.Project.Path)}, outcomes, running)
	p.a.metrics.reported(p.key.kind, got)
	for _, f := range got.Problems {
		log.Warn().Str("reason", p.s.scrub.Text(f.Error())).Str("remedy", p.s.scrub.Text(f.Remedy)).Msg("not reported")
	}
	if got.Temporary() {
		p.again = append(p.again, fmt.Errorf("report: %w", got.Problems[0]))
	}
	if len(got.Problems) == 0 {
		log.Debug().Int("statuses", got.Statuses).Str("note", got.Note).Msg("reported")
	}
}

// note writes the note about the newest commit of the merge request that was
// delivered, once every target that has begun on it has something to say.
func (p *presenter) note(ctx context.Context, g *reported) {
	i := slices.IndexFunc(g.rows, func(r row) bool { return !overtaken(r.Delivery) && !r.StartedAt.IsZero() })
	if i < 0 || g.config.Report == report.ReportStatus || g.config.Report == report.ReportOff {
		return
	}
	sha := g.rows[i].SHA
	ofCommit := slices.DeleteFunc(slices.Clone(g.rows), func(r row) bool { return r.SHA != sha })
	var outcomes []delivery.Outcome
	about := &reported{rows: ofCommit}
	ev := about.event()
	for _, r := range perTarget(ofCommit) {
		o, known := outcomeOf(r.Delivery)
		switch {
		case overtaken(r.Delivery):
		case known:
			outcomes = append(outcomes, o)
		default:
			return // its end asks for the note again
		}
	}
	for _, r := range ofCommit { // of a replay, the old event is as new as the newest
		ev.At = maxTime(ev.At, r.work.Event.At)
	}
	if len(outcomes) == 0 {
		return
	}
	if ev.MergeRequest == nil {
		iid, _ := strconv.ParseInt(p.key.last, 10, 64)
		ev.MergeRequest = &delivery.MergeRequest{IID: iid, ProjectID: ev.Project.ID, ProjectPath: ev.Project.Path, SourceProjectID: ev.Project.ID, SourceBranch: ev.Ref}
	}
	c := g.config
	c.Report = report.ReportNote
	p.show(ctx, c, ev, outcomes, nil)
}

// findMergeRequest asks GitLab for the merge request of a push, whose body names
// none, so that the note has a place.
func (p *presenter) findMergeRequest(ctx context.Context, g *reported) {
	c, ev := g.config, g.event()
	r := g.rows[0]
	gl := p.s.tokens.For(ev.Instance, ev.Project.Path)
	if c.Report == report.ReportStatus || c.Note == report.NoteOff || ev.RefType != delivery.Branch || ev.MergeRequest != nil || r.MergeRequest != 0 || ev.Deleted || gl == nil || overtaken(r.Delivery) {
		return
	}
	found, err := gl.CommitMergeRequests(ctx, gitlabProject(ev.Project), p.key.last)
	if err != nil {
		zerolog.Ctx(ctx).Warn().Err(err).Msg("merge request not found")
		if passing(err) {
			p.again = append(p.again, err)
		}
		return
	}
	i := slices.IndexFunc(found, func(m gitlab.MergeRequest) bool {
		return m.SourceBranch == ev.Ref && cmp.Or(ev.Project.ID, m.ProjectID) == m.ProjectID && m.SourceProjectID == m.ProjectID
	})
	if i >= 0 {
		p.notes = append(p.notes, noteFor{syncKey: r.Key, ref: ev.Ref, iid: found[i].IID})
	}
}

// finish keeps what was found, and asks for the notes.
func (p *presenter) finish(tx *store.Tx) error {
	f := p.key.rows()
	for _, n := range p.notes {
		_, err := tx.Exec("UPDATE delivery SET merge_request = ? WHERE project_id = ? AND sha = ? AND ref = ? AND merge_request = 0", n.iid, f.ProjectID, f.SHA, n.ref)
		if err != nil {
			return fmt.Errorf("keep merge request: %w", err)
		}
		if err := p.a.queue.Put(tx, work.Put{Key: noteKey(n.syncKey, n.iid), Pool: reportPool(kindNote, n.syncKey), Project: p.it.Project, Wanted: p.it.Wanted}); err != nil {
			return err
		}
	}
	return nil
}
