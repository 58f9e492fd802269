package component

import (
	"errors"
	"slices"
	"strings"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/report"
)

// Exit codes; their meaning never changes.
const (
	ExitDone     = 0 // done or skipped
	ExitFailed   = 1 // a target failed
	ExitMisuse   = 2 // nothing was tried
	ExitDeadline = 3 // the deadline passed before every result was known
)

// Result is what one run of the component did. Its JSON form is what
// REMORA_OUTPUT=json prints, and is kept stable.
type Result struct {
	State    string         `json:"state"` // done, skipped, failed, canceled
	ExitCode int            `json:"exit_code"`
	Name     string         `json:"-"`
	Event    delivery.Event `json:"event"`
	Targets  []Entry        `json:"targets"`
	Report   Reported       `json:"report"`
	Agent    *Asked         `json:"agent,omitempty"` // if one was asked in place of the targets
	Notices  []string       `json:"notices,omitempty"`
	Version  string         `json:"version"`

	outcomes []delivery.Outcome
}

// Entry is the outcome at one target.
type Entry struct {
	Target   string             `json:"target"`
	Place    string             `json:"place,omitempty"`
	State    string             `json:"state"` // done, skipped, failed, canceled
	Summary  string             `json:"summary"`
	Cause    string             `json:"cause,omitempty"`
	Remedy   string             `json:"remedy,omitempty"`
	Request  string             `json:"request,omitempty"`
	Optional bool               `json:"optional,omitempty"`
	Attempt  int                `json:"attempt"`
	TookMS   int64              `json:"took_ms"`
	ID       string             `json:"id,omitempty"`
	URL      string             `json:"url,omitempty"`
	Revision string             `json:"revision,omitempty"`
	Warnings []string           `json:"warnings,omitempty"`
	Log      []delivery.LogLine `json:"log,omitempty"`
}

// Reported is what GitLab was told.
type Reported struct {
	By       string    `json:"by,omitempty"` // agent, if that reports in place of this job
	Statuses int       `json:"statuses"`
	Note     string    `json:"note,omitempty"`
	NoteURL  string    `json:"note_url,omitempty"`
	Problems []Problem `json:"problems,omitempty"`
}

// Problem is a [delivery.Fault] in words.
type Problem struct {
	Summary string `json:"summary"`
	Cause   string `json:"cause,omitempty"`
	Remedy  string `json:"remedy,omitempty"`
	Request string `json:"request,omitempty"`
}

func problemOf(f *delivery.Fault, scrub *delivery.Scrubber) Problem {
	cause := f.Cause
	if cause == "" && f.Err != nil {
		cause = f.Err.Error()
	}
	return Problem{Summary: scrub.Text(f.Summary), Cause: scrub.Text(cause), Remedy: scrub.Text(f.Remedy), Request: scrub.Text(f.Request)}
}

// Explained is err with its remedy and evidence, each on a line of its own. Errors
// that were joined come one after the other.
func Explained(err error) error {
	var b strings.Builder
	each := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		each = joined.Unwrap()
	}
	for _, err := range each {
		p := problemOf(delivery.Explain(err), nil)
		b.WriteString(clean(join(p.Summary, p.Cause)) + "\n")
		line(&b, "try", p.Remedy)
		line(&b, "request", p.Request)
	}
	return errors.New(strings.TrimSuffix(b.String(), "\n"))
}

// newResult puts together what was done; outcomes and notices are scrubbed already.
func newResult(name string, ev delivery.Event, version string, outcomes []delivery.Outcome, told report.Result, notices []string, scrub *delivery.Scrubber) Result {
	r := Result{Name: name, Event: ev, Version: version, Notices: notices, outcomes: outcomes, Targets: make([]Entry, len(outcomes))}
	for i, o := range outcomes {
		r.Targets[i] = entryOf(o)
	}
	r.Report = reportedOf(told, scrub)
	r.State, r.ExitCode = verdict(outcomes)
	return r
}

func reportedOf(told report.Result, scrub *delivery.Scrubber) Reported {
	r := Reported{Statuses: told.Statuses, Note: told.Note, NoteURL: told.NoteURL}
	for _, f := range told.Problems {
		p := problemOf(f, scrub)
		if !slices.ContainsFunc(r.Problems, p.same) {
			r.Problems = append(r.Problems, p)
		}
	}
	return r
}

// same says whether two problems have one cure, as when a refused token keeps
// both the status and the note from being written.
func (p Problem) same(q Problem) bool { return p.Summary == q.Summary && p.Remedy == q.Remedy }

func entryOf(o delivery.Outcome) Entry {
	e := Entry{
		Target: o.Target, Place: o.Place, State: stateOf(o), Summary: o.Summary(), Request: o.Receipt.Request, Optional: o.Optional,
		Attempt: o.Attempt, TookMS: o.Took.Milliseconds(), ID: o.Receipt.ID, URL: o.Receipt.URL, Revision: o.Receipt.Revision,
		Warnings: o.Receipt.Warnings, Log: o.Receipt.Log,
	}
	if o.Err != nil && o.State != delivery.Skipped {
		f := delivery.Explain(o.Err)
		e.Cause, e.Remedy = f.Cause, f.Remedy
		if f.Request != "" {
			e.Request = f.Request
		}
	}
	return e
}

// stateOf is the state as it is shown: what would be tried again has ended.
func stateOf(o delivery.Outcome) string {
	switch {
	case o.Canceled():
		return "canceled"
	case o.State == delivery.Retry:
		return string(delivery.Failed)
	}
	return string(o.State)
}

// verdict is the state of the whole, and the code to exit with: the worst of what
// is not optional.
func verdict(outcomes []delivery.Outcome) (state string, code int) {
	state = string(delivery.Skipped)
	for _, o := range outcomes {
		switch {
		case o.Canceled():
			return "canceled", ExitFailed
		case o.Failing() && o.Overdue() && code == ExitDone:
			state, code = string(delivery.Failed), ExitDeadline
		case o.Failing() && !o.Overdue():
			state, code = string(delivery.Failed), ExitFailed
		case o.State != delivery.Skipped && code == ExitDone:
			state = string(delivery.Done)
		}
	}
	return state, code
}
