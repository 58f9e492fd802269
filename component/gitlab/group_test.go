package gitlab_test

import (
	"errors"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/remora-ci/remora/component/gitlab"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
	"gitlab.com/remora-ci/remora/component/rest"
)

// estate is a stage with groups: the bot owns acme, and with it acme/team; in
// other it is a Maintainer.
func estate(t *testing.T) (*gitlabtest.Server, gitlabtest.Scene, *gitlab.Client) {
	t.Helper()
	s, sc, client := stage(t)
	for _, g := range []gitlabtest.Group{
		{ID: 7, Path: "acme", Plan: "premium"},
		{ID: 8, Path: "acme/team"},
		{ID: 9, Path: "other", Public: true},
		{ID: 10, Path: "acme/old", Deleted: true},
		{ID: 11, Path: "acme/closed", Archived: true},
		{ID: 12, Path: "hidden"},
	} {
		s.AddGroup(g)
	}
	s.AddGroupMember(7, sc.Bot.ID, gitlabtest.Owner)
	s.AddGroupMember(9, sc.Bot.ID, gitlabtest.Maintainer)
	s.AddProject(gitlabtest.Project{ID: 50, Path: "acme/team/lib"})
	s.AddProject(gitlabtest.Project{ID: 51, Path: "acme/gone", Archived: true})
	s.AddProject(gitlabtest.Project{ID: 52, Path: "other/tool"})
	s.AddProject(gitlabtest.Project{ID: 53, Path: "remora-bot/notes"})
	s.AddProject(gitlabtest.Project{ID: 54, Path: "elsewhere/read"})
	s.AddMember(53, sc.Bot.ID, gitlabtest.Owner)
	s.AddMember(54, sc.Bot.ID, gitlabtest.Reporter)
	s.AddProject(gitlabtest.Project{ID: 55, Path: "hidden/away"})
	return s, sc, client
}

func paths(list []gitlab.ProjectInfo) []string {
	var out []string
	for _, p := range list {
		out = append(out, p.Path)
	}
	return out
}

func TestOwnedGroups(t *testing.T) {
	t.Parallel()
	_, _, client := estate(t)
	got, err := collect(client.Groups(t.Context()))
	want := []gitlab.GroupInfo{{ID: 7, Path: "acme"}, {ID: 8, Path: "acme/team", ParentID: 7}}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("got %v (-want +got):\n%s", err, d)
	}
}

func TestGroupsAreReadInPagesOf100(t *testing.T) {
	t.Parallel()
	s, sc, client := stage(t)
	for i := range 230 {
		g := s.AddGroup(gitlabtest.Group{Path: "g" + strconv.Itoa(i)})
		s.AddGroupMember(g.ID, sc.Bot.ID, gitlabtest.Owner)
	}
	s.Forget()
	got, err := collect(client.Groups(t.Context()))
	if len(got) != 230 || err != nil || len(s.Requests()) != 3 {
		t.Errorf("got %d groups, %v by %d requests, want 230 by 3", len(got), err, len(s.Requests()))
	}
	for range client.Groups(t.Context()) {
		break // a reader may stop
	}
}

func TestOneGroup(t *testing.T) {
	t.Parallel()
	_, _, client := estate(t)
	for path, want := range map[string]gitlab.GroupInfo{
		"acme/team":   {ID: 8, Path: "acme/team", ParentID: 7},
		"8":           {ID: 8, Path: "acme/team", ParentID: 7},
		"acme/old":    {ID: 10, Path: "acme/old", ParentID: 7, Leaving: true},
		"acme/closed": {ID: 11, Path: "acme/closed", ParentID: 7, Leaving: true},
	} {
		if got, err := client.Group(t.Context(), path); err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", path, got, err, want)
		}
	}
	var status *rest.StatusError
	if _, err := client.Group(t.Context(), "hidden"); !errors.As(err, &status) || status.Code != 404 {
		t.Errorf("got %v, want 404 of a group that cannot be seen", err)
	}
}

func TestAnEmptyAnswerIsNoGroup(t *testing.T) {
	t.Parallel()
	s, _, client := estate(t)
	s.Fail("GET /groups/", gitlabtest.Answer{Code: 200, Body: `{}`})
	if got, err := client.Group(t.Context(), "acme"); err == nil {
		t.Errorf("got %+v, want an error", got)
	}
}

func TestProjectsOfAGroup(t *testing.T) {
	t.Parallel()
	_, _, client := estate(t)
	got, err := collect(client.GroupProjects(t.Context(), "acme"))
	if d := cmp.Diff([]string{"acme/app", "acme/team/lib"}, paths(got)); d != "" || err != nil {
		t.Errorf("got %v (-want +got):\n%s", err, d)
	}
}

func TestMaintainedProjects(t *testing.T) {
	t.Parallel()
	_, _, client := estate(t)
	got, err := collect(client.MaintainedProjects(t.Context()))
	if d := cmp.Diff([]string{"acme/app", "acme/team/lib", "other/tool", "remora-bot/notes"}, paths(got)); d != "" || err != nil {
		t.Errorf("got %v (-want +got):\n%s", err, d)
	}
	for _, p := range got {
		if want := p.Path == "remora-bot/notes"; p.Personal != want {
			t.Errorf("%s: got personal %t, want %t", p.Path, p.Personal, want)
		}
	}
	all, err := collect(client.Projects(t.Context()))
	if len(all) != 5 || err != nil {
		t.Errorf("got %v, %v, want also the one that can only be read", paths(all), err)
	}
}

func TestThePlanOfAGroup(t *testing.T) {
	t.Parallel()
	s, _, client := estate(t)
	for path, want := range map[string]string{"acme": "premium", "7": "premium", "acme/team": "default", "other": ""} {
		if got, err := client.Plan(t.Context(), path); got != want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", path, got, err, want)
		}
	}
	s.SetEdition(gitlabtest.Community)
	if got, err := client.Plan(t.Context(), "acme"); got != "" || err != nil {
		t.Errorf("got %q, %v, want none", got, err)
	}
}
