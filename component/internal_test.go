package component

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/report"
)

// The pieces between Load and Print that have no door of their own.

const sha = "c0ffee1200000000000000000000000000000002"

func TestEvent(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 20, 14, 3, 0, 500, time.UTC)
	base := CI{ServerURL: "https://gitlab.example.com/", ProjectID: "42", ProjectPath: "acme/app", DefaultBranch: "main", CommitSHA: sha, CommitRef: "main"}
	project := delivery.Project{ID: 42, Path: "acme/app", URL: "https://gitlab.example.com/acme/app", DefaultBranch: "main"}
	event := func(change func(*delivery.Event)) delivery.Event {
		ev := delivery.Event{Cause: delivery.CauseCI, Instance: "https://gitlab.example.com", At: now.Truncate(time.Second), Project: project, Ref: "main", RefType: delivery.Branch, SHA: sha}
		change(&ev)
		return ev
	}
	for _, tt := range []struct {
		name string
		ci   func(*CI)
		want delivery.Event
	}{
		{"a push", func(c *CI) { c.CommitBefore = strings.Repeat("a", 40) }, event(func(e *delivery.Event) { e.Before = strings.Repeat("a", 40) })},
		{"a first push has no commit before", func(c *CI) { c.CommitBefore = strings.Repeat("0", 40) }, event(func(*delivery.Event) {})},
		{"a tag", func(c *CI) { c.CommitTag, c.CommitRef = "v1", "v1" }, event(func(e *delivery.Event) { e.Ref, e.RefType = "v1", delivery.Tag })},
		{"a pipeline and its job", func(c *CI) {
			c.PipelineID, c.PipelineSource, c.JobID, c.JobStarted = "1001", "push", "7001", "2026-11-20T14:00:00Z"
		}, event(func(e *delivery.Event) {
			e.Pipeline = &delivery.Pipeline{ID: 1001, SHA: sha, Source: "push"}
			e.Job = &delivery.Job{ID: 7001, StartedAt: time.Date(2026, 11, 20, 14, 0, 0, 0, time.UTC)}
		})},
		{"a merged result is delivered as its source head, and reported on its pipeline's own commit", func(c *CI) {
			c.MRIID, c.MRProjectID, c.MRSourceID, c.MRSourceBranch, c.MRSourceSHA, c.MREventType = "7", "42", "42", "feature", strings.Repeat("b", 40), "merged_result"
			c.PipelineID, c.CommitRef = "1001", "refs/merge-requests/7/merge"
		}, event(func(e *delivery.Event) {
			e.Ref, e.SHA = "feature", strings.Repeat("b", 40)
			e.Pipeline = &delivery.Pipeline{ID: 1001, SHA: sha}
			e.MergeRequest = &delivery.MergeRequest{IID: 7, ProjectID: 42, ProjectPath: "acme/app", SourceProjectID: 42, SourceBranch: "feature", EventType: "merged_result", URL: "https://gitlab.example.com/acme/app/-/merge_requests/7"}
		})},
		{"a fork's merge request is shown in the project it goes to", func(c *CI) {
			c.MRIID, c.MRProjectID, c.MRProjectPath, c.MRSourceID, c.MRSourceBranch = "7", "1", "up/app", "42", "feature"
		}, event(func(e *delivery.Event) {
			e.Ref = "feature"
			e.MergeRequest = &delivery.MergeRequest{IID: 7, ProjectID: 1, ProjectPath: "up/app", SourceProjectID: 42, SourceBranch: "feature", URL: "https://gitlab.example.com/up/app/-/merge_requests/7"}
		})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := base
			tt.ci(&c)
			if err := c.validate(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, c.event(now)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	done := delivery.Outcome{State: delivery.Done}
	skip := delivery.Outcome{State: delivery.Skipped, Err: delivery.Skip("x")}
	failed := delivery.Outcome{State: delivery.Failed, Err: errors.New("x")}
	overdue := delivery.Outcome{State: delivery.Failed, Err: delivery.ErrNoResult}
	canceled := delivery.Outcome{State: delivery.Retry, Err: context.Canceled}
	optional := delivery.Outcome{State: delivery.Failed, Err: errors.New("x"), Optional: true}
	for _, tt := range []struct {
		name     string
		outcomes []delivery.Outcome
		state    string
		code     int
	}{
		{"all done", []delivery.Outcome{done, done}, "done", 0},
		{"all skipped", []delivery.Outcome{skip}, "skipped", 0},
		{"one skipped", []delivery.Outcome{skip, done}, "done", 0},
		{"one failed", []delivery.Outcome{done, failed, done}, "failed", 1},
		{"an optional one failed", []delivery.Outcome{optional, done}, "done", 0},
		{"only an optional one, and it failed", []delivery.Outcome{optional}, "done", 0},
		{"the deadline passed", []delivery.Outcome{overdue, done}, "failed", 3},
		{"the deadline passed for one and another failed", []delivery.Outcome{overdue, failed}, "failed", 1},
		{"one failed and the deadline passed for another", []delivery.Outcome{failed, overdue}, "failed", 1},
		{"canceled", []delivery.Outcome{done, canceled}, "canceled", 1},
	} {
		if state, code := verdict(tt.outcomes); state != tt.state || code != tt.code {
			t.Errorf("%s: got %s %d, want %s %d", tt.name, state, code, tt.state, tt.code)
		}
	}
}

// result is a result with everything in it that a person may see.
func result() Result {
	fault := &delivery.Fault{Summary: "reference not found", Cause: "the mirror's ref \x1b[31mfeature does\nnot exist", Remedy: "remora mirror update", Request: "POST https://d.example.com (200)"}
	outcomes := []delivery.Outcome{
		{Target: "direktiv", Place: "demo", State: delivery.Failed, Err: delivery.Permanent(fault), Attempt: 1, Took: 4123 * time.Millisecond,
			Receipt: delivery.Receipt{ID: "8c1f", Log: []delivery.LogLine{{Level: "ERROR", Text: "reference\u202e not found"}}}},
		{Target: "mirror", Place: "git.example.com", State: delivery.Done, Attempt: 2, Took: 2 * time.Second,
			Receipt: delivery.Receipt{Result: "pushed", Revision: sha, URL: "https://git.example.com/x", Warnings: []string{"LFS objects are not pushed"}, Log: []delivery.LogLine{{Text: "remote: ok"}}}},
		{Target: "http", Place: "a-host-whose-name-is-very-long.example.com", State: delivery.Skipped, Err: delivery.Skip("no path of the change matches")},
		{Target: "other", State: delivery.Failed, Err: delivery.ErrNoResult, Optional: true, Took: 5 * time.Minute},
	}
	ev := delivery.Event{Project: delivery.Project{Path: "acme/app"}, Ref: "feature", SHA: sha, MergeRequest: &delivery.MergeRequest{IID: 7}}
	told := report.Result{Statuses: 4, Note: "updated", NoteURL: "https://gitlab.example.com/note", Problems: []*delivery.Fault{{Summary: "note refused", Remedy: "unlock it"}}}
	return newResult("sync", ev, "1.0.0", outcomes, told, nil, delivery.NewScrubber())
}

func TestTable(t *testing.T) {
	t.Parallel()
	want := `remora sync  acme/app  feature  c0ffee12  !7
  direktiv demo                  failed             4.1s  reference not found
  mirror git.example.com         done               2s    pushed c0ffee12
  http a-host-whose-name-is-ve…  skipped            -     no path of the change matches
  other                          failed (optional)  5m    no result
  report                         statuses 4, note updated
direktiv: the mirror's ref [31mfeature does not exist
  try: remora mirror update
  request: POST https://d.example.com (200)
  log: ERROR reference not found
mirror: warning: LFS objects are not pushed
other: no result
report: note refused
  try: unlock it
`
	var b strings.Builder
	if err := result().Print(&b, Style{}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j := Job{JUnit: filepath.Join(dir, "deep", "j.xml"), Dotenv: filepath.Join(dir, "d.env"), Annotations: filepath.Join(dir, "a.json")}
	if err := result().writeFiles(j); err != nil {
		t.Fatal(err)
	}
	read := func(path string) string {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	wantDotenv := `SYNC_STATE=failed
SYNC_URL=https://git.example.com/x
SYNC_DIREKTIV_STATE=failed
SYNC_DIREKTIV_ID=8c1f
SYNC_MIRROR_STATE=done
SYNC_MIRROR_URL=https://git.example.com/x
SYNC_MIRROR_REVISION=` + sha + `
SYNC_HTTP_STATE=skipped
SYNC_OTHER_STATE=failed
`
	if diff := cmp.Diff(wantDotenv, read(j.Dotenv)); diff != "" {
		t.Error(diff)
	}
	var suite testSuite
	if err := xml.Unmarshal([]byte(read(j.JUnit)), &suite); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(suite.Tests, suite.Failures, suite.Skipped, len(suite.Cases)); got != "4 1 2 4" {
		t.Errorf("tests, failures, skipped, cases: %s", got)
	}
	if got := read(j.Annotations); strings.Count(got, `"external_link"`) != 2 || !strings.Contains(got, "https://gitlab.example.com/note") {
		t.Errorf("annotations: %s", got)
	}
}

func TestVariableNames(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"sync_STATE": "SYNC_STATE", "pre/prod-1_direktiv_URL": "PRE_PROD_1_DIREKTIV_URL"} {
		if got := variable(in); got != want {
			t.Errorf("variable(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	flags := map[string]string{}
	for _, s := range Settings() {
		if other, taken := flags[s.Flag]; taken && s.Flag != "" {
			t.Errorf("%s and %s share the flag --%s", s.Env, other, s.Flag)
		}
		flags[s.Flag] = s.Env
		if secret := strings.Contains(s.Env, "TOKEN") || strings.HasSuffix(s.Env, "_KEY") || strings.HasSuffix(s.Env, "HEADERS"); secret && s.Flag != "" {
			t.Errorf("%s is a secret and has the flag --%s", s.Env, s.Flag)
		}
	}
	for _, want := range []string{"note", "direktiv-url", "http-url", "mirror-url", "paths", "commit-sha"} {
		if flags[want] == "" {
			t.Errorf("no flag --%s", want)
		}
	}
}
