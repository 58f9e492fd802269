package report

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab"
	"gitlab.com/remora-ci/remora/component/rest"
)

// Show brings what GitLab shows of an event to what is true now: running are the
// targets that are at work, outcomes what became of the others. It is made to be
// called again, by a process that may have died in the call before: what GitLab
// shows is read first, and only what differs is sent.
//
//   - running, and an outcome that will be tried again, is only shown where there
//     is nothing or less: never over a final state.
//   - a final state replaces another one; the same success is not sent twice,
//     whatever its words, and the same failure only with other words.
//   - an outcome that was canceled ends what is open, with the summary of its
//     error, and is not shown otherwise.
//
// A status that is open in another pipeline of the commit is ended there. Where
// the statuses cannot be read, none is sent. c.Report chooses statuses, note, or
// both; the note shows outcomes as they are.
func Show(ctx context.Context, c Config, gl *gitlab.Client, ev delivery.Event, o Options, outcomes []delivery.Outcome, running []string) Result {
	o.Journal = ""
	r, err := New(c, gl, ev, o)
	switch {
	case err != nil:
		return Result{Problems: []*delivery.Fault{{Summary: "not reported", Cause: strings.ReplaceAll(err.Error(), "\n", "; "), Remedy: "correct what is named", Err: err}}}
	case r.c.Report == ReportOff:
		return Result{}
	case gl == nil:
		return Result{Problems: []*delivery.Fault{noToken()}}
	}
	s := r.sender
	s.single, s.level = true, true
	many := len(running)+len(outcomes) > mostRows // always the same ones are folded then: all
	running = slices.Clone(running)
	for _, o := range outcomes {
		if many || o.State == delivery.Retry && !o.Canceled() {
			running = append(running, o.Target)
		}
	}
	s.open(ctx, running)
	for _, o := range outcomes {
		switch {
		case o.Canceled():
			s.end(ctx, o)
		case o.State != delivery.Retry:
			s.finish(ctx, o)
		}
	}
	r.result = r.finishStatuses(ctx)
	r.writeNote(func(w *noteWriter) (noteResult, error) { return w.Write(ctx, outcomes, nil) })
	return r.result
}

// Temporary says whether something was not reported that a later call may well
// report.
func (r Result) Temporary() bool { return slices.ContainsFunc(r.Problems, passing) }

func passing(f *delivery.Fault) bool {
	var status *rest.StatusError
	var conn *rest.ConnError
	switch {
	case errors.As(f.Err, &status):
		return rest.Temporary(status.Code) || status.Code == http.StatusConflict
	case errors.As(f.Err, &conn):
		return delivery.StateOf(rest.Fault(conn, names)) == delivery.Retry
	}
	return errors.Is(f.Err, context.Canceled) || errors.Is(f.Err, context.DeadlineExceeded) || errors.Is(f.Err, errUnsettled)
}

// end asks for the end of an open status at every site.
func (s *sender) end(ctx context.Context, o delivery.Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := message{state: canceled, description: clamp(delivery.Explain(o.Err).Summary), url: link(addressOf(s.ev)...)}
	for _, at := range s.sites {
		if r := s.row(at, o.Target); r != nil && r.finish(o.Attempt, m) {
			s.put(r)
		}
	}
	s.start(ctx)
}

// allKnown says whether every target that the total stands for has ended. The
// caller holds mu.
func (s *sender) allKnown(at *site) bool {
	for target := range at.folded {
		if _, ok := s.outcomes[target]; !ok {
			return false
		}
	}
	return true
}

// stands says whether the message need not be sent, or cannot be: GitLab shows as
// much already, or does not tell what it shows.
func (a *attempt) stands(ctx context.Context) bool {
	found, ok, err := a.lookAround(ctx)
	switch {
	case noAccess(err):
		return false // the post will tell, and find another place
	case err != nil:
		a.err = err
		if a.last, _ = answerOf(ctx, err, a.m.state); a.last == accepted {
			a.last = temporary
		}
		a.s.tell(faultOf(a.last, a.p, a.r.name, err))
		return true
	case !ok:
		return a.m.state == canceled // nothing is open
	}
	now := state(found.State)
	if !now.final() {
		a.s.knowAuthor(found.AuthorID, a.r.name)
		if found.PipelineID != 0 {
			a.p.pipeline = found.PipelineID
		}
	}
	if !a.shownBy(now, found.Description) {
		return false
	}
	a.accept(found)
	return true
}

// lookAround reads the newest status of the row's name in the pipeline of the place
// and in the others of the same ref: one may have begun after ours was opened.
func (a *attempt) lookAround(ctx context.Context) (found gitlab.Status, ok bool, err error) {
	branch, ofMergeRequest := refOf(a.s.ev, a.s.ev.Ref), "refs/merge-requests/"
	if mr := a.s.ev.MergeRequest; mr != nil {
		ofMergeRequest += strconv.FormatInt(mr.IID, 10) + "/"
	}
	for st, err := range a.s.gl.Statuses(ctx, a.p.project, a.p.sha, a.r.name) {
		if err != nil {
			return gitlab.Status{}, false, err
		}
		if st.Name == a.r.name && st.ID > found.ID && (a.p.holds(st) || st.Ref == branch || strings.HasPrefix(st.Ref, ofMergeRequest)) {
			found, ok = st, true
		}
	}
	return found, ok, nil
}

// shownBy says whether a status as it is says what the message says, or more.
func (a *attempt) shownBy(now state, description string) bool {
	switch {
	case !a.m.state.final():
		return now.rank() >= a.m.state.rank()
	case a.m.state == canceled:
		return now.final()
	}
	return now == a.m.state && (now == success || description == a.m.description)
}
