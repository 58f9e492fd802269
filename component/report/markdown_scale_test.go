package report_test

import (
	"fmt"
	"strings"
	"testing"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/report"
)

// Every bound at once: many targets, each with the longest of everything.
func TestN7ALongNoteStaysWithinBoundsAndReadable(t *testing.T) {
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
	note := report.Render(event(), "sync", "1", outcomes, nil, noon)
	inertNote(t, note)
	for _, want := range []string{"100 more targets are not shown.", "Not everything fits here; the log of the job has the rest.", "10 more warnings", "Remora 1</sub>"} {
		if !strings.Contains(note, want) {
			t.Errorf("want %q in the note", want)
		}
	}
	if len(note) > 700_000 {
		t.Errorf("got %d bytes, want a note well below GitLab's limit", len(note))
	}
}

func TestALogInANoteIsItsTail(t *testing.T) {
	t.Parallel()
	render := func(log ...delivery.LogLine) string {
		o := with(notFound(), func(o *delivery.Outcome) { o.Receipt.Log = log })
		note := report.Render(event(), "", "1", []delivery.Outcome{o}, nil, noon)
		_, block, _ := strings.Cut(note, "```text\n")
		block, _, _ = strings.Cut(block, "```")
		return block
	}
	var many []delivery.LogLine
	for i := range 200 {
		many = append(many, delivery.LogLine{Level: "INFO", Text: fmt.Sprint("line ", i)})
	}
	if got := render(many...); strings.Count(got, "\n") != 50 || !strings.HasPrefix(got, "INFO  line 150\n") || !strings.HasSuffix(got, "INFO  line 199\n") {
		t.Errorf("got\n%s\nwant the last 50 lines", got)
	}
	long := strings.Repeat("x", 400) + "\n"
	if got := render(delivery.LogLine{Text: strings.Repeat(long, 60) + "the end"}); len(got) > 8<<10 || !strings.HasSuffix(got, "the end\n") {
		t.Errorf("got %d bytes, want at most 8 KiB that end with the end", len(got))
	}
	if got := render(delivery.LogLine{Text: strings.Repeat("é", 2000)}); got != strings.Repeat("é", 499)+"…\n" {
		t.Errorf("got %q, want one line of 500 characters", got)
	}
	if got := render(delivery.LogLine{Text: " \n"}, delivery.LogLine{}); got != "" {
		t.Errorf("got %q, want no block for an empty log", got)
	}
}
