package agent_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/store/storetest"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

// fork is merge request 8, whose branch is in a project of somebody else's.
type fork struct {
	*stage
	id   int64
	head string
}

// newFork makes the fork; seen says that the bot is a member of it, too.
func newFork(s *stage, seen bool) *fork {
	f := &fork{stage: s}
	f.id = s.git.AddProject(gitlabtest.Project{Path: "eve/app"}).ID
	if seen {
		s.git.AddMember(f.id, s.scene.Bot.ID, gitlabtest.Developer)
	}
	f.head = s.git.AddCommit(f.id, gitlabtest.Commit{Branches: []string{"patch"}}).SHA
	s.git.AddMergeRequest(42, gitlabtest.MergeRequest{IID: 8, SourceProjectID: f.id, SourceBranch: "patch"})
	return f
}

// moved pushes a commit to the fork, of which GitLab's merge request knows.
func (f *fork) moved() string {
	f.head = f.git.AddCommit(f.id, gitlabtest.Commit{Parents: []string{f.head}, Branches: []string{"patch"}}).SHA
	f.git.ChangeMergeRequest(42, 8, func(m *gitlabtest.MergeRequest) { m.SHA = f.head })
	return f.head
}

// event is the webhook of the merge request as it is now.
func (f *fork) event(action, oldrev string) map[string]any {
	source := map[string]any{"id": f.id, "path_with_namespace": "eve/app", "web_url": f.git.URL + "/eve/app", "default_branch": "main"}
	body := f.mergeRequest(action, oldrev, f.head)
	attributes := body["object_attributes"].(map[string]any)
	attributes["iid"], attributes["source_branch"], attributes["source_project_id"], attributes["source"] = 8, "patch", f.id, source
	return body
}

// by has somebody of a level write a note on the merge request, and tells the agent.
func (f *fork) by(level gitlabtest.Level, text string) gitlabtest.Note {
	f.Helper()
	n := f.write(8, f.member(level), text)
	f.hook(f.git.NoteHook(42, 8, n.ID))
	return n
}

func (f *fork) answers(to gitlabtest.Note, want string) {
	f.Helper()
	if got := f.untilReply(8, to); !strings.Contains(got, want) {
		f.Errorf("got the answer %q, want %q in it", got, want)
	}
}

// ignored waits until the newest event was ignored for a reason.
func (f *fork) ignored(reason string) {
	f.Helper()
	f.until("event ignored: "+reason, func() bool {
		states := f.eventStates()
		return len(states) > 0 && states[len(states)-1] == "merge_request ignored "+reason
	})
}

const waits = "commits of the fork eve/app wait to be allowed, each by its own /remora allow in the merge request"

// W29: a fork's commit is delivered when it was allowed, and the next one waits
// again.
func TestW29AFork(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		f := newFork(newStage(t, c), true)
		f.start()
		f.hook(f.event("open", ""))
		f.ignored(waits)
		f.answers(f.by(gitlabtest.Developer, "/remora sync"), "🚫 **Not done**: commits of the fork `eve/app` wait to be allowed, each by its own `/remora` allow in the merge request.")
		f.same("calls before it was allowed", len(f.place.got()), 0)

		first := f.head
		f.answers(f.by(gitlabtest.Maintainer, "/remora allow"), "✅ **Allowed**: commit `"+first[:8]+"`, and no other")
		f.until("first", func() bool { return slices.Equal(f.place.shas(), []string{first}) && f.idle() })
		if ev := f.place.got()[0]; ev.Project.Path != "eve/app" || ev.Cause != "command" || ev.MergeRequest == nil || ev.MergeRequest.IID != 8 {
			f.Errorf("the target was told of %+v", ev)
		}
		f.hook(f.event("reopen", "")) // the same commit needs nobody more
		f.until("again", func() bool { return len(f.place.got()) == 2 && f.idle() })

		second := f.moved()
		f.hook(f.event("update", first))
		f.ignored(waits)
		f.answers(f.by(gitlabtest.Developer, "/remora sync"), "🚫 **Not done**: ")
		f.same("calls after a push", f.place.shas(), []string{first, first})
		f.answers(f.by(gitlabtest.Maintainer, "/remora allow "+strings.ToUpper(second[:10])), "✅ **Allowed**: commit `"+second[:8]+"`")
		f.until("second", func() bool { return slices.Equal(f.place.shas(), []string{first, first, second}) && f.idle() })
		f.answers(f.by(gitlabtest.Developer, "/remora sync"), "⏳ **On its way**")
		f.until("by hand", func() bool { return len(f.place.got()) == 4 && f.idle() })
		f.answers(f.by(gitlabtest.Developer, "/remora status"), "| site ")
	})
}

// allowFlows: a commit of a fork …
var allowFlows = map[string]func(f *fork){
	"a Developer may not allow it, whatever the level": func(f *fork) {
		f.yaml = "commands: {access_level: guest}"
		f.start()
		f.answers(f.by(gitlabtest.Developer, "/remora allow"), "🚫 **Refused**: `/remora allow` is for people with the role Maintainer or above")
		f.same("calls", len(f.place.got()), 0)
		f.hook(f.event("open", ""))
		f.ignored(waits)
	},
	"the level may be higher than Maintainer": func(f *fork) {
		f.yaml = "commands: {access_level: owner}"
		f.start()
		f.answers(f.by(gitlabtest.Maintainer, "/remora allow"), "with the role Owner in this project, and your role is Maintainer")
		f.same("calls", len(f.place.got()), 0)
	},
	"it is not the one that was there when the note was written": func(f *fork) {
		f.start()
		n := f.write(8, f.member(gitlabtest.Maintainer), "/remora allow")
		body := f.git.NoteHook(42, 8, n.ID)
		f.moved()
		f.hook(body)
		f.answers(n, "🚫 **Not done**: there are commits that came after the comment. Look at them, and write `/remora allow` again.")
		f.same("calls", len(f.place.got()), 0)
		f.hook(f.event("update", ""))
	},
	"it came between the note and its webhook": func(f *fork) {
		f.start()
		n := f.write(8, f.member(gitlabtest.Maintainer), "/remora allow")
		f.moved()
		f.hook(f.git.NoteHook(42, 8, n.ID))
		f.answers(n, "🚫 **Not done**: there are commits that came after the comment. Look at them, and write `/remora allow` again.")
		f.same("calls", len(f.place.got()), 0)
		f.hook(f.event("reopen", ""))
		f.ignored(waits)
	},
	"it came back after the note": func(f *fork) {
		f.start()
		first := f.head
		n := f.write(8, f.member(gitlabtest.Maintainer), "/remora allow")
		f.moved()
		f.git.ChangeMergeRequest(42, 8, func(m *gitlabtest.MergeRequest) { m.SHA = first })
		f.hook(f.git.NoteHook(42, 8, n.ID))
		f.answers(n, "🚫 **Not done**: there are commits that came after the comment.")
		f.same("calls", len(f.place.got()), 0)
	},
	"since when it is there cannot be read": func(f *fork) {
		f.git.Fail("GET /versions", gitlabtest.Answer{Code: 403, Body: `{"message":"403 Forbidden"}`})
		f.start()
		n := f.by(gitlabtest.Maintainer, "/remora allow")
		f.until("end", func() bool { return len(f.deliveries()) == 1 && f.idle() })
		if got := f.deliveries()[0]; !strings.HasPrefix(got, f.head[:8]+" failed ") || len(f.replies(8, n)) > 0 {
			f.Errorf("got delivery %q, want that it failed without an answer", got)
		}
		f.hook(f.event("reopen", ""))
		f.ignored(waits)
	},
	"the webhook does not tell what was there when the note was written": func(f *fork) {
		f.start()
		n := f.write(8, f.member(gitlabtest.Maintainer), "/remora allow")
		body := f.git.NoteHook(42, 8, n.ID)
		delete(body["merge_request"].(map[string]any), "last_commit")
		f.hook(body)
		f.answers(n, "🚫 **Not done**: there are commits that came after the comment")
		f.same("calls", len(f.place.got()), 0)
	},
	"it is not the one that the note names": func(f *fork) {
		f.start()
		f.answers(f.by(gitlabtest.Maintainer, "/remora allow deadbeef"), "🚫 **Not done**: the head of this merge request is another commit than the one that is named")
		f.same("calls", len(f.place.got()), 0)
	},
	"forks: never": func(f *fork) {
		f.route = ", forks: never"
		f.start()
		f.answers(f.by(gitlabtest.Maintainer, "/remora allow"), "🚫 **Not done**: no route takes forks: merge request from `eve/app`")
		f.answers(f.by(gitlabtest.Maintainer, "/remora sync"), "🚫 **Not done**: no route takes forks")
		f.hook(f.event("open", ""))
		f.ignored("no route takes forks: merge request from eve/app")
		f.same("calls", len(f.place.got()), 0)
	},
	"forks: true": func(f *fork) {
		f.route = ", forks: true"
		f.start()
		f.answers(f.by(gitlabtest.Maintainer, "/remora allow"), "👌 **Not needed**: the routes take all commits of forks")
		f.same("calls", len(f.place.got()), 0)
		f.answers(f.by(gitlabtest.Developer, "/remora sync"), "⏳ **On its way**")
		f.until("by hand", func() bool { return slices.Equal(f.place.shas(), []string{f.head}) && f.idle() })
		head := f.moved()
		f.hook(f.event("update", f.head))
		f.until("by webhook", func() bool { return len(f.place.got()) == 2 && f.place.shas()[1] == head && f.idle() })
	},
	"a later run that finds another head delivers neither": func(f *fork) {
		f.place.answer(http.StatusServiceUnavailable)
		f.start()
		f.answersSoon(f.by(gitlabtest.Maintainer, "/remora allow"), "✅ **Allowed**")
		f.until("first try", func() bool { return len(f.place.got()) > 0 })
		release := f.place.block() // no try ends before the push is there
		first := f.head
		second := f.moved()
		f.place.answer(0)
		release()
		f.until("end", f.idle)
		if slices.Contains(f.place.shas(), second) {
			f.Errorf("the target got %q, and nobody allowed %s", f.place.shas(), second)
		}
		f.hook(f.event("update", first))
		f.ignored(waits)
		if slices.Contains(f.place.shas(), second) {
			f.Errorf("the target got %q, and nobody allowed %s", f.place.shas(), second)
		}
	},
	"a push between the answer and the run holds both back": func(f *fork) {
		release := f.place.block()
		defer release()
		f.start()
		f.answersSoon(f.by(gitlabtest.Maintainer, "/remora allow"), "✅ **Allowed**")
		f.until("run", func() bool { return len(f.place.got()) == 1 })
		first := f.head
		second := f.moved()
		f.answersSoon(f.by(gitlabtest.Developer, "/remora sync"), "🚫 **Not done**: ")
		f.hook(f.event("reopen", "")) // of the new head
		f.ignored(waits)
		old := f.event("reopen", "")
		old["object_attributes"].(map[string]any)["last_commit"] = map[string]any{"id": first}
		f.hook(old) // of the allowed one: it is taken, and the run finds another head
		f.until("routing", func() bool { return strings.HasSuffix(f.eventStates()[len(f.eventStates())-1], "routed") })
		release()
		f.until("end", f.idle)
		f.same("delivered", f.place.shas(), []string{first})
		rows := f.deliveries()
		if got := rows[len(rows)-1]; got != first[:8]+" skipped overtaken by commits that nobody has allowed" {
			f.Errorf("got delivery %q of the allowed commit after a push to %s", got, second)
		}
	},
	"what somebody else may deliver is not held back, and is not told to be the merge request's": func(f *fork) {
		release := f.place.block()
		defer release()
		f.start()
		f.answersSoon(f.by(gitlabtest.Maintainer, "/remora allow"), "✅ **Allowed**")
		f.until("run", func() bool { return len(f.place.got()) == 1 })
		first := f.head
		push := f.push("", first) // the routes take the fork's own pushes, too
		push["ref"], push["project_id"] = "refs/heads/patch", f.id
		push["project"] = map[string]any{"id": f.id, "path_with_namespace": "eve/app", "web_url": f.git.URL + "/eve/app"}
		f.hook(push)
		f.hook(f.event("reopen", ""))
		f.until("routing", func() bool { return len(f.deliveries()) == 4 })
		second := f.moved()
		release()
		f.until("end", f.idle)
		f.same("delivered", f.place.shas(), []string{first, second})
		if mr := f.place.got()[1].MergeRequest; mr != nil {
			f.Errorf("the target was told that %s is of merge request %d, where nobody allowed it", second, mr.IID)
		}
	},
}

// answersSoon is answers while there is still something to do.
func (f *fork) answersSoon(to gitlabtest.Note, want string) {
	f.Helper()
	f.until("answer", func() bool { return len(f.replies(8, to)) == 1 })
	if got := f.replies(8, to)[0]; !strings.Contains(got, want) {
		f.Errorf("got the answer %q, want %q in it", got, want)
	}
}

func TestAllow(t *testing.T) {
	t.Parallel()
	for name, flow := range allowFlows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			flow(newFork(newStage(t, sqlite(t)), true))
		})
	}
	t.Run("a fork that the bot cannot see is known by its merge request", func(t *testing.T) {
		t.Parallel()
		f := newFork(newStage(t, sqlite(t)), false)
		f.start()
		f.answers(f.by(gitlabtest.Maintainer, "/remora allow"), "✅ **Allowed**")
		f.until("delivery", func() bool { return slices.Equal(f.place.shas(), []string{f.head}) && f.idle() })
		first := f.head
		f.moved()
		old := f.event("reopen", "")
		old["object_attributes"].(map[string]any)["last_commit"] = map[string]any{"id": first}
		f.hook(old)
		f.until("end", func() bool {
			rows := f.deliveries()
			return f.idle() && rows[len(rows)-1] == first[:8]+" skipped overtaken by commits that nobody has allowed"
		})
		f.same("delivered", f.place.shas(), []string{first})
	})
	t.Run("a fork that is gone has nothing to allow", func(t *testing.T) {
		t.Parallel()
		f := newFork(newStage(t, sqlite(t)), true)
		f.start()
		n := f.write(8, f.member(gitlabtest.Maintainer), "/remora allow")
		body := f.git.NoteHook(42, 8, n.ID)
		f.git.ChangeMergeRequest(42, 8, func(m *gitlabtest.MergeRequest) { m.SourceProjectID = 0 })
		f.hook(body)
		f.answers(n, "🚫 **Not done**: the source project of the merge request is gone.")
		f.same("calls", len(f.place.got()), 0)
	})
}
