package gitlab_test

import (
	"errors"
	"testing"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
	"gitlab.com/remora-ci/remora/component/rest"
)

func TestHead(t *testing.T) {
	t.Parallel()
	git := gitlabtest.New(t)
	scene := git.Populate()
	tagged := git.AddCommit(42, gitlabtest.Commit{Parents: []string{scene.Base}, Branches: []string{"feature/a b%2F"}, Tags: []string{"v1.0"}}).SHA
	out, err := rest.New(rest.Config{MaxBody: 64 << 20, Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	gl, err := gitlab.New(gitlab.Config{URL: git.URL, Token: delivery.Secret(scene.Token)}, out)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		project gitlab.Project
		ref     string
		tag     bool
		want    string
		gone    bool
	}{
		"a branch":                      {"42", "main", false, scene.Base, false},
		"a project by its path":         {"acme/app", "feature", false, scene.SHA, false},
		"a branch with odd characters":  {"42", "feature/a b%2F", false, tagged, false},
		"a tag":                         {"42", "v1.0", true, tagged, false},
		"a branch is no tag":            {"42", "main", true, "", true},
		"a branch that is gone":         {"42", "gone", false, "", true},
		"half a name is another branch": {"42", "feat", false, "", true},
		"a project that is not there":   {"43", "main", false, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := gl.Head(t.Context(), tc.project, tc.ref, tc.tag)
			if got != tc.want || (err == nil) != (tc.want != "") {
				t.Errorf("got %q and error %v, want %q", got, err, tc.want)
			}
			if errors.Is(err, gitlab.ErrNoRef) != tc.gone {
				t.Errorf("got error %v, want ErrNoRef: %v", err, tc.gone)
			}
		})
	}
}
