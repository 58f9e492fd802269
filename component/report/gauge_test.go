package report_test

import (
	"testing"
	"testing/synctest"
	"time"

	"gitlab.com/remora-ci/remora/component/report"
	"gitlab.com/remora-ci/remora/component/rest"
)

func TestWhatGitLabSaidIsLeftCountsForAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g report.Gauge
		want := func(when string, need int, room bool) {
			t.Helper()
			if got := g.Room(need); got != room {
				t.Errorf("%s: room for %d is %v, want %v", when, need, got, room)
			}
		}
		want("at first", 1000, true)
		g.Audit(rest.Attempt{Remaining: "3"})
		want("with 3 left", 3, true)
		want("with 3 left", 4, false)
		g.Audit(rest.Attempt{})
		g.Audit(rest.Attempt{Remaining: "many"})
		want("after an answer that says nothing", 4, false)
		time.Sleep(61 * time.Second) // in the bubble no time passes
		want("a minute later", 4, true)
	})
}
