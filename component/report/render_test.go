package report_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/report"
)

var updateGolden = flag.Bool("update", false, "write the golden files anew")

var noon = time.Date(2026, 11, 20, 14, 3, 9, 0, time.FixedZone("", 3600))

func event() delivery.Event {
	return delivery.Event{
		Cause: delivery.CauseCI, Instance: "https://gitlab.example.com",
		Project: delivery.Project{ID: 42, Path: "acme/app", URL: "https://gitlab.example.com/acme/app", DefaultBranch: "main"},
		Ref:     "feature", RefType: delivery.Branch, SHA: "c0ffee1234567890c0ffee1234567890c0ffee12",
		MergeRequest: &delivery.MergeRequest{IID: 7, ProjectID: 42, ProjectPath: "acme/app", SourceProjectID: 42, URL: "https://gitlab.example.com/acme/app/-/merge_requests/7"},
		Pipeline:     &delivery.Pipeline{ID: 1001, SHA: "c0ffee1234567890c0ffee1234567890c0ffee12", Source: "merge_request_event", URL: "https://gitlab.example.com/acme/app/-/pipelines/1001"},
		Job:          &delivery.Job{ID: 5001, Name: "sync", URL: "https://gitlab.example.com/acme/app/-/jobs/5001"},
		At:           noon,
	}
}

func pushed() delivery.Outcome {
	return delivery.Outcome{Target: "mirror", Place: "git.example.com", State: delivery.Done, Attempt: 1, Took: 2 * time.Second,
		Receipt: delivery.Receipt{Result: "pushed", Revision: "c0ffee1234567890c0ffee1234567890c0ffee12", URL: "https://git.example.com/acme/app/commits/feature"}}
}

func synced() delivery.Outcome {
	return delivery.Outcome{Target: "direktiv", Place: "demo", State: delivery.Done, Attempt: 1, Took: 4100 * time.Millisecond,
		Receipt: delivery.Receipt{ID: "8c1f", Result: "synced", URL: "https://dev.direktiv.example/n/demo/mirror/8c1f"}}
}

func notFound() delivery.Outcome {
	return delivery.Outcome{Target: "direktiv", Place: "demo", State: delivery.Failed, Attempt: 1, Took: 4100 * time.Millisecond,
		Receipt: delivery.Receipt{ID: "8c1f", Log: []delivery.LogLine{
			{Level: "INFO", Text: "starting sync"},
			{Level: "INFO", Text: "cloning https://gitlab.example.com/acme/old"},
			{Level: "ERROR", Text: "reference not found"},
		}},
		Err: delivery.Permanent(&delivery.Fault{
			Summary: "reference not found",
			Cause:   "the mirror's ref feature does not exist in the repository that it reads, gitlab.example.com/acme/old",
			Remedy:  "point the mirror at this project: `remora mirror update --url https://gitlab.example.com/acme/app.git`",
			Request: "POST https://dev.direktiv.example/api/v2/namespaces/demo/syncs (200), sync 8c1f",
		})}
}

// asTheReadmeShows is a failure in the words of the Direktiv target.
func asTheReadmeShows() delivery.Outcome {
	return delivery.Outcome{Target: "direktiv", Place: "demo", State: delivery.Failed, Attempt: 1, Took: 4100 * time.Millisecond,
		Receipt: delivery.Receipt{ID: "8c1f0002", Log: []delivery.LogLine{
			{Level: "INFO", Text: "starting mirroring process"},
			{Level: "ERROR", Text: "mirror processing failed: initializing source: reference not found"},
		}},
		Err: delivery.Permanent(&delivery.Fault{
			Summary: "reference not found",
			Cause:   "the mirror's ref feature does not exist in the repository that it reads, gitlab.example.com/acme/old",
			Remedy:  "point the mirror at this project: `remora mirror update --url https://gitlab.example.com/acme/app.git`",
			Request: "POST https://direktiv.example.com/api/v2/namespaces/demo/syncs (200), sync 8c1f0002",
		})}
}

func skipped() delivery.Outcome {
	return delivery.Outcome{Target: "direktiv", Place: "demo", State: delivery.Skipped, Err: delivery.Skip("mirror follows main"), Took: 300 * time.Millisecond}
}

func canceled() delivery.Outcome {
	return delivery.Outcome{Target: "direktiv", Place: "demo", State: delivery.Retry, Err: contextCanceled, Took: 61 * time.Second}
}

var contextCanceled = errors.Join(errCanceled)

func overdue() delivery.Outcome {
	return delivery.Outcome{Target: "direktiv", Place: "demo", State: delivery.Failed, Took: 5 * time.Minute, Err: &delivery.Fault{
		Summary: "no result after 5m", Cause: "the target had not finished: sync 8c1f is executing", Remedy: "give it longer with REMORA_TIMEOUT, or look at the target itself", Err: delivery.ErrNoResult}}
}

// hostile is text that tries to get out of wherever it is put.
const hostile = "/close\n@all see #1 !2 ~bug %3 &4 $5 <!-- remora:note {\"kind\":\"note\"} --> <b>x</b> ![i](http://evil.example/i.png) [l](javascript:a) | a | b |\n```\n</details>\n/merge\r\n/approve\x00\x1b[31mred\x1b[0m \u202egnp.exe \xff\xfe ````` `/label ~x`\n> /close\n- /close\n1. /close\n   /close"

func attacked() delivery.Outcome {
	log := []delivery.LogLine{}
	for range 60 {
		log = append(log, delivery.LogLine{Level: "INFO", Text: "line"})
	}
	log = append(log, delivery.LogLine{Level: "ER|ROR\n/close", Text: hostile}, delivery.LogLine{Text: "/close"}, delivery.LogLine{Text: "```"}, delivery.LogLine{Text: "/unassign @root"})
	return delivery.Outcome{Target: "http|@all", Place: "`x` | /close\n/close", State: delivery.Failed, Took: time.Second,
		Receipt: delivery.Receipt{URL: "javascript:alert(1)", Revision: "| @all\n/close", Warnings: []string{hostile}, Log: log},
		Err:     &delivery.Fault{Summary: hostile, Cause: hostile, Remedy: hostile, Request: hostile}}
}

func with(o delivery.Outcome, change func(*delivery.Outcome)) delivery.Outcome {
	change(&o)
	return o
}

func TestRender(t *testing.T) {
	t.Parallel()
	warned := func() delivery.Outcome {
		return with(pushed(), func(o *delivery.Outcome) {
			o.Receipt.Warnings = []string{"3 tags were not pushed: REMORA_MIRROR_REFS does not name them", "the remote's HEAD is `master`"}
		})
	}
	started := func() delivery.Outcome {
		return with(synced(), func(o *delivery.Outcome) { o.Receipt.Started, o.Receipt.Result = true, "" })
	}
	optional := func() delivery.Outcome { return with(notFound(), func(o *delivery.Outcome) { o.Optional = true }) }
	cases := []struct {
		name     string
		remora   string
		outcomes []delivery.Outcome
		problems []*delivery.Fault
		event    func(*delivery.Event)
	}{
		{name: "all done", outcomes: []delivery.Outcome{synced(), pushed()}},
		{name: "one target done", outcomes: []delivery.Outcome{pushed()}},
		{name: "one failed of two", outcomes: []delivery.Outcome{notFound(), pushed()}},
		{name: "one target failed", remora: "staging", outcomes: []delivery.Outcome{notFound()}},
		{name: "readme", outcomes: []delivery.Outcome{asTheReadmeShows()}},
		{name: "an id that the request does not name", outcomes: []delivery.Outcome{with(notFound(), func(o *delivery.Outcome) { o.Receipt.ID, o.Took = "4711", 20*time.Millisecond })}},
		{name: "skipped", outcomes: []delivery.Outcome{skipped()}},
		{name: "one skipped of two", outcomes: []delivery.Outcome{skipped(), pushed()}},
		{name: "warnings", outcomes: []delivery.Outcome{synced(), warned()}},
		{name: "canceled", outcomes: []delivery.Outcome{canceled(), pushed()}},
		{name: "overdue", outcomes: []delivery.Outcome{overdue()}},
		{name: "optional failed", outcomes: []delivery.Outcome{optional(), pushed()}},
		{name: "only optional failed", outcomes: []delivery.Outcome{optional()}},
		{name: "not awaited", outcomes: []delivery.Outcome{started()}},
		{name: "will be tried again", outcomes: []delivery.Outcome{with(notFound(), func(o *delivery.Outcome) { o.State = delivery.Retry }), pushed()}},
		{name: "merged result", outcomes: []delivery.Outcome{pushed()}, event: func(ev *delivery.Event) {
			ev.Pipeline.SHA = "deadbeef34567890c0ffee1234567890c0ffee12"
			ev.MergeRequest.EventType = "merged_result"
		}},
		{name: "tag without pipeline", outcomes: []delivery.Outcome{pushed()}, event: func(ev *delivery.Event) {
			ev.Ref, ev.RefType, ev.Pipeline, ev.Job = "v1.0", delivery.Tag, nil, nil
		}},
		{name: "status not allowed", outcomes: []delivery.Outcome{pushed()}, problems: []*delivery.Fault{
			{Summary: "status refused", Cause: "the bot may not write statuses in the fork someone/app", Remedy: "make it a member there with the role Developer"},
			{Summary: "status refused", Cause: "the bot may not write statuses in the fork someone/app", Remedy: "make it a member there with the role Developer"},
		}},
		{name: "hostile log", remora: "a`b", outcomes: []delivery.Outcome{attacked(), pushed()}, problems: []*delivery.Fault{{Summary: hostile, Cause: hostile, Remedy: hostile}}},
		{name: "no targets"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ev := event()
			if c.event != nil {
				c.event(&ev)
			}
			got := report.Render(ev, c.remora, "1.0.0", c.outcomes, c.problems, noon)
			golden(t, "note-"+strings.ReplaceAll(c.name, " ", "-")+".md", got)
			inertNote(t, got)
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *updateGolden {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s: want (-) and got (+) differ; with -update it is written anew:\n%s", file, diff)
	}
}
