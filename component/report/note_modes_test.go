package report_test

import (
	"strings"
	"testing"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

func TestNewAddsANoteForEachNewResult(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "new")
	d.want("created", 1, notFound())
	d.want("created", 2, pushed())
	d.want("unchanged", 3, pushed())
	d.want("created", 4, notFound())
	d.want("updated", 4, overdue()) // the same run has more to say
	d.shows("reference not found", "Sync done", "no result")
}

func TestDeleteAndNewLeavesTheNewestNote(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "delete-and-new")
	d.want("created", 1, notFound())
	first := d.bots()[0]
	d.want("created", 2, pushed())
	if got := d.shows("Sync done"); got[0].ID == first.ID {
		t.Error("the note was edited, want a new one")
	}
	answered := d.bots()[0]
	d.git.AddNote(42, 7, gitlabtest.Note{AuthorID: d.scene.Person.ID, Body: "Thanks", Discussion: answered.Discussion})
	d.want("created", 3, notFound())
	d.shows("Outdated", "reference not found")
}

func TestHideAndNewFoldsTheOlderNotes(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "hide-and-new")
	d.want("created", 1, notFound(), pushed())
	d.want("created", 2, pushed())
	d.want("created", 3, skipped())
	notes := d.shows("<details><summary>Outdated: a newer note follows (this one is of pipeline 1)</summary>\n\n### Sync failed: 1 of 2 targets", "### Sync done", "### Sync skipped")
	if !strings.Contains(notes[0].Body, "reference not found") {
		t.Errorf("the folded note lost what it said:\n%s", notes[0].Body)
	}
	for _, n := range notes {
		_, visible, _ := strings.Cut(n.Body, "\n")
		inertNote(t, visible)
	}
	if notes[0].Edits != 1 {
		t.Errorf("got %d edits of the oldest note, want it folded once", notes[0].Edits)
	}
}

func TestAFoldedNoteIsSafeThoughItWasEdited(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "hide-and-new")
	d.want("created", 1, notFound())
	n := d.bots()[0]
	d.git.DeleteNote(42, 7, n.ID)
	d.git.AddNote(42, 7, gitlabtest.Note{AuthorID: d.scene.Bot.ID, Body: n.Body + "\n/close\n@all <b> </details>\n"})
	d.want("created", 2, pushed())
	_, visible, _ := strings.Cut(d.shows("Outdated", "Sync done")[0].Body, "\n")
	inertNote(t, visible)
	if done := d.git.QuickActions(42, 7); len(done) > 0 {
		t.Errorf("the folded note acted: %v", done)
	}
}

func TestOnFailureIsSilentUntilSomethingFails(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "on-failure")
	d.want("none", 1, pushed())
	d.shows()
	d.want("none", 2, with(notFound(), func(o *delivery.Outcome) { o.Optional = true }))
	d.want("created", 3, notFound())
	failed := d.shows("Sync failed")
	d.want("updated", 4, overdue())
	d.want("updated", 5, pushed())
	if got := d.shows("Sync done"); got[0].ID != failed[0].ID {
		t.Error("the note was made anew on success, want it edited")
	}
	d.want("created", 6, notFound()) // a new note, so that it is mailed
	if got := d.shows("Sync failed"); got[0].ID == failed[0].ID {
		t.Error("the note was edited on the second failure, want a new one")
	}
	d.want("overtaken", 5, pushed())
}

func TestChangingTheModeKeepsHistory(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "new")
	d.want("created", 1, notFound())
	d.want("created", 2, pushed())
	d.config.Note = "update"
	d.want("created", 3, notFound())
	d.want("updated", 4, pushed())
	d.shows("Sync failed", "Sync done", "Sync done")
	d.config.Note = "thread"
	d.want("created", 5, notFound())
	d.config.Note = "update"
	d.want("updated", 6, skipped())
	d.shows("Sync failed", "Sync done", "Sync skipped", "Sync failed")
}

func TestManyOldNotesAreNotRemovedAllAtOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "new")
	d.want("created", 1, notFound())
	for range 30 {
		d.git.AddNote(42, 7, gitlabtest.Note{AuthorID: d.scene.Bot.ID, Body: d.bots()[0].Body})
	}
	d.config.Note = "delete-and-new"
	d.want("created", 2, pushed())
	if n := d.requests("DELETE "); n != 20 {
		t.Errorf("got %d notes deleted in one run, want 20", n)
	}
}
