package agent_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/agent"
	"gitlab.com/remora-ci/remora/agent/store"
)

// A thousand projects push at once, each to two targets of which one hangs: all
// that the other is to get ends while it hangs.
func TestAThousandProjectsWithOneSlowTarget(t *testing.T) {
	t.Parallel()
	projects := 1000
	if testing.Short() {
		projects = 200
	}
	s := newStage(t, sqlite(t))
	s.slow = newPlace(t)
	s.whole = fmt.Sprintf(`
gitlab: [{url: %q}]
tokens: [{name: bot, token: %q}]
targets: [{name: site, kind: http, url: %q}, {name: slow, kind: http, url: %q}]
routes: [{name: all, sync: [slow, site], timeout: 5m, report: {report: "off"}}]
webhook: {secret: %q}
listen: 127.0.0.1:0
shutdown_timeout: 5s
`, s.git.URL, s.scene.Token, s.place.URL, s.slow.URL, hookSecret)
	release := s.slow.block()
	defer release()
	s.start(func(o *agent.Options) { *o = agent.Hastened(*o, time.Minute) }) // no lease ends on a machine with other work
	bodies, want := make([]map[string]any, projects), make([]string, projects)
	for i := range projects {
		bodies[i], want[i] = s.newProject(s.git, s.scene.Bot.ID, int64(1000+i), fmt.Sprintf("many/p%03d", i))
	}
	if n := s.burst("push", bodies); n != projects {
		t.Fatalf("%d of %d webhooks were accepted", n, projects)
	}
	s.untilLong("deliveries to the healthy target", func() bool { return s.count("site", store.Done) == projects })
	if n := s.slow.held(); n == 0 || n > 64 {
		t.Errorf("the slow target has %d calls open, want those of its workers", n)
	}
	s.same("ended deliveries to the slow target", s.count("slow", store.Done), 0)
	release()
	s.untilLong("deliveries to the slow target", func() bool { return s.count("slow", store.Done) == projects && s.idle() })
	for _, p := range []*place{s.place, s.slow} {
		got := p.shas()
		slices.Sort(got)
		slices.Sort(want)
		s.same("what a target got, each once", got, want)
	}
}
