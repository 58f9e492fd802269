package report_test

import (
	"fmt"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
	"gitlab.com/remora-ci/remora/component/report"
	"gitlab.com/remora-ci/remora/component/rest"
)

// faultCases are about faults that pass.
var faultCases = map[string]func(*stage){
	"S7 409 then 201 is one status": func(s *stage) {
		s.git.Fail("POST /statuses/", gitlabtest.Answer{Code: 409, Body: `{"message":"Another update to this commit status is in progress"}`})
		r := s.reporter()
		r.Open(s.Context(), []string{"direktiv"})
		s.until("the second post", func() bool { return len(s.git.Requests("POST /statuses/")) > 1 })
		s.told(s.close(r, succeeded("direktiv")))
		s.same("posts", s.posts(), []string{"sync/direktiv running 409", "sync/direktiv running 201", "sync/direktiv success 201"})
		s.same("rows", len(s.git.Statuses(42, s.scene.SHA)), 1)
	},
	"S8 twenty targets at once make one pipeline and never a 409": func(s *stage) {
		s.outside()
		pipelines := len(s.git.Pipelines(42))
		var targets []string
		var outcomes []delivery.Outcome
		for i := range 20 {
			targets = append(targets, fmt.Sprintf("t%02d", i))
			outcomes = append(outcomes, succeeded(targets[i]))
		}
		r := s.reporter()
		r.Open(s.Context(), targets)
		done := make(chan struct{})
		for _, o := range outcomes {
			go func() { r.Finish(s.Context(), o); done <- struct{}{} }()
		}
		for range outcomes {
			<-done
		}
		got := s.close(r, outcomes...)
		s.told(got)
		s.same("statuses", got.Statuses, 20)
		for _, q := range s.git.Requests("POST /statuses/") {
			if q.Code != 201 {
				s.Errorf("a post got %d", q.Code)
			}
		}
		s.same("pipelines", len(s.git.Pipelines(42)), pipelines)
		for _, st := range s.git.Statuses(42, s.scene.SHA) {
			if st.PipelineID != 1001 || st.State != "success" {
				s.Errorf("%s is %s in pipeline %d", st.Name, st.State, st.PipelineID)
			}
		}
	},
	"S25 429 with Retry-After in seconds is waited for": func(s *stage) {
		limited(s, gitlabtest.Answer{Code: 429, Header: map[string]string{"Retry-After": "1"}, Body: "Retry later"}, time.Second)
	},
	"S25 429 with Retry-After as a date is waited for": func(s *stage) {
		at := time.Now().Add(2 * time.Second).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")
		limited(s, gitlabtest.Answer{Code: 429, Header: map[string]string{"Retry-After": at}}, 0)
	},
	"S25 429 with RateLimit-Reset is waited for": func(s *stage) {
		reset := fmt.Sprint(time.Now().Add(2 * time.Second).Unix())
		limited(s, gitlabtest.Answer{Code: 429, Header: map[string]string{"RateLimit-Remaining": "0", "RateLimit-Reset": reset}}, 0)
	},
	"S25 429 with nothing but a text is repeated": func(s *stage) {
		limited(s, gitlabtest.Answer{Code: 429, Body: "Retry later"}, 0)
	},
	"S25 429 with an hour to wait is told and not waited for": func(s *stage) {
		s.git.Fail("POST /statuses/", gitlabtest.Answer{Code: 429, Header: map[string]string{"Retry-After": "3600"}})
		r := s.reporter()
		s.told(s.close(r, succeeded("direktiv")), "rate limited")
		s.same("posts", s.posts(), []string{"sync/direktiv success 429"})
	},
	"S26 a 502 after the commit is read back and not sent again": func(s *stage) {
		s.git.Fail("POST /statuses/", gitlabtest.Answer{Code: 502, After: true}, gitlabtest.Answer{Drop: true, After: true})
		r := s.reporter()
		s.opened(r, "direktiv")
		got := s.close(r, succeeded("direktiv"))
		s.told(got)
		s.same("statuses", got.Statuses, 1)
		s.same("posts", len(s.posts()), 2)
		s.same("rows", len(s.git.Statuses(42, s.scene.SHA)), 1)
		s.same("shown", s.shows(42, s.scene.SHA), []string{"sync/direktiv success 1001"})
	},
	"a 502 before the commit is sent again": func(s *stage) {
		s.git.Fail("POST /statuses/", gitlabtest.Answer{Code: 502}, gitlabtest.Answer{Code: 503})
		r := s.reporter()
		s.told(s.close(r, succeeded("direktiv")))
		s.same("posts", s.posts(), []string{"sync/direktiv success 502", "sync/direktiv success 503", "sync/direktiv success 201"})
	},
	"a final state of an earlier run is not taken for ours after a 502": func(s *stage) {
		s.git.AddStatus(42, gitlabtest.Status{SHA: s.scene.SHA, Ref: s.scene.Pipeline.Ref, Name: "sync/direktiv", State: "success", Description: "old", PipelineID: 1001, UserID: s.scene.Bot.ID})
		s.git.Fail("POST /statuses/", gitlabtest.Answer{Code: 502})
		r := s.reporter()
		s.told(s.close(r, succeeded("direktiv")))
		s.same("posts", s.posts(), []string{"sync/direktiv success 502", "sync/direktiv success 201"})
	},
	"S24 a status is found among 250 others": func(s *stage) {
		for i := range 250 {
			s.git.AddStatus(42, gitlabtest.Status{SHA: s.scene.SHA, Ref: fmt.Sprint(i), Name: "sync/direktiv", State: "success", PipelineID: 5, UserID: s.scene.Person.ID})
		}
		s.git.Fail("POST /statuses/", gitlabtest.Answer{Code: 502, After: true})
		r := s.reporter()
		s.opened(r, "direktiv")
		s.told(s.close(r, succeeded("direktiv")))
		s.same("posts", len(s.posts()), 2)
		if n := len(s.git.Requests("GET /statuses")); n != 3 {
			s.Errorf("got %d pages read, want 3", n)
		}
	},
	"a step that GitLab refuses for no plain reason is looked at": func(s *stage) {
		refusal := gitlabtest.Answer{Code: 400, After: true, Body: `{"message":"Cannot transition status via :drop from :created"}`}
		s.git.Fail("POST /statuses/", refusal)
		s.told(s.close(s.reporter(), broken("direktiv")))
		s.same("posts", len(s.posts()), 1)
	},
	"a step that GitLab refuses and does not show is told": func(s *stage) {
		s.git.Fail("POST /statuses/", gitlabtest.Answer{Code: 400, Body: `{"message":"Cannot transition status via :success from :manual"}`})
		s.told(s.close(s.reporter(), succeeded("direktiv")), "does not let the status")
		s.same("posts", len(s.posts()), 1)
	},
	"while the status cannot be read back it is not sent again": func(s *stage) {
		s.git.Fail("POST /statuses/", gitlabtest.Answer{Code: 500})
		var denied []gitlabtest.Answer
		for range 3 {
			denied = append(denied, gitlabtest.Answer{Code: 403})
		}
		s.git.Fail("GET /statuses", denied...)
		s.told(s.close(s.reporter(), succeeded("direktiv")), "GitLab is well")
		s.same("posts", len(s.posts()), 1)
	},
	"a server that stays down is told once, and nothing is sent for ever": func(s *stage) {
		var down []gitlabtest.Answer
		for range 20 {
			down = append(down, gitlabtest.Answer{Code: 500})
		}
		s.git.Fail("POST /statuses/", down...)
		s.spare = true
		var outcomes []delivery.Outcome
		var targets []string
		for i := range 10 {
			targets = append(targets, fmt.Sprintf("t%d", i))
			outcomes = append(outcomes, succeeded(targets[i]))
		}
		r := s.reporter()
		r.Open(s.Context(), targets)
		s.told(s.close(r, outcomes...), "GitLab is well")
		if n := len(s.posts()); n > 10 {
			s.Errorf("got %d posts to a server that is down: %q", n, s.posts())
		}
	},
	"few requests left are kept for final states": func(s *stage) {
		s.options.Gauge = new(report.Gauge)
		s.options.Gauge.Audit(rest.Attempt{Remaining: "8"})
		r := s.reporter()
		r.Open(s.Context(), []string{"direktiv"})
		s.told(s.close(r, succeeded("direktiv")))
		s.same("posts", s.posts(), []string{"sync/direktiv success 201"})
	},
	"requests enough do not hold a running back": func(s *stage) {
		s.options.Gauge = new(report.Gauge)
		s.options.Gauge.Audit(rest.Attempt{Remaining: "8"})
		s.options.Gauge.Audit(rest.Attempt{Remaining: "80"})
		s.options.Gauge.Audit(rest.Attempt{})
		r := s.reporter()
		s.opened(r, "direktiv")
		s.told(s.close(r, succeeded("direktiv")))
		s.same("posts", len(s.posts()), 2)
	},
}

func limited(s *stage, answer gitlabtest.Answer, atLeast time.Duration) {
	s.Helper()
	s.git.Fail("POST /statuses/", answer)
	start := time.Now()
	r := s.reporter()
	s.told(s.close(r, succeeded("direktiv")))
	if took := time.Since(start); took < atLeast {
		s.Errorf("took %s, want at least %s", took, atLeast)
	}
	s.same("posts", s.posts(), []string{"sync/direktiv success 429", "sync/direktiv success 201"})
}
