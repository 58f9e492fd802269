package gitlabtest_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

func TestAMemberHasTheHigherOfHisOwnAndHisInheritedLevel(t *testing.T) {
	t.Parallel()
	s := gitlabtest.New(t)
	sc := s.Populate()
	tests := []struct {
		name           string
		own, inherited gitlabtest.Level
		blocked        bool
		want           string
	}{
		{"a direct member", gitlabtest.Developer, 0, false, `"access_level":30`},
		{"a member by a group", 0, gitlabtest.Maintainer, false, `"access_level":40`},
		{"a member of both, higher in the group", gitlabtest.Guest, gitlabtest.Owner, false, `"access_level":50`},
		{"a member of both, higher in the project", gitlabtest.Maintainer, gitlabtest.Reporter, false, `"access_level":40`},
		{"somebody who is blocked", gitlabtest.Developer, 0, true, `"state":"blocked"`},
		{"a stranger", 0, 0, false, "404 Not found"},
	}
	for _, tt := range tests {
		u := s.AddUser(gitlabtest.User{Blocked: tt.blocked}, "")
		s.AddMember(42, u.ID, tt.own)
		s.AddInheritedMember(42, u.ID, tt.inherited)
		code := 200
		if tt.own+tt.inherited == 0 {
			code = 404
		}
		check(t, ask(t, s, sc.Token, "GET", fmt.Sprintf("/projects/42/members/all/%d", u.ID), ""), code, tt.want)
	}
	check(t, ask(t, s, sc.Token, "GET", "/projects/42/members/all/999999", ""), 404, "404 Not found")
	check(t, ask(t, s, sc.Token, "GET", "/projects/42/members/all/x", ""), 400, "user_id is invalid")
	check(t, ask(t, s, sc.Token, "GET", "/projects/43/members/all/1", ""), 404, "404 Project Not Found")
	check(t, ask(t, s, sc.Token, "GET", "/projects/42/members/all/1?per_page=3", ""), 400, "per_page is invalid")
	check(t, ask(t, s, "", "GET", "/projects/42/members/all/1", ""), 404, "404 Project Not Found")
}

func TestAnInheritedMemberMayWhatHisLevelLets(t *testing.T) {
	t.Parallel()
	s := gitlabtest.New(t)
	s.Populate()
	u := s.AddUser(gitlabtest.User{}, "glpat-inherited")
	s.AddInheritedMember(42, u.ID, gitlabtest.Reporter)
	check(t, ask(t, s, "glpat-inherited", "POST", "/projects/42/merge_requests/7/notes", object("body", "hello")), 201, "hello")
}

func TestTheHookOfANoteIsShapedAsGitLabsIs(t *testing.T) {
	t.Parallel()
	s := gitlabtest.New(t)
	sc := s.Populate()
	fork := s.AddProject(gitlabtest.Project{Path: "mona/app"})
	head := s.AddCommit(fork.ID, gitlabtest.Commit{Branches: []string{"patch"}}).SHA
	mr := s.AddMergeRequest(42, gitlabtest.MergeRequest{SourceProjectID: fork.ID, SourceBranch: "patch", AuthorID: sc.Person.ID})
	n := s.AddNote(42, mr.IID, gitlabtest.Note{AuthorID: sc.Person.ID, Body: "/remora status"})
	text, err := json.Marshal(s.NoteHook(42, mr.IID, n.ID))
	if err != nil {
		t.Fatal(err)
	}
	type place struct {
		ID   int64
		Path string `json:"path_with_namespace"`
	}
	type hook struct {
		Kind       string `json:"object_kind"`
		User       struct{ ID int64 }
		Project    place
		Attributes struct {
			ID         int64
			Note       string
			Author     int64  `json:"author_id"`
			On         string `json:"noteable_type"`
			Discussion string `json:"discussion_id"`
			Action     string
		} `json:"object_attributes"`
		MergeRequest struct {
			IID    int64
			State  string
			Branch string `json:"source_branch"`
			From   int64  `json:"source_project_id"`
			To     int64  `json:"target_project_id"`
			Source place
			Last   struct{ ID string } `json:"last_commit"`
		} `json:"merge_request"`
	}
	var got, want hook
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	want.Kind, want.User.ID, want.Project = "note", sc.Person.ID, place{42, "acme/app"}
	a := &want.Attributes
	a.ID, a.Note, a.Author, a.On, a.Discussion, a.Action = n.ID, "/remora status", sc.Person.ID, "MergeRequest", n.Discussion, "create"
	m := &want.MergeRequest
	m.IID, m.State, m.Branch, m.From, m.To, m.Source, m.Last.ID = mr.IID, "opened", "patch", fork.ID, 42, place{fork.ID, "mona/app"}, head
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("hook (-want +got):\n%s", diff)
	}
}
