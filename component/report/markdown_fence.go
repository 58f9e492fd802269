package report

import (
	"fmt"
	"strings"

	"gitlab.com/remora-ci/remora/component/delivery"
)

const (
	maxLogLines = 50
	maxLogBytes = 8 << 10
	maxLogLine  = 500 // runes
)

// fence is lines as a code block that nothing in them can end: it starts at the
// first column and is longer than any run of its character. The reader of quick
// actions in older GitLabs takes only blocks of exactly three backticks for code,
// so a line that could be a quick action, or our own marker, is moved by a space.
func fence(lines []string, language string) string {
	ticks := 3
	for _, l := range lines {
		ticks = max(ticks, longestRun(l, '`')+1)
	}
	var b strings.Builder
	b.WriteString(strings.Repeat("`", ticks) + language + "\n")
	for _, l := range lines {
		if strings.HasPrefix(l, "/") || strings.HasPrefix(l, "<!--") {
			b.WriteByte(' ')
		}
		b.WriteString(l + "\n")
	}
	b.WriteString(strings.Repeat("`", ticks))
	return b.String()
}

// folded is Markdown behind a line to click on. The empty lines make GitLab read
// what is between as Markdown; summary must be safe already.
func folded(summary, markdown string) string {
	return "<details><summary>" + summary + "</summary>\n\n" + markdown + "\n\n</details>"
}

// logTail is the end of a log, folded; empty if there is none.
func logTail(log []delivery.LogLine) string {
	lines := logLines(log)
	if len(lines) == 0 {
		return ""
	}
	kept := tail(lines)
	summary := "Last lines of its log"
	if len(kept) < len(lines) {
		summary = fmt.Sprintf("Last %d of %d lines of its log", len(kept), len(lines))
	}
	return folded(summary, fence(kept, "text"))
}

// logLines cleans a log. One entry of many lines becomes many lines, of which
// the first carries the level.
func logLines(log []delivery.LogLine) []string {
	var lines []string
	for _, entry := range log[max(0, len(log)-10*maxLogLines):] {
		text := strings.TrimRight(clean(entry.Text[max(0, len(entry.Text)-4*maxLogBytes):]), " \t\n")
		if text == "" {
			continue
		}
		if level := oneLine(entry.Level); level != "" {
			text = fmt.Sprintf("%-5s %s", cut(level, 8), text)
		}
		for l := range strings.SplitSeq(text, "\n") {
			lines = append(lines, cut(l, maxLogLine))
		}
	}
	return lines
}

// tail is the last lines that fit.
func tail(lines []string) []string {
	size, from := 0, len(lines)
	for from > 0 && len(lines)-from < maxLogLines {
		if size += len(lines[from-1]) + 1; size > maxLogBytes {
			break
		}
		from--
	}
	return lines[from:]
}
