package report

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab"
)

// Single is one status, and a note if there is a text for it, of a job that is no
// delivery.
type Single struct {
	Name        string // of the status, as it is, and key of the note
	State       string // pending, running, success, failed, canceled, skipped
	Description string // one line
	URL         string // where a person can look at it; the job by default
	NoteText    string // Markdown; empty for no note
}

// Validate reports everything that is wrong, one line each.
func (s Single) Validate() error {
	var errs []error
	if s.Name != line(s.Name) || s.Name == "" || utf8.RuneCountInString(s.Name) > maxText {
		errs = append(errs, fmt.Errorf("--name: %q is not one line of 1 to %d characters", s.Name, maxText))
	}
	all := []state{pending, running, success, failed, canceled, skipped}
	if !slices.Contains(all, state(s.State)) {
		errs = append(errs, fmt.Errorf("--state: %q is not one of pending, running, success, failed, canceled, skipped", s.State))
	}
	return errors.Join(errs...)
}

// Post shows s by the rules of a [Reporter]: at the same places, never twice,
// never backward. A state that is not final stays open until a later call ends
// it. What is wrong with c or s is among the problems.
func Post(ctx context.Context, c Config, gl *gitlab.Client, ev delivery.Event, o Options, s Single) Result {
	if err := errors.Join(c.Validate(), s.Validate()); err != nil {
		return Result{Problems: []*delivery.Fault{{Summary: "not reported", Cause: strings.ReplaceAll(err.Error(), "\n", "; "), Remedy: "correct what is named", Err: err}}}
	}
	o.Journal = ""
	r, err := New(c, gl, ev, o)
	switch {
	case err != nil || r.c.Report == ReportOff:
		return Result{}
	case gl == nil:
		return Result{Problems: []*delivery.Fault{noToken()}}
	}
	r.sender.single = true
	r.sender.say(ctx, s.Name, message{state: state(s.State), description: clamp(s.Description), url: link(append([]string{s.URL}, addressOf(ev)...)...)})
	r.result = r.finishStatuses(ctx)
	if s.NoteText != "" && r.ev.MergeRequest == nil {
		r.result.Problems = append(r.result.Problems, noMergeRequest())
	}
	if s.NoteText != "" {
		r.writeNote(func(w *noteWriter) (noteResult, error) {
			return w.WriteText(ctx, s.Name, s.NoteText, state(s.State) == failed)
		})
	}
	return r.result
}

// say queues one message under a name of its own at every site.
func (s *sender) say(ctx context.Context, name string, m message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, at := range s.sites {
		r := &row{site: at, target: name, name: name, generation: 1, goal: m.state, want: &m}
		at.rows[name] = r
		s.put(r)
	}
	s.start(ctx)
}
