package paths_test

import (
	"maps"
	"strings"
	"testing"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
	"gitlab.com/remora-ci/remora/component/rest"
)

const (
	gone = "9999999999999999999999999999999999999999"
	zero = "0000000000000000000000000000000000000000"
)

// world is a GitLab with project 7: main at Base, whose child is feature.
type world struct {
	*gitlabtest.Server
	api                *gitlab.Client
	root, base, change string
}

func newWorld(t *testing.T) world {
	t.Helper()
	w := world{Server: gitlabtest.New(t)}
	const token = "glpat-remora-bot-0123456789"
	bot := w.AddUser(gitlabtest.User{Username: "bot", Bot: true}, token)
	w.AddProject(gitlabtest.Project{ID: 7, Path: "acme/app"})
	w.AddMember(7, bot.ID, gitlabtest.Developer)
	w.root = w.AddCommit(7, gitlabtest.Commit{Paths: []string{"README.md"}}).SHA
	w.base = w.AddCommit(7, gitlabtest.Commit{Parents: []string{w.root}, Paths: []string{"flows/a.yaml"}, Branches: []string{"main"}}).SHA
	w.change = w.AddCommit(7, gitlabtest.Commit{
		Parents: []string{w.base}, Paths: []string{"docs/a.md"}, Renames: [][2]string{{"old/x", "new/x"}}, Branches: []string{"feature"},
	}).SHA
	w.api = client(t, w.URL, token)
	return w
}

func client(t *testing.T, url string, token delivery.Secret) *gitlab.Client {
	t.Helper()
	out, err := rest.New(rest.Config{Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(out.HTTP().CloseIdleConnections)
	api, err := gitlab.New(gitlab.Config{URL: url, Token: token}, out)
	if err != nil {
		t.Fatal(err)
	}
	return api
}

// event is a pipeline of the given source on feature.
func event(source, before, sha string) delivery.Event {
	ev := pushed(before, sha)
	ev.Ref, ev.Pipeline.Source = "feature", source
	return ev
}

func mergeRequest(base, sha string) delivery.Event {
	ev := event("merge_request_event", "", sha)
	ev.MergeRequest = &delivery.MergeRequest{IID: 1, ProjectID: 7, TargetBranch: "main", DiffBaseSHA: base}
	return ev
}

func TestGitLabIsAskedWhatTheCloneCannotTell(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		event    func(w world) delivery.Event
		patterns string
		run      bool
	}{
		"a push that touches nothing of it":    {func(w world) delivery.Event { return event("push", w.base, w.change) }, "flows/", false},
		"a push that touches it":               {func(w world) delivery.Event { return event("push", w.base, w.change) }, "docs/", true},
		"the old name of a rename":             {func(w world) delivery.Event { return event("push", w.base, w.change) }, "old/", true},
		"the new name of a rename":             {func(w world) delivery.Event { return event("push", w.base, w.change) }, "new/", true},
		"a push of two commits":                {func(w world) delivery.Event { return event("push", w.root, w.change) }, "flows/", true},
		"a forced push back is a change":       {func(w world) delivery.Event { return event("push", w.change, w.root) }, "flows/", true},
		"a new branch, from its merge base":    {func(w world) delivery.Event { return event("push", "", w.change) }, "flows/", false},
		"a new branch that touches it":         {func(w world) delivery.Event { return event("push", zero, w.change) }, "docs/", true},
		"a merge request, from its base":       {func(w world) delivery.Event { return mergeRequest(w.base, w.change) }, "flows/", false},
		"a merge request that touches it":      {func(w world) delivery.Event { return mergeRequest(w.root, w.change) }, "flows/", true},
		"a merge request without a known base": {func(w world) delivery.Event { return mergeRequest("", w.change) }, "flows/", false},
		"a child pipeline of a push":           {func(w world) delivery.Event { return event("parent_pipeline", w.base, w.change) }, "flows/", false},
		"a branch pipeline with an open merge request goes by its push": {func(w world) delivery.Event {
			ev := event("push", w.base, w.change)
			ev.MergeRequest = &delivery.MergeRequest{IID: 1, ProjectID: 7, TargetBranch: "main", DiffBaseSHA: w.root}
			return ev
		}, "flows/", false},
		"a hook's push": {func(w world) delivery.Event {
			ev := event("", w.base, w.change)
			ev.Cause, ev.Pipeline = delivery.CauseWebhook, nil
			return ev
		}, "flows/", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			d := filter(t, c.patterns, t.TempDir(), w.api).Decide(t.Context(), c.event(w))
			if d.Run != c.run || strings.HasSuffix(d.Why, ": syncing") {
				t.Errorf("decision = %+v, want run = %v, on knowledge", d, c.run)
			}
		})
	}
}

func TestTheCommitsOfAForkAreKnownToTheMergeRequestsProject(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.AddProject(gitlabtest.Project{ID: 8, Path: "fork/app"})
	w.AddCommit(8, gitlabtest.Commit{SHA: w.base, Branches: []string{"main"}})
	sha := w.AddCommit(8, gitlabtest.Commit{Parents: []string{w.base}, Paths: []string{"docs/b"}, Branches: []string{"patch"}}).SHA
	w.AddMergeRequest(7, gitlabtest.MergeRequest{SourceProjectID: 8, SourceBranch: "patch"})
	ev := mergeRequest(w.base, sha)
	ev.Project.ID, ev.MergeRequest.SourceProjectID = 8, 8
	if d := filter(t, "flows/", "", w.api).Decide(t.Context(), ev); d.Run {
		t.Errorf("decision = %+v, want a skip", d)
	}
}

// doubt is a situation without proof.
type doubt struct {
	event func(w world) delivery.Event
	edit  func(*delivery.Event)
	world func(w world)
	why   string
}

// eventDoubts are events that say too little.
func eventDoubts() map[string]doubt {
	return map[string]doubt{
		"a tag":                 {edit: func(e *delivery.Event) { e.RefType = delivery.Tag }, why: "a tag has no range"},
		"a deleted ref":         {edit: func(e *delivery.Event) { e.Deleted = true }, why: "deleted"},
		"a ref without commit":  {edit: func(e *delivery.Event) { e.SHA = zero }, why: "deleted"},
		"a schedule":            {edit: func(e *delivery.Event) { e.Pipeline.Source = "schedule" }, why: "source schedule has no range"},
		"a pipeline by hand":    {edit: func(e *delivery.Event) { e.Pipeline.Source = "web" }, why: "source web"},
		"a pipeline by API":     {edit: func(e *delivery.Event) { e.Pipeline.Source, e.Before = "api", "" }, why: "source api"},
		"a child of a schedule": {edit: func(e *delivery.Event) { e.Pipeline.Source, e.Before = "parent_pipeline", "" }, why: "source parent_pipeline"},
		"an unknown source":     {edit: func(e *delivery.Event) { e.Pipeline = nil }, why: "source unknown"},
		"a source that is hostile": {
			edit: func(e *delivery.Event) { e.Pipeline.Source = "x\n\x1b[31m" + strings.Repeat("x", 500) },
			why:  `source "x\n\x1b[31mxxx`,
		},
		"the first push of the default branch": {edit: func(e *delivery.Event) { e.Ref, e.Before = "main", "" }, why: "default branch is new"},
		"no default branch is known":           {edit: func(e *delivery.Event) { e.Project.DefaultBranch, e.Before = "", "" }, why: "not known"},
		"the same commit twice":                {edit: func(e *delivery.Event) { e.Before = e.SHA }, why: "the same commit"},
		"a new branch without a commit of its own": {
			event: func(w world) delivery.Event { return event("push", "", w.base) }, why: "the same commit",
		},
		"a base that is gone after a forced push": {edit: func(e *delivery.Event) { e.Before = gone }, why: "404"},
		"a base that is no commit id":             {edit: func(e *delivery.Event) { e.Before = "main~1" }, why: "404"},
		"histories without a merge base": {event: func(w world) delivery.Event {
			lone := w.AddCommit(7, gitlabtest.Commit{Paths: []string{"docs/a"}, Branches: []string{"feature"}})
			return event("push", "", lone.SHA)
		}, why: "find merge base"},
		"a merge request whose target branch is gone": {event: func(w world) delivery.Event {
			ev := mergeRequest("", w.change)
			ev.MergeRequest.TargetBranch = "gone"
			return ev
		}, why: "find merge base"},
	}
}

// answerDoubts are answers that say too little.
func answerDoubts() map[string]doubt {
	return map[string]doubt{
		"an answer that was cut":     {world: func(w world) { w.LimitDiff(1, false) }, why: "did not tell all files"},
		"an answer without a file":   {world: func(w world) { w.Fail("GET /compare", gitlabtest.Answer{Code: 200, Body: `{"diffs":[]}`}) }, why: "told no file"},
		"an answer without the list": {world: func(w world) { w.Fail("GET /compare", gitlabtest.Answer{Code: 200, Body: `{}`}) }, why: "did not tell all files"},
		"an answer that is no JSON":  {world: func(w world) { w.Fail("GET /compare", gitlabtest.Answer{Code: 200, Body: `<html>`}) }, why: "compare commits"},
		"an answer that breaks off": {world: func(w world) {
			w.Fail("GET /compare", gitlabtest.Answer{Code: 200, Body: `{"diffs":[{"old_`, Cut: true})
		}, why: "compare commits"},
		"a GitLab that is down":        {world: func(w world) { w.Fail("GET /compare", gitlabtest.Answer{Code: 503}) }, why: "503"},
		"a token that may not read":    {world: func(w world) { w.Fail("GET /compare", gitlabtest.Answer{Code: 403}) }, why: "403"},
		"a connection that is dropped": {world: func(w world) { w.Fail("GET /compare", gitlabtest.Answer{Drop: true}) }, why: "compare commits"},
	}
}

func TestWithoutProofTheSyncRuns(t *testing.T) {
	t.Parallel()
	all := eventDoubts()
	maps.Copy(all, answerDoubts())
	for name, c := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			ev := event("push", w.base, w.change)
			if c.event != nil {
				ev = c.event(w)
			}
			if c.edit != nil {
				c.edit(&ev)
			}
			if c.world != nil {
				c.world(w)
			}
			d := filter(t, "flows/", "", w.api).Decide(t.Context(), ev)
			if !d.Run {
				t.Errorf("decision = %+v, want to run", d)
			}
			unproven(t, d.Why, c.why)
		})
	}
}

// unproven checks the line of a decision that was made for lack of proof.
func unproven(t *testing.T, why, want string) {
	t.Helper()
	if !strings.HasPrefix(why, "paths: ") || !strings.HasSuffix(why, ": syncing") || !strings.Contains(why, want) {
		t.Errorf("why = %q, want paths: …%s…: syncing", why, want)
	}
	if strings.ContainsAny(why, "\n\r\x1b") || len(why) > 700 {
		t.Errorf("why = %q, want one short line", why)
	}
}

func TestWithoutATokenTheSyncRuns(t *testing.T) {
	t.Parallel()
	repo := newClone(t, t.TempDir())
	sha := repo.commit(files{"docs/a": "1"})
	for name, c := range map[string]struct {
		event delivery.Event
		why   string
	}{
		"a base that is not in the clone":   {event("push", gone, sha), "base commit 99999999 is not in the clone and no token for the compare API"},
		"a new branch":                      {event("push", "", sha), "no token to ask for the merge base with main"},
		"a merge request without its base":  {mergeRequest("", sha), "no token to ask for the merge base with main"},
		"a commit that is not in the clone": {event("push", sha, gone), "commit 99999999 is not in the clone"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := filter(t, "flows/", repo.dir, nil).Decide(t.Context(), c.event)
			if !d.Run {
				t.Errorf("decision = %+v, want to run", d)
			}
			unproven(t, d.Why, c.why)
			if !strings.Contains(d.Why, "REMORA_GITLAB_TOKEN") {
				t.Errorf("why = %q, want it to name the variable", d.Why)
			}
		})
	}
}

func TestTheCloneIsAskedFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	repo := newClone(t, t.TempDir())
	from, to := repo.commit(files{"docs/a": "1"}), repo.commit(files{"docs/a": "2"})
	for patterns, run := range map[string]bool{"docs/": true, "flows/": false} {
		for name, ev := range map[string]delivery.Event{"push": event("push", from, to), "merge request": mergeRequest(from, to)} {
			if d := filter(t, patterns, repo.dir, w.api).Decide(t.Context(), ev); d.Run != run {
				t.Errorf("%s, %s: decision = %+v, want run = %v", name, patterns, d, run)
			}
		}
	}
	if n := len(w.Requests()); n != 0 {
		t.Errorf("GitLab was asked %d times, want never", n)
	}
}

func TestAPathInTheReasonIsInert(t *testing.T) {
	t.Parallel()
	repo := newClone(t, t.TempDir())
	name := "docs/\n\x1b[31m" + strings.Repeat("x", 300)
	from, to := repo.commit(files{}), repo.commit(files{name: "1"})
	d := filter(t, "docs/", repo.dir, nil).Decide(t.Context(), pushed(from, to))
	if !d.Run || strings.ContainsAny(d.Why, "\n\x1b") || len(d.Why) > 300 {
		t.Errorf("decision = %+v, want to run and a short line", d)
	}
}
