package agent_test

import (
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/agent"
	"gitlab.com/remora-ci/remora/component/rest"
)

func TestBudget(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 20, 14, 0, 0, 0, time.UTC)
	b := agent.NewBudget(func() time.Time { return now })
	want := func(when string, rate float64) {
		t.Helper()
		if got := float64(b.Limit()); got != rate {
			t.Errorf("%s: got %v requests per second, want %v", when, got, rate)
		}
	}
	want("before anything is known", 9)
	b.Learn(rest.Attempt{})
	want("after no answer", 9)
	b.Learn(rest.Attempt{Code: 200})
	want("after an answer that speaks of no limit", 200)
	b.Learn(rest.Attempt{Code: 200, Remaining: "590"})
	want("after one that does", 9)
	b.Learn(rest.Attempt{Code: 200})
	want("soon after", 9)
	now = now.Add(11 * time.Minute)
	b.Learn(rest.Attempt{Code: 404})
	want("long after", 200)
	b.Learn(rest.Attempt{Code: 429})
	want("after too many", 9)
}
