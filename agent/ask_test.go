package agent_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/agent"
	"gitlab.com/remora-ci/remora/agent/api"
	"gitlab.com/remora-ci/remora/agent/auth"
	"gitlab.com/remora-ci/remora/agent/store/storetest"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
	"gitlab.com/remora-ci/remora/component/trigger"
)

// job is what the ID token of a job on a commit of feature proves.
func (s *stage) job(id int64, sha string) auth.Job {
	return auth.Job{
		Instance: s.git.URL, ProjectID: 42, ProjectPath: "acme/app", Exact: true, SourceID: 42, SourcePath: "acme/app",
		PipelineID: 1001, PipelineSource: "push", JobID: id, SHA: sha, Ref: "feature", RefType: delivery.Branch, RefProtected: true,
		TokenID: "token-of-" + sha + string(rune('a'+id%26)), Expires: time.Now().Add(time.Hour),
	}
}

func refusal(err error) (code int, detail string) {
	var r *api.Refused
	if errors.As(err, &r) {
		return r.Status, r.Detail
	}
	return 0, ""
}

// ended waits for the end of a delivery.
func (s *stage) ended(a *agent.Agent, id int64) trigger.Delivery {
	s.Helper()
	var got trigger.Delivery
	s.until("end of the delivery", func() bool {
		var err error
		if got, _, err = a.Delivery(s.Context(), id); err != nil {
			s.Fatal(err)
		}
		return got.Done
	})
	return got
}

// jobFlows: a CI job asks, and …
var jobFlows = map[string]func(s *stage){
	"gets the true result, and the bot shows it": func(s *stage) {
		s.route = ", on: [job]"
		a, _ := s.start()
		got, err := a.Deliver(s.Context(), s.job(7001, s.scene.SHA), "job-7001", trigger.Request{JobID: 7001})
		if err != nil || got.ID == 0 || got.Done {
			s.Fatalf("got %+v, %v", got, err)
		}
		got = s.ended(a, got.ID)
		if got.State != "done" || len(got.Targets) != 1 || got.Targets[0].Target != "site" || got.Targets[0].Delivery == 0 {
			s.Errorf("got %+v, want one target that is done", got)
		}
		s.untilShown(s.scene.SHA, "sync/site success")
		if ev := s.place.got()[0]; ev.Cause != delivery.CauseCI || ev.Job == nil || ev.Job.ID != 7001 {
			s.Errorf("the target was told of cause %s, job %+v", ev.Cause, ev.Job)
		}
	},
	"asking again with the same key is the same delivery": func(s *stage) {
		s.route = ", on: [job]"
		a, _ := s.start()
		ask := func() int64 {
			got, err := a.Deliver(s.Context(), s.job(7001, s.scene.SHA), "key", trigger.Request{})
			if err != nil {
				s.Fatal(err)
			}
			return got.ID
		}
		first := ask()
		s.ended(a, first)
		s.same("id", ask(), first)
		s.until("rest", s.idle)
		s.same("calls", len(s.place.got()), 1)
	},
	"the key of another job is refused": func(s *stage) {
		s.route = ", on: [job]"
		a, _ := s.start()
		if _, err := a.Deliver(s.Context(), s.job(7001, s.scene.SHA), "key", trigger.Request{}); err != nil {
			s.Fatal(err)
		}
		_, err := a.Deliver(s.Context(), s.job(7002, s.scene.SHA), "key", trigger.Request{})
		if code, _ := refusal(err); code != http.StatusConflict {
			s.Errorf("got %v, want 409", err)
		}
	},
	"a jti that belongs to another job is refused": func(s *stage) {
		s.route = ", on: [job]"
		a, _ := s.start()
		first, second := s.job(7001, s.scene.SHA), s.job(7002, s.scene.SHA)
		second.TokenID = first.TokenID
		if _, err := a.Deliver(s.Context(), first, "one", trigger.Request{}); err != nil {
			s.Fatal(err)
		}
		_, err := a.Deliver(s.Context(), second, "two", trigger.Request{})
		if code, detail := refusal(err); code != http.StatusForbidden || !strings.Contains(detail, "jti") {
			s.Errorf("got %v, want 403 that names the jti", err)
		}
		s.same("events", len(s.eventStates()), 1)
	},
	"no route for jobs is a refusal, and nothing is stored": func(s *stage) {
		a, _ := s.start()
		_, err := a.Deliver(s.Context(), s.job(7001, s.scene.SHA), "key", trigger.Request{})
		if code, detail := refusal(err); code != http.StatusForbidden || !strings.Contains(detail, "on: [job]") {
			s.Errorf("got %v, want 403 with a remedy", err)
		}
		s.same("events", len(s.eventStates()), 0)
	},
	"a branch that is not protected is refused": func(s *stage) {
		s.route = ", on: [job]"
		a, _ := s.start()
		job := s.job(7001, s.scene.SHA)
		job.RefProtected = false
		_, err := a.Deliver(s.Context(), job, "key", trigger.Request{})
		if code, detail := refusal(err); code != http.StatusForbidden || !strings.Contains(detail, "protected") {
			s.Errorf("got %v, want 403 that says protected", err)
		}
	},
	"unless the route is for those too": func(s *stage) {
		s.route = ", on: [job], protected: false"
		a, _ := s.start()
		job := s.job(7001, s.scene.SHA)
		job.RefProtected = false
		got, err := a.Deliver(s.Context(), job, "key", trigger.Request{})
		if err != nil {
			s.Fatal(err)
		}
		s.same("state", s.ended(a, got.ID).State, "done")
	},
	"a target that no route leads to is refused by name": func(s *stage) {
		s.route = ", on: [job]"
		a, _ := s.start()
		_, err := a.Deliver(s.Context(), s.job(7001, s.scene.SHA), "key", trigger.Request{Targets: []string{"site", "prod"}})
		if code, detail := refusal(err); code != http.StatusForbidden || !strings.Contains(detail, `"prod"`) {
			s.Errorf("got %v, want 403 that names prod", err)
		}
	},
	"a job whose commit was overtaken gets the result of the run that covered it": func(s *stage) {
		s.route = ", on: [job, push]"
		release := s.place.block()
		defer release()
		a, _ := s.start()
		s.hook(s.push(s.scene.Base, s.scene.SHA))
		s.until("first call", func() bool { return len(s.place.got()) == 1 })
		older := s.commit("a.txt")
		got, err := a.Deliver(s.Context(), s.job(7001, older), "key", trigger.Request{})
		if err != nil {
			s.Fatal(err)
		}
		s.scene.SHA = older
		newer := s.commit("b.txt")
		s.hook(s.push(older, newer))
		s.until("routing", func() bool { return len(s.deliveries()) == 3 })
		release()
		got = s.ended(a, got.ID)
		if got.State != "done" || len(got.Targets) != 1 || got.Targets[0].OvertakenBy != newer {
			s.Errorf("got %+v, want done, overtaken by %s", got, newer)
		}
	},
	"a target that fails fails the job's delivery, with cause": func(s *stage) {
		s.route = ", on: [job]"
		s.place.answer(http.StatusUnprocessableEntity)
		a, _ := s.start()
		got, err := a.Deliver(s.Context(), s.job(7001, s.scene.SHA), "key", trigger.Request{})
		if err != nil {
			s.Fatal(err)
		}
		got = s.ended(a, got.ID)
		if got.State != "failed" || got.Targets[0].Summary == "" || got.Targets[0].Request == "" {
			s.Errorf("got %+v, want failed with summary and evidence", got)
		}
	},
	"an agent that restarts while the job waits has the true result": func(s *stage) {
		s.route = ", on: [job]"
		release := s.place.block()
		one, stopOne := s.start()
		got, err := one.Deliver(s.Context(), s.job(7001, s.scene.SHA), "key", trigger.Request{})
		if err != nil {
			s.Fatal(err)
		}
		s.until("call", func() bool { return len(s.place.got()) == 1 })
		release()
		stopOne()
		two, _ := s.start()
		s.same("state", s.ended(two, got.ID).State, "done")
	},
	"a merge request that is not the job's is refused": func(s *stage) {
		s.route = ", on: [job]"
		a, _ := s.start()
		s.git.AddMergeRequest(42, gitlabtest.MergeRequest{IID: 8, SourceBranch: "main"})
		job := s.job(7001, s.scene.SHA)
		job.PipelineSource = "merge_request_event"
		_, err := a.Deliver(s.Context(), job, "key", trigger.Request{MergeRequest: &trigger.MergeRequest{IID: 8, ProjectID: 42}})
		if code, _ := refusal(err); code != http.StatusForbidden {
			s.Errorf("got %v, want 403", err)
		}
		got, err := a.Deliver(s.Context(), job, "key", trigger.Request{MergeRequest: &trigger.MergeRequest{IID: 7, ProjectID: 42}})
		if err != nil {
			s.Fatal(err)
		}
		s.ended(a, got.ID)
		s.until("note", func() bool { return len(s.git.Notes(42, 7)) == 1 })
	},
	"a fork's job is refused by a route that takes none": func(s *stage) {
		s.route = ", on: [job], protected: false"
		a, _ := s.start()
		s.git.AddProject(gitlabtest.Project{ID: 77, Path: "someone/app"})
		s.git.AddMember(77, s.scene.Bot.ID, gitlabtest.Developer)
		s.git.AddCommit(77, gitlabtest.Commit{SHA: strings.Repeat("f", 40), Branches: []string{"feature"}})
		s.git.AddMergeRequest(42, gitlabtest.MergeRequest{IID: 9, SourceProjectID: 77, SourceBranch: "feature"})
		job := s.job(7001, strings.Repeat("f", 40))
		job.SourceID, job.SourcePath, job.PipelineSource = 77, "someone/app", "merge_request_event"
		ask := trigger.Request{MergeRequest: &trigger.MergeRequest{IID: 9, ProjectID: 42, SourceProjectID: 77}}
		_, err := a.Deliver(s.Context(), job, "key", ask)
		if code, detail := refusal(err); code != http.StatusForbidden || !strings.Contains(detail, "fork") {
			s.Errorf("got %v, want 403 that says fork", err)
		}
		job.Exact = false
		_, err = a.Deliver(s.Context(), job, "key", ask)
		if code, detail := refusal(err); code != http.StatusForbidden || !strings.Contains(detail, "job_project_id") {
			s.Errorf("before GitLab 18.4: got %v, want 403 that names job_project_id", err)
		}
		job.Exact = true
		_, err = a.Deliver(s.Context(), job, "key", trigger.Request{})
		if code, _ := refusal(err); code != http.StatusForbidden {
			s.Errorf("without a merge request: got %v, want 403", err)
		}
		s.same("events", len(s.eventStates()), 0)
	},
	"a webhook that looks like a job's request is none": func(s *stage) {
		s.route = ", on: [job]"
		s.start()
		s.hook(map[string]any{"object_kind": "job", "Job": s.job(7001, s.scene.SHA), "project": s.project()})
		s.until("routing", func() bool {
			return s.idle() && len(s.eventStates()) == 1 && !strings.Contains(s.eventStates()[0], "received")
		})
		s.same("events", s.eventStates(), []string{"job ignored a job asks through the API, not by a webhook"})
		s.same("calls", len(s.place.got()), 0)
	},
}

func TestJobsAsk(t *testing.T) {
	t.Parallel()
	for name, flow := range jobFlows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			flow(newStage(t, sqlite(t)))
		})
	}
}

func TestJobsAskAnyReplica(t *testing.T) {
	t.Parallel()
	db := storetest.Postgres(t)
	s := newStage(t, db)
	s.route = ", on: [job]"
	release := s.place.block()
	one, stop := s.start()
	got, err := one.Deliver(s.Context(), s.job(7001, s.scene.SHA), "key", trigger.Request{})
	if err != nil {
		t.Fatal(err)
	}
	s.until("call", func() bool { return len(s.place.got()) == 1 })
	two, _ := s.start()
	changed, done := two.Watch(got.ID)
	defer done()
	release()
	stop()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		now, _, err := two.Delivery(ctx, got.ID)
		if err != nil {
			t.Fatal(err)
		}
		if now.Done {
			s.same("state", now.State, "done")
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatal("the other replica was not told of the end")
		}
	}
}

// reportFlows: a build system reports, and …
var reportFlows = map[string]func(s *stage, a *agent.Agent){
	"the bot shows it, once for a key": func(s *stage, a *agent.Agent) {
		for range 2 {
			got := s.report(a, "k1", trigger.Report{SHA: s.scene.SHA, Name: "rpm-build:fedora", State: "success", Description: "built"})
			s.same("state", got.State, "done")
		}
		s.same("shown", s.shown(s.scene.SHA), []string{"rpm-build:fedora success"})
		s.same("posts", s.posts(s.scene.SHA), []string{"success"})
	},
	"a key that stands for another report is refused": func(s *stage, a *agent.Agent) {
		s.report(a, "k1", trigger.Report{SHA: s.scene.SHA, Name: "build", State: "running"})
		_, err := a.Report(s.Context(), s.builder(), "k1", trigger.Report{Project: "acme/app", SHA: s.scene.SHA, Name: "build", State: "success"})
		if code, _ := refusal(err); code != http.StatusConflict {
			s.Errorf("got %v, want 409", err)
		}
	},
	"a running that comes after the end is dropped": func(s *stage, a *agent.Agent) {
		s.report(a, "k1", trigger.Report{SHA: s.scene.SHA, Name: "build", State: "success"})
		got := s.report(a, "k2", trigger.Report{SHA: s.scene.SHA, Name: "build", State: "running"})
		s.same("late state", got.State, "skipped")
		s.same("posts", s.posts(s.scene.SHA), []string{"success"})
	},
	"an older time never overwrites a newer": func(s *stage, a *agent.Agent) {
		at := time.Now().Add(-time.Hour).UTC()
		s.report(a, "k1", trigger.Report{SHA: s.scene.SHA, Name: "build", State: "failed", At: at})
		got := s.report(a, "k2", trigger.Report{SHA: s.scene.SHA, Name: "build", State: "success", At: at.Add(-time.Minute)})
		s.same("older", got.State, "skipped")
		s.same("shown", s.shown(s.scene.SHA), []string{"build failed"})
		got = s.report(a, "k3", trigger.Report{SHA: s.scene.SHA, Name: "build", State: "success", At: at.Add(time.Minute)})
		s.same("newer", got.State, "done")
		s.same("shown then", s.shown(s.scene.SHA), []string{"build success"})
	},
	"a commit that GitLab does not know fails the report for good": func(s *stage, a *agent.Agent) {
		got := s.report(a, "k1", trigger.Report{SHA: strings.Repeat("d", 40), Name: "build", State: "success"})
		if got.State != "failed" || len(got.Targets) != 1 || got.Targets[0].Summary == "" {
			s.Errorf("got %+v, want failed with a summary", got)
		}
	},
	"a note goes to the merge request of the commit": func(s *stage, a *agent.Agent) {
		s.report(a, "k1", trigger.Report{SHA: s.scene.SHA, Ref: "feature", Name: "build", State: "success", Note: "Built **four** packages."})
		notes := s.git.Notes(42, 7)
		if len(notes) != 1 || !strings.Contains(notes[0].Body, "four") {
			s.Errorf("got notes %+v", notes)
		}
	},
	"a text that is no commit id is refused": func(s *stage, a *agent.Agent) {
		_, err := a.Report(s.Context(), s.builder(), "k", trigger.Report{Project: "acme/app", SHA: "main", Name: "build", State: "success"})
		if code, detail := refusal(err); code != http.StatusUnprocessableEntity || !strings.HasPrefix(detail, "sha:") {
			s.Errorf("got %v, want 422 about sha", err)
		}
	},
	"a project token speaks for no other project": func(s *stage, a *agent.Agent) {
		_, err := a.Report(s.Context(), s.builder(), "k", trigger.Report{Project: "acme/other", SHA: s.scene.SHA, Name: "build", State: "success"})
		if code, _ := refusal(err); code != http.StatusForbidden {
			s.Errorf("got %v, want 403", err)
		}
	},
	"a job reports its own commit alone": func(s *stage, a *agent.Agent) {
		job := s.job(7001, s.scene.SHA)
		_, err := a.Report(s.Context(), api.Reporter{Job: &job}, "k", trigger.Report{SHA: s.scene.Base, Name: "build", State: "success"})
		if code, detail := refusal(err); code != http.StatusForbidden || !strings.Contains(detail, "sha") {
			s.Errorf("got %v, want 403 that names sha", err)
		}
		got, err := a.Report(s.Context(), api.Reporter{Job: &job}, "k", trigger.Report{Name: "build", State: "success"})
		if err != nil || got.State != "done" {
			s.Errorf("its own: got %+v, %v", got, err)
		}
	},
	"GitLab that is away for a moment gets it later": func(s *stage, a *agent.Agent) {
		s.git.Fail("POST /statuses/", slices.Repeat([]gitlabtest.Answer{{Code: 500}}, 1)...)
		got := s.report(a, "k1", trigger.Report{SHA: s.scene.SHA, Name: "build", State: "success"})
		s.same("state", got.State, "done")
		s.same("shown", s.shown(s.scene.SHA), []string{"build success"})
	},
}

// builder is the holder of a token for acme/app.
func (s *stage) builder() api.Reporter {
	return api.Reporter{Caller: auth.Caller{Kind: auth.KindProjectToken, Name: "k1", Scope: auth.Scope{Path: "acme/app"}}}
}

func (s *stage) report(a *agent.Agent, key string, r trigger.Report) trigger.Delivery {
	s.Helper()
	r.Project = "acme/app"
	got, err := a.Report(s.Context(), s.builder(), key, r)
	if err != nil {
		s.Fatal(err)
	}
	return s.ended(a, got.ID)
}

func TestBuildSystemsReport(t *testing.T) {
	t.Parallel()
	for name, flow := range reportFlows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, sqlite(t))
			a, _ := s.start()
			flow(s, a)
		})
	}
}
