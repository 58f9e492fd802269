package report

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"gitlab.com/remora-ci/remora/component/delivery"
)

const (
	maxWarnings = 20 // of one target
	maxHints    = 3
	shortest    = 1000 // runes that must be left for one more section
)

// details are the sections of the targets that have something to say, those of
// failures first. When they grow too long, logs are left out, then sections; a
// line says so.
func details(outcomes []delivery.Outcome) []string {
	var parts []string
	left, lost := maxRunes, 0
	for _, bad := range []bool{true, false} {
		for _, o := range outcomes {
			if isBad(o) != bad {
				continue
			}
			if left < shortest {
				lost++
				continue
			}
			for _, part := range section(o) {
				size := utf8.RuneCountInString(part)
				if size > left {
					lost++
					continue
				}
				left -= size
				parts = append(parts, part)
			}
		}
	}
	if lost > 0 {
		parts = append(parts, "Not everything fits here; the log of the job has the rest.")
	}
	return parts
}

// isBad says whether an outcome needs its cause explained.
func isBad(o delivery.Outcome) bool {
	return (o.State == delivery.Failed || o.State == delivery.Retry) && !o.Canceled()
}

// section is what is said below the table about one target: a paragraph with a
// list, and the folded end of its log. Most have none.
func section(o delivery.Outcome) []string {
	var lines []string
	switch {
	case isBad(o):
		lines = fault(o)
	case len(o.Receipt.Warnings) > 0:
		lines = []string{fmt.Sprintf("**%s**: %s%s", inline(cut(oneLine(o.Target), 100)), cell(o.Summary()), warned(o))}
	default:
		return nil
	}
	for i, w := range o.Receipt.Warnings {
		if i == maxWarnings {
			lines = append(lines, fmt.Sprintf("- %d more warnings", len(o.Receipt.Warnings)-i))
			break
		}
		lines = append(lines, "- Warning: "+inline(w))
	}
	parts := []string{strings.Join(lines, "\n")}
	if log := logTail(o.Receipt.Log); log != "" {
		parts = append(parts, log)
	}
	return parts
}

// fault is cause, remedy and evidence, in this order.
func fault(o delivery.Outcome) []string {
	var f delivery.Fault
	if o.Err != nil {
		f = *delivery.Explain(o.Err)
	}
	cause := inline(f.Cause)
	if cause == "" {
		cause = inline(f.Summary)
	}
	if cause == "" {
		cause = "no cause was given"
	}
	lines := []string{"**" + inline(cut(oneLine(o.Target), 100)) + "**: " + cause}
	if remedy := inline(f.Remedy); remedy != "" {
		lines = append(lines, "- Try: "+remedy)
	}
	request := f.Request
	if request == "" {
		request = o.Receipt.Request
	}
	if request != "" {
		lines = append(lines, "- Request: "+code(cut(oneLine(request), 500)))
	}
	if o.Receipt.ID != "" && !strings.Contains(request, o.Receipt.ID) {
		lines = append(lines, "- Its id: "+code(cut(oneLine(o.Receipt.ID), 100)))
	}
	return lines
}

// hints are the problems of reporting itself, one line each.
func hints(problems []*delivery.Fault) []string {
	var lines []string
	seen := map[string]bool{}
	for _, p := range problems {
		if p == nil {
			continue
		}
		text := inline(p.Summary)
		if cause := inline(p.Cause); cause != "" && cause != text {
			text = strings.TrimPrefix(text+": "+cause, ": ")
		}
		if remedy := inline(p.Remedy); remedy != "" {
			text += ". Try: " + remedy
		}
		if text == "" || seen[text] {
			continue
		}
		seen[text] = true
		lines = append(lines, "ℹ️ Not everything could be reported: "+text)
	}
	if more := len(lines) - maxHints; more > 0 {
		lines = append(lines[:maxHints], fmt.Sprintf("ℹ️ %d more problems of reporting are in the log of the job.", more))
	}
	return lines
}
