package gitlab_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
	"gitlab.com/remora-ci/remora/component/rest"
)

// stage is a populated fake and a client of its bot.
func stage(t *testing.T) (*gitlabtest.Server, gitlabtest.Scene, *gitlab.Client) {
	t.Helper()
	s := gitlabtest.New(t)
	sc := s.Populate()
	s.AddToken(sc.Bot.ID, token, gitlabtest.Bot)
	client := connect(t, s.URL, rest.Config{MaxBody: 64 << 20})
	client.Hasten(time.Millisecond)
	return s, sc, client
}

const app = gitlab.Project("acme/app")

func TestAStatusIsSet(t *testing.T) {
	t.Parallel()
	s, sc, client := stage(t)
	sent := gitlab.Status{Name: "sync/direktiv", State: "running", Description: "started", TargetURL: "https://a.example/1", PipelineID: 1001}
	got, err := client.SetStatus(t.Context(), gitlab.ProjectID(42), sc.SHA, sent)
	if err != nil {
		t.Fatal(err)
	}
	want := sent
	want.ID, want.Ref, want.AuthorID = got.ID, sc.Pipeline.Ref, sc.Bot.ID
	if diff := cmp.Diff(want, got); diff != "" || got.ID == 0 {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	posts := s.Requests("POST /statuses/")
	if len(posts) != 1 || len(posts[0].Query) != 0 || strings.Contains(posts[0].Body, `"ref"`) {
		t.Errorf("got %+v, want one post with what was given in its body alone", posts)
	}
}

func TestAStatusIsPostedAgainOnlyAfterARefusalThatDidNothing(t *testing.T) {
	t.Parallel()
	locked := gitlabtest.Answer{Code: 409, Body: `{"message":"Another update to this commit status is in progress"}`}
	tests := []struct {
		name  string
		fault []gitlabtest.Answer
		posts int
		code  int // of the error; 0: none; -1: no answer
	}{
		{"409, then 201", []gitlabtest.Answer{locked, locked}, 3, 0},
		{"409 without end", []gitlabtest.Answer{locked, locked, locked, locked, locked, locked, locked}, 6, 409},
		{"429, then 201", []gitlabtest.Answer{{Code: 429, Body: "Retry later"}}, 2, 0},
		{"429 with a Retry-After that is too long to wait", []gitlabtest.Answer{{Code: 429, Header: map[string]string{"Retry-After": "3600"}}}, 1, 429},
		{"502 after the effect", []gitlabtest.Answer{{Code: 502, After: true}}, 1, 502},
		{"500", []gitlabtest.Answer{{Code: 500}}, 1, 500},
		{"a cut connection", []gitlabtest.Answer{{Drop: true, After: true}}, 1, -1},
		{"400", []gitlabtest.Answer{{Code: 400, Body: `{"message":"no"}`}}, 1, 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, sc, client := stage(t)
			s.Fail("POST /statuses/", tt.fault...)
			_, err := client.SetStatus(t.Context(), app, sc.SHA, gitlab.Status{Name: "a", State: "running"})
			if got := len(s.Requests("POST /statuses/")); got != tt.posts {
				t.Errorf("got %d posts, want %d", got, tt.posts)
			}
			var status *rest.StatusError
			var conn *rest.ConnError
			switch {
			case tt.code == 0 && err != nil, tt.code > 0 && (!errors.As(err, &status) || status.Code != tt.code),
				tt.code < 0 && (!errors.As(err, &conn) || !conn.Sent()):
				t.Errorf("got error %v, want code %d", err, tt.code)
			}
			if status != nil && strings.Contains(tt.name, "too long") && status.RetryAfter() != time.Hour {
				t.Errorf("got %v to wait, want an hour", status.RetryAfter())
			}
		})
	}
}

func TestNoPostAgainWhenTimeIsUp(t *testing.T) {
	t.Parallel()
	s, sc, client := stage(t)
	client.Hasten(time.Hour)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	s.Fail("POST /statuses/", gitlabtest.Answer{Code: 409, Body: `{"message":"in progress"}`})
	_, err := client.SetStatus(ctx, app, sc.SHA, gitlab.Status{State: "running"})
	var status *rest.StatusError
	if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &status) || status.Code != 409 {
		t.Errorf("got %v, want the 409 and that time was up", err)
	}
	if got := len(s.Requests("POST")); got != 1 {
		t.Errorf("got %d posts, want 1", got)
	}
}

func TestARefusedTransitionKeepsItsWords(t *testing.T) {
	t.Parallel()
	_, sc, client := stage(t)
	for i, want := range []string{"", "Cannot transition status via :run from :running"} {
		_, err := client.SetStatus(t.Context(), app, sc.SHA, gitlab.Status{Name: "a", State: "running"})
		var status *rest.StatusError
		if errors.As(err, &status) != (i == 1) || i == 1 && !strings.HasPrefix(status.Body, want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestStatusesAreReadFromEveryPage(t *testing.T) {
	t.Parallel()
	s, sc, client := stage(t)
	for i := range 230 {
		s.AddStatus(42, gitlabtest.Status{SHA: sc.SHA, Ref: "feature", Name: fmt.Sprint("s", i%2), State: "success", Description: fmt.Sprint(i), PipelineID: 1001})
	}
	count := func(name string) (n int, first string) {
		for st, err := range client.Statuses(t.Context(), app, sc.SHA, name) {
			if err != nil {
				t.Fatal(err)
			}
			if n++; n == 1 {
				first = st.Description
			}
		}
		return n, first
	}
	if n, first := count(""); n != 230 || first != "229" {
		t.Errorf("got %d statuses from %s on, want 230 from the newest, 229", n, first)
	}
	if n, first := count("s0"); n != 115 || first != "228" {
		t.Errorf("got %d statuses from %s on, want 115 from 228", n, first)
	}
	if got := len(s.Requests("GET /statuses")); got != 5 {
		t.Errorf("got %d requests, want 3 pages and 2", got)
	}
}

func TestAReaderWhoHasEnoughStopsThePages(t *testing.T) {
	t.Parallel()
	s, _, client := stage(t)
	for range 150 {
		s.AddNote(42, 7, gitlabtest.Note{Body: "x"})
	}
	for range client.Notes(t.Context(), app, 7, "<!--") {
		break
	}
	if got := len(s.Requests("GET /notes")); got != 1 {
		t.Errorf("got %d requests, want 1", got)
	}
}

func TestTheUserIsAskedOnce(t *testing.T) {
	t.Parallel()
	s, sc, client := stage(t)
	s.Fail("GET /user", gitlabtest.Answer{Code: 403, Body: `{"message":"no"}`})
	if _, err := client.User(t.Context()); err == nil || !strings.Contains(err.Error(), "read own user: GET ") {
		t.Errorf("got %v, want the refusal", err)
	}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if u, err := client.User(t.Context()); err != nil || u.ID != sc.Bot.ID || u.Username != "remora-bot" {
				t.Errorf("got %+v, %v, want the bot", u, err)
			}
		})
	}
	all.Wait()
	if got := len(s.Requests("GET /user")); got != 2 {
		t.Errorf("got %d requests, want the refused one and one more", got)
	}
}

func TestAWaitingCallerOfUserCanBeCanceled(t *testing.T) {
	t.Parallel()
	s, _, client := stage(t)
	asked, release := make(chan bool), make(chan bool)
	s.Before(func(gitlabtest.Request) { asked <- true; <-release })
	first := make(chan error, 1)
	go func() { _, err := client.User(t.Context()); first <- err }()
	<-asked
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client.User(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want canceled", err)
	}
	release <- true
	if err := <-first; err != nil {
		t.Errorf("got %v, want the first caller served", err)
	}
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	s, sc, client := stage(t)
	moved := s.AddProject(gitlabtest.Project{Path: "acme/new", MovedFrom: []string{"acme/old"}})
	s.AddMember(moved.ID, sc.Bot.ID, gitlabtest.Developer)
	c := s.AddCommit(moved.ID, gitlabtest.Commit{Branches: []string{"main"}})
	got, err := client.Commit(t.Context(), "acme/old", "main")
	if err != nil || got.SHA != c.SHA {
		t.Errorf("got %+v, %v, want the commit of the moved project", got, err)
	}
	_, err = client.SetStatus(t.Context(), "acme/old", c.SHA, gitlab.Status{State: "running"})
	if status := (*rest.StatusError)(nil); !errors.As(err, &status) || status.Code != 405 {
		t.Errorf("got %v, want 405", err)
	}
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the other host was asked") }))
	defer elsewhere.Close()
	s.Fail("GET /user", gitlabtest.Answer{Code: 302, Header: map[string]string{"Location": elsewhere.URL + "/api/v4/user?token=canary"}})
	_, err = client.User(t.Context())
	var redirect *rest.RedirectError
	if !errors.As(err, &redirect) || strings.Contains(err.Error(), "canary") {
		t.Errorf("got %v, want a refused redirect without its query", err)
	}
}

func TestReadsAreRepeated(t *testing.T) {
	t.Parallel()
	s, sc, client := stage(t)
	s.Fail("GET /commits/", gitlabtest.Answer{Code: 502}, gitlabtest.Answer{Drop: true})
	got, err := client.Commit(t.Context(), app, sc.SHA)
	if err != nil {
		t.Fatal(err)
	}
	want := gitlab.Commit{SHA: sc.SHA, ParentIDs: []string{sc.Base}, LastPipeline: pipeline(s, sc)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("commit (-want +got):\n%s", diff)
	}
}

func pipeline(s *gitlabtest.Server, sc gitlabtest.Scene) *gitlab.Pipeline {
	return &gitlab.Pipeline{
		ID: 1001, SHA: sc.SHA, Ref: "refs/merge-requests/7/head", Source: "merge_request_event", Status: "running",
		URL: s.URL + "/acme/app/-/pipelines/1001",
	}
}

func TestAMergeRequestIsRead(t *testing.T) {
	t.Parallel()
	s, sc, client := stage(t)
	want := gitlab.MergeRequest{
		IID: 7, ProjectID: 42, SourceProjectID: 42, SourceBranch: "feature", TargetBranch: "main", SHA: sc.SHA,
		State: "opened", URL: s.URL + "/acme/app/-/merge_requests/7",
	}
	of, err := client.CommitMergeRequests(t.Context(), app, sc.SHA)
	if diff := cmp.Diff([]gitlab.MergeRequest{want}, of); diff != "" || err != nil {
		t.Errorf("merge requests of the commit: %v (-want +got):\n%s", err, diff)
	}
	s.ChangeMergeRequest(42, 7, func(m *gitlabtest.MergeRequest) { m.Locked, m.State = true, "merged" })
	want.HeadPipeline, want.DiffBaseSHA, want.DiscussionLocked, want.State = pipeline(s, sc), sc.Base, true, "merged"
	got, err := client.MergeRequest(t.Context(), app, 7)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("merge request: %v (-want +got):\n%s", err, diff)
	}
	of, err = client.CommitMergeRequests(t.Context(), app, sc.SHA)
	if len(of) != 0 || err != nil {
		t.Errorf("got %+v, %v, want no open merge request", of, err)
	}
	pipelines, err := client.MergeRequestPipelines(t.Context(), app, 7)
	if diff := cmp.Diff([]gitlab.Pipeline{*pipeline(s, sc)}, pipelines); diff != "" || err != nil {
		t.Errorf("pipelines: %v (-want +got):\n%s", err, diff)
	}
}

func TestAnOldGitLabThatIgnoresTheStateIsFiltered(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		send(200, "application/json", `[{"iid":1,"state":"merged"},{"iid":2,"state":"opened"}]`)(w)
	}))
	defer s.Close()
	got, err := connect(t, s.URL, rest.Config{}).CommitMergeRequests(t.Context(), app, "c0ffee")
	if err != nil || len(got) != 1 || got[0].IID != 2 {
		t.Errorf("got %+v, %v, want the open one", got, err)
	}
}

func TestABasePathWorks(t *testing.T) {
	t.Parallel()
	fake := gitlabtest.NewHandler("")
	sc := fake.Populate()
	fake.AddToken(sc.Bot.ID, token, gitlabtest.Bot)
	s := httptest.NewServer(http.StripPrefix("/gitlab", fake.Handler()))
	defer s.Close()
	fake.URL = s.URL + "/gitlab"
	for range 120 {
		fake.AddNote(42, 7, gitlabtest.Note{Body: "x"})
	}
	for _, url := range []string{s.URL + "/gitlab", s.URL + "/gitlab/", s.URL + "/gitlab/api/v4", s.URL + "/gitlab/api/v4/"} {
		client := connect(t, url, rest.Config{})
		if client.URL() != s.URL+"/gitlab" {
			t.Errorf("got base %s, want %s/gitlab", client.URL(), s.URL)
		}
		n := 0
		for _, err := range client.Notes(t.Context(), app, 7, "") {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		if n != 120 {
			t.Errorf("got %d notes, want 120", n)
		}
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		c    gitlab.Config
		want []string // starts of the lines
	}{
		{"nothing is asked for", gitlab.Config{}, nil},
		{"all is well", gitlab.Config{URL: "https://h/gitlab", Token: token}, nil},
		{"a URL alone is well", gitlab.Config{URL: "http://h"}, nil},
		{"a token that ends with a newline is well", gitlab.Config{URL: "https://h", Token: token + "\n"}, nil},
		{"a token without a URL", gitlab.Config{Token: token}, []string{"REMORA_GITLAB_URL: missing"}},
		{"a host alone", gitlab.Config{URL: "gitlab.example.com"}, []string{"REMORA_GITLAB_URL: must start with https://"}},
		{"no URL at all", gitlab.Config{URL: "https://h:x y"}, []string{"REMORA_GITLAB_URL: is no URL"}},
		{"a token in the URL", gitlab.Config{URL: "https://u:" + token + "@h"}, []string{"REMORA_GITLAB_URL: must not hold a user"}},
		{"a query", gitlab.Config{URL: "https://h?private_token=" + token}, []string{"REMORA_GITLAB_URL: must end with the path"}},
		{"a job token", gitlab.Config{URL: "https://h", Token: "glcbt-1_" + token}, []string{"REMORA_GITLAB_TOKEN: is a CI_JOB_TOKEN"}},
		{"two faults at once", gitlab.Config{URL: "ftp://h", Token: "a b" + token}, []string{"REMORA_GITLAB_URL: must start", "REMORA_GITLAB_TOKEN: holds white space"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := tt.c.Validate()
			var lines []string
			if err != nil {
				lines = strings.Split(err.Error(), "\n")
			}
			if len(lines) != len(tt.want) {
				t.Fatalf("got %q, want %q", lines, tt.want)
			}
			for i, want := range tt.want {
				if !strings.HasPrefix(lines[i], want) {
					t.Errorf("got %q, want it to start with %q", lines[i], want)
				}
			}
			if strings.Contains(fmt.Sprint(err), token) {
				t.Errorf("got %v, want no secret", err)
			}
		})
	}
	out, err := rest.New(rest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := gitlab.New(gitlab.Config{Token: delivery.Secret(token)}, out); err == nil {
		t.Error("got no error, want a missing URL refused")
	}
}
