package report_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
	"gitlab.com/remora-ci/remora/component/report"
)

func TestStatus(t *testing.T) {
	t.Parallel()
	cases := map[string]func(*stage){}
	for _, some := range []map[string]func(*stage){stepCases, faultCases, refusalCases, placeCases, forkCases} {
		maps.Copy(cases, some)
	}
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			cases[name](s)
			if n := s.git.Pending(); n != 0 && !s.spare {
				t.Errorf("%d injected answers were not used", n)
			}
			if leaks := s.git.Leaks(); leaks != nil {
				t.Errorf("tokens in queries: %v", leaks)
			}
		})
	}
}

// stepCases are about the states of one status.
var stepCases = map[string]func(*stage){
	"two posts and nothing else for a target when the pipeline is known": func(s *stage) {
		r := s.reporter()
		s.opened(r, "direktiv", "mirror")
		r.Finish(s.Context(), succeeded("direktiv"))
		r.Finish(s.Context(), broken("mirror"))
		got := s.close(r, succeeded("direktiv"), broken("mirror"))
		s.told(got)
		s.same("statuses", got.Statuses, 2)
		s.same("posts", s.posts(), []string{"sync/direktiv running 201", "sync/mirror running 201", "sync/direktiv success 201", "sync/mirror failed 201"})
		s.same("requests", len(s.git.Requests()), 4)
		s.same("shown", s.shows(42, s.scene.SHA), []string{"sync/direktiv success 1001", "sync/mirror failed 1001"})
		s.same("pipelines", len(s.git.Pipelines(42)), 1)
		st := s.git.Statuses(42, s.scene.SHA)[1]
		s.same("description", st.Description, "reference not found: the mirror's ref feature does not exist")
		s.same("link", st.TargetURL, "https://gitlab.example.com/acme/app/-/jobs/9")
	},
	"the end of a target replaces a running that was not sent": func(s *stage) {
		hold := make(chan struct{})
		s.git.WhileLeased(func(r gitlabtest.Request) {
			if strings.Contains(r.Body, "first") && strings.Contains(r.Body, "running") {
				<-hold
			}
		})
		r := s.reporter()
		r.Open(s.Context(), []string{"first", "second"})
		r.Finish(s.Context(), succeeded("second"))
		close(hold)
		s.told(s.close(r, succeeded("first"), succeeded("second")))
		for _, p := range s.posts() {
			if strings.HasPrefix(p, "sync/second running") {
				s.Errorf("running was sent although the end was known: %q", s.posts())
			}
		}
	},
	"S1 running twice is sent once": func(s *stage) {
		r := s.reporter()
		s.opened(r, "direktiv")
		r.Open(s.Context(), []string{"direktiv"})
		r.Open(s.Context(), []string{"direktiv"})
		s.told(s.close(r, succeeded("direktiv")))
		s.same("posts", s.posts(), []string{"sync/direktiv running 201", "sync/direktiv success 201"})
	},
	"S2 400 run from running is success": func(s *stage) {
		s.git.AddStatus(42, gitlabtest.Status{SHA: s.scene.SHA, Ref: s.scene.Pipeline.Ref, Name: "sync/direktiv", State: "running", PipelineID: 1001, UserID: s.scene.Bot.ID})
		r := s.reporter()
		s.opened(r, "direktiv")
		got := s.close(r, succeeded("direktiv"))
		s.told(got)
		s.same("statuses", got.Statuses, 1)
		s.same("posts", s.posts(), []string{"sync/direktiv running 400", "sync/direktiv success 201"})
		s.same("shown", s.shows(42, s.scene.SHA), []string{"sync/direktiv success 1001"})
	},
	"S3 a late pending is dropped": func(s *stage) {
		s.git.AddStatus(42, gitlabtest.Status{SHA: s.scene.SHA, Ref: s.scene.Pipeline.Ref, Name: "build", State: "running", PipelineID: 1001, UserID: s.scene.Bot.ID})
		got := report.Post(s.Context(), s.config, s.client(), s.ev, s.options, report.Single{Name: "build", State: "pending"})
		s.told(got)
		s.same("posts", s.posts(), []string{"build pending 400"})
		s.same("shown", s.shows(42, s.scene.SHA), []string{"build running 1001"})
	},
	"S4 400 run from success stops": func(s *stage) {
		s.git.Fail("POST /statuses/", gitlabtest.Answer{Code: 400, Body: `{"message":"Cannot transition status via :run from :success"}`})
		r := s.reporter()
		s.opened(r, "direktiv")
		s.told(s.close(r, broken("direktiv")), "REMORA_NAME")
		s.same("posts", s.posts(), []string{"sync/direktiv running 400"})
	},
	"S5 a final state is sent once": func(s *stage) {
		r := s.reporter()
		s.opened(r, "direktiv")
		r.Finish(s.Context(), succeeded("direktiv"))
		s.until("success", func() bool {
			return len(s.shows(42, s.scene.SHA)) == 1 && s.git.Statuses(42, s.scene.SHA)[0].State == "success"
		})
		r.Finish(s.Context(), succeeded("direktiv"))
		s.close(r, succeeded("direktiv"))
		s.close(r, succeeded("direktiv"))
		s.same("posts", s.posts(), []string{"sync/direktiv running 201", "sync/direktiv success 201"})
	},
	"S6 skipped after running is a success that says why": func(s *stage) {
		r := s.reporter()
		s.opened(r, "direktiv")
		s.told(s.close(r, delivery.Outcome{Target: "direktiv", State: delivery.Skipped, Attempt: 1, Err: delivery.Skip("mirror follows main")}))
		s.same("shown", s.shows(42, s.scene.SHA), []string{"sync/direktiv success 1001"})
		s.same("text", s.git.Statuses(42, s.scene.SHA)[0].Description, "skipped: mirror follows main")
	},
	"S6 a job that reports skipped after running becomes a success that says so": func(s *stage) {
		post := func(state, text string) {
			s.told(report.Post(s.Context(), s.config, s.client(), s.ev, s.options, report.Single{Name: "build", State: state, Description: text}))
		}
		post("running", "")
		post("skipped", "nothing to build")
		s.same("posts", s.posts(), []string{"build running 201", "build skipped 400", "build success 201"})
		s.same("text", s.git.Statuses(42, s.scene.SHA)[0].Description, "skipped: nothing to build")
	},
	"S29 of two attempts the second wins and the late first is dropped": func(s *stage) {
		r := s.reporter()
		s.opened(r, "direktiv")
		r.Finish(s.Context(), broken("direktiv"))
		r.Open(s.Context(), []string{"direktiv"})
		second := succeeded("direktiv")
		second.Attempt = 2
		r.Finish(s.Context(), second)
		r.Finish(s.Context(), broken("direktiv"))
		s.told(s.close(r, second))
		s.same("shown", s.shows(42, s.scene.SHA), []string{"sync/direktiv success 1001"})
	},
	"S29 an answer to the first attempt that comes late is not taken for the second": func(s *stage) {
		arrived, hold := make(chan struct{}), make(chan struct{})
		s.git.WhileLeased(func(r gitlabtest.Request) {
			if strings.Contains(r.Body, `"failed"`) {
				close(arrived)
				<-hold
			}
		})
		r := s.reporter()
		r.Finish(s.Context(), broken("direktiv"))
		<-arrived
		r.Open(s.Context(), []string{"direktiv"})
		close(hold)
		second := succeeded("direktiv")
		second.Attempt = 2
		s.told(s.close(r, second))
		s.same("shown", s.shows(42, s.scene.SHA), []string{"sync/direktiv success 1001"})
	},
	"S29 a second attempt goes on with the open status of the first": func(s *stage) {
		arrived, hold := make(chan struct{}, 1), make(chan struct{})
		s.git.WhileLeased(func(r gitlabtest.Request) {
			if strings.Contains(r.Body, `"running"`) {
				arrived <- struct{}{}
				<-hold
			}
		})
		r := s.reporter()
		r.Open(s.Context(), []string{"direktiv"})
		<-arrived
		r.Finish(s.Context(), broken("direktiv"))
		r.Open(s.Context(), []string{"direktiv"})
		close(hold)
		second := succeeded("direktiv")
		second.Attempt = 2
		s.told(s.close(r, second))
		s.same("posts", s.posts(), []string{"sync/direktiv running 201", "sync/direktiv success 201"})
	},
	"S29 the end of the first attempt is not taken for that of the second after a lost answer": func(s *stage) {
		first, second := broken("direktiv"), broken("direktiv")
		second.Attempt, second.Err = 2, delivery.Permanent(&delivery.Fault{Summary: "token refused"})
		r := s.reporter()
		r.Finish(s.Context(), first)
		s.until("first end", func() bool { return len(s.shows(42, s.scene.SHA)) == 1 })
		s.git.Fail("POST /statuses/", gitlabtest.Answer{Code: 502})
		s.told(s.close(r, second))
		s.same("posts", s.posts(), []string{"sync/direktiv failed 201", "sync/direktiv failed 502", "sync/direktiv failed 201"})
		s.same("text", s.git.Statuses(42, s.scene.SHA)[1].Description, "token refused")
	},
	"S31 an optional failure does not block the merge request": func(s *stage) {
		o := broken("direktiv")
		o.Optional = true
		r := s.reporter()
		s.opened(r, "direktiv")
		s.told(s.close(r, o))
		s.same("shown", s.shows(42, s.scene.SHA), []string{"sync/direktiv success 1001"})
		s.same("text", s.git.Statuses(42, s.scene.SHA)[0].Description, "failed, optional: reference not found: the mirror's ref feature does not exist")
	},
	"what was stopped is canceled": func(s *stage) {
		r := s.reporter()
		s.opened(r, "direktiv")
		s.told(s.close(r, stopped("direktiv")))
		s.same("shown", s.shows(42, s.scene.SHA), []string{"sync/direktiv canceled 1001"})
	},
	"what has no outcome at the end is canceled": func(s *stage) {
		r := s.reporter()
		s.opened(r, "direktiv")
		s.told(s.close(r))
		s.same("shown", s.shows(42, s.scene.SHA), []string{"sync/direktiv canceled 1001"})
	},
	"an outcome that is tried again is not shown before the end": func(s *stage) {
		again := delivery.Outcome{Target: "direktiv", State: delivery.Retry, Attempt: 1, Err: delivery.Explain(broken("").Err)}
		r := s.reporter()
		s.opened(r, "direktiv")
		r.Finish(s.Context(), again)
		s.told(s.close(r, again))
		s.same("posts", s.posts(), []string{"sync/direktiv running 201", "sync/direktiv failed 201"})
	},
	"a started target that is not awaited is a success that says so": func(s *stage) {
		r := s.reporter()
		s.opened(r, "direktiv")
		s.told(s.close(r, delivery.Outcome{Target: "direktiv", State: delivery.Done, Attempt: 1, Receipt: delivery.Receipt{Started: true}}))
		s.same("text", s.git.Statuses(42, s.scene.SHA)[0].Description, "started, result not awaited")
	},
	"a delivery never makes a pending status, which would block the merge it waits for": func(s *stage) {
		r := s.reporter()
		s.opened(r, "direktiv")
		s.close(r, succeeded("direktiv"), broken("mirror"), stopped("other"))
		for _, p := range s.posts() {
			if strings.Contains(p, " pending ") {
				s.Errorf("a pending status was sent: %q", p)
			}
		}
		for _, st := range s.git.Statuses(42, s.scene.SHA) {
			if st.State == "running" || st.State == "pending" {
				s.Errorf("%s is left %s", st.Name, st.State)
			}
		}
	},
}
