package component_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/remora-ci/remora/component"
	"gitlab.com/remora-ci/remora/component/trigger"
	"gitlab.com/remora-ci/remora/component/trigger/triggertest"
)

var build = component.Single{Name: "rpm-build:fedora", State: "failed", Description: "2 tests failed", URL: "https://build.example.com/1", NoteFile: "-"}

func (a *asker) post(t *testing.T, s component.Single) component.PostResult {
	t.Helper()
	r, err := component.Post(a.context(t.Context()), a.load(t), s, strings.NewReader("### two of 80"), "1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func printed(t *testing.T, r component.PostResult) string {
	t.Helper()
	var b strings.Builder
	if err := r.Print(&b, component.Style{}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestABuildSystemReportsThroughTheAgent(t *testing.T) {
	t.Parallel()
	const merged = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	report := func(sha string, note bool) trigger.Report {
		r := trigger.Report{Project: "acme/app", SHA: sha, Ref: "feature", Name: build.Name, State: "failed", Description: "2 tests failed", URL: build.URL}
		if note {
			r.Note, r.MergeRequest = "### two of 80", 7
		}
		return r
	}
	mergedResult := map[string]string{"CI_COMMIT_SHA": merged, "CI_MERGE_REQUEST_IID": "7", "CI_MERGE_REQUEST_PROJECT_ID": "42", "CI_MERGE_REQUEST_SOURCE_BRANCH_SHA": commit, "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "feature"}
	for name, tt := range map[string]struct {
		set  map[string]string
		with map[string]string
		want []trigger.Report
	}{
		"in a job, with its ID token": {nil, nil, []trigger.Report{report(commit, true)}},
		"outside GitLab CI, with a project token": {map[string]string{"REMORA_ID_TOKEN": "", "REMORA_AGENT_TOKEN": "project-token-canary",
			"CI_SERVER_URL": "", "CI_PROJECT_ID": "", "CI_JOB_ID": "", "CI_PIPELINE_ID": ""}, nil, []trigger.Report{report(commit, true)}},
		"about a merged result":          {mergedResult, nil, []trigger.Report{report(merged, true)}},
		"about the source of one":        {mergedResult, map[string]string{"REMORA_STATUS_ON": "source"}, []trigger.Report{report(commit, true)}},
		"about both, with the note once": {mergedResult, map[string]string{"REMORA_STATUS_ON": "both"}, []trigger.Report{report(merged, false), report(commit, true)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAsker(t, triggertest.Options{ProjectToken: "project-token-canary"}).set(tt.set).set(tt.with)
			single := build
			single.Key = "build-17-failed"
			r := a.post(t, single)
			if r.ExitCode() != 0 || printed(t, r) != "remora report  rpm-build:fedora  failed  by the agent\n" || r.Agent == nil {
				t.Errorf("got exit %d, %+v\n%s", r.ExitCode(), r, printed(t, r))
			}
			if diff := cmp.Diff(tt.want, a.agent.Reports()); diff != "" {
				t.Errorf("reports (-want +got):\n%s", diff)
			}
			if strings.Contains(a.log.String()+printed(t, r), "canary") {
				t.Error("a token is told")
			}
		})
	}
}

func TestTheTrueResultOfAReport(t *testing.T) {
	t.Parallel()
	failed := trigger.Target{Delivery: 9, Target: build.Name, State: "failed", Done: true, Summary: "not found", Cause: "GitLab knows no such commit", Remedy: "check --commit-sha"}
	older := trigger.Target{Delivery: 9, Target: build.Name, State: "skipped", Done: true, Summary: "a newer report is there"}
	done := trigger.Target{Delivery: 9, Target: build.Name, State: "done", Done: true}
	for name, tt := range map[string]struct {
		o       triggertest.Options
		set     map[string]string
		prepare func(*asker)
		code    int
		want    string
	}{
		"GitLab has it after a while": {triggertest.Options{Results: []trigger.Target{done}, Hold: true}, nil, func(a *asker) { go func() { <-a.agent.Followed(); a.agent.Finish() }() }, 0, "by the agent"},
		"GitLab refuses it":           {triggertest.Options{Results: []trigger.Target{failed}}, nil, nil, 1, "report: not found: GitLab knows no such commit\n  try: check --commit-sha"},
		"the agent lost it":           {triggertest.Options{Reason: "the report cannot be read", Nothing: "failed"}, nil, nil, 1, "nothing was reported: the report cannot be read"},
		"there is nothing to show":    {triggertest.Options{Reason: "no project", Nothing: "skipped"}, nil, nil, 0, "not shown: no project"},
		"an older one is not shown":   {triggertest.Options{Results: []trigger.Target{older}}, nil, nil, 0, "not shown: a newer report is there"},
		"the deadline passes":         {triggertest.Options{Results: []trigger.Target{done}, Hold: true}, map[string]string{"REMORA_TIMEOUT": "300ms"}, nil, 1, "no result in time: the agent goes on with it"},
		"no agent answers":            {triggertest.Options{}, map[string]string{"REMORA_TIMEOUT": "300ms", "REMORA_AGENT_URL": "http://127.0.0.1:1"}, nil, 1, "no result in time: POST"},
		"it is refused":               {triggertest.Options{}, nil, func(a *asker) { a.agent.Fail(triggertest.Fault{Code: 403, Detail: "not this project"}) }, 1, "forbidden: not this project"},
		"it may be a fork's":          {triggertest.Options{}, map[string]string{"GITLAB_USER_LOGIN": "acme"}, func(a *asker) { a.agent.Fail(triggertest.Fault{Code: 403, Detail: "not this project"}) }, 0, "not shown: the agent does not take it, as is right for a fork: not this project"},
		"its key stands for another":  {triggertest.Options{}, nil, func(a *asker) { a.agent.Take("build-17") }, 1, "belongs to another job"},
		"the agent is not ready":      {triggertest.Options{}, nil, func(a *asker) { a.agent.Fail(triggertest.Fault{Code: 503, Plain: "<html>"}, triggertest.Fault{}) }, 0, "by the agent"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAsker(t, tt.o).set(tt.set)
			if tt.prepare != nil {
				tt.prepare(a)
			}
			single := build
			single.Key = "build-17"
			r := a.post(t, single)
			if out := printed(t, r); r.ExitCode() != tt.code || !strings.Contains(out, tt.want) {
				t.Errorf("got exit %d\n%s\nwant %d, %q", r.ExitCode(), out, tt.code, tt.want)
			}
		})
	}
}

// A build that runs again reports the same state of the same commit once more.
func TestAReportWithoutAKeyIsANewOne(t *testing.T) {
	t.Parallel()
	a := newAsker(t, triggertest.Options{})
	for _, key := range []string{"", "", "mine", "mine"} {
		single := build
		single.Key = key
		a.post(t, single)
	}
	if got := len(a.agent.Reports()); got != 3 {
		t.Errorf("got %d reports, want two without a key and one of the same", got)
	}
}

func TestAReportThatIsStoppedSaysSo(t *testing.T) {
	t.Parallel()
	a := newAsker(t, triggertest.Options{Hold: true})
	ctx, cancel := context.WithCancel(a.context(t.Context()))
	go func() { <-a.agent.Followed(); cancel() }()
	r, err := component.Post(ctx, a.load(t), component.Single{Name: "lint", State: "success"}, nil, "1.0.0")
	if err != nil || r.ExitCode() != 1 || !strings.Contains(printed(t, r), "stopped before the end: the agent goes on with it") {
		t.Errorf("got %v\n%s", err, printed(t, r))
	}
}

func TestAReportThatCannotBeMadeIsMisuse(t *testing.T) {
	t.Parallel()
	a := newAsker(t, triggertest.Options{}).set(map[string]string{"REMORA_ID_TOKEN": "", "CI_COMMIT_SHA": "main", "CI_PROJECT_PATH": "", "CI_MERGE_REQUEST_IID": "x"})
	_, err := component.Post(a.context(t.Context()), a.load(t), component.Single{Name: "", State: "perhaps", Key: "two words"}, nil, "1.0.0")
	var misuse *component.Misuse
	if !errors.As(err, &misuse) {
		t.Fatalf("got %v, want a misuse", err)
	}
	for _, want := range []string{"REMORA_ID_TOKEN: missing, and REMORA_AGENT_TOKEN too", "id_tokens:", "remora token issue", "CI_COMMIT_SHA", "CI_PROJECT_PATH: missing; run in a GitLab CI job, or give --project-path",
		"CI_MERGE_REQUEST_IID", "--name", "--state", "--idempotency-key"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	if len(a.agent.Requests()) > 0 {
		t.Errorf("asked %v", a.agent.Requests())
	}
}
