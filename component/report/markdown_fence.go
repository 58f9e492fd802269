package report

import (
	"fmt"
	"slices"
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
	lines := lastLines(log)
	if len(lines) == 0 {
		return ""
	}
	return folded("Last lines of its log", fence(lines, "text"))
}

// lastLines are the clean lines at the end of a log that fit. One entry of many
// lines becomes many lines, of which the first carries the level. The log is read
// from its end, for it may be long.
func lastLines(log []delivery.LogLine) (lines []string) {
	defer func() { slices.Reverse(lines) }()
	size := 0
	for _, entry := range slices.Backward(log) {
		for _, l := range slices.Backward(linesOf(entry)) {
			if size += len(l) + 1; len(lines) == maxLogLines || size > maxLogBytes {
				return lines
			}
			lines = append(lines, l)
		}
	}
	return lines
}

func linesOf(entry delivery.LogLine) []string {
	text := strings.TrimRight(clean(entry.Text[max(0, len(entry.Text)-2*maxLogBytes):]), " \t\n")
	if text == "" {
		return nil
	}
	if level := oneLine(entry.Level); level != "" {
		text = fmt.Sprintf("%-5s %s", cut(level, 8), text)
	}
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = cut(lines[i], maxLogLine)
	}
	return lines
}
