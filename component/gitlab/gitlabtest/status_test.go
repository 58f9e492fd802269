package gitlabtest_test

import (
	"fmt"
	"strings"
	"testing"

	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

const feature = "/projects/42/statuses/c0ffee1200000000000000000000000000000002"

func TestTheStateMachineOfACommitStatus(t *testing.T) {
	t.Parallel()
	refused := func(event, from string) string {
		return `Cannot transition status via :` + event + ` from :` + from + ` (Reason(s): Status cannot transition via \"` + event + `\")`
	}
	tests := []struct {
		name   string
		states []string // posted one after the other
		code   int      // of the last
		want   string
		rows   int
	}{
		{"a new status may be pending", []string{"pending"}, 201, `"status":"pending"`, 1},
		{"a new status may be running", []string{"running"}, 201, `"status":"running"`, 1},
		{"a new status may be final", []string{"success"}, 201, `"status":"success"`, 1},
		{"a new status may be skipped", []string{"skipped"}, 201, `"status":"skipped"`, 1},
		{"pending becomes running", []string{"pending", "running"}, 201, `"status":"running"`, 1},
		{"pending becomes skipped", []string{"pending", "skipped"}, 201, `"status":"skipped"`, 1},
		{"running becomes success", []string{"running", "success"}, 201, `"status":"success"`, 1},
		{"running becomes failed", []string{"running", "failed"}, 201, `"status":"failed"`, 1},
		{"running becomes canceled", []string{"running", "canceled"}, 201, `"status":"canceled"`, 1},
		{"running twice is refused", []string{"running", "running"}, 400, refused("run", "running"), 1},
		{"pending twice is refused", []string{"pending", "pending"}, 400, refused("enqueue", "pending"), 1},
		{"running does not become pending", []string{"running", "pending"}, 400, refused("enqueue", "running"), 1},
		{"running does not become skipped", []string{"running", "skipped"}, 400, refused("skip", "running"), 1},
		{"success again is a new row", []string{"success", "success"}, 201, `"status":"success"`, 2},
		{"pending after success is a new row", []string{"success", "pending"}, 201, `"status":"pending"`, 2},
		{"no state is refused", []string{""}, 400, "State is required", 0},
		{"another state is refused", []string{"passed"}, 400, "state does not have a valid value", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := gitlabtest.New(t)
			sc := s.Populate()
			var last answer
			for _, state := range tt.states {
				last = ask(t, s, sc.Token, "POST", feature, object("state", state, "name", "sync/a"))
			}
			check(t, last, tt.code, tt.want)
			rows := s.Statuses(42, sc.SHA)
			if len(rows) != tt.rows {
				t.Fatalf("got %d rows, want %d", len(rows), tt.rows)
			}
			for i, row := range rows {
				if row.Retried != (i < len(rows)-1) {
					t.Errorf("got row %d retried %v, want only the older ones retried", i, row.Retried)
				}
			}
		})
	}
}

func TestARefusedPostChangesNothing(t *testing.T) {
	t.Parallel()
	s := gitlabtest.New(t)
	sc := s.Populate()
	ask(t, s, sc.Token, "POST", feature, object("state", "running", "name", "a", "description", "first", "target_url", "https://a.example"))
	ask(t, s, sc.Token, "POST", feature, object("state", "running", "name", "a", "description", "second", "target_url", "https://b.example"))
	row := s.Statuses(42, sc.SHA)[0]
	if row.Description != "first" || row.TargetURL != "https://a.example" {
		t.Errorf("got %q and %q, want what the first post said", row.Description, row.TargetURL)
	}
	ask(t, s, sc.Token, "POST", feature, object("state", "success", "name", "a", "description", "third"))
	row = s.Statuses(42, sc.SHA)[0]
	if row.Description != "third" || row.TargetURL != "https://a.example" {
		t.Errorf("got %q and %q, want the new text and the old URL", row.Description, row.TargetURL)
	}
}

func TestAnotherUserHidesARow(t *testing.T) {
	t.Parallel()
	s := gitlabtest.New(t)
	sc := s.Populate()
	other := s.AddUser(gitlabtest.User{Username: "new-bot"}, "glpat-new")
	s.AddMember(42, other.ID, gitlabtest.Developer)
	ask(t, s, sc.Token, "POST", feature, object("state", "running", "name", "a"))
	check(t, ask(t, s, "glpat-new", "POST", feature, object("state", "running", "name", "a")), 201, `"status":"running"`)
	rows := s.Statuses(42, sc.SHA)
	if len(rows) != 2 || !rows[0].Retried || rows[0].State != "running" || rows[1].Retried {
		t.Errorf("got %+v, want the first row running and hidden by a second", rows)
	}
}

func TestThePipelineAStatusLandsIn(t *testing.T) {
	t.Parallel()
	const unknown = "0123456789012345678901234567890123456789"
	tests := []struct {
		name  string
		setup func(s *gitlabtest.Server)
		sha   string
		body  []any
		code  int
		want  string
		added int // pipelines
	}{
		{name: "the newest with that sha", body: []any{"state", "running"}, code: 201, want: `"pipeline_id":1001`},
		{name: "the newest of two", setup: func(s *gitlabtest.Server) {
			s.AddPipeline(42, gitlabtest.Pipeline{ID: 1002, SHA: "c0ffee1200000000000000000000000000000002", Ref: "feature"})
		}, body: []any{"state", "running"}, code: 201, want: `"pipeline_id":1002`, added: 1},
		{name: "not an archived one", setup: func(s *gitlabtest.Server) {
			s.AddPipeline(42, gitlabtest.Pipeline{ID: 1002, SHA: "c0ffee1200000000000000000000000000000002", Ref: "feature", Archived: true})
		}, body: []any{"state", "running"}, code: 201, want: `"pipeline_id":1001`, added: 1},
		{name: "the one that is asked for", setup: func(s *gitlabtest.Server) {
			s.AddPipeline(42, gitlabtest.Pipeline{ID: 1002, SHA: "c0ffee1200000000000000000000000000000002", Ref: "feature"})
		}, body: []any{"state", "running", "pipeline_id", 1001}, code: 201, want: `"pipeline_id":1001`, added: 1},
		{name: "one with the ref that is asked for, else a new one", body: []any{"state", "running", "ref", "feature"}, code: 201, want: `"ref":"feature"`, added: 1},
		{name: "none: a new external one on the first branch", sha: "ba5e000000000000000000000000000000000001", body: []any{"state", "running"}, code: 201, want: `"ref":"feature"`, added: 1},
		{name: "no branch", setup: func(s *gitlabtest.Server) {
			s.AddCommit(42, gitlabtest.Commit{SHA: unknown})
		}, sha: unknown, body: []any{"state", "running"}, code: 404, want: "404 References for commit Not Found"},
		{name: "no commit", sha: unknown, body: []any{"state", "running"}, code: 404, want: "404 Commit Not Found"},
		{name: "another pipeline's id", body: []any{"state", "running", "pipeline_id", 7}, code: 404, want: "404 Pipeline for pipeline_id, sha and ref Not Found"},
		{name: "an id that does not go with the ref", body: []any{"state", "running", "pipeline_id", 1001, "ref", "feature"}, code: 404, want: "404 Pipeline for pipeline_id, sha and ref Not Found"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := gitlabtest.New(t)
			sc := s.Populate()
			if tt.setup != nil {
				tt.setup(s)
			}
			if tt.sha == "" {
				tt.sha = sc.SHA
			}
			check(t, ask(t, s, sc.Token, "POST", "/projects/42/statuses/"+tt.sha, object(tt.body...)), tt.code, tt.want)
			pipelines := s.Pipelines(42)
			if got := len(pipelines) - 1; got != tt.added {
				t.Errorf("got %d more pipelines, want %d", got, tt.added)
			}
			if last := pipelines[len(pipelines)-1]; tt.setup == nil && tt.added == 1 && last.Source != "external" {
				t.Errorf("got source %s, want external", last.Source)
			}
		})
	}
}

func TestLimitsOfACommitStatus(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ü", 255)
	tests := []struct {
		name  string
		body  []any
		code  int
		want  string
		empty bool // an empty pipeline stays behind
	}{
		{"255 characters fit", []any{"description", long}, 201, "", false},
		{"256 do not", []any{"description", long + "x"}, 400, `"description":["is too long (maximum is 255 characters)"]`, true},
		{"a URL of 256 does not", []any{"target_url", "https://a.example/" + long}, 400, `"target_url":["is too long`, true},
		{"a ref of 256 does not", []any{"ref", long + "x"}, 400, `"ref":["is too long`, false},
		{"an ftp URL is blocked", []any{"target_url", "ftp://a.example"}, 400, `"target_url":["is blocked: Only allowed schemes are http, https"]`, true},
		{"localhost is blocked", []any{"target_url", "http://localhost/x"}, 400, "is blocked: Requests to localhost are not allowed", true},
		{"an empty URL is blocked", []any{"target_url", ""}, 400, "is blocked", true},
		{"an unknown parameter", []any{"allow_failure", true}, 400, "allow_failure is invalid", false},
		{"a pipeline id that is no number", []any{"pipeline_id", "x"}, 400, "pipeline_id is invalid", false},
		{"a NUL", []any{"description", "a\x00b"}, 400, "400 Bad Request", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := gitlabtest.New(t)
			sc := s.Populate()
			body := object(append([]any{"state", "running"}, tt.body...)...)
			check(t, ask(t, s, sc.Token, "POST", "/projects/42/statuses/"+sc.Base, body), tt.code, tt.want)
			if left := len(s.Pipelines(42)) > 1; left != (tt.empty || tt.code == 201) {
				t.Errorf("got a pipeline left behind: %v, want %v", left, tt.empty)
			}
			if rows := s.Statuses(42, sc.Base); (len(rows) == 1) != (tt.code == 201) {
				t.Errorf("got %d rows after %d", len(rows), tt.code)
			}
		})
	}
}

func TestWhoMaySetACommitStatus(t *testing.T) {
	t.Parallel()
	s := gitlabtest.New(t)
	sc := s.Populate()
	add := func(name string, level gitlabtest.Level) {
		u := s.AddUser(gitlabtest.User{Username: name}, name)
		s.AddMember(42, u.ID, level)
	}
	add("reporter", gitlabtest.Reporter)
	add("guest", gitlabtest.Guest)
	add("stranger", 0)
	s.AddToken(sc.Bot.ID, "expired", gitlabtest.Expired)
	s.AddToken(sc.Bot.ID, "revoked", gitlabtest.Revoked)
	s.AddToken(sc.Bot.ID, "reading", gitlabtest.ReadAPI)
	s.AddToken(sc.Person.ID, "job", gitlabtest.Job)
	tests := []struct {
		token string
		code  int
		want  string
	}{
		{"reporter", 403, "403 Forbidden"}, {"guest", 403, "403 Forbidden"}, {"stranger", 404, "404 Project Not Found"},
		{"expired", 401, "Token is expired"}, {"revoked", 401, "Token was revoked"}, {"reading", 403, "insufficient_scope"},
		{"job", 401, "401 Unauthorized"}, {"JOB-TOKEN: job", 401, "401 Unauthorized"}, {"", 401, "401 Unauthorized"},
		{"nonsense", 401, "401 Unauthorized"}, {"Authorization: Bearer " + sc.Token, 201, "running"},
	}
	for _, tt := range tests {
		check(t, ask(t, s, tt.token, "POST", feature, object("state", "running")), tt.code, tt.want)
	}
	s.Archive(42)
	check(t, ask(t, s, sc.Token, "POST", feature, object("state", "success")), 403, "403 Forbidden")
}

func TestAProtectedBranchLeavesAnEmptyPipeline(t *testing.T) {
	t.Parallel()
	s := gitlabtest.New(t)
	sc := s.Populate()
	s.Protect(42, "main")
	path := "/projects/42/statuses/" + sc.Base
	check(t, ask(t, s, sc.Token, "POST", path, object("state", "running", "ref", "main")), 403, "403 Forbidden")
	if got := len(s.Pipelines(42)); got != 2 {
		t.Errorf("got %d pipelines, want 2", got)
	}
	check(t, ask(t, s, "glpat-mona-0123456789", "POST", path, object("state", "running", "ref", "main")), 201, "running")
}

func TestACIJobsNameIsTaken(t *testing.T) {
	t.Parallel()
	s := gitlabtest.New(t)
	sc := s.Populate()
	check(t, ask(t, s, sc.Token, "POST", feature, object("state", "running", "name", "sync")), 400, `"name":["has already been taken"]`)
}

func TestTooManyJobs(t *testing.T) {
	t.Parallel()
	s := gitlabtest.New(t)
	sc := s.Populate()
	s.LimitJobs(2)
	for i, want := range []int{201, 422} { // the CI job and the first status fill it
		body := object("state", "running", "name", fmt.Sprint(i), "pipeline_id", 1001)
		check(t, ask(t, s, sc.Token, "POST", feature, body), want, "")
	}
	check(t, ask(t, s, sc.Token, "POST", feature, object("state", "success", "name", "0", "pipeline_id", 1001)), 201, "success")
	check(t, ask(t, s, sc.Token, "POST", feature, object("state", "success", "name", "0", "pipeline_id", 1001)), 422, "The number of jobs has exceeded the limit")
	check(t, ask(t, s, sc.Token, "POST", feature, object("state", "running", "name", "2")), 201, "running")
	if got := s.Pipelines(42); len(got) != 2 || got[1].Source != "external" {
		t.Errorf("got %+v, want a second pipeline, made silently", got)
	}
}

func TestTwoPostsAtOnceCollide(t *testing.T) {
	t.Parallel()
	s := gitlabtest.New(t)
	sc := s.Populate()
	held, release := make(chan bool), make(chan bool)
	s.WhileLeased(func(r gitlabtest.Request) {
		if strings.Contains(r.Body, `"name":"a"`) {
			held <- true
			<-release
		}
	})
	first := make(chan answer)
	go func() { first <- ask(t, s, sc.Token, "POST", feature, object("state", "running", "name", "a")) }()
	<-held
	check(t, ask(t, s, sc.Token, "POST", feature, object("state", "running", "name", "b")), 409, "Another update to this commit status is in progress")
	check(t, ask(t, s, sc.Token, "POST", "/projects/42/statuses/"+sc.Base, object("state", "running")), 201, "")
	release <- true
	check(t, <-first, 201, "running")
}

func TestStatusesAreListed(t *testing.T) {
	t.Parallel()
	s := gitlabtest.New(t)
	sc := s.Populate()
	for i := range 25 {
		s.AddStatus(42, gitlabtest.Status{SHA: sc.SHA, Ref: "feature", Name: fmt.Sprint("job ", i), State: "success", PipelineID: 1001, UserID: sc.Bot.ID})
	}
	s.AddStatus(42, gitlabtest.Status{SHA: sc.SHA, Ref: "feature", Name: "job 1", State: "failed", PipelineID: 1001, Retried: true})
	list := "/projects/42/repository/commits/" + sc.SHA + "/statuses"
	tests := []struct {
		query string
		total string
		want  string
	}{
		{"", "25", `"name":"job 19"`}, {"?all=true", "26", ""}, {"?name=job+7", "1", `"author":{"id"`}, {"?ref=main", "0", ""},
		{"?pipeline_id=9", "0", ""}, {"?sort=desc&order_by=id&per_page=1", "25", `"name":"job 24"`}, {"?page=2", "25", `"name":"job 20"`},
	}
	for _, tt := range tests {
		a := ask(t, s, sc.Token, "GET", list+tt.query, "")
		check(t, a, 200, tt.want)
		if got := a.header.Get("X-Total"); got != tt.total {
			t.Errorf("%s: got total %s, want %s", tt.query, got, tt.total)
		}
	}
}
