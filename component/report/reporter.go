package report

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab"
	"gitlab.com/remora-ci/remora/component/rest"
)

// Reporter reports one event: statuses while it is delivered, the note at the
// end. Its methods may be called by several goroutines. After the first Open or
// Finish it must be closed.
type Reporter struct {
	c      Config
	gl     *gitlab.Client
	ev     delivery.Event
	o      Options
	sender *sender // nil without a token, or with nothing to send
	once   sync.Once
	result Result // of the first Close
}

// Result is what was reported.
type Result struct {
	Statuses int    // that GitLab shows
	Note     string // created, updated, unchanged, resolved, …; empty without one
	NoteURL  string
	Problems []*delivery.Fault // what could not be reported, each once, with its remedy
}

// New makes the Reporter of an event. Without gl, that is without a token,
// nothing is reported and Close says so. The error is that of Config.Validate.
func New(c Config, gl *gitlab.Client, ev delivery.Event, o Options) (*Reporter, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	r := &Reporter{c: c.withDefaults(), gl: gl, ev: ev, o: o.withDefaults()}
	if gl != nil && r.c.Report != ReportOff {
		r.sender = newSender(r.c, gl, ev, r.o)
	}
	return r, nil
}

// Open shows targets as running. It only takes note of them: the statuses are
// sent in the background, as long as the Reporter is not closed.
func (r *Reporter) Open(ctx context.Context, targets []string) {
	if r.sender != nil {
		r.sender.open(ctx, targets)
	}
}

// Finish shows the outcome of a target, in the background. An outcome that will
// be tried again is not final and is not shown. The end of an attempt that is
// older than one already shown is dropped.
func (r *Reporter) Finish(ctx context.Context, o delivery.Outcome) {
	if r.sender != nil && (o.State != delivery.Retry || o.Canceled()) {
		r.sender.finish(ctx, o)
	}
}

// Close shows the outcomes that are not shown yet, ends what is open without one
// as canceled, waits until everything is sent or ctx ends, and then writes the
// note. A second Close waits for the first and answers the same.
func (r *Reporter) Close(ctx context.Context, outcomes []delivery.Outcome) Result {
	r.once.Do(func() { r.close(ctx, outcomes) })
	return r.result
}

func (r *Reporter) close(ctx context.Context, outcomes []delivery.Outcome) {
	switch {
	case r.sender != nil:
		for _, o := range outcomes {
			r.sender.finish(ctx, o)
		}
		r.result = r.finishStatuses(ctx)
		r.writeNote(func(w *noteWriter) (noteResult, error) {
			return w.Write(ctx, outcomes, slices.Clone(r.sender.problems.list))
		})
	case r.c.Report != ReportOff:
		r.result.Problems = []*delivery.Fault{noToken()}
	}
}

// finishStatuses closes the sender and says what it did. A third of the time is
// kept for the note.
func (r *Reporter) finishStatuses(ctx context.Context) Result {
	if end, ok := ctx.Deadline(); ok && r.hasNote() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)*2/3)
		defer cancel()
	}
	s := r.sender
	s.close(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	return Result{Statuses: s.shown, Problems: slices.Concat(s.problems.list, s.aside.list)}
}

func (r *Reporter) hasNote() bool {
	return r.c.Report != ReportStatus && r.c.Note != NoteOff && r.ev.MergeRequest != nil
}

// writeNote writes the note if there is to be one, and puts what came of it into
// the result.
func (r *Reporter) writeNote(write func(*noteWriter) (noteResult, error)) {
	if !r.hasNote() {
		return
	}
	note, err := write(newNoteWriter(r.c, r.gl, r.ev, r.o))
	if note.Action != noteNone {
		r.result.Note, r.result.NoteURL = note.Action, note.URL
	}
	if err != nil {
		all := problems{}
		for _, f := range append(r.result.Problems, noteFault(err)) {
			all.add(f) // a bad token was told by the statuses already
		}
		r.result.Problems = all.list
	}
}

// noMergeRequest is told to those who asked for a note by name.
func noMergeRequest() *delivery.Fault {
	return &delivery.Fault{
		Summary: "no note",
		Cause:   "no merge request is known that the note could stand on",
		Remedy:  "run the job in a merge request's pipeline, or name it with --merge-request-iid",
	}
}

func noteFault(err error) *delivery.Fault {
	var told *delivery.Fault
	if errors.As(err, &told) {
		return told
	}
	f := *delivery.Explain(rest.Fault(err, names))
	if f.Remedy == "" {
		f.Remedy = "run the job again when GitLab is well; " + notFailing
	}
	return &f
}

func noToken() *delivery.Fault {
	return &delivery.Fault{
		Summary: "nothing reported",
		Cause:   "there is no token to report with; a CI_JOB_TOKEN cannot write statuses or notes",
		Remedy:  "set REMORA_GITLAB_TOKEN to the token of a bot user (scope api, role Developer), as a masked variable that this ref may see, or set REMORA_REPORT=off",
	}
}
