package trigger

import (
	"fmt"
	"strings"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
)

// TargetOf is an outcome as it is sent. One that may be tried again is not done: an
// agent that is stopped in the middle of a run goes on when it is back, so Canceled
// is not sent. Delivery and OvertakenBy are the caller's to add.
func TargetOf(o delivery.Outcome) Target {
	r := o.Receipt
	t := Target{
		Target: o.Target, Place: o.Place, State: string(o.State), Done: o.State != delivery.Retry, Optional: o.Optional,
		Attempts: o.Attempt, Summary: o.Summary(), Request: r.Request, ID: r.ID, URL: r.URL, Result: r.Result,
		Revision: r.Revision, Started: r.Started, Overdue: o.Overdue(), Warnings: r.Warnings, Log: r.Log, TookMS: o.Took.Milliseconds(),
	}
	if o.Err != nil && o.State != delivery.Skipped {
		f := delivery.Explain(o.Err)
		t.Cause, t.Remedy = f.Cause, f.Remedy
		if f.Request != "" {
			t.Request = f.Request
		}
	}
	return t
}

// Outcome is what became of the target, as a delivery of our own would say it. What
// is not done yet is [delivery.Retry]. A word that is not known is a failure.
func (t Target) Outcome() delivery.Outcome {
	o := delivery.Outcome{
		Target: t.Target, Place: t.Place, Attempt: t.Attempts, Took: time.Duration(t.TookMS) * time.Millisecond, Optional: t.Optional,
		Receipt: delivery.Receipt{
			ID: t.ID, URL: t.URL, Result: t.Result, Revision: t.Revision, Started: t.Started, Request: t.Request, Warnings: t.Warnings, Log: t.Log,
		},
	}
	fault := &delivery.Fault{Summary: t.byRun(t.Summary), Cause: t.Cause, Remedy: t.Remedy, Request: t.Request}
	switch t.State {
	case "done":
		o.State = delivery.Done
		if !t.Started {
			o.Receipt.Result = t.byRun(t.Result)
		}
	case "skipped":
		o.State, o.Err = delivery.Skipped, delivery.Skip(t.byRun(t.Summary))
	case "failed":
		o.State, o.Err = delivery.Failed, delivery.Permanent(fault)
		if t.Overdue {
			fault.Err = delivery.ErrNoResult
		}
	case "waiting", "running", "retry":
		o.State, o.Err = delivery.Retry, fault
		if fault.Summary == "" {
			fault.Summary = t.State
		}
	default:
		o.State, o.Err = delivery.Failed, delivery.Permanent(&delivery.Fault{
			Summary: "unknown state", Cause: fmt.Sprintf("the agent says %.40q, which is no state of a target", t.State),
			Remedy: "use the version of remora that the agent has", Request: t.Request,
		})
	}
	return o
}

// byRun adds to a summary which run it is of, where another run covers this one.
func (t Target) byRun(summary string) string {
	short := delivery.ShortSHA(t.OvertakenBy)
	if short == "" || strings.Contains(summary, short) {
		return summary
	}
	return strings.TrimSpace(summary + " (by the run of " + short + ")")
}
