package agent_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/agent"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

// A GitLab takes calls and answers none: webhooks are stored, the projects of
// another GitLab are delivered to the same target and shown, and after a few
// attempts so is what the silent one has sent; memory and calls stay bounded. When
// it answers again, all is shown.
func TestAGitLabThatHangs(t *testing.T) {
	t.Parallel()
	const projects, pushes, workers = 30, 300, 4
	s := newStage(t, sqlite(t))
	silent := s.behind(s.git)
	lab := gitlabtest.New(t)
	labScene := lab.Populate()
	s.whole = fmt.Sprintf(`
gitlab: [{name: main, url: %q}, {name: lab, url: %q}]
tokens: [{name: bot, gitlab: main, token: %q}, {name: labbot, gitlab: lab, token: %q}]
targets: [{name: site, kind: http, url: %q}]
routes: [{name: all, sync: [site], timeout: 30s}]
webhook: {secret: %q}
listen: 127.0.0.1:0
shutdown_timeout: 5s
limits: {workers: %d}
`, s.git.URL, lab.URL, s.scene.Token, labScene.Token, s.place.URL, hookSecret, workers)
	bodies, shas := make([]map[string]any, pushes), make([]string, projects)
	for i := range pushes {
		if i < projects {
			bodies[i], shas[i] = s.newProject(s.git, s.scene.Bot.ID, int64(1000+i), fmt.Sprintf("many/p%03d", i))
			bodies[i]["noise"] = strings.Repeat("n", 100_000)
			continue
		}
		bodies[i] = bodies[i%projects]
	}
	silent.shut()
	s.start(func(o *agent.Options) { *o = agent.Hurried(agent.Hastened(*o, time.Minute), 200*time.Millisecond) })
	before := heap()
	if n := s.burst("main", bodies); n != pushes {
		t.Fatalf("%d of %d webhooks were accepted while GitLab hangs", n, pushes)
	}
	s.until("routing", func() bool { return !s.unrouted() })
	body, sha := s.newProject(lab, labScene.Bot.ID, 900, "other/app")
	if code := s.post(body, "lab"); code != 202 {
		t.Fatalf("the other GitLab's webhook: got %d", code)
	}
	s.untilLong("the other GitLab's status", func() bool {
		all := lab.Statuses(900, sha)
		return len(all) == 1 && all[0].State == "success"
	})
	s.untilLong("deliveries of what the silent GitLab has sent", func() bool {
		got := s.place.shas()
		return !slices.ContainsFunc(shas, func(sha string) bool { return !slices.Contains(got, sha) })
	})
	if grown := heap() - before; grown > 32<<20 {
		t.Errorf("%d MiB more memory after %d webhooks of 100 kB", grown>>20, pushes)
	}
	now, most := silent.crowd()
	if bound := 3*workers + 8; now == 0 || most > bound {
		t.Errorf("the silent GitLab has %d calls open and had %d, want some, and %d at most", now, most, bound)
	}
	silent.open()
	s.untilLong("statuses", func() bool {
		for i, sha := range shas {
			if all := s.git.Statuses(int64(1000+i), sha); len(all) != 1 || all[0].State != "success" {
				return false
			}
		}
		return s.idle()
	})
	s.same("events", len(s.eventStates()), pushes+1)
	for _, row := range s.deliveries() {
		if state := strings.Fields(row)[1]; state != "done" && state != "skipped" {
			t.Errorf("got delivery %q, want all of them ended well", row)
		}
	}
}
