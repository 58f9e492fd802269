package gitlab_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/remora-ci/remora/component/gitlab"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
	"gitlab.com/remora-ci/remora/component/rest"
)

func TestTheAccessLevelOfAUser(t *testing.T) {
	t.Parallel()
	s, _, client := stage(t)
	tests := []struct {
		name           string
		own, inherited gitlabtest.Level
		blocked        bool
		want           int
	}{
		{"a stranger has none", 0, 0, false, 0},
		{"a guest", gitlabtest.Guest, 0, false, 10},
		{"a member by a group counts", 0, gitlabtest.Maintainer, false, 40},
		{"the higher one counts", gitlabtest.Developer, gitlabtest.Owner, false, 50},
		{"who is blocked has none", gitlabtest.Owner, 0, true, 0},
	}
	for _, tt := range tests {
		u := s.AddUser(gitlabtest.User{Blocked: tt.blocked}, "")
		s.AddMember(42, u.ID, tt.own)
		s.AddInheritedMember(42, u.ID, tt.inherited)
		if got, err := client.AccessLevel(t.Context(), app, u.ID); got != tt.want || err != nil {
			t.Errorf("%s: got %d, %v, want %d", tt.name, got, err, tt.want)
		}
	}
}

func TestNoAnswerIsNoAccessLevel(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]gitlabtest.Answer{
		"GitLab in trouble":               {Code: 500},
		"a refusal":                       {Code: 403, Body: `{"message":"403 Forbidden"}`},
		"a project that cannot be seen":   {Code: 404, Body: `{"message":"404 Project Not Found"}`},
		"somebody else's role":            {Code: 200, Body: `{"id":1,"access_level":50,"state":"active"}`},
		"an answer that is empty":         {Code: 200, Body: `{}`},
		"a page that is not the API's":    {Code: 200, Body: `<html>`},
		"the word null":                   {Code: 200, Body: `null`, Header: map[string]string{"Content-Type": "application/json"}},
		"a level that is no whole number": {Code: 200, Body: `{"id":31,"access_level":"owner"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, sc, client := stage(t)
			s.Fail("GET /members/all/", fault, fault, fault, fault, fault)
			if got, err := client.AccessLevel(t.Context(), app, sc.Person.ID); err == nil || got != 0 || !strings.HasPrefix(err.Error(), "read role of user: ") {
				t.Errorf("got %d, %v, want an error", got, err)
			}
		})
	}
}

func TestAThreadIsReadWithItsMarkers(t *testing.T) {
	t.Parallel()
	s, sc, client := stage(t)
	alone := s.AddNote(42, 7, gitlabtest.Note{AuthorID: sc.Person.ID, Body: "/remora help"})
	d, notes, err := client.Thread(t.Context(), app, 7, alone.Discussion, "<!-- mark:")
	want := []gitlab.Note{{ID: alone.ID, AuthorID: sc.Person.ID}}
	if diff := cmp.Diff(want, notes); diff != "" || err != nil || d.Resolvable || d.ID != alone.Discussion {
		t.Errorf("got %+v, %v (-want +got):\n%s", d, err, diff)
	}
	reply, err := client.Reply(t.Context(), app, 7, alone.Discussion, "<!-- mark:5 -->\nyes")
	if err != nil {
		t.Fatal(err)
	}
	d, notes, err = client.Thread(t.Context(), app, 7, alone.Discussion, "<!-- mark:")
	want = []gitlab.Note{
		{ID: alone.ID, AuthorID: sc.Person.ID, Type: "DiscussionNote"},
		{ID: reply.ID, AuthorID: sc.Bot.ID, Type: "DiscussionNote", Marker: "<!-- mark:5 -->"},
	}
	if diff := cmp.Diff(want, notes); diff != "" || err != nil || !d.Resolvable || d.Resolved || d.Replies != 1 {
		t.Errorf("got %+v, %v (-want +got):\n%s", d, err, diff)
	}
	var status *rest.StatusError
	if _, _, err := client.Thread(t.Context(), app, 7, strings.Repeat("0", 40), "x"); !errors.As(err, &status) || status.Code != 404 {
		t.Errorf("got %v, want that there is no such thread", err)
	}
}

func TestTheDiscussionOfANoteIsFoundOnAnyPageAndDeepInAThread(t *testing.T) {
	t.Parallel()
	s, sc, client := stage(t)
	for i := range 130 {
		s.AddNote(42, 7, gitlabtest.Note{AuthorID: sc.Person.ID, Body: fmt.Sprint("talk ", i)})
	}
	first := s.AddNote(42, 7, gitlabtest.Note{AuthorID: sc.Person.ID, Body: "look", Resolvable: true})
	deep := s.AddNote(42, 7, gitlabtest.Note{AuthorID: sc.Person.ID, Body: "/remora sync", Discussion: first.Discussion})
	if got, err := client.DiscussionOf(t.Context(), app, 7, deep.ID); got != first.Discussion || err != nil {
		t.Errorf("got %q, %v, want %q", got, err, first.Discussion)
	}
	if got, err := client.DiscussionOf(t.Context(), app, 7, 1); got != "" || err != nil {
		t.Errorf("got %q, %v for a note that is not there", got, err)
	}
	s.Fail("GET /discussions", gitlabtest.Answer{Code: 403})
	if _, err := client.DiscussionOf(t.Context(), app, 7, deep.ID); err == nil {
		t.Error("got no error of a refusal")
	}
}

func TestWhetherThreadsMustBeResolved(t *testing.T) {
	t.Parallel()
	s, sc, client := stage(t)
	strict := s.AddProject(gitlabtest.Project{Path: "acme/strict", ResolveThreads: true})
	s.AddMember(strict.ID, sc.Bot.ID, gitlabtest.Developer)
	for p, want := range map[gitlab.Project]bool{app: false, "acme/strict": true} {
		if got, err := client.MustResolveThreads(t.Context(), p); got != want || err != nil {
			t.Errorf("%s: got %v, %v, want %v", p, got, err, want)
		}
	}
	if _, err := client.MustResolveThreads(t.Context(), "acme/none"); err == nil {
		t.Error("got no error for a project that is not there")
	}
}
