package agent_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"gitlab.com/remora-ci/remora/agent"
	"gitlab.com/remora-ci/remora/agent/api"
	"gitlab.com/remora-ci/remora/agent/auth"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
	"gitlab.com/remora-ci/remora/component/trigger"
)

// inMergeRequest is a job of the pipeline of merge request !7.
func (s *stage) inMergeRequest(sha string) auth.Job {
	job := s.job(7001, sha)
	job.PipelineSource = "merge_request_event"
	return job
}

// jobReports reports as a job, and waits for the end.
func (s *stage) jobReports(a *agent.Agent, job auth.Job, r trigger.Report) (trigger.Delivery, error) {
	s.Helper()
	s.events++
	got, err := a.Report(s.Context(), api.Reporter{Job: &job}, fmt.Sprint("key-", s.events), r)
	if err != nil {
		return got, err
	}
	return s.ended(a, got.ID), nil
}

func TestAJobReportsOnNothingButItsOwn(t *testing.T) {
	t.Parallel()
	s := newStage(t, sqlite(t))
	a, _ := s.start()
	s.git.AddMergeRequest(42, gitlabtest.MergeRequest{IID: 8, SourceBranch: "main"})
	merged := strings.Repeat("e", 40)
	s.git.AddCommit(42, gitlabtest.Commit{SHA: merged, Parents: []string{s.scene.SHA}})
	s.git.AddPipeline(42, gitlabtest.Pipeline{SHA: merged, Ref: "refs/merge-requests/7/merge", Source: "merge_request_event", MergeRequest: 7})
	build := trigger.Report{Name: "build", State: "success"}
	with := func(change func(*trigger.Report)) trigger.Report { r := build; change(&r); return r }
	for _, tc := range []struct {
		name   string
		job    auth.Job
		report trigger.Report
		cause  string // of the refusal; empty: it is shown
		shown  string // on which commit
	}{
		{"the commit of its pipeline", s.inMergeRequest(s.scene.SHA), build, "", s.scene.SHA},
		{"the head of its merge request, from a merged result", s.inMergeRequest(merged), with(func(r *trigger.Report) { r.SHA, r.Name = s.scene.SHA, "source" }), "", s.scene.SHA},
		{"a commit of the default branch, from a merge request", s.inMergeRequest(s.scene.SHA), with(func(r *trigger.Report) { r.SHA, r.Name = s.scene.Base, "forged" }), "of no open merge request from feature", ""},
		{"the note of its merge request", s.inMergeRequest(s.scene.SHA), with(func(r *trigger.Report) { r.MergeRequest, r.Note, r.Name = 7, "Built.", "noted" }), "", s.scene.SHA},
		{"the note of another merge request", s.inMergeRequest(s.scene.SHA), with(func(r *trigger.Report) { r.MergeRequest, r.Note = 8, "All is well." }), "merge request !8", ""},
		{"the note of another merge request, from a push", s.job(7002, s.scene.SHA), with(func(r *trigger.Report) { r.MergeRequest, r.Note = 8, "All is well." }), "merge request !8", ""},
		{"a merge request that is not there", s.inMergeRequest(s.scene.SHA), with(func(r *trigger.Report) { r.MergeRequest = 99 }), "merge request !99", ""},
	} {
		got, err := s.jobReports(a, tc.job, tc.report)
		if err != nil || len(got.Targets) != 1 {
			t.Errorf("%s: got %+v, %v", tc.name, got, err)
			continue
		}
		one := got.Targets[0]
		switch {
		case tc.cause == "" && (one.State != "done" || !strings.Contains(strings.Join(s.shown(tc.shown), ","), tc.report.Name+" success")):
			t.Errorf("%s: got %+v, shown %q", tc.name, one, s.shown(tc.shown))
		case tc.cause != "" && (one.State != "failed" || !strings.Contains(one.Cause, tc.cause) || one.Remedy == ""):
			t.Errorf("%s: got %+v, want failed, as %s", tc.name, one, tc.cause)
		}
	}
	s.same("statuses of the default branch", s.shown(s.scene.Base), []string{})
	s.same("statuses of the merged result", s.shown(merged), []string{})
	s.same("notes of the other merge request", len(s.git.Notes(42, 8)), 0)
	s.same("notes of its own", len(s.git.Notes(42, 7)), 1)
}

func TestAReportIsNotShownAsADelivery(t *testing.T) {
	t.Parallel()
	s := newStage(t, sqlite(t))
	a, _ := s.start()
	for _, name := range []string{"sync/site", "sync/all"} {
		_, err := a.Report(s.Context(), s.builder(), name, trigger.Report{Project: "acme/app", SHA: s.scene.SHA, Name: name, State: "success"})
		if code, detail := refusal(err); code != http.StatusUnprocessableEntity || !strings.Contains(detail, "own deliveries") {
			t.Errorf("%s: got %v, want 422", name, err)
		}
	}
	for _, name := range []string{"sync/other", "build/site"} {
		s.same(name, s.report(a, name, trigger.Report{SHA: s.scene.SHA, Name: name, State: "success"}).State, "done")
	}
}

// Both wait while no worker runs, so that one run has both.
func TestReportsOfOneRunNeverGoBackward(t *testing.T) {
	t.Parallel()
	at := time.Now().Add(-time.Hour).UTC()
	for name, reports := range map[string][]trigger.Report{
		"by their times":      {{State: "success", At: at}, {State: "running", At: at.Add(-time.Minute)}},
		"by their being ends": {{State: "success"}, {State: "running"}},
		"in their order":      {{State: "failed"}, {State: "running"}, {State: "success"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, sqlite(t))
			ctx, cancel := context.WithCancel(zerolog.New(s.logs).WithContext(context.Background()))
			a, err := agent.New(ctx, s.parse(), agent.Hastened(agent.Options{Version: "1.0.0"}, 2*time.Second))
			if err != nil {
				t.Fatal(err)
			}
			var last int64
			for i, r := range reports {
				r.Project, r.SHA, r.Name = "acme/app", s.scene.SHA, "build"
				impatient, leave := context.WithTimeout(ctx, time.Second)
				got, err := a.Report(impatient, s.builder(), fmt.Sprint("k", i), r)
				leave()
				if err != nil {
					t.Fatal(err)
				}
				last = got.ID
			}
			ended := make(chan error, 1)
			go func() { ended <- a.Run(ctx) }()
			s.ended(a, last)
			s.until("rest", s.idle)
			s.same("posts", s.posts(s.scene.SHA), []string{"success"})
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestReportsOfACommitHaveOneKeyAndNote(t *testing.T) {
	t.Parallel()
	s := newStage(t, sqlite(t))
	a, _ := s.start()
	s.git.Fail("GET /projects/acme", slices.Repeat([]gitlabtest.Answer{{Code: 404}}, 1)...) // its id is not learned
	note := func(text string) trigger.Report {
		return trigger.Report{SHA: s.scene.SHA, Ref: "feature", Name: "build", State: "success", Note: text}
	}
	s.report(a, "k1", note("one"))
	job := s.job(7001, s.scene.SHA)
	if got, err := s.jobReports(a, job, note("two")); err != nil || got.State != "done" {
		t.Errorf("the job's: got %+v, %v", got, err)
	}
	s.same("notes", len(s.git.Notes(42, 7)), 1)
	db := s.open()
	defer func() { _ = db.Close() }()
	var works []string
	err := db.Query(t.Context(), func(r store.Row) error {
		var key, pool string
		defer func() { works = append(works, pool+" "+key) }()
		return r.Scan(&key, &pool)
	}, "SELECT key, pool FROM work WHERE key LIKE 'report:%'")
	host := strings.TrimPrefix(s.git.URL, "http://")
	if diff := cmp.Diff([]string{fmt.Sprintf("report:%s report:%s/acme/app:%s", host, host, s.scene.SHA)}, works); err != nil || diff != "" {
		t.Errorf("%v: work (-want +got):\n%s", err, diff)
	}
}

func TestAReportThatIsReplayedNeverGoesBackward(t *testing.T) {
	t.Parallel()
	s := newStage(t, sqlite(t))
	a, _ := s.start()
	old := s.report(a, "k1", trigger.Report{SHA: s.scene.SHA, Name: "build", State: "success"})
	s.report(a, "k2", trigger.Report{SHA: s.scene.SHA, Name: "build", State: "failed"})
	db := s.open()
	defer func() { _ = db.Close() }()
	if n, err := db.Replay(t.Context(), store.EventFilter{IDs: []int64{old.ID}}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	s.until("the replay", func() bool { return s.idle() && len(s.deliveries()) == 3 })
	s.same("shown", s.shown(s.scene.SHA), []string{"build failed"})
}

func TestARequestIsKeptWithinBounds(t *testing.T) {
	t.Parallel()
	s := newStage(t, sqlite(t))
	s.route = ", on: [job]"
	a, _ := s.start()
	for name, r := range map[string]trigger.Request{
		"before":   {Before: "HEAD~1; rm -rf /"},
		"job_name": {JobName: "two\nlines"},
		"targets":  {Targets: make([]string, 101)},
	} {
		_, err := a.Deliver(s.Context(), s.job(7001, s.scene.SHA), "key", r)
		if code, detail := refusal(err); code != http.StatusUnprocessableEntity || !strings.HasPrefix(detail, name+":") {
			t.Errorf("%s: got %v, want 422", name, err)
		}
	}
	got, err := a.Deliver(s.Context(), s.job(7001, s.scene.SHA), "key", trigger.Request{JobURL: "https://phishing.example"})
	if err != nil {
		t.Fatal(err)
	}
	s.ended(a, got.ID)
	if ev := s.place.got()[0]; ev.Job.URL != s.git.URL+"/acme/app/-/jobs/7001" {
		t.Errorf("the address of the job is %q, not what its token proves", ev.Job.URL)
	}
	_, err = a.Deliver(s.Context(), s.job(7001, s.scene.SHA), "key", trigger.Request{Targets: []string{"site"}})
	if code, _ := refusal(err); code != http.StatusConflict {
		t.Errorf("the key for other targets: got %v, want 409", err)
	}
}
