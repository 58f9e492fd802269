package mirror_test

import (
	"strings"
	"testing"

	"gitlab.com/remora-ci/remora/component/delivery"
)

func TestANewBranchIsCreatedAndVerified(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sha := w.commit("README.md", "hello\n")
	w.publish("main")
	o := w.apply(w.config(), w.event("main", sha))
	w.wantDone(o, "created")
	w.wantAt("refs/heads/main", sha)
	if o.Receipt.Revision != sha {
		t.Errorf("revision = %q, want %q", o.Receipt.Revision, sha)
	}
	if want := w.there.URL + "/copy/app"; o.Receipt.URL != want {
		t.Errorf("url = %q, want %q", o.Receipt.URL, want)
	}
	if o.Place != "127.0.0.1" {
		t.Errorf("place = %q, want the host", o.Place)
	}
	w.git(w.copy, "fsck", "--full", "--strict")
}

func TestAFastForwardIsPushed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seed()
	sha := w.commit("a/b/c.txt", "deep\n")
	w.publish("main")
	w.wantDone(w.apply(w.config(), w.event("main", sha)), "pushed")
	w.wantAt("refs/heads/main", sha)
	w.git(w.copy, "fsck", "--full", "--strict")
}

func TestARemoteThatIsUpToDateCostsOneRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sha := w.seed()
	o := w.apply(w.config(), w.event("main", sha))
	w.wantDone(o, "up to date")
	if o.Receipt.Revision != sha {
		t.Errorf("revision = %q, want %q", o.Receipt.Revision, sha)
	}
	if got := len(w.there.requests()) + len(w.home.requests()); got != 1 {
		t.Errorf("%d requests, want 1: %q %q", got, w.there.requests(), w.home.requests())
	}
}

func TestARemoteAheadIsLeftWhereItIs(t *testing.T) {
	t.Parallel()
	for name, known := range map[string]bool{"by commits of the project": true, "by commits of its own": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			old := w.seed()
			if known {
				w.commit("x", "1")
				w.publish("main")
			}
			newer := w.commit("x", "2")
			w.git(w.work, "push", "-q", w.copy, "main")
			if known {
				w.publish("main")
			}
			w.there.traffic()
			mid := old
			o := w.apply(w.config(), w.event("main", mid))
			w.wantDone(o, "already ahead")
			w.wantAt("refs/heads/main", newer)
			if o.Receipt.Revision != newer {
				t.Errorf("revision = %q, want what the remote has, %q", o.Receipt.Revision, newer)
			}
		})
	}
}

func TestABranchThatMovedOnIsStillPushedAtTheEventsCommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seed()
	sha := w.commit("x", "1")
	w.commit("x", "2")
	w.publish("main")
	o := w.apply(w.config(), w.event("main", sha))
	w.wantDone(o, "pushed")
	w.wantAt("refs/heads/main", sha)
}

func TestDivergedHistoryIsOverwrittenOnlyWhereAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seed()
	foreign := w.commit("x", "theirs")
	w.git(w.work, "push", "-q", w.copy, "main")
	w.git(w.work, "reset", "-q", "--hard", "HEAD~1")
	sha := w.commit("x", "ours")
	w.publish("main")

	f := w.wantFault(w.apply(w.config(), w.event("main", sha)), "remote has other commits")
	w.wantAt("refs/heads/main", foreign)
	if !strings.Contains(f.Cause, foreign[:8]) || !strings.Contains(f.Remedy, "+main to REMORA_MIRROR_REFS") {
		t.Errorf("fault = %q, %q; want the foreign commit and the setting", f.Cause, f.Remedy)
	}
	c := w.config()
	c.Refs = "all +other"
	w.wantFault(w.apply(c, w.event("main", sha)), "remote has other commits")
	c.Refs = "all +main"
	w.wantDone(w.apply(c, w.event("main", sha)), "overwritten")
	w.wantAt("refs/heads/main", sha)
}

func TestABranchThatTheProjectResetFollowsOnlyWhereForceIsAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old := w.seed()
	newer := w.commit("x", "1")
	w.git(w.work, "push", "-q", w.copy, "main")
	w.wantDone(w.apply(w.config(), w.event("main", old)), "already ahead")
	w.wantAt("refs/heads/main", newer)
	c := w.config()
	c.Refs = "+main"
	w.wantDone(w.apply(c, w.event("main", old)), "overwritten")
	w.wantAt("refs/heads/main", old)
}

func TestAStaleEventNeverRollsBackEvenWithForce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	base := w.seed()
	c := w.config()
	c.Refs = "+all"
	stale := w.commit("x", "1")
	newer := w.commit("x", "2")
	w.publish("main")
	w.git(w.work, "push", "-q", w.copy, "main")
	w.wantDone(w.apply(c, w.event("main", stale)), "already ahead")
	w.wantAt("refs/heads/main", newer)

	w.git(w.work, "reset", "-q", "--hard", base)
	rewritten := w.commit("x", "3")
	w.publish("--force", "main")
	w.git(w.work, "push", "-q", "--force", w.copy, "main")
	w.wantSkip(w.apply(c, w.event("main", stale)), "overtaken: main was rewritten")
	w.wantAt("refs/heads/main", rewritten)
}

func TestABranchGoneFromTheProjectIsSkipped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seed()
	w.git(w.work, "checkout", "-q", "-b", "feature")
	sha := w.commit("x", "1")
	w.wantSkip(w.apply(w.config(), w.event("feature", sha)), "feature is gone from the project")
	w.wantAt("refs/heads/feature", "")
}

func TestTags(t *testing.T) {
	t.Parallel()
	for name, annotated := range map[string]bool{"lightweight": false, "annotated": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			sha := w.seed()
			tag := func(args ...string) string {
				if annotated {
					args = append([]string{"-a", "-m", "release"}, args...)
				}
				w.git(w.work, append([]string{"tag"}, args...)...)
				w.publish("--force", "v1")
				return w.git(w.work, "rev-parse", "refs/tags/v1")
			}
			object := tag("v1")
			o := w.apply(w.config(), w.tag("v1", sha))
			w.wantDone(o, "created")
			w.wantAt("refs/tags/v1", object)
			if o.Receipt.Revision != sha {
				t.Errorf("revision = %q, want the commit %q", o.Receipt.Revision, sha)
			}
			w.wantDone(w.apply(w.config(), w.tag("v1", sha)), "up to date")

			moved := w.commit("x", "1")
			second := tag("-f", "v1")
			w.wantSkip(w.apply(w.config(), w.tag("v1", sha)), "overtaken: tag v1 was moved")
			f := w.wantFault(w.apply(w.config(), w.tag("v1", moved)), "remote has other commits")
			if !strings.Contains(f.Remedy, "+tags/v1") {
				t.Errorf("remedy = %q, want it to name +tags/v1", f.Remedy)
			}
			w.wantAt("refs/tags/v1", object)
			c := w.config()
			c.Refs = "+tags"
			w.wantDone(w.apply(c, w.tag("v1", moved)), "overwritten")
			w.wantAt("refs/tags/v1", second)
			w.git(w.copy, "fsck", "--full", "--strict")
		})
	}
}

func TestDeletion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seed()
	w.git(w.work, "checkout", "-q", "-b", "feature")
	sha := w.commit("x", "1")
	w.git(w.work, "push", "-q", w.copy, "feature")
	ev := w.event("feature", "")
	ev.Deleted, ev.Before = true, sha

	w.wantSkip(w.apply(w.config(), ev), "deletion of feature is not asked for")
	w.wantAt("refs/heads/feature", sha)

	c := w.config()
	c.Refs = "all feature:delete"
	w.publish("feature")
	w.wantSkip(w.apply(c, ev), "the project has feature again")
	w.git(w.work, "push", "-q", "--delete", w.project, "feature")

	stale := ev
	stale.Before = strings.Repeat("a", 40)
	w.wantFault(w.apply(c, stale), "remote has other commits")
	w.wantAt("refs/heads/feature", sha)

	w.wantDone(w.apply(c, ev), "deleted")
	w.wantAt("refs/heads/feature", "")
	o := w.apply(c, ev)
	w.wantDone(o, "already deleted")
	if o.Receipt.Revision != "" {
		t.Errorf("revision = %q, want none", o.Receipt.Revision)
	}
}

func TestMergeRequestsAreMirroredByTheirSourceBranch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seed()
	w.git(w.work, "checkout", "-q", "-b", "feature")
	sha := w.commit("x", "1")
	w.publish("feature")
	ev := w.event("feature", sha)
	ev.MergeRequest = &delivery.MergeRequest{IID: 1, ProjectID: 7, SourceProjectID: 7, SourceBranch: "feature"}
	ev.Pipeline = &delivery.Pipeline{ID: 1, SHA: strings.Repeat("d", 40)} // merged results: on no branch
	w.wantDone(w.apply(w.config(), ev), "created")
	w.wantAt("refs/heads/feature", sha)

	ev.MergeRequest.SourceProjectID = 8
	w.wantSkip(w.apply(w.config(), ev), "fork")
}

func TestLFSPointersAreWarnedAbout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seed()
	sha := w.commit(".gitattributes", "# media\n*.psd filter=lfs diff=lfs merge=lfs -text\n")
	w.publish("main")
	o := w.apply(w.config(), w.event("main", sha))
	w.wantDone(o, "pushed")
	if len(o.Receipt.Warnings) != 1 || !strings.Contains(o.Receipt.Warnings[0], "Git LFS") {
		t.Errorf("warnings = %q, want one on Git LFS", o.Receipt.Warnings)
	}
}
