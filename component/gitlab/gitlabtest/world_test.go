package gitlabtest_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

func TestThreads(t *testing.T) {
	t.Parallel()
	s := gitlabtest.New(t)
	sc := s.Populate()
	const list = "/projects/42/merge_requests/7/discussions"
	id, _ := ask(t, s, sc.Token, "POST", list, object("body", "broken")).field(t, "id").(string)
	if got := s.Discussions(42, 7); len(got) != 1 || got[0].ID != id || !got[0].Resolvable() || got[0].Resolved() {
		t.Fatalf("got %+v, want one open thread %s", got, id)
	}
	check(t, ask(t, s, sc.Token, "PUT", list+"/"+id, object("resolved", true)), 200, `"resolved":true`)
	s.AddNote(42, 7, gitlabtest.Note{AuthorID: sc.Person.ID, Body: "why?", Discussion: id})
	if !s.Discussions(42, 7)[0].Resolved() {
		t.Error("got open, want resolved: a reply does not open a thread")
	}
	s.Resolve(42, 7, id, false)
	if s.Discussions(42, 7)[0].Resolved() {
		t.Error("got resolved, want opened by a person")
	}
	check(t, ask(t, s, sc.Token, "PUT", list+"/"+id, object("resolved", false)), 200, `"resolved":false`)
	check(t, ask(t, s, sc.Token, "PUT", list+"/"+id, object()), 400, "resolved is missing")
	check(t, ask(t, s, sc.Token, "PUT", list+"/"+id, object("resolved", "x")), 400, "resolved is invalid")
	check(t, ask(t, s, sc.Token, "PUT", list+"/0", object("resolved", true)), 404, "404 Discussion Not Found")
	check(t, ask(t, s, sc.Token, "PUT", list+"/"+id+"?resolved=true", ""), 400, "in the query")
	n := s.Notes(42, 7)[0]
	one := fmt.Sprintf("%s/%s/notes/%d", list, id, n.ID)
	check(t, ask(t, s, sc.Token, "PUT", one, object("body", "x", "resolved", true)), 400, "mutually exclusive")
	check(t, ask(t, s, sc.Token, "PUT", one, object("body", "still broken")), 200, "still broken")
	single := s.AddNote(42, 7, gitlabtest.Note{Body: "alone"})
	check(t, ask(t, s, sc.Token, "PUT", list+"/"+single.Discussion, object("resolved", true)), 403, "403 Forbidden")
	check(t, ask(t, s, sc.Token, "GET", list, ""), 200, `"individual_note":true`)
	check(t, ask(t, s, sc.Token, "GET", list+"/"+id, ""), 200, "why?")
	check(t, ask(t, s, sc.Token, "POST", list+"/"+single.Discussion+"/notes", object("body", "no more")), 201, `"type":"DiscussionNote"`)
	if got := s.Discussions(42, 7)[1]; !got.Resolvable() || len(got.Notes) != 2 {
		t.Errorf("got %+v, want the single note and its reply as a thread", got)
	}
	u := s.AddUser(gitlabtest.User{}, "reporter")
	s.AddMember(42, u.ID, gitlabtest.Reporter)
	check(t, ask(t, s, "reporter", "PUT", list+"/"+id, object("resolved", true)), 403, "403 Forbidden")
}

func TestMergeRequestsAndTheirPipelines(t *testing.T) {
	t.Parallel()
	s := gitlabtest.New(t)
	sc := s.Populate()
	const mr = "/projects/42/merge_requests/7"
	s.AddPipeline(42, gitlabtest.Pipeline{ID: 1002, SHA: sc.SHA, Ref: "feature"})
	check(t, ask(t, s, sc.Token, "GET", mr, ""), 200, `"head_pipeline":{"created_at"`)
	head, _ := ask(t, s, sc.Token, "GET", mr, "").field(t, "head_pipeline").(map[string]any)
	if head["id"] != 1001.0 {
		t.Errorf("got head pipeline %v, want that of the merge request, 1001, before the newer branch pipeline", head["id"])
	}
	check(t, ask(t, s, sc.Token, "GET", mr, ""), 200, `"base_sha":"`+sc.Base+`"`)
	check(t, ask(t, s, sc.Token, "GET", mr+"/pipelines", ""), 200, `"id":1002`)
	commit := "/projects/42/repository/commits/"
	check(t, ask(t, s, sc.Token, "GET", commit+sc.SHA, ""), 200, `"last_pipeline":{`)
	check(t, ask(t, s, sc.Token, "GET", commit+"feature", ""), 200, `"parent_ids":["`+sc.Base+`"]`)
	check(t, ask(t, s, sc.Token, "GET", commit+"nowhere", ""), 404, "404 Commit Not Found")
	check(t, ask(t, s, sc.Token, "GET", commit+sc.SHA+"/merge_requests?state=opened", ""), 200, `"iid":7`)
	check(t, ask(t, s, sc.Token, "GET", commit+sc.SHA+"/merge_requests?state=merged", ""), 200, "[]")
	check(t, ask(t, s, sc.Token, "GET", commit+sc.Base+"/merge_requests", ""), 200, "[]")
	check(t, ask(t, s, sc.Token, "GET", "/projects/42/merge_requests/8", ""), 404, "404 Not found")
	next := s.AddCommit(42, gitlabtest.Commit{Parents: []string{sc.SHA}, Branches: []string{"feature"}})
	check(t, ask(t, s, sc.Token, "GET", mr, ""), 200, `"sha":"`+next.SHA+`"`)
}

func TestMergedResults(t *testing.T) {
	t.Parallel()
	s := gitlabtest.New(t)
	sc := s.Populate()
	merge := s.AddCommit(42, gitlabtest.Commit{Parents: []string{sc.Base, sc.SHA}})
	pl := s.AddPipeline(42, gitlabtest.Pipeline{SHA: merge.SHA, Ref: "refs/merge-requests/7/merge", Source: "merge_request_event", MergeRequest: 7})
	status := "/projects/42/statuses/"
	check(t, ask(t, s, sc.Token, "POST", status+merge.SHA, object("state", "running", "ref", "feature")), 201, `"ref":"feature"`)
	check(t, ask(t, s, sc.Token, "POST", status+merge.SHA, object("state", "running", "pipeline_id", pl.ID)), 201, fmt.Sprintf(`"pipeline_id":%d`, pl.ID))
	check(t, ask(t, s, sc.Token, "POST", status+sc.SHA, object("state", "running", "pipeline_id", pl.ID)), 404, "404 Pipeline for pipeline_id, sha and ref Not Found")
	check(t, ask(t, s, sc.Token, "POST", status+sc.SHA, object("state", "running")), 201, `"pipeline_id":1001`)
	head, _ := ask(t, s, sc.Token, "GET", "/projects/42/merge_requests/7", "").field(t, "head_pipeline").(map[string]any)
	if head["sha"] != merge.SHA {
		t.Errorf("got head pipeline at %v, want the merge commit", head["sha"])
	}
}

func TestForks(t *testing.T) {
	t.Parallel()
	s := gitlabtest.New(t)
	sc := s.Populate()
	fork := s.AddProject(gitlabtest.Project{Path: "mona/app"})
	s.AddCommit(fork.ID, gitlabtest.Commit{SHA: sc.Base, Branches: []string{"main"}})
	c := s.AddCommit(fork.ID, gitlabtest.Commit{Parents: []string{sc.Base}, Branches: []string{"patch"}})
	s.AddMergeRequest(42, gitlabtest.MergeRequest{IID: 8, SourceProjectID: fork.ID, SourceBranch: "patch"})
	check(t, ask(t, s, sc.Token, "POST", "/projects/42/statuses/"+c.SHA, object("state", "running")), 404, "404 References for commit Not Found")
	source := fmt.Sprintf("/projects/%d/statuses/%s", fork.ID, c.SHA)
	check(t, ask(t, s, sc.Token, "POST", source, object("state", "running")), 404, "404 Project Not Found")
	s.AddMember(fork.ID, sc.Bot.ID, gitlabtest.Reporter)
	check(t, ask(t, s, sc.Token, "POST", source, object("state", "running")), 403, "403 Forbidden")
	s.AddMember(fork.ID, sc.Bot.ID, gitlabtest.Developer)
	check(t, ask(t, s, sc.Token, "POST", source, object("state", "running")), 201, `"ref":"patch"`)
	check(t, ask(t, s, sc.Token, "GET", "/projects/42/merge_requests/8", ""), 200, fmt.Sprintf(`"source_project_id":%d`, fork.ID))
	check(t, ask(t, s, sc.Token, "GET", "/projects/42/merge_requests/8/pipelines", ""), 200, `"source":"external"`)
}

func TestComparisons(t *testing.T) {
	t.Parallel()
	s := gitlabtest.New(t)
	sc := s.Populate()
	s.AddCommit(42, gitlabtest.Commit{SHA: "1111111111111111111111111111111111111111", Parents: []string{sc.Base}, Paths: []string{"main.go"}, Branches: []string{"main"}})
	s.AddCommit(42, gitlabtest.Commit{SHA: "2222222222222222222222222222222222222222", Parents: []string{sc.SHA}, Renames: [][2]string{{"a", "b"}}, Branches: []string{"feature"}, Tags: []string{"v1"}})
	s.AddCommit(42, gitlabtest.Commit{SHA: "3333333333333333333333333333333333333333"})
	const compare, base = "/projects/42/repository/compare?", "/projects/42/repository/merge_base?"
	tests := []struct {
		path string
		code int
		want string
		not  string
	}{
		{compare + "from=main&to=feature", 200, "flows/hello.yaml", "main.go"},
		{compare + "from=main&to=feature&straight=true", 200, "main.go", ""},
		{compare + "from=main&to=v1", 200, `"old_path":"a"`, ""},
		{compare + "from=main&to=main", 200, `"compare_same_ref":true`, "flows"},
		{compare + "from=main&to=nowhere", 404, "404 Ref Not Found", ""},
		{compare + "from=nowhere&to=main&straight=true", 404, "404 Ref Not Found", ""},
		{compare + "from=main", 400, "to is missing", ""},
		{base + "refs[]=main&refs[]=feature", 200, sc.Base, ""},
		{base + "refs[]=main", 400, "Provide at least 2 refs", ""},
		{base + "refs[]=main&refs[]=nowhere", 400, "Could not find ref: nowhere", ""},
		{base + "refs[]=main&refs[]=3333333333333333333333333333333333333333", 404, "404 Merge Base Not Found", ""},
	}
	for _, tt := range tests {
		a := ask(t, s, sc.Token, "GET", tt.path, "")
		check(t, a, tt.code, tt.want)
		if tt.not != "" && strings.Contains(a.body, tt.not) {
			t.Errorf("%s: got %s in %s", tt.path, tt.not, a.body)
		}
	}
	s.LimitDiff(1, false)
	check(t, ask(t, s, sc.Token, "GET", compare+"from=main&to=feature", ""), 200, `"compare_timeout":true`)
	s.LimitDiff(1, true)
	check(t, ask(t, s, sc.Token, "GET", compare+"from=main&to=feature", ""), 200, `"compare_timeout":false`)
}

func TestRoutesAndNames(t *testing.T) {
	t.Parallel()
	s := gitlabtest.New(t)
	sc := s.Populate()
	moved := s.AddProject(gitlabtest.Project{Path: "acme/new", MovedFrom: []string{"acme/old"}})
	s.AddMember(moved.ID, sc.Bot.ID, gitlabtest.Developer)
	c := s.AddCommit(moved.ID, gitlabtest.Commit{Branches: []string{"main"}})
	check(t, ask(t, s, sc.Token, "GET", "/projects/acme%2Fapp/merge_requests/7", ""), 200, `"iid":7`)
	check(t, ask(t, s, sc.Token, "GET", "/projects/acme%2Fno/merge_requests/7", ""), 404, "404 Project Not Found")
	check(t, ask(t, s, sc.Token, "GET", "/nowhere", ""), 404, `{"error":"404 Not Found"}`)
	check(t, ask(t, s, sc.Token, "GET", "/user", ""), 200, `"username":"remora-bot"`)
	check(t, ask(t, s, "", "GET", "/user", ""), 401, "401 Unauthorized")
	a := ask(t, s, sc.Token, "GET", "/projects/acme%2Fold/repository/commits/main?stats=false", "")
	check(t, a, 301, "")
	if want := fmt.Sprintf("%s/api/v4/projects/%d/repository/commits/main?stats=false", s.URL, moved.ID); a.header.Get("Location") != want {
		t.Errorf("got %s, want %s", a.header.Get("Location"), want)
	}
	check(t, ask(t, s, sc.Token, "POST", "/projects/acme%2Fold/statuses/"+c.SHA, object("state", "running")), 405, "Non GET methods are not allowed for moved projects")
	check(t, ask(t, s, sc.Token, "GET", "/user?a="+strings.Repeat("x", 9000), ""), 414, "")
}

func TestATokenInTheQueryIsRefusedAndRecorded(t *testing.T) {
	t.Parallel()
	s := gitlabtest.New(t)
	sc := s.Populate()
	check(t, ask(t, s, "", "GET", "/user?private_token="+sc.Token, ""), 400, "private_token in the query")
	if diff := cmp.Diff([]string{"GET /user?private_token"}, s.Leaks()); diff != "" {
		t.Errorf("leaks (-want +got):\n%s", diff)
	}
}

func TestFaultsAndTheLog(t *testing.T) {
	t.Parallel()
	s := gitlabtest.New(t)
	sc := s.Populate()
	s.Fail("POST /statuses/",
		gitlabtest.Answer{Code: 502, Body: "<html>"},
		gitlabtest.Answer{},
		gitlabtest.Answer{Code: 429, Header: map[string]string{"Retry-After": "7"}, Body: `{"message":"slow"}`, After: true})
	check(t, ask(t, s, sc.Token, "GET", "/user", ""), 200, "username") // not for this one
	check(t, ask(t, s, sc.Token, "POST", feature, object("state", "pending", "name", "a")), 502, "<html>")
	check(t, ask(t, s, sc.Token, "POST", feature, object("state", "pending", "name", "a")), 201, "pending")
	a := ask(t, s, sc.Token, "POST", feature, object("state", "running", "name", "a"))
	check(t, a, 429, "slow")
	if a.header.Get("Retry-After") != "7" {
		t.Errorf("got %v, want Retry-After", a.header)
	}
	if got := s.Statuses(42, sc.SHA); len(got) != 1 || got[0].State != "running" {
		t.Errorf("got %+v, want the effect of the third", got)
	}
	if s.Pending() != 0 {
		t.Errorf("got %d answers left", s.Pending())
	}
	log := s.Requests("POST /statuses/")
	if len(log) != 3 || log[1].Token != gitlabtest.Bot || log[1].Code != 201 || !strings.Contains(log[1].Body, "pending") {
		t.Errorf("got %+v, want three posts of the bot", log)
	}
	if strings.Contains(fmt.Sprint(s.Requests()), sc.Token) {
		t.Error("got the token in the log")
	}
	s.Forget()
	if got := s.Requests(); len(got) != 0 {
		t.Errorf("got %d requests, want none", len(got))
	}
}

func TestCallsAreLimited(t *testing.T) {
	t.Parallel()
	s := gitlabtest.New(t)
	sc := s.Populate()
	s.LimitCalls(2, 7*time.Second)
	for i, want := range []struct {
		code             int
		remaining, after string
	}{{200, "1", ""}, {200, "0", ""}, {429, "0", "7"}, {200, "1", ""}} {
		a := ask(t, s, sc.Token, "GET", "/user", "")
		if a.code != want.code || a.header.Get("RateLimit-Remaining") != want.remaining || a.header.Get("Retry-After") != want.after {
			t.Errorf("call %d: got %d %v, want %+v", i, a.code, a.header, want)
		}
	}
}

func TestConnectionsAreCut(t *testing.T) {
	t.Parallel()
	s := gitlabtest.New(t)
	s.Populate()
	s.Fail("GET /user", gitlabtest.Answer{Drop: true}, gitlabtest.Answer{Code: 200, Body: `[{"id":1},`, Cut: true})
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/api/v4/user", nil)
	one := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	if res, err := one.Do(req); err == nil {
		_ = res.Body.Close()
		t.Errorf("got %d, want no answer", res.StatusCode)
	}
	res, err := one.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if _, err := io.ReadAll(res.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v, want unexpected EOF", err)
	}
}

func TestTheHookSeesARequestBeforeItsEffect(t *testing.T) {
	t.Parallel()
	s := gitlabtest.New(t)
	sc := s.Populate()
	s.Before(func(r gitlabtest.Request) {
		if strings.Contains(r.Path, "/statuses/") {
			s.DeleteCommit(42, sc.SHA)
		}
	})
	check(t, ask(t, s, sc.Token, "POST", feature, object("state", "running")), 404, "404 Commit Not Found")
}

func TestTheHandlerServesElsewhere(t *testing.T) {
	t.Parallel()
	s := gitlabtest.NewHandler("https://gitlab.example.com/")
	s.Populate()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v4/projects/42/merge_requests/7", nil)
	req.Header.Set("PRIVATE-TOKEN", "glpat-remora-bot-0123456789")
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, req)
	if !strings.Contains(w.Body.String(), "https://gitlab.example.com/acme/app/-/merge_requests/7") {
		t.Errorf("got %s, want links of the public address", w.Body)
	}
	s.Close()
}
