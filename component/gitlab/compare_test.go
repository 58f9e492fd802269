package gitlab_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/remora-ci/remora/component/gitlab"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
	"gitlab.com/remora-ci/remora/component/rest"
)

func TestComparisonsOfTheFake(t *testing.T) {
	t.Parallel()
	s, sc, client := stage(t)
	s.AddCommit(42, gitlabtest.Commit{Parents: []string{sc.Base}, Paths: []string{"main.go"}, Branches: []string{"main"}})
	s.AddCommit(42, gitlabtest.Commit{Parents: []string{sc.SHA}, Renames: [][2]string{{"a", "b"}}, Branches: []string{"feature"}})
	tests := []struct {
		name     string
		from, to string
		straight bool
		want     gitlab.Comparison
	}{
		{"from the merge base", "main", "feature", false, gitlab.Comparison{Paths: []string{"a", "b", "flows/hello.yaml"}}},
		{"straight", "main", "feature", true, gitlab.Comparison{Paths: []string{"a", "b", "flows/hello.yaml", "main.go"}}},
		{"with itself", "main", "main", false, gitlab.Comparison{SameRef: true}},
	}
	for _, tt := range tests {
		got, err := client.Compare(t.Context(), app, tt.from, tt.to, tt.straight)
		if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", tt.name, err, diff)
		}
	}
	if base, err := client.MergeBase(t.Context(), app, "main", "feature"); base != sc.Base || err != nil {
		t.Errorf("got %s, %v, want %s", base, err, sc.Base)
	}
	if _, err := client.MergeBase(t.Context(), app, "main", "nowhere"); err == nil || !strings.HasPrefix(err.Error(), "find merge base: GET ") {
		t.Errorf("got %v, want that the ref is unknown", err)
	}
	if _, err := client.Compare(t.Context(), app, "main", "nowhere", true); err == nil || !strings.Contains(err.Error(), "404 Ref Not Found") {
		t.Errorf("got %v, want that the ref is unknown", err)
	}
	s.LimitDiff(1, false)
	if got, err := client.Compare(t.Context(), app, "main", "feature", true); err != nil || !got.Truncated {
		t.Errorf("got %+v, %v, want it truncated", got, err)
	}
}

func TestWhatIsNotProvenIsTruncated(t *testing.T) {
	t.Parallel()
	many := func(n int) string {
		var files []string
		for i := range n {
			files = append(files, fmt.Sprintf(`{"old_path":"f%d","new_path":"f%d"}`, i, i))
		}
		return `{"diffs":[` + strings.Join(files, ",") + `],"compare_timeout":false}`
	}
	tests := []struct {
		name, body string
		paths      int
		want       bool
	}{
		{"a whole answer", many(999), 999, false},
		{"as many files as GitLab shows", many(1000), 1000, true},
		{"a timeout", `{"diffs":[],"compare_timeout":true}`, 0, true},
		{"an overflow", `{"overflow":true,"diffs":[],"compare_timeout":false}`, 0, true},
		{"no diffs at all", `{"compare_timeout":false}`, 0, true},
		{"a file without a path", `{"diffs":[{"diff":"x"}]}`, 0, true},
		{"a null among the files", `{"diffs":[null]}`, 0, true},
		{"a long diff passes by", `{"commits":[{"id":1}],"diffs":[{"diff":"` + strings.Repeat("x", 1<<20) + `","new_path":"a","old_path":"a"}]}`, 1, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { send(200, "application/json", tt.body)(w) }))
			defer s.Close()
			got, err := connect(t, s.URL, rest.Config{MaxBody: 64 << 20}).Compare(t.Context(), app, "a", "b", true)
			if err != nil || got.Truncated != tt.want || len(got.Paths) != tt.paths {
				t.Errorf("got %d paths, truncated %v, %v, want %d, %v", len(got.Paths), got.Truncated, err, tt.paths, tt.want)
			}
		})
	}
}
