package report_test

import (
	"strings"
	"sync"
	"testing"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

// threads are the threads that can be resolved.
func (d *desk) threads() (out []gitlabtest.Discussion) {
	for _, t := range d.git.Discussions(42, 7) {
		if t.Resolvable() {
			out = append(out, t)
		}
	}
	return out
}

// thread expects one thread whose first note holds text.
func (d *desk) thread(resolved bool, text string) gitlabtest.Discussion {
	d.Helper()
	all := d.threads()
	if len(all) != 1 {
		d.Fatalf("got %d threads, want 1: %+v", len(all), all)
	}
	if all[0].Resolved() != resolved || !strings.Contains(all[0].Notes[0].Body, text) {
		d.Errorf("got resolved %v and\n%s\nwant resolved %v and %q", all[0].Resolved(), all[0].Notes[0].Body, resolved, text)
	}
	return all[0]
}

func TestAThreadOpensOnFailureResolvesOnSuccessAndReopensOnRelapse(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "thread")
	d.want("none", 1, pushed())
	if n := d.requests("POST "); n != 0 {
		t.Fatalf("got %d posts on a first success, want none", n)
	}
	d.want("created", 2, notFound())
	d.thread(false, "Sync failed")
	d.want("updated", 3, overdue())
	d.thread(false, "no result")
	d.want("resolved", 4, pushed())
	d.thread(true, "Sync done")
	d.want("unchanged", 5, pushed())
	d.want("reopened", 6, notFound())
	d.thread(false, "reference not found")
	d.want("overtaken", 5, pushed())
	d.thread(false, "reference not found")
}

func TestN12APersonsReplyOutlivesSuccess(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "thread")
	d.want("created", 1, notFound())
	thread := d.thread(false, "Sync failed")
	said := d.git.AddNote(42, 7, gitlabtest.Note{AuthorID: d.scene.Person.ID, Body: "I look into it", Discussion: thread.ID, Resolvable: true})
	d.want("resolved", 2, pushed())
	got := d.thread(true, "Sync done")
	if len(got.Notes) != 2 || got.Notes[1].ID != said.ID || got.Notes[1].Body != said.Body {
		t.Errorf("got %+v, want the reply untouched", got.Notes)
	}
	if n := d.requests("DELETE "); n != 0 {
		t.Errorf("got %d deletions, want none", n)
	}
}

func TestN13AThreadThatAPersonResolvedIsOpenedAgainOnceForEachFailingRun(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "thread")
	d.want("created", 1, notFound())
	thread := d.thread(false, "Sync failed")
	d.git.Resolve(42, 7, thread.ID, true)
	d.want("unchanged", 1, notFound())
	d.thread(true, "Sync failed")
	d.want("reopened", 2, notFound())
	d.git.Resolve(42, 7, thread.ID, true)
	d.want("unchanged", 2, notFound())
	if again := d.thread(true, "Sync failed"); again.ID != thread.ID {
		t.Error("a second thread was opened")
	}
}

func TestAThreadThatAPersonOpenedAgainAfterSuccessStaysOpen(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "thread")
	d.want("created", 1, notFound())
	d.want("resolved", 2, pushed())
	d.git.Resolve(42, 7, d.thread(true, "Sync done").ID, false)
	d.want("updated", 3, synced())
	d.thread(false, "Sync done")
}

func TestAStopBetweenResolvingAndWritingIsMended(t *testing.T) {
	t.Parallel()
	down := []gitlabtest.Answer{{Code: 403, Body: "{}"}}

	d := newDesk(t, "thread")
	d.want("created", 1, notFound())
	d.git.Fail("PUT /notes/", down...)
	if _, err := d.run(2, pushed()); err == nil {
		t.Error("got no error, want the refusal")
	}
	d.thread(true, "Sync failed") // resolved, its text still old
	d.want("updated", 3, pushed())
	d.thread(true, "Sync done")

	d.git.Fail("PUT /discussions/", down...)
	if _, err := d.run(4, notFound()); err == nil {
		t.Error("got no error, want the refusal")
	}
	d.thread(true, "Sync failed") // the text is new, not opened yet
	d.want("reopened", 5, notFound())
	d.thread(false, "Sync failed")
}

func TestTwoThreadsAtOnceConverge(t *testing.T) {
	t.Parallel()
	for range 10 {
		d := newDesk(t, "thread")
		d.meet("POST", "/discussions", 2)
		var both sync.WaitGroup
		for _, pipeline := range []int64{1, 2} {
			w := d.writer(pipeline, pipeline)
			o := []delivery.Outcome{notFound(), overdue()}[pipeline-1]
			both.Go(func() {
				if _, _, err := w.Write(t.Context(), []delivery.Outcome{o}, nil); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		d.thread(false, "no result")
	}
}

func TestOfTwoThreadsTheOneWithAnAnswerIsFolded(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "thread")
	d.want("created", 1, notFound())
	body := d.bots()[0].Body
	d.git.AddNote(42, 7, gitlabtest.Note{AuthorID: d.scene.Bot.ID, Body: body, Resolvable: true})
	answered := d.git.AddNote(42, 7, gitlabtest.Note{AuthorID: d.scene.Bot.ID, Body: body, Resolvable: true})
	d.git.AddNote(42, 7, gitlabtest.Note{AuthorID: d.scene.Person.ID, Body: "why?", Discussion: answered.Discussion, Resolvable: true})
	d.want("updated", 2, overdue())
	all := d.threads()
	if len(all) != 2 || all[0].Resolved() || !all[1].Resolved() || !strings.Contains(all[1].Notes[0].Body, "Outdated") || all[1].Notes[1].Body != "why?" {
		t.Errorf("got %+v, want the first open, the one without answer gone, the other folded and resolved", all)
	}
}

func TestAThreadDeletedMeanwhileIsMadeAnewOnlyOnFailure(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "thread")
	d.want("created", 1, notFound())
	first := d.bots()[0].ID
	d.git.Before(func(r gitlabtest.Request) {
		if r.Method == "PUT" {
			d.git.DeleteNote(42, 7, first)
		}
	})
	d.want("none", 2, pushed())
	d.shows()
	d.want("created", 3, notFound())
	d.thread(false, "Sync failed")
}
