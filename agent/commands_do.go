package agent

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"gitlab.com/remora-ci/remora/agent/command"
	"gitlab.com/remora-ci/remora/agent/route"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/work"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab"
)

// ack is the emoji by which a command is acknowledged.
const ack = "eyes"

// deed is what a command comes to.
type deed struct {
	answer  string
	refused string // why it led to nothing
	works   []route.Work
	allow   *store.Allowed
}

// notDone is a command that leads to nothing, which its author is told.
func notDone(why, remedy string) deed {
	return deed{answer: command.NotDone(why, remedy), refused: why}
}

// decide finds out who commands what, and what that comes to. Nothing is changed
// but for the emoji. The error is one of GitLab or of the store.
func (r *commandRun) decide(ctx context.Context) (deed, error) {
	c, ok := command.Parse(r.s.commands.Prefix, r.order.Line)
	r.order.Verb = c.Verb
	switch {
	case r.self == r.order.Author:
		return deed{refused: "the bot's own event"}, nil
	case !r.s.commands.Enabled:
		return deed{refused: "commands are not enabled"}, nil
	case !ok:
		return deed{refused: "note is not a command"}, nil
	}
	p := gitlabProject(r.row.work.Event.Project)
	level, err := r.gl.AccessLevel(ctx, p, r.order.Author)
	if err != nil {
		return deed{}, err
	}
	if why, err := r.unwritten(ctx, p); why != "" || err != nil {
		return deed{refused: why}, err
	}
	if level < r.s.commands.LevelFor(c.Verb) {
		d := deed{refused: fmt.Sprintf("the author's access level is %d, and %d is needed", level, r.s.commands.LevelFor(c.Verb))}
		if r.a.refusals.tell(fmt.Sprint(r.row.work.Event.Instance, " ", r.order.Author), r.start) {
			d.answer = r.s.commands.Refused(c.Verb, level)
		}
		return d, nil
	}
	if err := r.gl.Award(ctx, p, r.row.MergeRequest, r.order.Note, ack); err != nil {
		if passing(err) {
			return deed{}, err
		}
		r.log.Warn().Err(err).Msg("command not acknowledged") // the answer tells it all the same
	}
	switch {
	case c.Err != nil:
		return deed{answer: r.s.commands.Usage(c.Err), refused: c.Err.Error()}, nil //nolint:nilerr // its author is told
	case c.Verb == command.Help:
		return deed{answer: r.s.commands.Help()}, nil
	}
	mr, err := r.gl.MergeRequest(ctx, p, r.row.MergeRequest)
	if err != nil {
		return deed{}, err
	}
	return r.decideOn(ctx, c, mr)
}

// decideOn is what a command that concerns the head of its merge request comes to.
func (r *commandRun) decideOn(ctx context.Context, c command.Command, mr gitlab.MergeRequest) (deed, error) {
	switch fork := mr.SourceProjectID != mr.ProjectID; {
	case mr.State != "opened" && c.Verb != command.Status:
		return notDone("this merge request is "+mr.State, ""), nil
	case mr.SHA == "":
		return notDone("this merge request has no commit", ""), nil
	case fork && r.order.Own:
		return notDone("the token of the webhook does not speak for the source project of the merge request", ""), nil
	}
	if r.order.Source.ID != mr.SourceProjectID || r.order.Source.Path == "" {
		r.order.Source = r.source(ctx, mr)
	}
	switch c.Verb {
	case command.Sync:
		return r.syncNow(ctx, c, mr)
	case command.Allow:
		return r.allowHead(ctx, c, mr)
	}
	rows, err := r.rowsOf(ctx, mr)
	return deed{answer: r.s.commands.Status(headOf(mr), rows)}, err
}

// source is the project of a merge request's branch, of which the webhook did not
// tell; without a path where GitLab does not tell it either.
func (r *commandRun) source(ctx context.Context, mr gitlab.MergeRequest) delivery.Project {
	p := delivery.Project{ID: mr.SourceProjectID}
	if p.ID == 0 || p.ID == mr.ProjectID {
		return p
	}
	found, err := r.gl.Project(ctx, gitlab.ProjectID(p.ID))
	if err != nil {
		r.log.Warn().Err(err).Msg("source project not read")
		return p
	}
	p.Path, p.DefaultBranch = found.Path, found.DefaultBranch
	return p
}

func headOf(mr gitlab.MergeRequest) command.Head {
	return command.Head{Branch: mr.SourceBranch, SHA: mr.SHA}
}

// fact is the merge request as it is now, for the routes.
func (r *commandRun) fact(mr gitlab.MergeRequest) route.Fact {
	ev := r.row.work.Event
	f := route.Fact{
		Kind: route.MergeRequest, Instance: ev.Instance, At: ev.At, Status: mr.State, Project: ev.Project, Source: r.order.Source,
		SourceGone: mr.SourceProjectID == 0, Changes: []route.Change{{Ref: "refs/heads/" + mr.SourceBranch, SHA: mr.SHA}},
		MergeRequest: &delivery.MergeRequest{
			IID: mr.IID, ProjectID: mr.ProjectID, ProjectPath: ev.Project.Path, SourceProjectID: mr.SourceProjectID,
			SourceBranch: mr.SourceBranch, TargetBranch: mr.TargetBranch, DiffBaseSHA: mr.DiffBaseSHA,
		},
	}
	f.Project.ID, f.Source.ID = mr.ProjectID, mr.SourceProjectID
	if p := mr.HeadPipeline; p != nil {
		f.Pipeline = &delivery.Pipeline{ID: p.ID, SHA: p.SHA, Source: p.Source}
	}
	return f
}

// works are what the routes make of the head of a merge request. By their cause a
// run knows that a person wants them, whatever has changed.
func (r *commandRun) works(f route.Fact) ([]route.Work, string) {
	works, reason := r.s.table.Decide(f)
	for i := range works {
		works[i].Event.Cause = delivery.CauseCommand
	}
	return works, reason
}

// syncNow delivers the head of the merge request.
func (r *commandRun) syncNow(ctx context.Context, c command.Command, mr gitlab.MergeRequest) (deed, error) {
	f := r.fact(mr)
	var err error
	if f.Allowed, err = r.a.isAllowed(ctx, f.Instance, f.MergeRequest, mr.SHA); err != nil {
		return deed{}, err
	}
	works, reason := r.works(f)
	if len(works) == 0 {
		return notDone(reason, ""), nil
	}
	known := targetsOf(works)
	named := func(name string) func(string) bool {
		return func(other string) bool { return strings.EqualFold(name, other) }
	}
	for _, name := range c.Targets {
		if !slices.ContainsFunc(known, named(name)) {
			return notDone("no route leads this merge request to a target of that name", command.Known(known)), nil
		}
	}
	if len(c.Targets) > 0 {
		works = slices.DeleteFunc(works, func(w route.Work) bool { return !slices.ContainsFunc(c.Targets, named(w.Target)) })
	}
	return deed{answer: r.s.commands.Accepted(headOf(mr), targetsOf(works)), works: works}, nil
}

func targetsOf(works []route.Work) []string {
	var names []string
	for _, w := range works {
		names = append(names, w.Target)
	}
	return names
}

// allowHead lets the head of a fork's merge request be delivered. It must be what
// was the head when the note was written: of what came later nobody has said that
// he looked at it.
func (r *commandRun) allowHead(ctx context.Context, c command.Command, mr gitlab.MergeRequest) (deed, error) {
	again := fmt.Sprintf("Look at them, and write `%s allow` again.", r.s.commands.Prefix)
	f := r.fact(mr)
	plain, reason := r.works(f)
	f.Allowed = true
	works, refused := r.works(f)
	switch {
	case mr.SourceProjectID == mr.ProjectID:
		return deed{answer: command.NotNeeded("this merge request comes from no fork"), refused: "the merge request comes from no fork"}, nil
	case len(works) == 0:
		return notDone(cmp.Or(refused, reason), ""), nil
	case len(plain) == len(works):
		return deed{answer: command.NotNeeded("the routes take all commits of forks"), refused: "the routes take all commits of forks"}, nil
	case !strings.HasPrefix(mr.SHA, c.SHA):
		return notDone("the head of this merge request is another commit than the one that is named", again), nil
	}
	switch moved, err := r.movedSince(ctx, mr); {
	case err != nil:
		return deed{}, err
	case moved:
		return notDone("there are commits that came after the comment", again), nil
	}
	return deed{
		answer: r.s.commands.Allowed(headOf(mr), targetsOf(works)), works: works,
		allow: &store.Allowed{
			Project: projectName(f.Instance, f.Project), MergeRequest: mr.IID, SHA: mr.SHA,
			UserID: r.order.Author, UserName: r.order.AuthorName, At: r.start,
		},
	}, nil
}

// carryOut stores what a command comes to, with its answer, in one transaction:
// the deed is done once, however often the run is begun.
func (r *commandRun) carryOut(ctx context.Context, d deed) error {
	r.order.Decided, r.order.Answer, r.order.Refused = true, d.answer, d.refused
	r.row.State, r.row.Attempts = store.Running, r.it.Attempts
	if r.row.StartedAt.IsZero() {
		r.row.StartedAt = r.start
	}
	return r.a.store.Write(ctx, func(tx *store.Tx) error {
		if ours, err := r.a.queue.Holds(tx, r.it); err != nil {
			return err
		} else if !ours {
			return errNotOurs
		}
		if d.allow != nil {
			if err := tx.Allow(*d.allow); err != nil {
				return err
			}
		}
		for _, w := range d.works { // in the order of their keys
			if err := addDelivery(tx, store.Event{ID: r.row.Event, TraceParent: r.row.work.Trace}, w, payload{}); err != nil {
				return err
			}
			if err := r.a.queue.Put(tx, work.Put{Key: w.Key, Pool: syncPool(w.Target), Project: w.Project, Wanted: r.row.Event}); err != nil {
				return err
			}
		}
		return r.keep(tx)
	})
}

// rowsOf is what is known of the deliveries of the head of a merge request: of
// each target the newest, but for those that another covers.
func (r *commandRun) rowsOf(ctx context.Context, mr gitlab.MergeRequest) ([]command.Row, error) {
	source := projectName(r.row.work.Event.Instance, delivery.Project{ID: mr.SourceProjectID})
	groups, err := r.a.reported(ctx, reportKey{kind: kindStatus, project: source, last: mr.SHA})
	if err != nil {
		return nil, err
	}
	newest := map[string]row{}
	for _, g := range groups {
		if g.ref != "refs/heads/"+mr.SourceBranch {
			continue
		}
		for _, one := range g.rows {
			known, ok := newest[one.Target]
			if covered := overtaken(one.Delivery); !ok || overtaken(known.Delivery) && !covered || overtaken(known.Delivery) == covered && one.ID > known.ID {
				newest[one.Target] = one
			}
		}
	}
	var rows []command.Row
	for _, one := range newest {
		rows = append(rows, statusRow(one.Delivery))
	}
	slices.SortFunc(rows, func(a, b command.Row) int { return strings.Compare(a.Outcome.Target, b.Outcome.Target) })
	return rows, nil
}

// statusRow is a delivery as the answer to status shows it.
func statusRow(d store.Delivery) command.Row {
	o, known := outcomeOf(d)
	o.Took = o.Took.Round(time.Millisecond)
	switch {
	case d.State == store.Waiting, d.State == store.Running:
		return command.Row{Outcome: o, Now: d.State}
	case d.State == store.Retry && !known:
		return command.Row{Outcome: o, Now: "waiting to be tried again"}
	}
	return command.Row{Outcome: o}
}
