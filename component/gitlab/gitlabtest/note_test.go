package gitlabtest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

const notes = "/projects/42/merge_requests/7/notes"

func TestQuickActionsExecute(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body string
		kept       string
		done       string // commands
		code       int
	}{
		{"plain text stays", "all well", "all well", "", 201},
		{"a command in the text is taken out and done", "done\n/close\nbye", "done\nbye", "close", 201},
		{"one with arguments", "a\n/label ~bug", "a", "label", 201},
		{"nothing but commands makes no note", "/approve\n/merge", "", "approve merge", 202},
		{"in upper case", "a\n/CLOSE", "a", "close", 201},
		{"after a carriage return", "a\r/close", "a", "close", 201},
		{"within a fence it is text", "```\n/close\n```", "```\n/close\n```", "", 201},
		{"a fence without end protects nothing", "```\n/close", "```", "close", 201},
		{"a longer fence is not ended by a shorter one", "````\n```\n/close\n````", "````\n```\n/close\n````", "", 201},
		{"a fence that is ended by its content protects nothing more", "```\n```\n/close\n```", "```\n```\n```", "close", 201},
		{"a fold protects nothing", "<details>\n/close\n</details>", "<details>\n</details>", "close", 201},
		{"a fence in a fold without an empty line is no fence", "<details>\n```\na\n\n/close\n```\n</details>", "<details>\n```\na\n\n```\n</details>", "close", 201},
		{"after an empty line it is one", "<details>\n\n```\na\n\n/close\n```\n</details>", "<details>\n\n```\na\n\n/close\n```\n</details>", "", 201},
		{"a fence in a comment is no fence", "<!--\n```\n-->\n/close\n```", "<!--\n```\n-->\n```", "close", 201},
		{"a comment on one line changes nothing", "<!-- a -->\n```\n/close\n```", "<!-- a -->\n```\n/close\n```", "", 201},
		{"in the middle of a line it is text", "see /close", "see /close", "", 201},
		{"an unknown command is text", "/etc/passwd\n/flush", "/etc/passwd\n/flush", "", 201},
		{"an escaped one is text", `\/close`, `\/close`, "", 201},
		{"an indented one is text", " x\n  /close", "x\n  /close", "", 201},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := gitlabtest.New(t)
			sc := s.Populate()
			check(t, ask(t, s, sc.Token, "POST", notes, object("body", tt.body)), tt.code, "")
			var done []string
			for _, q := range s.QuickActions(42, 7) {
				done = append(done, q.Command)
			}
			if got := strings.Join(done, " "); got != tt.done {
				t.Errorf("got commands %q, want %q", got, tt.done)
			}
			kept := ""
			for _, n := range s.Notes(42, 7) {
				kept += n.Body
			}
			if kept != tt.kept {
				t.Errorf("got note %q, want %q", kept, tt.kept)
			}
		})
	}
}

func TestQuickActionsExecuteInAnEditAndAThread(t *testing.T) {
	t.Parallel()
	s := gitlabtest.New(t)
	sc := s.Populate()
	n := s.AddNote(42, 7, gitlabtest.Note{AuthorID: sc.Bot.ID, Body: "x", Resolvable: true})
	check(t, ask(t, s, sc.Token, "PUT", fmt.Sprintf("%s/%d", notes, n.ID), object("body", "y\n/close")), 200, `"body":"y"`)
	check(t, ask(t, s, sc.Token, "POST", "/projects/42/merge_requests/7/discussions/"+n.Discussion+"/notes", object("body", "/reopen")), 201, `"id":null`)
	if got := len(s.QuickActions(42, 7)); got != 2 {
		t.Errorf("got %d commands, want 2", got)
	}
	if got := s.Notes(42, 7); len(got) != 1 || got[0].Body != "y" || got[0].Edits != 1 {
		t.Errorf("got %+v, want one edited note", got)
	}
}

func TestLimitsOfANote(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		setup func(*gitlabtest.Server)
		body  string
		code  int
		want  string
	}{
		{"a million characters fit", nil, object("body", strings.Repeat("é", 1_000_000)), 201, ""},
		{"one more does not", nil, object("body", strings.Repeat("é", 1_000_001)), 400, "is too long (maximum is 1000000 characters)"},
		{"5,000 notes are the most", func(s *gitlabtest.Server) {
			for range 5000 {
				s.AddNote(42, 7, gitlabtest.Note{Body: "x"})
			}
		}, object("body", "x"), 400, "Maximum number of comments exceeded"},
		{"too many in a minute", func(s *gitlabtest.Server) { s.LimitNotes(0) }, object("body", "x"), 429, "Retry later"},
		{"no body", nil, object(), 400, "body is missing"},
		{"an empty body", nil, object("body", " \n"), 400, "can't be blank"},
		{"a NUL", nil, object("body", "a\x00"), 400, "400 Bad Request"},
		{"broken JSON", nil, `{"body":`, 400, "not valid JSON"},
		{"broken UTF-8", nil, "{\"body\":\"\xff\"}", 400, "400 Bad Request"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := gitlabtest.New(t)
			sc := s.Populate()
			if tt.setup != nil {
				tt.setup(s)
			}
			before := len(s.Notes(42, 7))
			a := ask(t, s, sc.Token, "POST", notes, tt.body)
			check(t, a, tt.code, tt.want)
			if a.header.Get("Retry-After") != "" || a.header.Get("RateLimit-Reset") != "" {
				t.Error("got headers of a limiter, want none")
			}
			if made := len(s.Notes(42, 7)) > before; made != (tt.code == 201) {
				t.Errorf("got a note made: %v after %d", made, tt.code)
			}
		})
	}
}

func TestTheNoteLimitCounts(t *testing.T) {
	t.Parallel()
	s := gitlabtest.New(t)
	sc := s.Populate()
	s.LimitNotes(1)
	for _, want := range []int{201, 429, 429} {
		check(t, ask(t, s, sc.Token, "POST", notes, object("body", "x")), want, "")
	}
	s.LimitNotes(-1)
	check(t, ask(t, s, sc.Token, "POST", notes, object("body", "x")), 201, "")
}

func TestWhoMayWriteANote(t *testing.T) {
	t.Parallel()
	s := gitlabtest.New(t)
	sc := s.Populate()
	open := s.AddProject(gitlabtest.Project{Path: "acme/open", Public: true})
	s.AddCommit(open.ID, gitlabtest.Commit{Branches: []string{"main", "f"}})
	s.AddMergeRequest(open.ID, gitlabtest.MergeRequest{SourceBranch: "f"})
	for name, level := range map[string]gitlabtest.Level{"reporter": gitlabtest.Reporter, "guest": gitlabtest.Guest, "stranger": 0} {
		u := s.AddUser(gitlabtest.User{Username: name}, name)
		s.AddMember(42, u.ID, level)
	}
	s.AddToken(sc.Person.ID, "job", gitlabtest.Job)
	mr := fmt.Sprintf("/projects/%d/merge_requests/1/notes", open.ID)
	post := func(token, path string, code int) {
		t.Helper()
		check(t, ask(t, s, token, "POST", path, object("body", "x")), code, "")
	}
	post("reporter", notes, 201)
	post("guest", notes, 404)
	post("stranger", notes, 404)
	post("job", notes, 401)
	post("JOB-TOKEN: job", notes, 401)
	check(t, ask(t, s, "JOB-TOKEN: job", "GET", notes, ""), 200, "")
	check(t, ask(t, s, "JOB-TOKEN: job", "GET", "/user", ""), 401, "")
	check(t, ask(t, s, "JOB-TOKEN: job", "GET", "/projects/42/merge_requests/7/discussions", ""), 401, "")
	check(t, ask(t, s, "JOB-TOKEN: job", "GET", "/projects/42/repository/compare?from=main&to=feature", ""), 404, "404 Project Not Found")
	check(t, ask(t, s, "", "GET", mr, ""), 401, "401 Unauthorized")
	check(t, ask(t, s, "", "GET", strings.TrimSuffix(mr, "/notes"), ""), 200, "")
	post("", mr, 401)
	post("stranger", mr, 201)
	s.ChangeMergeRequest(open.ID, 1, func(m *gitlabtest.MergeRequest) { m.Locked = true })
	post("stranger", mr, 403)
	s.ChangeMergeRequest(42, 7, func(m *gitlabtest.MergeRequest) { m.Locked, m.State = true, "merged" })
	post(sc.Token, notes, 201)
	s.Archive(42)
	post(sc.Token, notes, 403)
}

func TestWhoMayChangeANote(t *testing.T) {
	t.Parallel()
	s := gitlabtest.New(t)
	sc := s.Populate()
	mine := s.AddNote(42, 7, gitlabtest.Note{AuthorID: sc.Bot.ID, Body: "mine"})
	theirs := s.AddNote(42, 7, gitlabtest.Note{AuthorID: sc.Person.ID, Body: "theirs"})
	system := s.AddNote(42, 7, gitlabtest.Note{AuthorID: sc.Bot.ID, Body: "pushed", System: true})
	at := func(n gitlabtest.Note) string { return fmt.Sprintf("%s/%d", notes, n.ID) }
	check(t, ask(t, s, sc.Token, "PUT", at(mine), object("body", "changed")), 200, `"body":"changed"`)
	check(t, ask(t, s, sc.Token, "PUT", at(theirs), object("body", "x")), 403, "403 Forbidden")
	check(t, ask(t, s, sc.Token, "PUT", at(system), object("body", "x")), 403, "403 Forbidden")
	check(t, ask(t, s, sc.Token, "DELETE", at(theirs), ""), 403, "403 Forbidden")
	check(t, ask(t, s, sc.Token, "PUT", notes+"/9", object("body", "x")), 404, "404 Not found")
	check(t, ask(t, s, sc.Token, "PUT", at(mine), object()), 400, "body is missing")
	check(t, ask(t, s, sc.Token, "DELETE", at(mine), ""), 204, "")
	check(t, ask(t, s, sc.Token, "DELETE", at(mine), ""), 404, "404 Not found")
	check(t, ask(t, s, "glpat-mona-0123456789", "DELETE", at(theirs), ""), 204, "")
	if got := s.Notes(42, 7); len(got) != 1 || !got[0].System {
		t.Errorf("got %+v, want the system note alone", got)
	}
}

func TestANoteIsRead(t *testing.T) {
	t.Parallel()
	s := gitlabtest.New(t)
	sc := s.Populate()
	n := s.AddNote(42, 7, gitlabtest.Note{AuthorID: sc.Bot.ID, Body: "hello"})
	path := "/projects/42/merge_requests/7/notes/"
	check(t, ask(t, s, sc.Token, "GET", fmt.Sprint(path, n.ID), ""), 200, `"body":"hello"`)
	check(t, ask(t, s, sc.Token, "GET", path+"1", ""), 404, "404 Not found")
}

func TestNotesArePaged(t *testing.T) {
	t.Parallel()
	s := gitlabtest.New(t)
	sc := s.Populate()
	for i := range 130 {
		s.AddNote(42, 7, gitlabtest.Note{AuthorID: sc.Bot.ID, Body: fmt.Sprintf("note %d.", i)})
	}
	type page struct{ Next, Prev, Total, First string }
	tests := []struct {
		query string
		want  page
	}{
		{"", page{"2", "", "130", "note 129."}},
		{"?sort=asc", page{"2", "", "130", "note 0."}},
		{"?sort=asc&page=2", page{"3", "1", "130", "note 20."}},
		{"?sort=asc&page=2&per_page=100", page{"", "1", "130", "note 100."}},
		{"?sort=asc&page=2&per_page=1000", page{"", "1", "130", "note 100."}},
		{"?page=9&per_page=100", page{"", "8", "130", ""}},
	}
	for _, tt := range tests {
		a := ask(t, s, sc.Token, "GET", notes+tt.query, "")
		got := page{a.header.Get("X-Next-Page"), a.header.Get("X-Prev-Page"), a.header.Get("X-Total"), ""}
		if _, rest, ok := strings.Cut(a.body, `"body":"`); ok {
			got.First, _, _ = strings.Cut(rest, `"`)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.query, diff)
		}
		if hasNext := strings.Contains(a.header.Get("Link"), `rel="next"`); hasNext != (tt.want.Next != "") {
			t.Errorf("%s: got link %s", tt.query, a.header.Get("Link"))
		}
	}
	for _, bad := range []string{"?page=0", "?per_page=0", "?page=x", "?order=asc"} {
		check(t, ask(t, s, sc.Token, "GET", notes+bad, ""), 400, `"error"`)
	}
}

func TestAboveTenThousandNothingIsCounted(t *testing.T) {
	t.Parallel()
	s := gitlabtest.New(t)
	sc := s.Populate()
	for range 10_001 {
		s.AddNote(42, 7, gitlabtest.Note{Body: "x"})
	}
	a := ask(t, s, sc.Token, "GET", notes, "")
	if a.header.Get("X-Total") != "" || strings.Contains(a.header.Get("Link"), "last") || a.header.Get("X-Next-Page") != "2" {
		t.Errorf("got %v, want a next page and no total", a.header)
	}
}

func TestEmojiAreAwardedOnce(t *testing.T) {
	t.Parallel()
	s := gitlabtest.New(t)
	sc := s.Populate()
	n := s.AddNote(42, 7, gitlabtest.Note{Body: "x"})
	const mr = "/projects/42/merge_requests/7/award_emoji"
	note := fmt.Sprintf("%s/%d/award_emoji", notes, n.ID)
	check(t, ask(t, s, sc.Token, "POST", mr, object("name", "rocket")), 201, "rocket")
	check(t, ask(t, s, sc.Token, "POST", mr, object("name", "rocket")), 404, "Award Emoji Name has already been taken")
	check(t, ask(t, s, sc.Token, "POST", note, object("name", "rocket")), 201, "rocket")
	check(t, ask(t, s, sc.Token, "POST", note, object("name", "rocket")), 404, "Award Emoji Name has already been taken")
	check(t, ask(t, s, sc.Token, "POST", mr, object()), 400, "name is missing")
	check(t, ask(t, s, sc.Token, "GET", mr, ""), 200, `"name":"rocket"`)
	if got := len(s.Emoji(42, 7)); got != 2 {
		t.Errorf("got %d awards, want 2", got)
	}
}
