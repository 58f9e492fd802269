package agent_test

import (
	"context"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"gitlab.com/remora-ci/remora/agent"
	"gitlab.com/remora-ci/remora/agent/config"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

func TestDrain(t *testing.T) {
	t.Parallel()
	s := newStage(t, sqlite(t))
	release := s.place.block()
	defer release()
	_, stop := s.start()
	s.hook(s.push(s.scene.Base, s.scene.SHA))
	s.until("delivery", func() bool { return len(s.place.got()) == 1 })
	ended := make(chan struct{})
	go func() { defer close(ended); stop() }()
	s.until("refusal of new calls", func() bool {
		res, err := http.Get(s.url + "/readyz")
		if err != nil {
			return true
		}
		_ = res.Body.Close()
		return false
	})
	select {
	case <-ended:
		t.Fatal("it ended before the work in hand")
	default:
	}
	release()
	<-ended
	s.same("deliveries", s.deliveries(), []string{"c0ffee12 done"})
	s.start() // the report that was not made any more
	s.untilShown(s.scene.SHA, "sync/site success")
	s.same("calls", len(s.place.got()), 1)
}

func TestDrainEndsInTime(t *testing.T) {
	t.Parallel()
	s := newStage(t, sqlite(t))
	release := s.place.block()
	defer release()
	_, stop := s.start()
	s.hook(s.push(s.scene.Base, s.scene.SHA))
	s.until("delivery", func() bool { return len(s.place.got()) == 1 })
	from := time.Now()
	stop()
	if took := time.Since(from); took < 4*time.Second || took > 15*time.Second {
		t.Errorf("it took %s to end, want the five seconds that are configured", took)
	}
	release()
	s.start()
	s.untilShown(s.scene.SHA, "sync/site success")
	s.same("deliveries", s.deliveries(), []string{"c0ffee12 done"})
}

func TestReload(t *testing.T) {
	t.Parallel()
	s := newStage(t, sqlite(t))
	s.route = ", refs: [main]"
	hangup := make(chan os.Signal, 1)
	text := make(chan string, 1)
	s.start(func(o *agent.Options) {
		o.Hangup = hangup
		o.Reload = func(context.Context) (*config.Config, []config.Warning, error) {
			return config.Parse("remora.yaml", []byte(<-text), vars{"REMORA_DATA_DIR": s.db.Dir, "REMORA_GITLAB_REQUESTS": "auto"})
		}
	})
	s.hook(s.push(s.scene.Base, s.scene.SHA))
	s.until("refusal by the route", func() bool {
		return slices.Equal(s.eventStates(), []string{"push ignored no route matches: ref feature"})
	})

	text <- s.config() + "\nrouts: []"
	hangup <- syscall.SIGHUP
	s.until("refusal of the file", func() bool { return strings.Contains(s.logs.String(), "the running one stays") })
	if !strings.Contains(s.logs.String(), "routs") {
		t.Errorf("the log does not say what is wrong: %s", s.logs)
	}
	if code := s.send(s.push(s.scene.Base, s.scene.SHA)); code != http.StatusAccepted {
		t.Errorf("webhook answered %d after a bad file", code)
	}

	s.route = ", refs: [feature]"
	text <- s.config()
	hangup <- syscall.SIGHUP
	s.until("the new configuration", func() bool { return strings.Contains(s.logs.String(), "configuration loaded") })
	s.hook(s.push(s.scene.Base, s.scene.SHA))
	s.untilShown(s.scene.SHA, "sync/site success")
}

func TestSchedule(t *testing.T) {
	t.Parallel()
	s := newStage(t, sqlite(t))
	s.git.AddCommit(42, gitlabtest.Commit{SHA: s.scene.Base, Branches: []string{"release/1"}, Tags: []string{"v1"}})
	s.git.AddPipeline(42, gitlabtest.Pipeline{SHA: s.scene.Base, Ref: "main"})
	s.git.AddProject(gitlabtest.Project{ID: 77, Path: "other/app"})
	s.git.AddMember(77, s.scene.Bot.ID, gitlabtest.Developer)
	s.yaml = `
schedules:
  - {name: nightly, on_start: true, projects: [acme/**], sync: [site]}
  - {name: releases, on_start: true, projects: [acme/**], refs: ['release/*', 'v*'], sync: [site]}
`
	s.start()
	s.until("deliveries", func() bool { return len(s.place.got()) == 3 && s.idle() })
	var got []string
	for _, ev := range s.place.got() {
		got = append(got, ev.FullRef()+" "+ev.SHA+" "+string(ev.Cause))
	}
	slices.Sort(got)
	s.same("delivered", got, []string{
		"refs/heads/main " + s.scene.Base + " schedule",
		"refs/heads/release/1 " + s.scene.Base + " schedule",
		"refs/tags/v1 " + s.scene.Base + " schedule",
	})
	s.same("events", s.eventStates(), []string{"schedule routed", "schedule routed"})
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	s := newStage(t, sqlite(t))
	a, _ := s.start()
	s.hook(s.push(s.scene.Base, s.scene.SHA))
	s.untilShown(s.scene.SHA, "sync/site success")
	s.until("rest", s.idle)
	problems, err := testutil.GatherAndLint(a.Registry())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	families, err := a.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, f := range families {
		names[f.GetName()] = true
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if v := l.GetValue(); strings.Contains(v, "acme") || strings.Contains(v, "feature") || strings.Contains(v, s.scene.SHA) {
					t.Errorf("%s: label %s=%q grows with the projects", f.GetName(), l.GetName(), v)
				}
			}
		}
	}
	for _, want := range []string{
		"remora_build_info", "remora_webhook_received_total", "remora_webhook_accept_duration_seconds", "remora_queue_depth", "remora_queue_oldest_age_seconds",
		"remora_job_attempts_total", "remora_gitlab_requests_total", "remora_gitlab_request_duration_seconds", "remora_deliveries_total",
	} {
		if !names[want] {
			t.Errorf("no metric %s", want)
		}
	}
}

func TestRouteOf(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"https://gitlab.example.com/api/v4/user":                                           "/user",
		"https://gitlab.example.com/api/v4/projects/42/statuses/c0ffee":                    "/projects/:/statuses/:",
		"https://gitlab.example.com/sub/api/v4/projects/acme%2Fapp/merge_requests/7/notes": "/projects/:/merge_requests/:/notes",
		"https://gitlab.example.com/api/v4/projects/user/repository/branches/notes":        "/projects/:/repository/branches/:",
		"https://gitlab.example.com/api/v4/projects":                                       "/projects",
		"https://gitlab.example.com/":                                                      "unknown",
		"%":                                                                                "unknown",
	} {
		if got := agent.RouteOf(address); got != want {
			t.Errorf("%s: got %s, want %s", address, got, want)
		}
	}
}
