package gitlabtest_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

// ids are the ids of a list.
func ids(t *testing.T, got answer) string {
	t.Helper()
	var list []struct{ ID int64 }
	if err := json.Unmarshal([]byte(got.body), &list); err != nil {
		t.Fatalf("got %d %s, want a list", got.code, got.body)
	}
	var out []string
	for _, e := range list {
		out = append(out, fmt.Sprint(e.ID))
	}
	return strings.Join(out, " ")
}

func TestGroupsAndWhatLiesInThem(t *testing.T) {
	t.Parallel()
	s := gitlabtest.New(t)
	u := s.AddUser(gitlabtest.User{}, "glpat-a")
	s.AddProject(gitlabtest.Project{ID: 40, Path: "a/old"}) // before its group
	for _, g := range []gitlabtest.Group{{ID: 1, Path: "a"}, {ID: 2, Path: "a/b"}, {ID: 3, Path: "c", Public: true}, {ID: 4, Path: "ab"}} {
		s.AddGroup(g)
	}
	s.AddGroupMember(1, u.ID, gitlabtest.Maintainer)
	s.AddGroupMember(2, u.ID, gitlabtest.Owner)
	s.AddProject(gitlabtest.Project{ID: 41, Path: "a/b/x"})
	s.AddProject(gitlabtest.Project{ID: 42, Path: "ab/y"})
	s.AddProject(gitlabtest.Project{ID: 43, Path: "a/shut", Archived: true})
	for path, want := range map[string]string{
		"/groups": "1 2", "/groups?all_available=true": "1 2 3", "/groups?all_available=true&min_access_level=50": "2",
		"/groups/a/projects?with_shared=false":                                       "40 43",
		"/groups/1/projects?with_shared=false&include_subgroups=true":                "40 41 43",
		"/groups/1/projects?with_shared=false&include_subgroups=true&archived=false": "40 41",
		"/projects?membership=true":                                                  "40 41 43",
		"/projects?membership=true&min_access_level=50":                              "41",
	} {
		if got := ids(t, ask(t, s, "glpat-a", "GET", path, "")); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
	check(t, ask(t, s, "glpat-a", "GET", "/groups/4", ""), 404, "404 Group Not Found")
	check(t, ask(t, s, "glpat-a", "GET", "/groups/a%2Fb", ""), 200, `"parent_id":1`)
	check(t, ask(t, s, "glpat-a", "GET", "/namespaces/a%2Fb", ""), 200, `"plan":"default"`)
	check(t, ask(t, s, "glpat-a", "GET", "/namespaces/4", ""), 404, "404 Namespace Not Found")
	check(t, ask(t, s, "glpat-a", "GET", "/projects/41", ""), 200, `"full_path":"a/b"`)
	check(t, ask(t, s, "", "GET", "/groups", ""), 401, "")
	check(t, ask(t, s, "glpat-a", "GET", "/groups?min_access_level=owner", ""), 400, "min_access_level")
	check(t, ask(t, s, "glpat-a", "GET", "/groups/1/projects", ""), 400, "with_shared")

	s.ChangeGroup(1, func(g *gitlabtest.Group) { g.Path = "z" })
	check(t, ask(t, s, "glpat-a", "GET", "/groups/z%2Fb", ""), 200, `"id":2`)
	check(t, ask(t, s, "glpat-a", "GET", "/projects/a%2Fb%2Fx", ""), 301, "")
	s.ChangeGroup(2, func(g *gitlabtest.Group) { g.Deleted = true })
	check(t, ask(t, s, "glpat-a", "GET", "/groups/2", ""), 200, `"marked_for_deletion_on":"2026`)

	s.AddGroupMember(2, u.ID, 0)
	if got := ids(t, ask(t, s, "glpat-a", "GET", "/projects?membership=true&min_access_level=40", "")); got != "40 41 43" {
		t.Errorf("got %s, want the role that the outer group gives", got)
	}
}
