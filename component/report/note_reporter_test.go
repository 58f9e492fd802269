package report_test

import (
	"strings"
	"testing"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
	"gitlab.com/remora-ci/remora/component/report"
)

func TestTheReporterWritesTheNoteLastWithWhatCouldNotBeShown(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "")
	d.ev.Pipeline.SHA = d.scene.SHA
	refusal := gitlabtest.Answer{Code: 403, Body: `{"message":"403 Forbidden"}`}
	d.git.Fail("POST /statuses/", refusal, refusal, refusal, refusal)
	r, err := report.New(d.config, d.client(), d.ev, report.Options{Version: "1.0.0"})
	if err != nil {
		t.Fatal(err)
	}
	r.Open(t.Context(), []string{"direktiv", "mirror"})
	got := r.Close(t.Context(), []delivery.Outcome{notFound(), pushed()})
	if got.Note != "created" || !strings.HasPrefix(got.NoteURL, "https://gitlab.example.com/acme/app/-/merge_requests/7#note_") {
		t.Errorf("got %+v, want a note created", got)
	}
	body := d.shows("### Sync failed: 1 of 2 targets")[0].Body
	if len(got.Problems) == 0 || !strings.Contains(body, "ℹ️ Not everything could be reported:") {
		t.Errorf("got the problems %v and the note\n%s\nwant them in the note", got.Problems, body)
	}
	last := d.git.Requests("POST ")
	if p := last[len(last)-1].Path; !strings.HasSuffix(p, "/notes") {
		t.Errorf("got %s as the last post, want the note", p)
	}
}

func TestAnyJobMayHaveANoteByTheBot(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "")
	d.ev.Pipeline.SHA = d.scene.SHA
	for i, want := range []string{"created", "unchanged"} {
		got := report.Post(t.Context(), d.config, d.client(), d.ev, report.Options{}, report.Single{
			Name: "build", State: "failed", Description: "2 of 9 failed", NoteText: "**2** of 9 failed\n/close"})
		if got.Note != want || len(got.Problems) != 0 {
			t.Errorf("post %d: got %+v, want %s", i, got, want)
		}
	}
	d.shows("**2** of 9 failed\n\u200b/close")
}
