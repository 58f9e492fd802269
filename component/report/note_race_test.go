package report_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

// overtakenBy lets a later run write everything just before the next post
// arrives.
func (d *desk) overtakenBy(later func()) {
	var began atomic.Bool // later posts too
	d.git.Before(func(r gitlabtest.Request) {
		if r.Method == "POST" && !began.Swap(true) {
			later()
		}
	})
}

func TestARunThatIsOvertakenWhileItWritesTakesItsNoteBack(t *testing.T) {
	t.Parallel()
	for mode, left := range map[string][]string{
		"update":         {"Sync done"},
		"on-failure":     {"no result"},
		"delete-and-new": {"Sync done"},
		"hide-and-new":   {"Sync done", "Outdated"},
		"thread":         {"no result"},
	} {
		d := newDesk(t, mode)
		d.overtakenBy(func() {
			if left[0] == "no result" {
				d.want("created", 2, overdue())
			} else {
				d.want("created", 2, pushed())
			}
		})
		action, err := d.run(1, notFound())
		if err != nil || action != "overtaken" {
			t.Errorf("%s: got %q, %v, want overtaken", mode, action, err)
		}
		d.shows(left...)
	}
}

func TestALaterRunDoesNotWaitForAnEarlierOneToTidy(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"update", "delete-and-new", "thread"} {
		d := newDesk(t, mode)
		d.overtakenBy(func() { d.want("created", 1, notFound()) })
		want := map[string]string{"update": "updated", "delete-and-new": "created", "thread": "updated"}[mode]
		d.want(want, 2, overdue())
		d.shows("no result")
	}
}

func TestAMarkerInALogIsNotTakenForOurs(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "")
	d.want("created", 1, notFound())
	marker, _, _ := strings.Cut(d.bots()[0].Body, "\n")
	quoting := notFound()
	quoting.Receipt.Log = append(quoting.Receipt.Log[:0:0], quoting.Receipt.Log...)
	quoting.Receipt.Log[1].Level, quoting.Receipt.Log[1].Text = "", strings.Replace(marker, `"name":"sync"`, `"name":"staging"`, 1)
	d.want("updated", 2, quoting)

	// A person takes our marker out of the note: what the log quotes must not
	// take its place.
	n := d.bots()[0]
	_, visible, _ := strings.Cut(n.Body, "\n")
	d.git.DeleteNote(42, 7, n.ID)
	d.git.AddNote(42, 7, gitlabtest.Note{AuthorID: d.scene.Bot.ID, Body: visible})
	d.config.Name = "staging"
	d.want("created", 3, pushed())
	d.shows("Sync failed", "Sync (staging) done")
}
