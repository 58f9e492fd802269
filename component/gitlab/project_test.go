package gitlab_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
	"gitlab.com/remora-ci/remora/component/rest"
)

func TestProjectsAndRefs(t *testing.T) {
	t.Parallel()
	git := gitlabtest.New(t)
	scene := git.Populate()
	git.AddProject(gitlabtest.Project{ID: 50, Path: "acme/strange"}) // the bot is no member
	git.AddProject(gitlabtest.Project{ID: 51, Path: "acme/old", Archived: true})
	git.AddMember(51, scene.Bot.ID, gitlabtest.Developer)
	want := []gitlab.ProjectInfo{{ID: 42, Path: "acme/app", URL: git.URL + "/acme/app", DefaultBranch: "main"}}
	for i := range 120 { // more than a page
		p := git.AddProject(gitlabtest.Project{ID: int64(1000 + i), Path: fmt.Sprintf("many/p%03d", i)})
		git.AddMember(p.ID, scene.Bot.ID, gitlabtest.Developer)
		want = append(want, gitlab.ProjectInfo{ID: p.ID, Path: p.Path, URL: git.URL + "/" + p.Path, DefaultBranch: "main"})
	}
	git.AddCommit(42, gitlabtest.Commit{SHA: scene.SHA, Parents: []string{scene.Base}, Tags: []string{"v1"}})
	out, err := rest.New(rest.Config{MaxBody: 64 << 20, Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	gl, err := gitlab.New(gitlab.Config{URL: git.URL, Token: delivery.Secret(scene.Token)}, out)
	if err != nil {
		t.Fatal(err)
	}
	var got []gitlab.ProjectInfo
	for p, err := range gl.Projects(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, p)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("projects (-want +got):\n%s", diff)
	}
	for tags, want := range map[bool][]gitlab.Ref{
		false: {{Name: "feature", SHA: scene.SHA}, {Name: "main", SHA: scene.Base}},
		true:  {{Name: "v1", SHA: scene.SHA}},
	} {
		var got []gitlab.Ref
		for r, err := range gl.Refs(t.Context(), "42", tags) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, r)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("refs, tags %v (-want +got):\n%s", tags, diff)
		}
	}
}
