package report_test

import (
	"strings"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/report"
)

// Every bound at once: many targets, each with the longest of everything.
func TestALongNoteStaysWithinBoundsAndReadable(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("/close @all ``` |\n", 4000)
	var outcomes []delivery.Outcome
	for range 300 {
		o := delivery.Outcome{Target: long, Place: long, State: delivery.Failed, Err: &delivery.Fault{Summary: long, Cause: long, Remedy: long, Request: long}}
		for range 30 {
			o.Receipt.Warnings = append(o.Receipt.Warnings, long)
			o.Receipt.Log = append(o.Receipt.Log, delivery.LogLine{Text: long})
		}
		outcomes = append(outcomes, o)
	}
	start := time.Now()
	note := report.Render(event(), "sync", "1", outcomes, nil, noon)
	t.Logf("%d bytes in %v", len(note), time.Since(start))
	inertNote(t, note)
	t.Logf("checked after %v", time.Since(start))
	for _, want := range []string{"100 more targets are not shown.", "Not everything fits here; the log of the job has the rest.", "10 more warnings", "Remora 1</sub>"} {
		if !strings.Contains(note, want) {
			t.Errorf("want %q in the note", want)
		}
	}
	if len(note) > 700_000 {
		t.Errorf("got %d bytes, want a note well below GitLab's limit", len(note))
	}
}
