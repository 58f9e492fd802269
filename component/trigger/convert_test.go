package trigger_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/trigger"
)

// shown is all of an outcome that a person or the exit code can tell.
type shown struct {
	Outcome                                 delivery.Outcome
	Summary                                 string
	Fault                                   *delivery.Fault
	Failing, Overdue, Canceled, WillBeTried bool
}

func show(o delivery.Outcome) shown {
	s := shown{Outcome: o, Summary: o.Summary(), Failing: o.Failing(), Overdue: o.Overdue(), Canceled: o.Canceled(), WillBeTried: o.State == delivery.Retry}
	if o.Err != nil && o.State != delivery.Skipped {
		f := *delivery.Explain(o.Err)
		f.Err = nil
		s.Fault = &f
	}
	s.Outcome.Err = nil
	return s
}

func TestAnOutcomeSurvivesTheWire(t *testing.T) {
	t.Parallel()
	fault := &delivery.Fault{Summary: "reference not found", Cause: "the ref does not exist", Remedy: "remora mirror update", Request: "POST https://d (200)"}
	receipt := delivery.Receipt{ID: "8c1f", URL: "https://d/8c1f", Result: "4 files", Revision: commit, Request: "POST https://d (200)", Warnings: []string{"w"}, Log: []delivery.LogLine{{Level: "INFO", Text: "l"}}}
	for name, o := range map[string]delivery.Outcome{
		"done":                    {State: delivery.Done, Receipt: receipt},
		"done, with no words":     {State: delivery.Done},
		"started and not awaited": {State: delivery.Done, Receipt: delivery.Receipt{ID: "8c1f", Started: true}},
		"skipped":                 {State: delivery.Skipped, Err: delivery.Skip("mirror follows main")},
		"failed":                  {State: delivery.Failed, Err: delivery.Permanent(fault), Receipt: receipt},
		"failed and optional":     {State: delivery.Failed, Err: delivery.Permanent(fault), Optional: true},
		"overdue":                 {State: delivery.Failed, Err: &delivery.Fault{Summary: "no result after 5m", Cause: "slow", Err: delivery.ErrNoResult}},
		"overdue and optional":    {State: delivery.Failed, Err: &delivery.Fault{Summary: "no result after 5m", Err: delivery.ErrNoResult}, Optional: true},
		"tried again later":       {State: delivery.Retry, Err: fault},
	} {
		o.Target, o.Place, o.Attempt, o.Took = "flows", "demo", 2, 4123*time.Millisecond
		wire, err := json.Marshal(trigger.TargetOf(o))
		if err != nil {
			t.Fatal(err)
		}
		var back trigger.Target
		if err := json.Unmarshal(wire, &back); err != nil {
			t.Fatal(err)
		}
		if back.Done == (o.State == delivery.Retry) {
			t.Errorf("%s: done is %v", name, back.Done)
		}
		got := back.Outcome()
		want := show(o)
		if want.Outcome.Receipt.Request == "" && want.Fault != nil {
			want.Outcome.Receipt.Request = want.Fault.Request // one field for both
		}
		if want.Fault != nil && want.Fault.Request == "" {
			want.Fault.Request = want.Outcome.Receipt.Request
		}
		if diff := cmp.Diff(want, show(got), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// An agent that is stopped goes on later: nobody who waits is told that it ended.
func TestACanceledRunIsNotTheEnd(t *testing.T) {
	t.Parallel()
	got := trigger.TargetOf(delivery.Outcome{Target: "flows", State: delivery.Retry, Err: fmt.Errorf("%w after: %w", context.Canceled, errors.New("x"))})
	if got.Done || got.State != "retry" || got.Outcome().Canceled() {
		t.Errorf("got %+v", got)
	}
}

func TestTheRunThatCoversIsNamed(t *testing.T) {
	t.Parallel()
	const other = "deadbeef00000000000000000000000000000001"
	for name, tt := range map[string]struct {
		target trigger.Target
		want   string
	}{
		"done":                           {trigger.Target{State: "done", Result: "4 files", OvertakenBy: other}, "4 files (by the run of deadbeef)"},
		"done, with no words":            {trigger.Target{State: "done", OvertakenBy: other}, "(by the run of deadbeef)"},
		"failed":                         {trigger.Target{State: "failed", Summary: "status 500", OvertakenBy: other}, "status 500 (by the run of deadbeef)"},
		"skipped, and says so itself":    {trigger.Target{State: "skipped", Summary: "overtaken by deadbeef", OvertakenBy: other}, "overtaken by deadbeef"},
		"a word that nobody knows fails": {trigger.Target{State: "fine", Done: true}, "unknown state"},
		"no word at all fails":           {trigger.Target{Done: true}, "unknown state"},
	} {
		o := tt.target.Outcome()
		if got := o.Summary(); got != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
		if o.Failing() == (tt.target.State == "done" || tt.target.State == "skipped") {
			t.Errorf("%s: failing is %v", name, o.Failing())
		}
	}
}
