package report

import (
	"context"
	"fmt"
	"strings"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab"
)

const (
	postTries   = 4 // of one status, when the server is in trouble
	commitTries = 3 // when it does not know the commit, which may be on its way
)

// deliver shows a message at the best place that takes it.
func (s *sender) deliver(ctx context.Context, t task) {
	at := t.r.site
	for p := at.here(); p != nil; p = at.here() {
		if !t.m.state.final() && (at.degraded() || p.tired > 0) {
			return
		}
		if at.of != nil && at.of.here() != nil {
			s.resolve(ctx, at.of.here(), true)
		}
		if at.same() {
			return
		}
		s.resolve(ctx, p, !at.degraded())
		a := &attempt{task: t, s: s, p: p}
		if s.single && a.isShown(ctx) || !a.run(ctx) {
			return
		}
		at.tried = append(at.tried, "project "+string(p.project))
		if at.at++; a.last == refused && !noAccess(a.err) {
			at.at = len(at.places) // a bad token or address is bad everywhere
		}
		if at.here() == nil {
			s.tell(a.lastWord(at))
		}
	}
}

// attempt is one message on its way to one place.
type attempt struct {
	task
	s *sender
	p *place

	tries, commitTries int
	last               answer
	err                error
}

// run posts until GitLab shows the message or cannot be brought to. It says
// whether another place should be tried.
func (a *attempt) run(ctx context.Context) (elsewhere bool) {
	for {
		if !a.m.state.final() {
			a.note(opOpen, 0)
		}
		got, err := a.s.gl.SetStatus(ctx, a.p.project, a.p.sha, a.p.status(a.r.name, a.m))
		var shows state
		a.err = err
		a.last, shows = answerOf(ctx, err, a.m.state)
		again := false
		switch a.last {
		case accepted, newer:
			a.settle(got, shows)
			return false
		case temporary:
			again = a.afterFault(ctx)
		case unclear:
			again = a.afterStep(ctx)
		case unknown:
			a.commitTries++
			again = !a.p.proven && !a.r.site.degraded() && a.commitTries < commitTries && a.s.pause(ctx, a.commitTries)
		case stale:
			again = a.findAnew(ctx)
		case badURL:
			again, a.m.url = a.m.url != "", ""
		}
		if a.last == accepted {
			return false
		}
		if !again {
			return a.giveUp()
		}
	}
}

// status is what is sent for a message. The ref would only narrow down the choice
// of a pipeline, and that of a merge request's pipeline is not the branch.
func (p *place) status(name string, m message) gitlab.Status {
	out := gitlab.Status{Name: name, State: string(m.state), Description: m.description, TargetURL: m.url, PipelineID: p.pipeline}
	if p.pipeline == 0 {
		out.Ref = p.ref
	}
	return out
}

// settle notes what GitLab shows. The pipeline that it names stays that of this
// place.
func (a *attempt) settle(got gitlab.Status, shows state) {
	p, s := a.p, a.s
	p.proven, p.tired = true, 0
	if p.pipeline == 0 {
		p.pipeline = got.PipelineID
	}
	s.mu.Lock()
	if a.r.shown(a.generation, shows, got.ID) {
		s.shown++
	}
	s.mu.Unlock()
	if shows.final() {
		a.note(opEnd, 0)
	} else {
		a.note(opOpen, got.AuthorID)
	}
	if a.last == newer && shows.final() {
		s.tell(&delivery.Fault{
			Summary: "status set by another",
			Cause:   fmt.Sprintf("GitLab shows %q as %s already, so it was not set to %s", a.r.name, shows, a.m.state),
			Remedy:  "give each of several syncs in one pipeline its own REMORA_NAME",
		})
	}
	s.knowAuthor(got.AuthorID, a.r.name)
}

// knowAuthor tells when statuses of one run came from two users. GitLab finds a
// status again only for the user who opened it, so that of the first is hidden
// by a new one rather than ended.
func (s *sender) knowAuthor(id int64, name string) {
	if id == 0 || id == s.author {
		return
	}
	if s.author != 0 {
		s.tell(authorFault(name))
	}
	s.author = id
}

func authorFault(name string) *delivery.Fault {
	return &delivery.Fault{
		Summary: "bot user changed",
		Cause:   fmt.Sprintf("the status %q was opened by another user than the one who ends it, so GitLab shows a new status and hides the old one", name),
		Remedy:  "use one service account in REMORA_GITLAB_TOKEN: a new project or group token is a new user, a rotated one is not",
	}
}

// afterFault looks what became of a post whose answer was lost or a fault of the
// server, and says whether to post again.
func (a *attempt) afterFault(ctx context.Context) (again bool) {
	most := postTries
	if a.p.tired > 0 {
		most = 2
	}
	if a.tries++; a.tries >= most {
		return false
	}
	for a.s.pause(ctx, a.tries) {
		found, ok, err := a.look(ctx)
		switch {
		case err == nil && ok && a.isThis(found):
			a.accept(found)
			return false
		case err == nil:
			return true
		}
		if a.tries++; a.tries >= most {
			return false
		}
	}
	return false
}

// isThis says whether a status is the one that was posted. An old one of the same
// name is final and, as a rule, says something else; if it says the same, what
// is shown is right.
func (a *attempt) isThis(found gitlab.Status) bool {
	if state(found.State) != a.m.state {
		return false
	}
	return !a.m.state.final() || a.id != 0 && found.ID == a.id || found.Description == a.m.description
}

func (a *attempt) accept(found gitlab.Status) {
	a.last = accepted
	a.settle(found, state(found.State))
}

// afterStep looks at a status whose step was refused for no plain reason. What
// is open cannot become skipped; then it is a success that says so.
func (a *attempt) afterStep(ctx context.Context) (again bool) {
	if a.m.state == skipped {
		a.m.state, a.m.description = success, clamp("skipped: "+strings.TrimPrefix(a.m.description, "skipped: "))
		return true
	}
	found, ok, err := a.look(ctx)
	if err == nil && ok && (state(found.State) == a.m.state || state(found.State).final()) {
		a.accept(found)
	}
	return false
}

// isShown says whether GitLab shows the message already, left there by an earlier
// call of ours: a final status sent again would be a new job. A fault is no matter.
func (a *attempt) isShown(ctx context.Context) bool {
	if a.s.level {
		return a.stands(ctx)
	}
	found, ok, err := a.look(ctx)
	if err != nil || !ok {
		return false
	}
	now := state(found.State)
	if now == a.m.state && (!now.final() || found.Description == a.m.description && found.TargetURL == a.m.url) {
		a.accept(found)
		return true
	}
	if !now.final() {
		a.s.knowAuthor(found.AuthorID, a.r.name)
	}
	return false
}

// look reads the newest status of the row's name back.
func (a *attempt) look(ctx context.Context) (gitlab.Status, bool, error) {
	return a.p.newest(ctx, a.s.gl, a.r.name)
}

// newest reads the newest status of a name, of those that can be ours.
func (p *place) newest(ctx context.Context, gl *gitlab.Client, name string) (found gitlab.Status, ok bool, err error) {
	for st, err := range gl.Statuses(ctx, p.project, p.sha, name) {
		if err != nil {
			return gitlab.Status{}, false, err
		}
		if st.Name == name && st.ID > found.ID && p.holds(st) {
			found, ok = st, true
		}
	}
	return found, ok, nil
}

// holds says whether a status is in the pipeline of p or, as long as that is not
// known, in one of its ref: another merge request may have the same commit.
func (p *place) holds(st gitlab.Status) bool {
	if p.pipeline != 0 {
		return st.PipelineID == 0 || st.PipelineID == p.pipeline
	}
	return p.ref == "" || st.Ref == p.ref
}

// findAnew drops a pipeline that GitLab does not know for the commit, once.
func (a *attempt) findAnew(ctx context.Context) (again bool) {
	p := a.p
	if p.pipeline == 0 || p.redone {
		return false
	}
	p.redone, p.stale, p.pipeline, p.asked = true, p.pipeline, 0, false
	a.s.resolve(ctx, p, false)
	return true
}

// giveUp records why the message is not shown, and says whether another place
// may take it.
func (a *attempt) giveUp() (elsewhere bool) {
	s, r := a.s, a.r
	switch a.last {
	case taken:
		a.close()
		s.tell(faultOf(a.last, a.p, r.name, a.err))
	case full:
		a.isFull()
	case unknown:
		a.forget()
		return true
	case refused, stale, badURL:
		if a.sent == none {
			a.note(opEnd, 0)
		}
		return true
	case temporary:
		if a.p.tired++; a.p.tired > mostTired || r.site.at+1 < len(r.site.places) {
			return true
		}
		a.tellFinal()
	default:
		a.tellFinal()
	}
	return false
}

// mostTired is how many messages may fail with all their tries before no more
// are sent to a place.
const mostTired = 2

// tellFinal tells a fault unless a final state is still to come.
func (a *attempt) tellFinal() {
	if a.m.state.final() {
		a.s.tell(faultOf(a.last, a.p, a.r.name, a.err))
	}
}

// close ends the row: GitLab shows nothing of it.
func (a *attempt) close() {
	a.s.mu.Lock()
	a.r.closed = true
	a.s.mu.Unlock()
	a.note(opEnd, 0)
}

// forget ends every row of a commit that is no more: nobody can.
func (a *attempt) forget() {
	a.s.mu.Lock()
	names := []string{a.r.name}
	for _, r := range a.r.site.rows {
		names = append(names, r.name)
	}
	a.s.mu.Unlock()
	for _, name := range names {
		a.write(entry{Op: opEnd, Project: a.p.project, SHA: a.p.sha, Name: name})
	}
}

// isFull lets an open row stand for this one too, or tells that there is none.
func (a *attempt) isFull() {
	a.note(opEnd, 0)
	a.s.mu.Lock()
	shown := !a.s.single && a.s.overflow(a.r)
	a.s.mu.Unlock()
	if !shown {
		a.s.tell(faultOf(full, a.p, a.r.name, a.err))
	}
}

// lastWord is the fault of a site whose every place has refused.
func (a *attempt) lastWord(at *site) *delivery.Fault {
	f := faultOf(a.last, a.p, a.r.name, a.err)
	if len(at.places) > 1 && noAccess(a.err) {
		return forkFault(f, at.tried)
	}
	return f
}

// note writes a line of the journal.
func (a *attempt) note(op string, author int64) {
	a.write(entry{Op: op, Project: a.p.project, SHA: a.p.sha, Ref: a.p.ref, Name: a.r.name, Pipeline: a.p.pipeline, Author: author})
}

func (a *attempt) write(e entry) {
	if err := a.s.journal.add(e); err != nil {
		a.s.tellAside(err)
	}
}
