package agent

import (
	"encoding/json"
	"strings"
	"time"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component/delivery"
)

// result is an outcome as a delivery keeps it. It was scrubbed.
type result struct {
	Place   string           `json:"place,omitempty"`
	Summary string           `json:"summary"`
	Cause   string           `json:"cause,omitempty"`
	Remedy  string           `json:"remedy,omitempty"`
	Request string           `json:"request,omitempty"`
	Receipt delivery.Receipt `json:"receipt"`
	TookMS  int64            `json:"took_ms"`

	Optional bool           `json:"optional,omitempty"`
	State    delivery.State `json:"state,omitempty"` // for those that are covered, whose row says only that
}

// maxResult bounds what is kept of one outcome, in bytes of JSON.
const maxResult = 256 << 10

func encodeOutcome(o delivery.Outcome) []byte {
	r := result{Place: o.Place, Summary: o.Summary(), Receipt: o.Receipt, TookMS: o.Took.Milliseconds(), Optional: o.Optional, State: o.State}
	if o.Err != nil {
		f := delivery.Explain(o.Err)
		r.Summary, r.Cause, r.Remedy, r.Request = f.Summary, f.Cause, f.Remedy, f.Request
	}
	text, err := json.Marshal(r)
	for err == nil && len(text) > maxResult && len(r.Receipt.Log) > 0 {
		r.Receipt.Log = r.Receipt.Log[(len(r.Receipt.Log)+1)/2:] // the end says what went wrong
		text, err = json.Marshal(r)
	}
	if err != nil {
		return nil // there is no value in it that JSON does not know
	}
	return text
}

// errorText is what a row says of an outcome in one line.
func errorText(o delivery.Outcome) string {
	if o.Err == nil {
		return ""
	}
	if reason, ok := delivery.SkipReason(o.Err); ok {
		return reason
	}
	f := delivery.Explain(o.Err)
	if f.Cause == "" || strings.Contains(f.Cause, f.Summary) {
		return f.Summary
	}
	return f.Summary + ": " + f.Cause
}

// outcomeOf is the outcome that a row keeps; ok is false for one that has none.
func outcomeOf(d store.Delivery) (o delivery.Outcome, ok bool) {
	var r result
	if len(d.Result) > 0 {
		ok = json.Unmarshal(d.Result, &r) == nil
	}
	o = delivery.Outcome{Target: d.Target, Place: r.Place, Receipt: r.Receipt, Attempt: max(d.Attempts, 1), Took: time.Duration(r.TookMS) * time.Millisecond, Optional: r.Optional}
	fault := &delivery.Fault{Summary: r.Summary, Cause: r.Cause, Remedy: r.Remedy, Request: r.Request}
	switch d.State {
	case store.Done:
		o.State = delivery.Done
		return o, true
	case store.Skipped:
		o.State, o.Err = delivery.Skipped, delivery.Skip(d.Error)
		return o, true
	case store.Failed, store.Dead:
		if !ok {
			fault.Summary = d.Error
		}
		o.State, o.Err = delivery.Failed, delivery.Permanent(fault)
		return o, true
	}
	o.State, o.Err = delivery.Retry, fault
	return o, ok
}

// coveringOf is the outcome of the run that covers an overtaken row, and the commit
// that it delivered; ok is false if there was none.
func coveringOf(d store.Delivery) (o delivery.Outcome, sha string, ok bool) {
	var r result
	if !overtaken(d) || len(d.Result) == 0 || json.Unmarshal(d.Result, &r) != nil {
		return delivery.Outcome{}, "", false
	}
	switch r.State {
	case delivery.Done:
		d.State = store.Done
	case delivery.Failed, delivery.Retry: // given up
		d.State = store.Failed
	default:
		return delivery.Outcome{}, "", false
	}
	sha = strings.TrimPrefix(d.Error, overtakenBy)
	d.Error = r.Summary
	o, ok = outcomeOf(d)
	return o, sha, ok
}

// overtakenBy begins the error of a delivery that another run covers.
const overtakenBy = "overtaken by "

// overtaken says whether a row ended because another covers it.
func overtaken(d store.Delivery) bool {
	return d.State == store.Skipped && strings.HasPrefix(d.Error, overtakenBy)
}
