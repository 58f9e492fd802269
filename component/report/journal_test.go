package report_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
	"gitlab.com/remora-ci/remora/component/report"
)

// killed leaves the journal of a process that was killed while a target ran.
func killed(s *stage, targets ...string) (path string) {
	s.Helper()
	path = s.journal()
	r := s.reporter()
	s.opened(r, targets...)
	s.until("journal of what was answered", func() bool {
		raw, _ := os.ReadFile(path)
		return strings.Count(string(raw), `"author"`) == len(targets)
	})
	raw, err := os.ReadFile(path)
	if err != nil {
		s.Fatal(err)
	}
	dead, cancel := context.WithCancel(s.Context())
	cancel()
	r.Close(dead, nil)
	copied := filepath.Join(s.TempDir(), "copied")
	if err := os.WriteFile(copied, raw, 0o600); err != nil {
		s.Fatal(err)
	}
	return copied
}

func (s *stage) finishes(path string, want int) {
	s.Helper()
	got, err := report.FinishJournalPaced(s.Context(), s.client(), path, pace)
	if err != nil || got != want {
		s.Errorf("FinishJournal = %d, %v, want %d", got, err, want)
	}
}

// journalCases: a journal …
var journalCases = map[string]func(*stage){
	"names what is open, before the request, for its owner's eyes only": func(s *stage) {
		path := s.journal()
		hold := make(chan struct{})
		s.git.Before(func(gitlabtest.Request) { <-hold })
		r := s.reporter()
		r.Open(s.Context(), []string{"direktiv"})
		s.until("request", func() bool { return len(s.git.Requests("POST /statuses/")) == 1 })
		raw, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(raw), `{"op":"open","project":"42","sha":"`+s.scene.SHA+`","ref":"feature","name":"sync/direktiv","pipeline":1001}`) {
			s.Errorf("journal before the answer: %v: %s", err, raw)
		}
		if strings.Contains(string(raw), s.scene.Token) {
			s.Error("the journal holds the token")
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			s.Errorf("mode of the journal: %v, %v", info.Mode(), err)
		}
		close(hold)
		s.told(s.close(r, succeeded("direktiv")))
		s.absent(path)
	},
	"is not made when nothing is opened": func(s *stage) {
		path := s.journal()
		s.told(s.close(s.reporter(), succeeded("direktiv")))
		s.absent(path)
	},
	"that cannot be written is told and stops nothing": func(s *stage) {
		s.options.Journal = filepath.Join(s.TempDir(), "no", "such", "directory")
		s.config.Note = report.NoteUpdate
		r := s.reporter()
		s.opened(r, "direktiv")
		s.told(s.close(r, succeeded("direktiv")), "no journal")
		for _, n := range s.git.Notes(42, 7) {
			if strings.Contains(n.Body, "journal") {
				s.Errorf("the note speaks of the journal: %s", n.Body)
			}
		}
		s.same("posts", s.posts(), []string{"sync/direktiv running 201", "sync/direktiv success 201"})
	},
	"stays when there was no time to end what is open": func(s *stage) {
		path := s.journal()
		r := s.reporter()
		s.opened(r, "direktiv")
		dead, cancel := context.WithCancel(s.Context())
		cancel()
		s.told(r.Close(dead, []delivery.Outcome{succeeded("direktiv")}), "no time left")
		s.finishes(path, 1)
		s.absent(path)
		s.same("shown", s.shows(42, s.scene.SHA), []string{"sync/direktiv canceled 1001"})
	},
	"ends what a killed job left open": func(s *stage) {
		path := killed(s, "direktiv", "mirror")
		s.finishes(path, 2)
		s.same("shown", s.shows(42, s.scene.SHA), []string{"sync/direktiv canceled 1001", "sync/mirror canceled 1001"})
		s.absent(path)
		s.finishes(path, 0)
	},
	"leaves a status alone that is final already": func(s *stage) {
		path := killed(s, "direktiv")
		s.told(s.close(s.reporter(), succeeded("direktiv")))
		s.git.Forget()
		s.finishes(path, 0)
		s.same("posts", s.posts(), []string(nil))
		s.same("shown", s.shows(42, s.scene.SHA), []string{"sync/direktiv success 1001"})
		s.absent(path)
	},
	"closes what was announced and never sent": func(s *stage) {
		path := filepath.Join(s.TempDir(), "journal")
		s.write(path, `{"op":"open","project":"42","sha":"`+s.scene.SHA+`","name":"sync/x","pipeline":1001}`)
		s.finishes(path, 0)
		s.same("posts", s.posts(), []string(nil))
		s.absent(path)
	},
	"bears a torn last line, foreign lines and blank ones": func(s *stage) {
		path := killed(s, "direktiv")
		raw, err := os.ReadFile(path)
		if err != nil {
			s.Fatal(err)
		}
		s.write(path, "\n\x00garbage\n[1]\n"+string(raw)+`{"op":"open","project":"42","sha":"`)
		s.finishes(path, 1)
		s.absent(path)
	},
	"touches no file that is none": func(s *stage) {
		path := s.journal()
		const text = "# README\n\nOf a person.\n"
		s.write(path, text)
		if n, err := report.FinishJournal(s.Context(), s.client(), path); n != 0 || err == nil || !strings.Contains(err.Error(), "REMORA_JOURNAL") {
			s.Errorf("FinishJournal = %d, %v", n, err)
		}
		r := s.reporter()
		s.opened(r, "direktiv")
		if got := r.Close(s.Context(), []delivery.Outcome{succeeded("direktiv")}); got.Statuses != 1 || len(got.Problems) != 1 {
			s.Errorf("got %+v, want the status and one problem", got)
		}
		if left, err := os.ReadFile(path); err != nil || string(left) != text {
			s.Errorf("the file is %q, %v", left, err)
		}
	},
	"continues after a torn line": func(s *stage) {
		path := s.journal()
		s.write(path, `{"op":"open","project":"42","sha":"`+s.scene.SHA+`","name":"sync/never-sent","pipeline":1001}`+"\n"+`{"op":"op`)
		hold := make(chan struct{})
		s.git.WhileLeased(func(gitlabtest.Request) { <-hold })
		r := s.reporter()
		r.Open(s.Context(), []string{"direktiv"})
		s.until("request", func() bool { return len(s.git.Requests("POST /statuses/")) == 1 })
		raw, err := os.ReadFile(path)
		if err != nil {
			s.Fatal(err)
		}
		close(hold)
		s.until("status", func() bool { return len(s.git.Statuses(42, s.scene.SHA)) == 1 })
		copied := filepath.Join(s.TempDir(), "copied")
		s.write(copied, string(raw))
		s.finishes(copied, 1)
		s.told(s.close(r, succeeded("direktiv")))
		s.finishes(path, 0)
		s.absent(path)
	},
	"closes a commit that GitLab does not know any more": func(s *stage) {
		path := killed(s, "direktiv")
		s.git.DeleteCommit(42, s.scene.SHA)
		s.finishes(path, 0)
		s.absent(path)
	},
	"keeps what GitLab did not take, and tells": func(s *stage) {
		path := killed(s, "direktiv", "mirror")
		s.git.Fail("POST /statuses/", gitlabtest.Answer{Code: 403, Body: `{"message":"403 Forbidden"}`})
		n, err := report.FinishJournalPaced(s.Context(), s.client(), path, pace)
		var f *delivery.Fault
		if n != 1 || !errors.As(err, &f) || !strings.Contains(f.Remedy, "REMORA_GITLAB_TOKEN") {
			s.Errorf("FinishJournal = %d, %v", n, err)
		}
		s.finishes(path, 1)
		s.absent(path)
	},
	"keeps what could not be looked at": func(s *stage) {
		path := killed(s, "direktiv")
		s.git.Fail("GET /statuses", gitlabtest.Answer{Code: 403})
		if n, err := report.FinishJournalPaced(s.Context(), s.client(), path, pace); n != 0 || err == nil || delivery.Explain(err).Remedy == "" {
			s.Errorf("FinishJournal = %d, %v, want an error with a remedy", n, err)
		}
		s.finishes(path, 1)
	},
	"reads back after a lost answer": func(s *stage) {
		path := killed(s, "direktiv")
		s.git.Forget()
		s.git.Fail("POST /statuses/", gitlabtest.Answer{Code: 502, After: true})
		if _, err := report.FinishJournalPaced(s.Context(), s.client(), path, pace); err != nil {
			s.Error(err)
		}
		s.same("posts", s.posts(), []string{"sync/direktiv canceled 201"})
		s.same("shown", s.shows(42, s.scene.SHA), []string{"sync/direktiv canceled 1001"})
		s.absent(path)
	},
	"S23 tells when another user opened the status": func(s *stage) {
		path := killed(s, "direktiv")
		other := s.git.AddUser(gitlabtest.User{Username: "new-bot"}, "glpat-another-0123456789")
		s.git.AddMember(42, other.ID, gitlabtest.Developer)
		_, err := report.FinishJournalPaced(s.Context(), s.client("glpat-another-0123456789"), path, pace)
		if err == nil || !strings.Contains(delivery.Explain(err).Remedy, "service account") {
			s.Errorf("FinishJournal: %v", err)
		}
		s.same("shown", s.shows(42, s.scene.SHA), []string{"sync/direktiv canceled 1001"})
		s.absent(path)
	},
	"without a token says which to set, but only if there is something to end": func(s *stage) {
		path := killed(s, "direktiv")
		if _, err := report.FinishJournal(s.Context(), nil, path); err == nil || !strings.Contains(delivery.Explain(err).Remedy, "REMORA_GITLAB_TOKEN") {
			s.Errorf("FinishJournal: %v", err)
		}
		if n, err := report.FinishJournal(s.Context(), nil, filepath.Join(s.TempDir(), "none")); n != 0 || err != nil {
			s.Errorf("FinishJournal of no file = %d, %v", n, err)
		}
	},
}

func TestJournal(t *testing.T) {
	t.Parallel()
	for name, test := range journalCases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(newStage(t))
		})
	}
}

func (s *stage) write(path, text string) {
	s.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
}

func FuzzFinishJournal(f *testing.F) {
	f.Add("")
	f.Add(`{"op":"open","project":"","sha":"x","name":"y"}` + "\n")
	f.Add(`{"op":"end","project":"42","sha":"x","name":"y"}` + "\n" + `{"op":"open"`)
	f.Add("\x00\xff\n{}\n[]\nnull\n")
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "journal")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		n, err := report.FinishJournal(t.Context(), nil, path)
		if _, left := os.Stat(path); n != 0 || err == nil && left == nil {
			t.Errorf("FinishJournal = %d, %v; file left: %v", n, err, left == nil)
		}
	})
}
