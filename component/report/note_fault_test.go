package report_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

// refused expects one fault that names all of want, and is permanent or not.
func (d *desk) refused(err error, permanent bool, want ...string) {
	d.Helper()
	var f *delivery.Fault
	if !errors.As(err, &f) {
		d.Fatalf("got error %v, want a fault", err)
	}
	if got := delivery.StateOf(err) == delivery.Failed; got != permanent {
		d.Errorf("got permanent %v, want %v: %v", got, permanent, err)
	}
	text := strings.Join([]string{f.Summary, f.Cause, f.Remedy, f.Request}, "\n")
	for _, w := range want {
		if !strings.Contains(text, w) {
			d.Errorf("got the fault\n%s\nwant it to say %q", text, w)
		}
	}
	if strings.Contains(text+err.Error(), d.scene.Token) {
		d.Errorf("the token is in the fault: %s", text)
	}
}

func TestN10AtTheCapOfNotesThereIsOneProblem(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"update", "thread"} {
		d := newDesk(t, mode)
		d.git.LimitNotesPerMergeRequest(0)
		_, err := d.run(1, notFound())
		d.refused(err, true, "note limit reached", "REMORA_NOTE=update", "(400)")
		if n := d.requests("POST "); n != 1 {
			t.Errorf("%s: got %d posts, want 1", mode, n)
		}
	}
}

func TestN11ARefusalIsOneProblemAndNoRetry(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name   string
		change func(*desk)
		want   []string
	}{
		{"locked", func(d *desk) {
			d.git.AddMember(42, d.scene.Bot.ID, gitlabtest.Reporter)
			d.git.ChangeMergeRequest(42, 7, func(m *gitlabtest.MergeRequest) { m.Locked = true })
			d.git.Fail("POST /notes", gitlabtest.Answer{Code: 403, Body: `{"message":"403 Forbidden"}`})
		}, []string{"discussion locked", "unlock it", "Developer"}},
		{"merged", func(d *desk) {
			d.git.ChangeMergeRequest(42, 7, func(m *gitlabtest.MergeRequest) { m.State = "merged" })
			d.git.Fail("POST /notes", gitlabtest.Answer{Code: 403, Body: `{"message":"403 Forbidden"}`})
		}, []string{"note refused", "which is merged"}},
		{"archived", func(d *desk) { d.git.Archive(42) }, []string{"note refused", "archived", "REMORA_GITLAB_TOKEN"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, "")
			c.change(d)
			action, err := d.run(1, notFound())
			d.refused(err, true, append(c.want, "(403)")...)
			if n := d.requests("POST "); n != 1 || action != "none" {
				t.Errorf("got %d posts and %q, want 1 and none", n, action)
			}
		})
	}
}

func TestN14WhenTheNotesCannotBeListedNothingIsWritten(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"update", "new", "on-failure", "thread"} {
		for _, answer := range []gitlabtest.Answer{{Code: 500}, {Code: 403, Body: `{"message":"403 Forbidden"}`}, {Code: 200, Body: `[{"id":1,`}, {Code: 200, Body: "<html>"}, {Drop: true}, {Code: 429, Body: "Retry later"}} {
			d := newDesk(t, mode)
			for i := range 200 { // the fault is on the second page
				d.git.AddNote(42, 7, gitlabtest.Note{AuthorID: d.scene.Person.ID, Body: fmt.Sprint("word ", i)})
			}
			what := map[bool]string{true: "/discussions", false: "/notes"}[mode == "thread"]
			d.git.Fail("GET "+what, gitlabtest.Answer{}, answer, answer, answer, answer, answer)
			if action, err := d.run(1, notFound()); err == nil || action != "none" {
				t.Errorf("%s, %+v: got %q and error %v, want none and an error", mode, answer, action, err)
			}
			if n := d.requests("POST ", "PUT ", "DELETE "); n != 0 {
				t.Errorf("%s, %+v: got %d writes, want none", mode, answer, n)
			}
		}
	}
}

func TestALostAnswerMakesNoDuplicate(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"update", "new", "thread"} {
		for _, c := range []struct {
			name    string
			answers []gitlabtest.Answer
			posts   int
		}{
			{"502 after it was written", []gitlabtest.Answer{{Code: 502, After: true}}, 1},
			{"502 before", []gitlabtest.Answer{{Code: 502}}, 2},
			{"cut off after it was written", []gitlabtest.Answer{{Drop: true, After: true}}, 1},
			{"cut off before", []gitlabtest.Answer{{Drop: true}}, 2},
			{"twice 502, written the second time", []gitlabtest.Answer{{Code: 502}, {Code: 502, After: true}}, 2},
		} {
			d := newDesk(t, mode)
			d.git.Fail("POST ", c.answers...)
			d.want("created", 1, notFound())
			d.shows("Sync failed")
			if n := d.requests("POST "); n != c.posts {
				t.Errorf("%s, %s: got %d posts, want %d", mode, c.name, n, c.posts)
			}
		}
	}
}

func TestAnEarlierNoteIsNotTakenForTheOneThatWasLost(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "new")
	d.want("created", 1, notFound())
	d.git.Fail("POST ", gitlabtest.Answer{Code: 502})
	d.want("created", 2, pushed())
	d.shows("Sync failed", "Sync done")
}

func TestAGitLabThatStaysDownIsGivenUp(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "")
	d.git.Fail("POST ", gitlabtest.Answer{Code: 502}, gitlabtest.Answer{Code: 502}, gitlabtest.Answer{Code: 502}, gitlabtest.Answer{Code: 502})
	action, err := d.run(1, notFound())
	d.refused(err, false, "(502)")
	if n := d.requests("POST "); n != 3 || action != "none" {
		t.Errorf("got %d posts and %q, want 3 and none", n, action)
	}
}

func TestALimitOfNotesIsWaitedForThenAProblem(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "")
	tries := 0
	d.git.LimitNotes(0)
	d.git.Before(func(r gitlabtest.Request) {
		if r.Method == "POST" {
			if tries++; tries == 6 {
				d.git.LimitNotes(-1)
			}
		}
	})
	d.want("created", 1, notFound())
	d.shows("Sync failed")

	d.git.LimitNotes(0)
	d.config.Name = "other"
	_, err := d.run(1, notFound())
	d.refused(err, false, "too many notes", "(429)")
	d.shows("Sync failed")

	long := newDesk(t, "")
	hour := gitlabtest.Answer{Code: 429, Header: map[string]string{"Retry-After": "3600"}}
	long.git.Fail("POST ", hour, hour)
	_, err = long.run(1, notFound())
	long.refused(err, false, "too many notes")
	if n := long.requests("POST "); n != 1 {
		t.Errorf("got %d posts, want 1: an hour is not waited for", n)
	}
}

func TestBadTokensAreNamed(t *testing.T) {
	t.Parallel()
	for kind, want := range map[gitlabtest.Kind]string{gitlabtest.Expired: "token refused", gitlabtest.ReadAPI: "note refused"} {
		d := newDesk(t, "")
		d.git.AddToken(d.scene.Bot.ID, "glpat-another-0123456789", kind)
		d.scene.Token = "glpat-another-0123456789"
		_, err := d.run(1, notFound())
		d.refused(err, true, want, "REMORA_GITLAB_TOKEN")
	}
}

func TestACanceledWriteStopsAndLeaksNothing(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "")
	ctx, cancel := context.WithCancel(t.Context())
	d.git.Before(func(r gitlabtest.Request) {
		if r.Method == "POST" {
			cancel()
		}
	})
	_, _, err := d.writer(1, 1).Write(ctx, []delivery.Outcome{notFound()}, nil)
	if err == nil || strings.Contains(err.Error(), d.scene.Token) {
		t.Errorf("got error %v, want one without the token", err)
	}
	d.git.Before(nil)
	if _, err := d.run(1, notFound()); err != nil {
		t.Fatal(err)
	}
	d.shows("Sync failed")
}
