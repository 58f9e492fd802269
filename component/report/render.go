package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
)

// Bounds of a note. GitLab takes 1,000,000 characters; nobody reads that many.
const (
	maxRows  = 200     // targets in the table
	maxRunes = 250_000 // of the parts below the table, together
)

// Render is the note about outcomes as GitLab Markdown, without the hidden marker:
// the verdict, one table of targets, then for each target with something to say
// its cause, remedy, evidence, warnings and the end of its log, then problems of
// reporting, then who wrote it. Nothing in it acts: text of targets is inert.
//
// name is REMORA_NAME; "sync" and "" are not shown. version is Remora's.
func Render(ev delivery.Event, name, version string, outcomes []delivery.Outcome, problems []*delivery.Fault, now time.Time) string {
	parts := append(body(ev, name, outcomes, problems), footer(ev, version, now))
	return strings.Join(parts, "\n\n") + "\n"
}

// facts are what [Render] shows without what differs each time that the same is
// found: the duration, the id and link of this run, and the last line. Two notes with
// the same facts are the same to a reader.
func facts(ev delivery.Event, name string, outcomes []delivery.Outcome, problems []*delivery.Fault) string {
	outcomes = slices.Clone(outcomes)
	for i := range outcomes {
		outcomes[i] = withoutRun(outcomes[i])
	}
	return strings.Join(body(ev, name, outcomes, problems), "\n\n")
}

// withoutRun is an outcome without what is of its run alone. The id of the run
// stands in the evidence and in the log too.
func withoutRun(o delivery.Outcome) delivery.Outcome {
	id := o.Receipt.ID
	o.Took, o.Receipt.URL, o.Receipt.ID = 0, "", ""
	if id == "" {
		return o
	}
	without := func(text string) string { return strings.ReplaceAll(text, id, "") }
	o.Receipt.Request, o.Receipt.Log = without(o.Receipt.Request), slices.Clone(o.Receipt.Log)
	for i := range o.Receipt.Log {
		o.Receipt.Log[i].Text = without(o.Receipt.Log[i].Text)
	}
	if isBad(o) && o.Err != nil {
		f := *delivery.Explain(o.Err)
		f.Request, f.Cause = without(f.Request), without(f.Cause)
		f.Err = o.Err
		o.Err = &f
	}
	return o
}

func body(ev delivery.Event, name string, outcomes []delivery.Outcome, problems []*delivery.Fault) []string {
	parts := []string{"### " + heading(ev, name, outcomes)}
	if len(outcomes) > 0 {
		parts = append(parts, table(outcomes))
	}
	parts = append(parts, details(outcomes)...)
	return append(parts, hints(problems)...)
}

func table(outcomes []delivery.Outcome) string {
	var b strings.Builder
	b.WriteString("| target | result | took | revision |\n|---|---|---|---|")
	for _, o := range outcomes[:min(len(outcomes), maxRows)] {
		fmt.Fprintf(&b, "\n| %s | %s | %s | %s |", target(o), result(o), took(o.Took), revision(o.Receipt))
	}
	if more := len(outcomes) - maxRows; more > 0 {
		fmt.Fprintf(&b, "\n\n%d more targets are not shown.", more)
	}
	return b.String()
}

// target is a target's name and place, safe in a cell.
func target(o delivery.Outcome) string {
	text := cell(o.Target)
	if o.Place != "" {
		text += " " + code(noPipe(cut(oneLine(o.Place), 100)))
	}
	return text
}

// result says with a symbol and, for those who cannot see it, a word what
// happened.
func result(o delivery.Outcome) string {
	summary := cell(o.Summary())
	if summary == "" {
		summary = string(o.State)
	}
	optional := ""
	if o.Optional {
		optional = " (optional)"
	}
	switch {
	case o.Canceled():
		return "🚫 canceled" + optional
	case o.State == delivery.Skipped && o.Err != nil:
		return "⏭️ skipped: " + summary
	case o.State == delivery.Skipped:
		return "⏭️ skipped"
	case o.State == delivery.Retry:
		return "❌ " + summary + ", will be tried again" + optional
	case o.State != delivery.Done:
		return "❌ " + summary + optional
	case o.Receipt.Started:
		return "⏳ " + summary + warned(o)
	case len(o.Receipt.Warnings) > 0:
		return "⚠️ " + summary + warned(o)
	}
	return "✅ " + summary
}

func warned(o delivery.Outcome) string {
	switch n := len(o.Receipt.Warnings); n {
	case 0:
		return ""
	case 1:
		return ", 1 warning"
	default:
		return fmt.Sprintf(", %d warnings", n)
	}
}

// took is a duration as people say it, to the second, or to the tenth of one if
// it is short.
func took(d time.Duration) string {
	switch {
	case d <= 0:
		return "–"
	case d < 50*time.Millisecond:
		return "under 0.1 s"
	case d < 950*time.Millisecond:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 59500*time.Millisecond:
		return fmt.Sprintf("%.0f s", d.Seconds())
	}
	d = d.Round(time.Second)
	if d < time.Hour {
		return strings.TrimSuffix(fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second), " 0 s")
	}
	return strings.TrimSuffix(fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute), " 0 min")
}

// revision is where the target says it is, leading to its page if there is one.
func revision(r delivery.Receipt) string {
	label := "–"
	if r.Revision != "" {
		text := oneLine(r.Revision)
		if len(text) == 40 || len(text) == 64 {
			text = delivery.ShortSHA(text)
		}
		label = code(noPipe(cut(text, 40)))
	}
	if r.URL == "" {
		return label
	}
	if r.Revision == "" {
		label = "open"
	}
	linked := linkTo(label, r.URL)
	if linked == "open" {
		return "–"
	}
	return linked
}

// footer says who wrote this, when and where.
func footer(ev delivery.Event, version string, now time.Time) string {
	var parts []string
	if p := ev.Pipeline; p != nil && p.ID != 0 {
		text := linkTo(fmt.Sprintf("pipeline %d", p.ID), p.URL)
		if p.SHA != "" && p.SHA != ev.SHA {
			text += " on the merged result " + code(delivery.ShortSHA(p.SHA))
		}
		parts = append(parts, text)
	}
	if j := ev.Job; j != nil && j.ID != 0 {
		if job := linkTo("job", j.URL); job != "job" {
			parts = append(parts, job)
		}
	}
	remora := "Remora"
	if version != "" {
		remora += " " + inline(version)
	}
	parts = append(parts, now.UTC().Format("2006-01-02 15:04")+" UTC", remora)
	return "<sub>" + strings.Join(parts, " · ") + "</sub>"
}
