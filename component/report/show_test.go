package report_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
	"gitlab.com/remora-ci/remora/component/report"
)

func overtaken(target string) delivery.Outcome {
	return delivery.Outcome{Target: target, State: delivery.Retry, Attempt: 1, Err: &delivery.Fault{Summary: "overtaken by ba5e0000", Err: context.Canceled}}
}

func later(target string) delivery.Outcome {
	return delivery.Outcome{Target: target, State: delivery.Retry, Attempt: 1, Err: &delivery.Fault{Summary: "status 503", Cause: "the target is down"}}
}

// showCases: what is shown …
var showCases = map[string]func(s *stage, show func(running []string, outcomes ...delivery.Outcome) report.Result){
	"runs, then ends, each sent once however often it is asked for": func(s *stage, show func([]string, ...delivery.Outcome) report.Result) {
		for range 2 {
			s.told(show([]string{"direktiv"}))
		}
		for range 2 {
			s.told(show(nil, succeeded("direktiv")))
		}
		s.same("posts", s.posts(), []string{"sync/direktiv running 201", "sync/direktiv success 201"})
	},
	"never goes back from a final state": func(s *stage, show func([]string, ...delivery.Outcome) report.Result) {
		s.told(show(nil, succeeded("direktiv")))
		s.told(show([]string{"direktiv"}))
		s.told(show(nil, later("direktiv")))
		s.same("posts", s.posts(), []string{"sync/direktiv success 201"})
	},
	"is a success once, whatever its words": func(s *stage, show func([]string, ...delivery.Outcome) report.Result) {
		s.told(show(nil, succeeded("direktiv")))
		other := succeeded("direktiv")
		other.Receipt.Result = "4 files"
		s.told(show(nil, other))
		s.same("posts", len(s.posts()), 1)
	},
	"turns from failed to success, and back": func(s *stage, show func([]string, ...delivery.Outcome) report.Result) {
		s.told(show(nil, broken("direktiv")))
		s.told(show(nil, broken("direktiv")))
		s.told(show(nil, succeeded("direktiv")))
		s.told(show(nil, broken("direktiv")))
		s.same("posts", s.posts(), []string{"sync/direktiv failed 201", "sync/direktiv success 201", "sync/direktiv failed 201"})
	},
	"stays open while it will be tried again": func(s *stage, show func([]string, ...delivery.Outcome) report.Result) {
		s.told(show(nil, later("direktiv")))
		s.same("shown", s.shows(42, s.scene.SHA), []string{"sync/direktiv running 1001"})
	},
	"ends what is open when it was overtaken": func(s *stage, show func([]string, ...delivery.Outcome) report.Result) {
		s.told(show([]string{"direktiv"}))
		s.told(show(nil, overtaken("direktiv")))
		s.told(show(nil, overtaken("direktiv")))
		s.same("posts", s.posts(), []string{"sync/direktiv running 201", "sync/direktiv canceled 201"})
		s.same("text", s.git.Statuses(42, s.scene.SHA)[0].Description, "overtaken by ba5e0000")
	},
	"shows nothing of what was overtaken before it began, or after its end": func(s *stage, show func([]string, ...delivery.Outcome) report.Result) {
		s.told(show(nil, overtaken("direktiv")))
		s.same("posts", len(s.posts()), 0)
		s.told(show(nil, succeeded("direktiv")))
		s.told(show(nil, overtaken("direktiv")))
		s.same("shown", s.shows(42, s.scene.SHA), []string{"sync/direktiv success 1001"})
	},
	"ends a status where it was opened, although the commit has a newer pipeline": func(s *stage, show func([]string, ...delivery.Outcome) report.Result) {
		s.ev.MergeRequest = nil
		s.told(show([]string{"direktiv"}))
		s.git.AddPipeline(42, gitlabtest.Pipeline{ID: 2002, SHA: s.scene.SHA, Ref: "feature"})
		s.told(show(nil, succeeded("direktiv")))
		s.same("shown", s.shows(42, s.scene.SHA), []string{"sync/direktiv success 1001"})
	},
	"is not sent while GitLab does not tell what it shows": func(s *stage, show func([]string, ...delivery.Outcome) report.Result) {
		s.told(show([]string{"direktiv"}))
		for range 4 {
			s.git.Fail("GET /statuses", gitlabtest.Answer{Code: 500})
		}
		got := show(nil, succeeded("direktiv"))
		s.told(got, "status 500")
		s.same("temporary", got.Temporary(), true)
		s.same("posts", len(s.posts()), 1)
		s.told(show(nil, succeeded("direktiv")))
		s.same("posts", s.posts(), []string{"sync/direktiv running 201", "sync/direktiv success 201"})
	},
	"is sent once although the answer to the first was lost": func(s *stage, show func([]string, ...delivery.Outcome) report.Result) {
		s.git.Fail("POST /statuses/", gitlabtest.Answer{After: true, Drop: true})
		show(nil, succeeded("direktiv"))
		s.told(show(nil, succeeded("direktiv")))
		s.same("rows", len(s.git.Statuses(42, s.scene.SHA)), 1)
	},
	"is refused for good without access": func(s *stage, show func([]string, ...delivery.Outcome) report.Result) {
		s.git.AddMember(42, s.scene.Bot.ID, gitlabtest.Guest)
		s.same("temporary", show(nil, succeeded("direktiv")).Temporary(), false)
	},
	"is one status for many, running until the last has ended": func(s *stage, show func([]string, ...delivery.Outcome) report.Result) {
		var names []string
		var all []delivery.Outcome
		for i := range 25 {
			names = append(names, fmt.Sprintf("t%02d", i))
			all = append(all, succeeded(names[i]))
		}
		s.told(show(names))
		s.told(show(names[:1], all[1:]...))
		for _, row := range s.shows(42, s.scene.SHA) {
			if row == "sync/all success 1001" {
				t := "the sum ended before the last target"
				s.Error(t)
			}
		}
		s.told(show(nil, all...))
		for _, st := range s.git.Statuses(42, s.scene.SHA) {
			if st.State != "success" {
				s.Errorf("%s is left %s", st.Name, st.State)
			}
		}
	},
	"is a note too, once": func(s *stage, show func([]string, ...delivery.Outcome) report.Result) {
		s.config = report.Config{Report: report.ReportNote}
		s.same("first", show(nil, succeeded("direktiv")).Note, "created")
		s.same("again", show(nil, succeeded("direktiv")).Note, "unchanged")
		s.same("notes", len(s.git.Notes(42, 7)), 1)
		s.same("posts", len(s.posts()), 0)
	},
}

func TestShow(t *testing.T) {
	t.Parallel()
	for name, check := range showCases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.outside()
			check(s, func(running []string, outcomes ...delivery.Outcome) report.Result {
				s.Helper()
				ctx, cancel := context.WithTimeout(s.Context(), 20*time.Second)
				defer cancel()
				return report.Show(ctx, s.config, s.client(), s.ev, s.options, outcomes, running)
			})
		})
	}
}
