package report_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
	"gitlab.com/remora-ci/remora/component/report"
)

func TestConfigValidateTellsEverythingAtOnce(t *testing.T) {
	t.Parallel()
	if err := (report.Config{}).Validate(); err != nil {
		t.Errorf("the zero value: %v", err)
	}
	err := report.Config{Report: "yes", Name: "a--b", Note: "edit", StatusOn: "merge"}.Validate()
	for _, want := range []string{"REMORA_REPORT: ", "REMORA_NAME: ", "REMORA_NOTE: ", "REMORA_STATUS_ON: "} {
		if err == nil || !strings.Contains("\n"+err.Error(), "\n"+want) {
			t.Errorf("got %v, want a line that starts with %s", err, want)
		}
	}
	for _, name := range []string{"-a", "a b", "a>b", "a\nb", "é", strings.Repeat("a", 51), "/a", "a--"} {
		if (report.Config{Name: name}).Validate() == nil {
			t.Errorf("the name %q was taken", name)
		}
	}
	for _, name := range []string{"sync", "sync-staging", "Sync/prod_1.2", strings.Repeat("a", 50)} {
		if err := (report.Config{Name: name}).Validate(); err != nil {
			t.Errorf("the name %q: %v", name, err)
		}
	}
}

func TestReporterWithoutTokenTellsOnceWhatToSet(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	r, err := report.New(s.config, nil, s.ev, s.options)
	if err != nil {
		t.Fatal(err)
	}
	r.Open(t.Context(), []string{"a", "b"})
	r.Finish(t.Context(), broken("a"))
	s.told(s.close(r, broken("a"), succeeded("b")), "set REMORA_GITLAB_TOKEN")
	s.told(s.close(r), "set REMORA_GITLAB_TOKEN")
	s.told(report.Post(t.Context(), s.config, nil, s.ev, s.options, report.Single{Name: "x", State: "success"}), "set REMORA_GITLAB_TOKEN")
	s.same("requests", len(s.git.Requests()), 0)
}

func TestReporterNeverReportsWithAJobToken(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.git.AddToken(s.scene.Bot.ID, "a-job-token", gitlabtest.Job)
	r, err := report.New(s.config, s.client("a-job-token"), s.ev, s.options)
	if err != nil {
		t.Fatal(err)
	}
	s.told(s.close(r, succeeded("a")), "REMORA_GITLAB_TOKEN")
	for _, q := range s.git.Requests() {
		for _, h := range q.Headers {
			if h == "Job-Token" {
				t.Errorf("%s %s brought a job token", q.Method, q.Path)
			}
		}
	}
}

func TestReporterSendsOnlyWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		report, note    string
		noMergeRequest  bool
		statuses, notes int
	}{
		"auto with a merge request":    {"auto", "update", false, 1, 1},
		"auto without a merge request": {"auto", "update", true, 1, 0},
		"status":                       {"status", "update", false, 1, 0},
		"note":                         {"note", "update", false, 0, 1},
		"off":                          {"off", "update", false, 0, 0},
		"auto with notes off":          {"auto", "off", false, 1, 0},
		"the default":                  {"", "", false, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.config.Report, s.config.Note = c.report, c.note
			if c.noMergeRequest {
				s.ev.MergeRequest = nil
			}
			got := s.close(s.reporter(), succeeded("direktiv"))
			s.told(got)
			s.same("statuses", got.Statuses, c.statuses)
			s.same("rows", len(s.git.Statuses(42, s.scene.SHA)), c.statuses)
			s.same("notes", len(s.git.Notes(42, 7)), c.notes)
		})
	}
}

func TestReporterRefusesAConfigThatIsWrong(t *testing.T) {
	t.Parallel()
	if _, err := report.New(report.Config{Note: "loud"}, nil, delivery.Event{}, report.Options{}); err == nil || !strings.HasPrefix(err.Error(), "REMORA_NOTE: ") {
		t.Errorf("New: %v", err)
	}
}

func TestReporterNeverDelaysADeliveryAndOutlivesItsContext(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	hold := make(chan struct{})
	s.git.Before(func(gitlabtest.Request) { <-hold })
	ctx, cancel := context.WithCancel(t.Context())
	r := s.reporter()
	start := time.Now()
	r.Open(ctx, []string{"a", "b", "c"})
	r.Finish(ctx, succeeded("a"))
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("Open and Finish took %s while GitLab hung", took)
	}
	cancel()
	close(hold)
	s.told(s.close(r, succeeded("a"), stopped("b"), stopped("c")))
	s.same("shown", s.shows(42, s.scene.SHA), []string{"sync/a success 1001", "sync/b canceled 1001", "sync/c canceled 1001"})
}

func TestReporterGivesUpWhenItsTimeIsOver(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	hold := make(chan struct{})
	defer close(hold)
	s.git.Before(func(gitlabtest.Request) { <-hold })
	r := s.reporter()
	r.Open(t.Context(), []string{"a"})
	s.until("request", func() bool { return len(s.git.Requests()) == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	s.told(r.Close(ctx, []delivery.Outcome{succeeded("a")}), "no time left")
}

func TestReporterLeavesNoGoroutine(t *testing.T) {
	s := newStage(t)
	gl := s.client()
	before := goleak.IgnoreCurrent()
	r, err := report.New(s.config, gl, s.ev, s.options)
	if err != nil {
		t.Fatal(err)
	}
	s.opened(r, "direktiv")
	s.close(r, succeeded("direktiv"))
	s.git.Close()
	goleak.VerifyNone(t, before,
		goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

func TestReporterTakesNothingAfterItsClose(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	r := s.reporter()
	s.told(s.close(r))
	r.Open(t.Context(), []string{"late"})
	r.Finish(t.Context(), broken("late"))
	s.told(s.close(r, broken("late")))
	s.same("requests", len(s.git.Requests()), 0)
}

func TestReporterIsClosedOnceThoughTwoCloseIt(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.config.Note = report.NoteUpdate
	r := s.reporter()
	s.opened(r, "direktiv")
	results := make(chan report.Result, 2)
	for range 2 {
		go func() { results <- r.Close(t.Context(), []delivery.Outcome{succeeded("direktiv")}) }()
	}
	s.same("results", <-results, <-results)
	s.same("posts", len(s.posts()), 2)
	s.same("notes", len(s.git.Requests("POST /notes")), 1)
}

func TestReporterKeepsTimeForTheNote(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.config.Note = report.NoteUpdate
	ended := make(chan struct{})
	t.Cleanup(func() { close(ended) })
	s.git.Before(func(r gitlabtest.Request) {
		if strings.Contains(r.Path, "/statuses/") {
			<-ended
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	got := s.reporter().Close(ctx, []delivery.Outcome{succeeded("a")})
	s.told(got, "no time left")
	s.same("note", got.Note, "created")
}

func TestReporterTellsWhyThereIsNoNote(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.config.Note = report.NoteUpdate
	s.git.Fail("GET /notes", gitlabtest.Answer{Code: 403, Body: `{"message":"403 Forbidden"}`})
	got := s.close(s.reporter(), succeeded("a"))
	s.same("note", got.Note, "")
	s.same("statuses", got.Statuses, 1)
	if len(got.Problems) != 1 || got.Problems[0].Remedy == "" {
		t.Errorf("got problems %v, want one with a remedy", got.Problems)
	}
}
