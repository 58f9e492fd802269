package agent_test

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/agent"
	"gitlab.com/remora-ci/remora/component/delivery"
)

// A push and the event of its merge request, which GitLab sends one behind the
// other, are one delivery.
func TestAPushAndItsMergeRequestAreOneDelivery(t *testing.T) {
	t.Parallel()
	s := newStage(t, sqlite(t))
	s.route = ", debounce: 5m"
	var ahead atomic.Int64
	s.start(func(o *agent.Options) {
		*o = agent.Patient(*o, func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) })
	})
	s.hook(s.push(s.scene.Base, s.scene.SHA))
	s.until("routing of the push", func() bool { return !s.unrouted() })
	if n := len(s.place.got()); n != 0 {
		t.Errorf("%d calls before the time was over", n)
	}
	s.hook(s.mergeRequest("update", s.scene.Base, s.scene.SHA))
	s.until("routing of the merge request", func() bool { return !s.unrouted() })
	ahead.Store(int64(6 * time.Minute))
	s.untilShown(s.scene.SHA, "sync/site success")
	s.until("rest", func() bool { return !s.unrouted() && s.idle() })
	s.same("events", s.eventStates(), []string{"push routed", "merge_request routed"})
	s.same("calls", s.place.shas(), []string{s.scene.SHA})
	rows := s.deliveries()
	if len(rows) != 2 || slices.ContainsFunc(rows, func(row string) bool {
		return !strings.HasPrefix(row, delivery.ShortSHA(s.scene.SHA)+" done") && !strings.HasPrefix(row, delivery.ShortSHA(s.scene.SHA)+" skipped overtaken")
	}) {
		t.Errorf("got deliveries %q, want both ended by the one run", rows)
	}
}
