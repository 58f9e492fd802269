package report_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
	"gitlab.com/remora-ci/remora/component/report"
	"gitlab.com/remora-ci/remora/component/rest"
)

// desk is a GitLab with the merge request !7, and the bot that writes there.
type desk struct {
	*testing.T
	git    *gitlabtest.Server
	scene  gitlabtest.Scene
	ev     delivery.Event
	config report.Config
}

func newDesk(t *testing.T, mode string) *desk {
	t.Helper()
	git := gitlabtest.New(t)
	d := &desk{T: t, git: git, scene: git.Populate(), ev: event(), config: report.Config{Note: mode}}
	d.ev.SHA = d.scene.SHA
	t.Cleanup(func() {
		if acted := git.QuickActions(42, 7); len(acted) > 0 {
			t.Errorf("a note made GitLab act: %+v", acted)
		}
	})
	return d
}

func (d *desk) client() *gitlab.Client {
	d.Helper()
	out, err := rest.New(rest.Config{MaxBody: 64 << 20, MaxWait: 10 * time.Millisecond, Timeout: 10 * time.Second})
	if err != nil {
		d.Fatal(err)
	}
	gl, err := gitlab.New(gitlab.Config{URL: d.git.URL, Token: delivery.Secret(d.scene.Token)}, out)
	if err != nil {
		d.Fatal(err)
	}
	return gl
}

func (d *desk) writer(pipeline, job int64) report.NoteWriter {
	d.Helper()
	ev := d.ev
	p, j := *d.ev.Pipeline, *d.ev.Job
	p.ID, j.ID = pipeline, job
	ev.Pipeline, ev.Job = &p, &j
	o := report.Options{Version: "1.0.0", Now: func() time.Time { return noon.Add(time.Duration(pipeline+job) * time.Second) }}
	return report.NewNoteWriter(d.config, d.client(), ev, o, time.Millisecond)
}

// run writes the note of a job of a pipeline.
func (d *desk) run(pipeline int64, outcomes ...delivery.Outcome) (string, error) {
	d.Helper()
	action, _, err := d.writer(pipeline, pipeline*10).Write(d.Context(), outcomes, nil)
	return action, err
}

// want runs like run and expects an action.
func (d *desk) want(action string, pipeline int64, outcomes ...delivery.Outcome) {
	d.Helper()
	got, err := d.run(pipeline, outcomes...)
	if err != nil || got != action {
		d.Fatalf("run %d: got %q and error %v, want %q", pipeline, got, err, action)
	}
}

// bots are the notes of the bot.
func (d *desk) bots() (out []gitlabtest.Note) {
	for _, n := range d.git.Notes(42, 7) {
		if n.AuthorID == d.scene.Bot.ID && !n.System {
			out = append(out, n)
		}
	}
	return out
}

// shows expects the bot's notes to hold these texts, one each, in order.
func (d *desk) shows(texts ...string) []gitlabtest.Note {
	d.Helper()
	notes := d.bots()
	if len(notes) != len(texts) {
		d.Fatalf("got %d notes of the bot, want %d:\n%+v", len(notes), len(texts), notes)
	}
	for i, text := range texts {
		if !strings.Contains(notes[i].Body, text) {
			d.Errorf("note %d: got\n%s\nwant it to hold %q", i, notes[i].Body, text)
		}
	}
	return notes
}

// requests counts the requests that match.
func (d *desk) requests(match ...string) int { return len(d.git.Requests(match...)) }

func TestANoteIsCreatedOnceThenEditedInPlace(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "")
	action, url, err := d.writer(1001, 1).Write(t.Context(), []delivery.Outcome{notFound(), pushed()}, nil)
	notes := d.shows("### Sync failed: 1 of 2 targets")
	if want := fmt.Sprintf("https://gitlab.example.com/acme/app/-/merge_requests/7#note_%d", notes[0].ID); err != nil || action != "created" || url != want {
		t.Errorf("got %q, %q, %v, want created at %q", action, url, err, want)
	}
	if first, _, _ := strings.Cut(notes[0].Body, "\n"); !strings.HasPrefix(first, report.MarkerPrefix) || len(first) > 160 {
		t.Errorf("got %q, want a short marker in the first line", first)
	}
	d.want("updated", 1002, synced(), pushed())
	if got := d.shows("### Sync done: 2 targets"); got[0].ID != notes[0].ID {
		t.Errorf("got note %d, want note %d edited", got[0].ID, notes[0].ID)
	}
}

func TestANoteIsFoundByItsInstanceAndProjectIfThePageIsNotKnown(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*delivery.Event)
		want   string
	}{
		"the instance and the project": {func(ev *delivery.Event) { ev.MergeRequest.URL = "" }, "https://gitlab.example.com/acme/app/-/merge_requests/7#note_%d"},
		"no instance":                  {func(ev *delivery.Event) { ev.MergeRequest.URL, ev.Instance = "", "" }, ""},
		"a page elsewhere":             {func(ev *delivery.Event) { ev.MergeRequest.URL = "https://gitlab.example.com/moved/-/merge_requests/7" }, "https://gitlab.example.com/moved/-/merge_requests/7#note_%d"},
	} {
		d := newDesk(t, "")
		c.change(&d.ev)
		_, url, err := d.writer(1001, 1).Write(t.Context(), []delivery.Outcome{pushed()}, nil)
		want := c.want
		if want != "" {
			want = fmt.Sprintf(want, d.bots()[0].ID)
		}
		if err != nil || url != want {
			t.Errorf("%s: got %q, %v, want %q", name, url, err, want)
		}
	}
}

func TestN1AMarkerOnPageThreeIsFound(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "")
	for i := range 250 {
		d.git.AddNote(42, 7, gitlabtest.Note{AuthorID: d.scene.Person.ID, Body: fmt.Sprint("word ", i)})
	}
	d.want("created", 1, notFound())
	d.want("updated", 2, pushed())
	d.shows("Sync done")
}

func TestN2AMarkerInAPersonsNoteIsNotOurs(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "")
	d.want("created", 1, notFound())
	copied := d.bots()[0]
	d.git.DeleteNote(42, 7, copied.ID)
	theirs := d.git.AddNote(42, 7, gitlabtest.Note{AuthorID: d.scene.Person.ID, Body: copied.Body})
	d.git.AddNote(42, 7, gitlabtest.Note{AuthorID: d.scene.Bot.ID, System: true, Body: copied.Body})
	d.want("created", 2, pushed())
	d.shows("Sync done")
	for _, n := range d.git.Notes(42, 7) {
		if n.ID == theirs.ID && n.Body != theirs.Body {
			t.Errorf("a person's note was edited: %s", n.Body)
		}
	}
}

func TestN3TwoWritersAtOnceConverge(t *testing.T) {
	t.Parallel()
	for round := range 20 {
		d := newDesk(t, "")
		d.meet("POST", "/notes", 2)
		var both sync.WaitGroup
		for _, pipeline := range []int64{1, 2} {
			w := d.writer(pipeline, pipeline)
			both.Go(func() {
				ref := with(pushed(), func(o *delivery.Outcome) { o.Receipt.Result = fmt.Sprint("pushed by run ", pipeline) })
				if _, _, err := w.Write(t.Context(), []delivery.Outcome{ref}, nil); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		lowest := d.git.Requests("POST /notes")
		if len(lowest) != 2 {
			t.Fatalf("round %d: got %d posts, want 2 at once", round, len(lowest))
		}
		d.shows("pushed by run 2")
		d.want("updated", 3, pushed())
		d.shows("pushed")
	}
}

// meet holds requests back until n of them are there.
func (d *desk) meet(method, part string, n int) {
	var all sync.WaitGroup
	all.Add(n)
	var mu sync.Mutex
	d.git.Before(func(r gitlabtest.Request) {
		if r.Method != method || !strings.HasSuffix(r.Path, part) {
			return
		}
		mu.Lock()
		held := n > 0
		n--
		mu.Unlock()
		if held {
			all.Done()
			all.Wait()
		}
	})
}

func TestN3DuplicatesLeftByACrashAreTidied(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "")
	d.want("created", 1, notFound())
	first := d.bots()[0]
	second := d.git.AddNote(42, 7, gitlabtest.Note{AuthorID: d.scene.Bot.ID, Body: first.Body})
	third := d.git.AddNote(42, 7, gitlabtest.Note{AuthorID: d.scene.Bot.ID, Body: first.Body})
	d.git.AddNote(42, 7, gitlabtest.Note{AuthorID: d.scene.Person.ID, Body: "I see", Discussion: third.Discussion})
	d.want("updated", 2, pushed())
	got := d.shows("Sync done", "Outdated")
	if got[0].ID != first.ID || got[1].ID != third.ID {
		t.Errorf("got notes %d and %d, want %d to stay, %d to go, and %d folded for its answer", got[0].ID, got[1].ID, first.ID, second.ID, third.ID)
	}
	d.want("updated", 3, notFound())
	d.shows("Sync failed", "Outdated")
}

func TestN4ANoteDeletedBetweenListAndPutIsMadeAnew(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "")
	d.want("created", 1, notFound())
	gone := d.bots()[0].ID
	var once sync.Once
	d.git.Before(func(r gitlabtest.Request) {
		if r.Method == "PUT" {
			once.Do(func() { d.git.DeleteNote(42, 7, gone) })
		}
	})
	d.want("created", 2, pushed())
	d.shows("Sync done")
}

func TestN5TheSameFactsAreNotWrittenAgain(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"update", "new", "delete-and-new", "hide-and-new", "on-failure", "thread"} {
		d := newDesk(t, mode)
		first := notFound()
		first.Receipt.Log[2].Text = "8c1f: reference not found"
		d.want("created", 1, first, pushed())
		body := d.bots()[0].Body
		slower := with(notFound(), func(o *delivery.Outcome) {
			o.Took, o.Receipt.ID, o.Receipt.URL = time.Minute, "other", "https://dev.direktiv.example/other"
			f := *delivery.Explain(o.Err)
			f.Request = strings.ReplaceAll(f.Request, "8c1f", "other")
			o.Err = delivery.Permanent(&f)
			o.Receipt.Log = append(slices.Clone(o.Receipt.Log[:2]), delivery.LogLine{Level: "ERROR", Text: "other: reference not found"})
		})
		d.want("unchanged", 2, slower, pushed())
		if n := d.requests("PUT ", "DELETE "); n != 0 {
			t.Errorf("%s: got %d changes, want none", mode, n)
		}
		if got := d.shows("Sync failed"); got[0].Body != body {
			t.Errorf("%s: the note was changed", mode)
		}
	}
}

func TestN6AnOlderRunNeverOverwritesANewerOne(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"update", "new", "delete-and-new", "hide-and-new", "on-failure", "thread"} {
		d := newDesk(t, mode)
		d.want("created", 1002, notFound())
		d.want("overtaken", 1001, overdue())
		d.shows("reference not found")
		old := d.writer(1002, 1) // an earlier job of the same pipeline
		if action, _, err := old.Write(t.Context(), []delivery.Outcome{overdue()}, nil); err != nil || action != "overtaken" {
			t.Errorf("%s: got %q, %v, want overtaken", mode, action, err)
		}
		d.shows("reference not found")
	}
}

func TestAnOlderRunWithoutPipelineIsKnownByItsTime(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "")
	d.ev.Job = nil
	write := func(at time.Time) string {
		ev := d.ev
		ev.Pipeline, ev.At = nil, at
		action, _, err := report.NewNoteWriter(d.config, d.client(), ev, report.Options{}, time.Millisecond).
			Write(t.Context(), []delivery.Outcome{with(pushed(), func(o *delivery.Outcome) { o.Receipt.Result = at.String() })}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return action
	}
	got := []string{write(noon), write(noon.Add(-time.Second)), write(noon.Add(time.Second)), write(noon.Add(time.Second))}
	if fmt.Sprint(got) != "[created overtaken updated unchanged]" {
		t.Errorf("got %v, want created, overtaken, updated, unchanged", got)
	}
}

func TestN15NamesAndProjectsHaveNotesOfTheirOwn(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "")
	d.want("created", 1, pushed())
	d.config.Name = "staging"
	d.want("created", 1, notFound())
	d.ev.Project.ID = 43
	d.want("created", 1, skipped())
	d.want("updated", 2, pushed())
	d.shows("### Sync done", "### Sync (staging) failed", "### Sync (staging) done")
}

func TestN17ABodyIsNeverInTheQuery(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"update", "thread"} {
		d := newDesk(t, mode)
		d.want("created", 1, attacked())
		d.want(map[string]string{"update": "updated", "thread": "resolved"}[mode], 2, pushed())
		for _, r := range d.git.Requests("POST ", "PUT ") {
			if len(r.Query) != 0 {
				t.Errorf("%s %s: got the query %v, want none", r.Method, r.Path, r.Query)
			}
		}
	}
}

func TestN18ARenamedBotKeepsItsNote(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "")
	d.want("created", 1, notFound())
	d.git.AddUser(gitlabtest.User{ID: d.scene.Bot.ID, Username: "another-name", Bot: true}, "")
	d.want("updated", 2, pushed())
	d.shows("Sync done")
}

func TestWithoutAMergeRequestOrWithTheNoteOffNothingIsAsked(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "off")
	d.want("none", 1, notFound())
	d.config.Note, d.ev.MergeRequest = "", nil
	d.want("none", 1, notFound())
	if n := d.requests(); n != 0 {
		t.Errorf("got %d requests, want none", n)
	}
}
