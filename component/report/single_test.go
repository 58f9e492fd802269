package report_test

import (
	"strings"
	"testing"

	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
	"gitlab.com/remora-ci/remora/component/report"
)

// postCases: a single post …
var postCases = map[string]func(s *stage, post func(report.Single) report.Result){
	"shows a status under its own name and leaves it open": func(s *stage, post func(report.Single) report.Result) {
		path := s.journal()
		got := post(report.Single{Name: "packit/build: linux", State: "pending", Description: "queued", URL: "https://build.example.com/1"})
		s.told(got)
		s.same("statuses", got.Statuses, 1)
		s.same("shown", s.shows(42, s.scene.SHA), []string{"packit/build: linux pending 1001"})
		st := s.git.Statuses(42, s.scene.SHA)[0]
		s.same("text", st.Description, "queued")
		s.same("address", st.TargetURL, "https://build.example.com/1")
		s.absent(path)
	},
	"moves the same status on to its end": func(s *stage, post func(report.Single) report.Result) {
		for _, state := range []string{"pending", "running", "failed"} {
			s.told(post(report.Single{Name: "build", State: state}))
		}
		s.same("rows", len(s.git.Statuses(42, s.scene.SHA)), 1)
		s.same("shown", s.shows(42, s.scene.SHA), []string{"build failed 1001"})
	},
	"does not send twice what is shown": func(s *stage, post func(report.Single) report.Result) {
		for range 2 {
			s.told(post(report.Single{Name: "build", State: "running", Description: "a"}))
		}
		for range 2 {
			s.told(post(report.Single{Name: "build", State: "success", Description: "b"}))
		}
		s.same("posts", s.posts(), []string{"build running 201", "build success 201"})
	},
	"begins anew after the end": func(s *stage, post func(report.Single) report.Result) {
		for _, state := range []string{"failed", "running", "success"} {
			s.told(post(report.Single{Name: "build", State: state}))
		}
		s.same("posts", len(s.posts()), 3)
		s.same("shown", s.shows(42, s.scene.SHA), []string{"build success 1001"})
	},
	"S23 tells when another bot user opened the status": func(s *stage, post func(report.Single) report.Result) {
		s.git.AddStatus(42, gitlabtest.Status{SHA: s.scene.SHA, Ref: s.scene.Pipeline.Ref, Name: "build", State: "pending", PipelineID: 1001, UserID: s.scene.Person.ID})
		s.told(post(report.Single{Name: "build", State: "success"}), "service account")
		s.same("shown", s.shows(42, s.scene.SHA), []string{"build success 1001"})
	},
	"writes a note if there is a text, keyed by the name": func(s *stage, post func(report.Single) report.Result) {
		s.config.Note = report.NoteUpdate
		s.same("first", post(report.Single{Name: "build", State: "running", NoteText: "building"}).Note, "created")
		s.same("second", post(report.Single{Name: "build", State: "success", NoteText: "built"}).Note, "updated")
		s.same("another", post(report.Single{Name: "lint", State: "success", NoteText: "clean"}).Note, "created")
		s.same("none", post(report.Single{Name: "lint", State: "success"}).Note, "")
		notes := s.git.Notes(42, 7)
		s.same("notes", len(notes), 2)
		if !strings.Contains(notes[0].Body, "built") {
			s.Errorf("got note %q", notes[0].Body)
		}
	},
	"tells a name that a CI job has": func(s *stage, post func(report.Single) report.Result) {
		s.told(post(report.Single{Name: "sync", State: "success"}), "status name taken")
	},
	"tells a full pipeline": func(s *stage, post func(report.Single) report.Result) {
		s.git.LimitJobs(1)
		s.told(post(report.Single{Name: "build", State: "success"}), "pipeline is full")
		s.same("posts", len(s.posts()), 1)
	},
	"sends nothing that is wrong": func(s *stage, post func(report.Single) report.Result) {
		s.told(post(report.Single{Name: "a\nb", State: "green"}), `--state: "green"`)
		s.config.Note = "loud"
		s.told(post(report.Single{Name: "a", State: "success"}), "REMORA_NOTE: ")
		s.same("requests", len(s.git.Requests()), 0)
	},
	"sends nothing when reports are off": func(s *stage, post func(report.Single) report.Result) {
		s.config.Report = report.ReportOff
		s.told(post(report.Single{Name: "a", State: "success", NoteText: "x"}))
		s.same("requests", len(s.git.Requests()), 0)
	},
}

func TestPost(t *testing.T) {
	t.Parallel()
	for name, test := range postCases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			test(s, func(one report.Single) report.Result {
				return report.Post(t.Context(), s.config, s.client(), s.ev, s.options, one)
			})
		})
	}
}

func TestPostTellsThatThereIsNoMergeRequestForTheNote(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.ev.MergeRequest = nil
	got := report.Post(t.Context(), s.config, s.client(), s.ev, s.options, report.Single{Name: "lint", State: "success", NoteText: "all well"})
	if got.Statuses != 1 || len(got.Problems) != 1 || got.Problems[0].Summary != "no note" || got.Problems[0].Remedy == "" {
		t.Errorf("got %+v, want the status and one problem", got)
	}
}
