package delivery

import (
	"context"
	"errors"
	"slices"
	"strings"
)

// ErrNoResult says that the deadline passed before a target had a result.
var ErrNoResult = errors.New("no result")

// skip is a reason not to act.
type skip string

func (s skip) Error() string { return "skipped: " + string(s) }

// Skip is the error of a target that has nothing to do, with the reason in few
// words: "mirror follows main". It is not a failure.
func Skip(reason string) error { return skip(reason) }

// SkipReason is the reason given to [Skip]; ok is false if err is no skip.
func SkipReason(err error) (reason string, ok bool) {
	var s skip
	ok = errors.As(err, &s)
	return string(s), ok
}

type permanent struct{ err error }

func (p permanent) Error() string { return p.err.Error() }
func (p permanent) Unwrap() error { return p.err }

// Permanent marks err as one that trying again cannot mend. nil stays nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanent{err}
}

// Fault is an error that a person can act on. Each part may be empty; they are
// shown in this order: summary, cause, remedy, request.
type Fault struct {
	Summary string // few words, for a cell of a table: "reference not found"
	Cause   string // one sentence: what is wrong
	Remedy  string // what to do, naming the variable or command
	Request string // evidence: "POST https://… (404)"; never a secret
	Err     error  // what it was made from
}

// Error joins summary, cause and the wrapped error, and says nothing twice: a
// cause is often made of the error.
func (f *Fault) Error() string {
	cause, wrapped := f.Cause, ""
	if f.Err != nil {
		wrapped = f.Err.Error()
	}
	switch {
	case strings.Contains(wrapped, cause):
		cause = ""
	case strings.Contains(cause, wrapped):
		wrapped = ""
	}
	parts := slices.DeleteFunc([]string{f.Summary, cause, wrapped}, func(s string) bool { return s == "" })
	return strings.Join(parts, ": ")
}

func (f *Fault) Unwrap() error { return f.Err }

// Explain is the [Fault] in err, or one made of its text: never nil for an
// error, so that every failure can be shown in the same four parts.
func Explain(err error) *Fault {
	var f *Fault
	if errors.As(err, &f) {
		return f
	}
	if reason, ok := SkipReason(err); ok {
		return &Fault{Summary: reason}
	}
	summary := err.Error()
	if i := strings.LastIndex(summary, ": "); i >= 0 && i+2 < len(summary) {
		summary = summary[i+2:]
	}
	return &Fault{Summary: summary, Cause: err.Error(), Err: err}
}

// StateOf decides what an error of Apply means.
func StateOf(err error) State {
	var p permanent
	switch {
	case err == nil:
		return Done
	case isSkip(err):
		return Skipped
	case errors.As(err, &p), errors.Is(err, ErrNoResult):
		return Failed
	default:
		return Retry
	}
}

func isSkip(err error) bool {
	_, ok := SkipReason(err)
	return ok
}

func isCanceled(err error) bool { return errors.Is(err, context.Canceled) }
