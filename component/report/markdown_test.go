package report_test

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/report"
)

var errCanceled = context.Canceled

// prose is a note without its code: what GitLab reads for references, HTML and
// quick actions. It fails the test if a block of code is not closed.
func prose(t *testing.T, note string) string {
	t.Helper()
	var out []string
	fence := ""
	for l := range strings.SplitSeq(note, "\n") {
		ticks := l[:len(l)-len(strings.TrimLeft(l, "`"))]
		switch {
		case fence != "" && l == ticks && len(ticks) >= len(fence):
			fence = ""
		case fence != "":
			if strings.HasPrefix(l, "/") {
				t.Errorf("a line of code begins with a slash: %q", l)
			}
			if strings.HasPrefix(l, "<!--") {
				t.Errorf("a line of code could be taken for a marker: %q", l)
			}
		case len(ticks) >= 3:
			fence = ticks
		default:
			out = append(out, withoutSpans(l))
		}
	}
	if fence != "" {
		t.Errorf("a block of code is not closed in:\n%s", note)
	}
	return strings.Join(out, "\n")
}

// withoutSpans takes the code spans out of a line, as CommonMark finds them.
func withoutSpans(line string) string {
	var out strings.Builder
	for i := 0; i < len(line); {
		if line[i] != '`' {
			out.WriteByte(line[i])
			i++
			continue
		}
		n := len(line[i:]) - len(strings.TrimLeft(line[i:], "`"))
		end := closing(line[i+n:], n)
		if end < 0 {
			out.WriteString(line[i : i+n])
			i += n
			continue
		}
		out.WriteByte(' ')
		i += n + end + n
	}
	return out.String()
}

func closing(text string, n int) int {
	for i := 0; i < len(text); {
		run := len(text[i:]) - len(strings.TrimLeft(text[i:], "`"))
		if run == n {
			return i
		}
		i += max(run, 1)
	}
	return -1
}

var (
	actions    = regexp.MustCompile(`(?m)^(?:[ \t>]|[-*+]|\d{1,9}[.)])*/`)
	references = regexp.MustCompile(`(?:[@~%$^]|[^&]#)[\pL\pN_"]|![\pL\pN\[]|&(?:\pN|#)|<!--|\[\[`)
	html       = regexp.MustCompile(`</?[A-Za-z!?][^>]*>?`)
	ourLinks   = regexp.MustCompile(`\[[^\]]*\]\(https?://[^\s()]*\)`)
)

// inertNote checks a note that [report.Render] made.
func inertNote(t *testing.T, note string) {
	t.Helper()
	if !utf8.ValidString(note) || strings.ContainsFunc(note, func(r rune) bool { return r != '\n' && r != '\t' && unicode.IsControl(r) }) {
		t.Errorf("not clean text:\n%q", note)
	}
	if n := utf8.RuneCountInString(note); n >= 1_000_000 {
		t.Errorf("got %d runes, want fewer than 1,000,000", n)
	}
	text := prose(t, note)
	if a := actions.FindString(text); a != "" {
		t.Errorf("quick action %q in:\n%s", a, text)
	}
	depth := 0
	for _, tag := range html.FindAllString(text, -1) {
		switch tag {
		case "<details>":
			depth++
		case "</details>":
			depth--
		case "<summary>", "</summary>", "<sub>", "</sub>":
		default:
			t.Errorf("HTML that is not ours: %q in:\n%s", tag, text)
		}
		if depth < 0 || depth > 2 { // a folded note has a folded log in it
			t.Errorf("details are not balanced in:\n%s", text)
		}
	}
	if depth != 0 {
		t.Errorf("details are not closed in:\n%s", text)
	}
	bare := ourLinks.ReplaceAllString(text, "")
	if r := references.FindString(bare); r != "" {
		t.Errorf("reference %q in:\n%s", r, bare)
	}
	if strings.Contains(bare, "](") || strings.Contains(bare, "://") || strings.Contains(bare, "www.") {
		t.Errorf("a link that is not ours in:\n%s", bare)
	}
	for l := range strings.SplitSeq(text, "\n") {
		if strings.HasPrefix(l, "|") && strings.Count(l, "|") != 5 {
			t.Errorf("a row has not four cells: %q", l)
		}
	}
}

func FuzzRender(f *testing.F) {
	f.Add(hostile, hostile, "https://x.example/a(b)|c`d")
	f.Add("a `b` c", "x``y`z", "http://h/<b>")
	f.Add("`", "\\|", "https://user:pw@h/")
	f.Add("www.evil.example @a", "GL-1 c0ffee1 :+1: a_b *c* [d]", "https://gitlab.example.com/a/-/issues/1")
	f.Add("``` ", "~~~\n/close\n~~~", "//x")
	f.Fuzz(func(t *testing.T, a, b, address string) {
		bad := delivery.Outcome{Target: a, Place: b, State: delivery.Failed, Err: &delivery.Fault{Summary: a, Cause: b, Remedy: a, Request: b},
			Receipt: delivery.Receipt{URL: address, ID: b, Revision: a, Warnings: []string{a, b}, Log: []delivery.LogLine{{Level: b, Text: a}, {Level: a, Text: b}, {Text: a + "\n" + b}}}}
		good := delivery.Outcome{Target: b, Place: a, State: delivery.Done, Receipt: delivery.Receipt{Result: a, Revision: b, URL: address, Warnings: []string{b}}}
		skip := delivery.Outcome{Target: "t", State: delivery.Skipped, Err: delivery.Skip(b)}
		ev := event()
		ev.Ref, ev.SHA, ev.Pipeline.URL, ev.Job.URL = a, b, address, address
		problems := []*delivery.Fault{{Summary: a, Cause: b, Remedy: a}, nil, {Summary: b}}
		inertNote(t, report.Render(ev, b, a, []delivery.Outcome{bad, good, skip}, problems, noon))
		inertNote(t, report.Render(ev, a, b, []delivery.Outcome{bad}, nil, noon))
		inertNote(t, report.Render(ev, a, b, []delivery.Outcome{good}, nil, noon))
	})
}
