package report_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
	"gitlab.com/remora-ci/remora/component/report"
)

// refusalCases are about what GitLab does not take.
var refusalCases = map[string]func(*stage){
	"S17 a protected branch is one refusal with advice and no retry": func(s *stage) {
		s.config.Note = report.NoteUpdate
		pl := s.git.AddPipeline(42, gitlabtest.Pipeline{SHA: s.scene.SHA, Ref: "feature"})
		s.ev.Pipeline.ID = pl.ID
		s.git.Protect(42, "feature")
		r := s.reporter()
		s.opened(r, "direktiv")
		got := s.close(r, succeeded("direktiv"), broken("mirror"))
		s.told(got, "if feature is protected")
		s.same("statuses", got.Statuses, 0)
		if notes := s.git.Notes(42, 7); len(notes) != 1 || !strings.Contains(notes[0].Body, "is protected") {
			s.Errorf("got notes without the advice: %+v", notes)
		}
		s.same("posts", s.posts(), []string{"sync/direktiv running 403"})
	},
	"S18 a description of emoji is cut to 255 runes": func(s *stage) {
		o := broken("direktiv")
		o.Err = delivery.Permanent(&delivery.Fault{Summary: strings.Repeat("👩‍🔧", 120)})
		r := s.reporter()
		s.told(s.close(r, o))
		text := s.git.Statuses(42, s.scene.SHA)[0].Description
		if n := utf8.RuneCountInString(text); n > 255 || n < 250 || !utf8.ValidString(text) {
			s.Errorf("got a description of %d runes: %q", n, text)
		}
		if strings.Contains(strings.TrimSuffix(text, "…")+"|", "\u200d|") {
			s.Errorf("got a description cut inside of an emoji: %q", text)
		}
	},
	"S19 addresses that GitLab would refuse are left out": func(s *stage) {
		s.ev.Job, s.ev.Pipeline.URL = nil, ""
		var outcomes []delivery.Outcome
		for i, u := range []string{"", "ftp://example.com/x", "https://example.com/" + strings.Repeat("x", 300), "http://localhost:8080/x", "http://127.0.0.1/x", "javascript:alert(1)", "/relative"} {
			o := succeeded(fmt.Sprintf("t%d", i))
			o.Receipt.URL = u
			outcomes = append(outcomes, o)
		}
		r := s.reporter()
		s.told(s.close(r, outcomes...))
		for _, st := range s.git.Statuses(42, s.scene.SHA) {
			if st.TargetURL != "" || st.State != "success" {
				s.Errorf("got %s %s with address %q, want none", st.Name, st.State, st.TargetURL)
			}
		}
		s.same("posts", len(s.posts()), len(outcomes))
	},
	"an address that only this GitLab refuses costs one more post": func(s *stage) {
		s.git.Fail("POST /statuses/", gitlabtest.Answer{Code: 400, Body: `{"message":{"target_url":["is blocked: Requests to the local network are not allowed"]}}`})
		r := s.reporter()
		s.told(s.close(r, succeeded("direktiv")))
		s.same("posts", s.posts(), []string{"sync/direktiv success 400", "sync/direktiv success 201"})
	},
	"S20 when a pipeline is full an open status stands for the rest": func(s *stage) {
		s.git.LimitJobs(3) // the job itself and two of ours
		r := s.reporter()
		r.Open(s.Context(), []string{"a", "b", "c", "d", "e"})
		s.until("refusal", func() bool { return len(s.git.Requests("POST /statuses/")) == 3 })
		got := s.close(r, succeeded("a"), succeeded("b"), succeeded("c"), broken("d"), succeeded("e"))
		s.told(got)
		s.same("text", s.git.Statuses(42, s.scene.SHA)[0].Description, "4 targets: 3 done, 1 failed (d)")
		s.same("posts", len(s.posts()), 5)
		s.same("pipelines", len(s.git.Pipelines(42)), 1)
		s.same("shown", s.shows(42, s.scene.SHA), []string{"sync/a failed 1001", "sync/b success 1001"})
	},
	"S20 a pipeline without any room is told once and not stormed": func(s *stage) {
		s.git.LimitJobs(1)
		r := s.reporter()
		r.Open(s.Context(), []string{"a", "b", "c", "d", "e"})
		s.told(s.close(r, succeeded("a"), succeeded("b"), succeeded("c"), broken("d"), succeeded("e")), "pipeline is full")
		s.same("posts", len(s.posts()), 1)
		s.same("pipelines", len(s.git.Pipelines(42)), 1)
	},
	"more than twenty targets have one status from the start": func(s *stage) {
		var targets []string
		var outcomes []delivery.Outcome
		for i := range 25 {
			targets = append(targets, fmt.Sprintf("t%02d", i))
			outcomes = append(outcomes, succeeded(targets[i]))
		}
		outcomes[7] = broken("t07")
		r := s.reporter()
		r.Open(s.Context(), targets)
		s.until("the opening", func() bool { return len(s.git.Statuses(42, s.scene.SHA)) > 0 })
		got := s.close(r, outcomes...)
		s.told(got)
		s.same("statuses", got.Statuses, 1)
		s.same("posts", len(s.posts()), 2)
		s.same("shown", s.shows(42, s.scene.SHA), []string{"sync/all failed 1001"})
		s.same("text", s.git.Statuses(42, s.scene.SHA)[0].Description, "25 targets: 24 done, 1 failed (t07)")
	},
	"S21 the name of a CI job is told once": func(s *stage) {
		s.git.AddPipeline(42, gitlabtest.Pipeline{ID: 1002, SHA: s.scene.SHA, Ref: "feature", Jobs: []string{"sync/direktiv", "sync/mirror"}})
		s.ev.Pipeline.ID = 1002
		r := s.reporter()
		s.opened(r, "direktiv", "mirror", "other")
		got := s.close(r, succeeded("direktiv"), succeeded("mirror"), succeeded("other"))
		s.told(got, "set REMORA_NAME")
		s.same("posts", s.posts(), []string{"sync/direktiv running 400", "sync/mirror running 400", "sync/other running 201", "sync/other success 201"})
	},
	"S22 an unknown commit stops and closes the journal": func(s *stage) {
		path := s.journal()
		r := s.reporter()
		s.opened(r, "direktiv", "mirror")
		s.git.DeleteCommit(42, s.scene.SHA)
		s.told(s.close(r, succeeded("direktiv"), succeeded("mirror")), "force push")
		s.same("posts", len(s.posts()), 3)
		s.absent(path)
	},
	"a commit that GitLab does not know yet is tried again": func(s *stage) {
		s.git.Fail("POST /statuses/", gitlabtest.Answer{Code: 404, Body: `{"message":"404 Commit Not Found"}`})
		r := s.reporter()
		s.told(s.close(r, succeeded("direktiv")))
		s.same("posts", s.posts(), []string{"sync/direktiv success 404", "sync/direktiv success 201"})
	},
	"S23 a bot user who changed is told": func(s *stage) {
		other := s.git.AddUser(gitlabtest.User{Username: "new-bot"}, "")
		s.git.AddMember(42, other.ID, gitlabtest.Developer)
		r := s.reporter()
		s.opened(r, "direktiv")
		s.git.AddToken(other.ID, s.scene.Token, gitlabtest.Bot)
		s.told(s.close(r, succeeded("direktiv")), "service account")
		s.same("shown", s.shows(42, s.scene.SHA), []string{"sync/direktiv success 1001"})
	},
	"a revoked token is told once": func(s *stage) {
		s.config.Note = report.NoteUpdate
		s.git.AddToken(s.scene.Bot.ID, s.scene.Token, gitlabtest.Revoked)
		r := s.reporter()
		r.Open(s.Context(), []string{"a", "b"})
		s.told(s.close(r, succeeded("a"), succeeded("b")), "REMORA_GITLAB_TOKEN")
		s.same("posts", len(s.posts()), 1)
	},
	"a token that may only read is told with the scope it needs": func(s *stage) {
		s.git.AddToken(s.scene.Bot.ID, s.scene.Token, gitlabtest.ReadAPI)
		r := s.reporter()
		s.told(s.close(r, succeeded("a")), "the scope api")
	},
	"a page instead of an API is told": func(s *stage) {
		s.git.Fail("POST /statuses/", gitlabtest.Answer{Code: 200, Body: "<html>sign in</html>"})
		r := s.reporter()
		s.told(s.close(r, succeeded("a")), "REMORA_GITLAB_URL")
	},
}

func TestARefusalInUnknownWordsHasARemedy(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.git.Fail("POST /statuses/", gitlabtest.Answer{Code: 400, Body: `{"message":"the moon is full"}`}, gitlabtest.Answer{Code: 400, Body: `{"message":"the moon is full"}`})
	for _, p := range s.close(s.reporter(), succeeded("direktiv")).Problems {
		if p.Remedy == "" || !strings.Contains(p.Cause, "the moon is full") {
			t.Errorf("got %+v, want the words and a remedy", p)
		}
	}
}

// Row 28: a status that waits for a green pipeline would keep it from being green.
// None of ours waits: what is open is running, and the job that runs it is open
// as long.
func TestNoStatusIsEverPending(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	r := s.reporter()
	s.opened(r, "direktiv", "mirror")
	s.close(r, succeeded("direktiv"), succeeded("mirror"))
	posts := s.git.Requests("POST /statuses/")
	for _, p := range posts {
		if strings.Contains(p.Body, "pending") {
			t.Errorf("sent %s", p.Body)
		}
	}
	if len(posts) != 4 {
		t.Errorf("%d posts, want running and success of two targets", len(posts))
	}
}
