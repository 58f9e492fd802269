package agent_test

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
	"gitlab.com/remora-ci/remora/component/trigger"
)

// Who has the token of one project may say what he likes about it, and about no
// fork: neither who wrote a note there nor which commit he looked at is proved.
func TestAProjectTokenAllowsNoFork(t *testing.T) {
	t.Parallel()
	f := newFork(newStage(t, sqlite(t)), true)
	f.issued()
	f.start()

	maintainer := f.member(gitlabtest.Maintainer)
	n := f.write(8, maintainer, "/remora allow")
	f.hook(f.git.NoteHook(42, 8, n.ID))
	const reason = "the token of the webhook does not speak for the source project of the merge request"
	f.until("reason", func() bool { return slices.Equal(f.eventStates(), []string{"note ignored " + reason}) })

	body := f.git.NoteHook(42, 8, n.ID) // as if it came from no fork
	mr := body["merge_request"].(map[string]any)
	mr["source_project_id"], mr["source"] = 42, mr["target"]
	f.hook(body)
	f.answers(n, "🚫 **Not done**: "+reason)
	f.same("calls", len(f.place.got()), 0)

	own := f.write(7, maintainer, "/remora sync")
	f.hook(f.git.NoteHook(42, 7, own.ID))
	if got := f.untilReply(7, own); !strings.Contains(got, "⏳ **On its way**") {
		f.Errorf("got %q about a branch of the project itself", got)
	}
	f.until("delivery", func() bool { return len(f.place.got()) == 1 && f.idle() })
}

// A fork's job is taken for commits that were allowed, as its merge request is.
func TestAForksJobNeedsItsCommitAllowed(t *testing.T) {
	t.Parallel()
	f := newFork(newStage(t, sqlite(t)), true)
	f.route = ", on: [merge_request, job], protected: false"
	a, _ := f.start()
	ask := func(id int64, sha string) (trigger.Delivery, error) {
		job := f.job(id, sha)
		job.SourceID, job.SourcePath, job.PipelineSource, job.Ref = f.id, "eve/app", "merge_request_event", "patch"
		return a.Deliver(f.Context(), job, strconv.FormatInt(id, 10), trigger.Request{MergeRequest: &trigger.MergeRequest{IID: 8, ProjectID: 42, SourceProjectID: f.id}})
	}
	refused := func(id int64, sha string) {
		f.Helper()
		_, err := ask(id, sha)
		if code, detail := refusal(err); code != http.StatusForbidden || !strings.Contains(detail, waits) {
			f.Errorf("got %v, want 403 that says how to allow it", err)
		}
	}
	first := f.head
	refused(7001, first)
	f.answers(f.by(gitlabtest.Maintainer, "/remora allow"), "✅ **Allowed**")
	f.until("delivery", func() bool { return len(f.place.got()) == 1 && f.idle() })
	got, err := ask(7002, first)
	if err != nil {
		t.Fatal(err)
	}
	f.same("state", f.ended(a, got.ID).State, "done")

	refused(7003, f.moved())
	got, err = ask(7004, first) // a job of the past finds commits that nobody has allowed
	if err != nil {
		t.Fatal(err)
	}
	f.same("state", f.ended(a, got.ID).State, "skipped")
	f.same("delivered", f.place.shas(), []string{first, first})
}
