package main

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

const paperWidth = 96

var (
	comment = regexp.MustCompile(`(?s)<!--.*?-->\n?`)
	tag     = regexp.MustCompile(`</?(sub|sup|summary|details|b|br|code)[^>]*>`)
	linked  = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
)

// render shows a note's Markdown much as a person sees it: no markup that GitLab
// hides, tables with their columns in line.
func render(markdown string) string {
	text := comment.ReplaceAllString(markdown, "")
	text = strings.ReplaceAll(text, "<summary>", "▸ ")
	text = tag.ReplaceAllString(text, "")
	text = linked.ReplaceAllString(text, "$1")
	text = strings.NewReplacer("### ", "", "**", "", `\`, "", "&nbsp;", " ").Replace(text)
	var out, table []string
	for _, l := range append(strings.Split(strings.TrimSpace(text), "\n"), "") {
		if strings.HasPrefix(l, "|") {
			table = append(table, strings.ReplaceAll(l, "`", ""))
			continue
		}
		out = append(out, align(table)...)
		table = nil
		if strings.HasPrefix(l, "```") {
			continue
		}
		if l != "" || len(out) > 0 && out[len(out)-1] != "" {
			out = append(out, wrap(strings.ReplaceAll(l, "`", ""))...)
		}
	}
	return strings.TrimRight(strings.Join(out, "\n"), "\n")
}

// align pads the cells of a table.
func align(rows []string) []string {
	var grid [][]string
	var width []int
	for _, r := range rows {
		if strings.Trim(r, "|-: ") == "" {
			continue
		}
		cols := strings.Split(strings.Trim(r, "|"), "|")
		for i := range cols {
			cols[i] = strings.TrimSpace(cols[i])
			if i == len(width) {
				width = append(width, 0)
			}
			width[i] = max(width[i], cells(cols[i]))
		}
		grid = append(grid, cols)
	}
	out := make([]string, len(grid))
	for n, cols := range grid {
		for i, c := range cols {
			out[n] += c + strings.Repeat(" ", width[i]-cells(c)+3)
		}
	}
	return out
}

// cells is how wide a terminal draws text: its emoji take two places, either by
// themselves or by the selector that follows them.
func cells(text string) int {
	n := 0
	for _, r := range text {
		n++
		if r >= 0x1F300 || r == '✅' || r == '❌' || r == '⏳' {
			n++
		}
	}
	return n
}

func wrap(l string) []string {
	var out []string
	for utf8.RuneCountInString(l) > paperWidth {
		r := []rune(l)
		at := strings.LastIndex(string(r[:paperWidth]), " ")
		if at <= 0 {
			break
		}
		out = append(out, l[:at])
		l = l[at+1:]
	}
	return append(out, l)
}

// frame draws a box around text.
func frame(text string) string {
	rule := strings.Repeat("─", paperWidth+2)
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		lines[i] = "   │ " + l + strings.Repeat(" ", max(0, paperWidth-cells(l))) + " │"
	}
	return "   ┌" + rule + "┐\n" + strings.Join(lines, "\n") + "\n   └" + rule + "┘"
}
