package report_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
	"gitlab.com/remora-ci/remora/component/report"
	"gitlab.com/remora-ci/remora/component/rest"
)

const pace = time.Millisecond

// stage is a GitLab with a merge request, and an event of its pipeline.
type stage struct {
	*testing.T
	git     *gitlabtest.Server
	scene   gitlabtest.Scene
	ev      delivery.Event
	config  report.Config
	options report.Options
	spare   bool // not every injected answer must be used
}

func newStage(t *testing.T) *stage {
	t.Helper()
	git := gitlabtest.New(t)
	scene := git.Populate()
	s := &stage{T: t, git: git, scene: scene, config: report.Config{Note: report.NoteOff}}
	s.ev = delivery.Event{
		Cause: delivery.CauseCI, Instance: git.URL,
		Project: delivery.Project{ID: 42, Path: "acme/app", URL: "https://gitlab.example.com/acme/app", DefaultBranch: "main"},
		Ref:     "feature", RefType: delivery.Branch, SHA: scene.SHA,
		MergeRequest: &delivery.MergeRequest{IID: 7, ProjectID: 42, ProjectPath: "acme/app", SourceProjectID: 42, SourceBranch: "feature", TargetBranch: "main"},
		Pipeline:     &delivery.Pipeline{ID: 1001, SHA: scene.SHA, Source: "merge_request_event", URL: "https://gitlab.example.com/acme/app/-/pipelines/1001"},
		Job:          &delivery.Job{ID: 9, Name: "sync", URL: "https://gitlab.example.com/acme/app/-/jobs/9"},
		At:           time.Date(2026, 11, 20, 14, 3, 0, 0, time.UTC),
	}
	s.options = report.Paced(report.Options{Version: "1.0.0"}, pace)
	return s
}

// client is a client with the token of the scene's bot, or another.
func (s *stage) client(token ...string) *gitlab.Client {
	s.Helper()
	out, err := rest.New(rest.Config{MaxBody: 64 << 20, MaxWait: 2 * time.Second, Timeout: 10 * time.Second})
	if err != nil {
		s.Fatal(err)
	}
	c := gitlab.Config{URL: s.git.URL, Token: delivery.Secret(s.scene.Token)}
	if len(token) > 0 {
		c.Token = delivery.Secret(token[0])
	}
	gl, err := gitlab.New(c, out)
	if err != nil {
		s.Fatal(err)
	}
	return gl
}

func (s *stage) reporter() *report.Reporter {
	s.Helper()
	r, err := report.New(s.config, s.client(), s.ev, s.options)
	if err != nil {
		s.Fatal(err)
	}
	return r
}

// outside is the event as it is known outside of CI: without a pipeline.
func (s *stage) outside() { s.ev.Pipeline, s.ev.Job, s.ev.Cause = nil, nil, delivery.CauseWebhook }

// shown opens targets and waits until GitLab has the statuses.
func (s *stage) opened(r *report.Reporter, targets ...string) {
	s.Helper()
	r.Open(s.Context(), targets)
	s.until("the opening of "+strings.Join(targets, ", "), func() bool {
		n := 0
		for _, q := range s.git.Requests("POST /statuses/") {
			if q.Code != 0 {
				n++
			}
		}
		return n >= len(targets)
	})
}

// until polls for a state that another goroutine brings about.
func (s *stage) until(what string, ok func() bool) {
	s.Helper()
	deadline := time.After(10 * time.Second)
	for tick := time.NewTicker(time.Millisecond); ; {
		select {
		case <-deadline:
			s.Fatalf("no %s after 10 s", what)
		case <-tick.C:
			if ok() {
				tick.Stop()
				return
			}
		}
	}
}

// posts are the status posts so far: "name state code".
func (s *stage) posts() []string {
	s.Helper()
	var out []string
	for _, r := range s.git.Requests("POST /statuses/") {
		b := s.body(r)
		out = append(out, fmt.Sprintf("%v %v %d", b["name"], b["state"], r.Code))
	}
	return out
}

func (s *stage) body(r gitlabtest.Request) map[string]any {
	s.Helper()
	var body map[string]any
	if err := json.Unmarshal([]byte(r.Body), &body); err != nil {
		s.Fatalf("body of %s %s: %v", r.Method, r.Path, err)
	}
	return body
}

// shows are the statuses that GitLab shows for a commit: "name state pipeline".
func (s *stage) shows(project int64, sha string) []string {
	var out []string
	for _, st := range s.git.Statuses(project, sha) {
		if !st.Retried {
			out = append(out, fmt.Sprintf("%s %s %d", st.Name, st.State, st.PipelineID))
		}
	}
	return out
}

func (s *stage) same(what string, got, want any) {
	s.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		s.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// told checks that there is one problem for each text, which it must contain.
func (s *stage) told(r report.Result, texts ...string) {
	s.Helper()
	if len(r.Problems) != len(texts) {
		s.Errorf("got %d problems, want %d: %v", len(r.Problems), len(texts), r.Problems)
		return
	}
	for i, f := range r.Problems {
		if all := f.Summary + " | " + f.Cause + " | " + f.Remedy; !strings.Contains(all, texts[i]) {
			s.Errorf("got problem %q, want one with %q", all, texts[i])
		}
		if f.Summary == "" || f.Cause == "" || f.Remedy == "" {
			s.Errorf("got problem without summary, cause or remedy: %+v", f)
		}
	}
}

func (s *stage) journal() string {
	s.options.Journal = filepath.Join(s.TempDir(), "journal")
	return s.options.Journal
}

func (s *stage) close(r *report.Reporter, outcomes ...delivery.Outcome) report.Result {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), 20*time.Second)
	defer cancel()
	return r.Close(ctx, outcomes)
}

func succeeded(target string) delivery.Outcome {
	return delivery.Outcome{Target: target, State: delivery.Done, Attempt: 1, Took: 4 * time.Second, Receipt: delivery.Receipt{Result: "synced"}}
}

func broken(target string) delivery.Outcome {
	err := delivery.Permanent(&delivery.Fault{Summary: "reference not found", Cause: "the mirror's ref feature does not exist", Remedy: "push it"})
	return delivery.Outcome{Target: target, State: delivery.Failed, Attempt: 1, Err: err}
}

func stopped(target string) delivery.Outcome {
	return delivery.Outcome{Target: target, State: delivery.Retry, Attempt: 1, Err: fmt.Errorf("%w after: %w", context.Canceled, errors.New("status 503"))}
}

func (s *stage) absent(path string) {
	s.Helper()
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		s.Errorf("%s is left: %v", path, err)
	}
}
