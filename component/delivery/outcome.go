package delivery

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// State is what became of an event at a target.
type State string

// The four states.
const (
	Done    State = "done"
	Skipped State = "skipped"
	Failed  State = "failed"
	Retry   State = "retry" // may be tried again
)

// Outcome is what became of one event at one target.
type Outcome struct {
	Target   string
	Place    string // of a [Placer]
	State    State
	Receipt  Receipt
	Err      error // nil when done
	Attempt  int   // 1 for the first
	Took     time.Duration
	Optional bool // a failure is shown but fails nothing
}

// Failing says whether the outcome fails the job: an optional one never does.
func (o Outcome) Failing() bool {
	return !o.Optional && (o.State == Failed || o.State == Retry)
}

// Overdue says whether the deadline passed before there was a result.
func (o Outcome) Overdue() bool { return errors.Is(o.Err, ErrNoResult) }

// Canceled says whether the work was stopped from outside before its end.
func (o Outcome) Canceled() bool { return o.State == Retry && isCanceled(o.Err) }

// Summary says in few words what happened, for a cell of a table.
func (o Outcome) Summary() string {
	switch {
	case o.Canceled():
		return "canceled"
	case o.Err != nil:
		return Explain(o.Err).Summary
	case o.Receipt.Started:
		return "started, result not awaited"
	case o.Receipt.Result != "":
		return o.Receipt.Result
	default:
		return string(o.State)
	}
}

// Span is a duration as a person says it: 850ms, 4.1s, 5m, 1h30m.
func Span(d time.Duration) string {
	switch {
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + "ms"
	case d < time.Minute:
		return strings.TrimSuffix(strconv.FormatFloat(d.Seconds(), 'f', 1, 64), ".0") + "s"
	}
	text := d.Round(time.Second).String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}
