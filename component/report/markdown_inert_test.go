package report_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/report"
)

func TestSomebodysMarkdownKeepsItsLookAndDoesNothing(t *testing.T) {
	t.Parallel()
	const z = "\u200b"
	for name, c := range map[string]struct{ in, want string }{
		"ordinary Markdown stays":        {"# Title\n\n- a **b** [c](https://h.example/a?b=1&c=2#d)\n\n| a | b |\n|---|---|\n| 1 | `x` |", "# Title\n\n- a **b** [c](https://h.example/a?b=1&c=2#d)\n\n| a | b |\n|---|---|\n| 1 | `x` |"},
		"quick actions":                  {"/close\n> /close\n- [ ] /merge\n1. /x\n  /y", z + "/close\n> " + z + "/close\n- [ ] " + z + "/merge\n1. " + z + "/x\n  " + z + "/y"},
		"a path in a line stays":         {"see /usr/bin", "see /usr/bin"},
		"mentions and references":        {"@all #1 !2 ~bug %\"m\" &3 $4 a@b #hash # not", "@" + z + "all #" + z + "1 !" + z + "2 ~" + z + "bug %" + z + "\"m\" &" + z + "3 $" + z + "4 a@" + z + "b #" + z + "hash # not"},
		"entities that would be one":     {"&#64;all &commat;all", "&" + z + "#" + z + "64;all &" + z + "commat;all"},
		"an address with a mention":      {"https://h.example/@all", "https://h.example/%40all"},
		"an address that is none":        {"https://@all x@https://h.example", "https://@" + z + "all x@" + z + "https://h.example"},
		"images become links":            {"![i](https://h.example/i.png)", "!" + z + "[i](https://h.example/i.png)"},
		"HTML is shown, details work":    {"<b>x</b> <details><summary>s</summary>", "<" + z + "b>x<" + z + "/b> <details><summary>s</summary>\n\n</details>"},
		"comments and markers":           {"<!-- remora:note {} -->", "<" + z + "!-- remora:note {} -->"},
		"a quick action after a tag":     {"<br>/close", "<br>" + z + "/close"},
		"a closing tag alone":            {"a</details>", "a<" + z + "/details>"},
		"a fence is written anew":        {"a\n```go\n/close\n@all\n```\nb", "a\n\n```go\n /close\n@all\n```\n\nb"},
		"an open fence is closed":        {"~~~\n/close", "```\n /close\n```"},
		"a fence in a fence":             {"````\n```\n/close\n````\n/close", "````\n```\n /close\n````\n\n" + z + "/close"},
		"an indented fence comes out":    {"- a\n  ```\n  /close\n  ```\n/close", "- a\n\n```\n /close\n```\n\n" + z + "/close"},
		"a fence in a quote is no fence": {"> ```\n/close", "> ```\n" + z + "/close"},
		"ticks with ticks are no fence":  {"``` a`b\n/close", "``` a`b\n" + z + "/close"},
		"clean bytes":                    {"a\x00b\x1b[31mc\r\nd\xff\u202e", "ab" + "c\nd\uFFFD"},
	} {
		if got := report.Inert(c.in); got != c.want {
			t.Errorf("%s:\ngot  %q\nwant %q", name, got, c.want)
		}
	}
}

var live = regexp.MustCompile(`(?m)(?:[@~%$^]|&|[#!])[\pL\pN_]|&#|!\[|<[A-Za-z/!?]`)

func FuzzInert(f *testing.F) {
	for _, s := range []string{hostile, "a\n```\n/close", "~~~ x`y\n/close\n~~~\n/close", "<details>\n```\n/close\n```\n", "https://x/@all <https://y> http://z/#1",
		"- a\n    ```\n  ```\n/close", "`\n@all`", "```\n/a\n````\n/b", "<summary></details>", "@\u200ball @https://a.b", "&&#64;", "1. - > * /close", "\\@all \\<b>", "- [x] /close"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, markdown string) {
		got := report.Inert(markdown)
		if !utf8.ValidString(got) || utf8.RuneCountInString(got) > 900_000 {
			t.Fatalf("not valid or too long: %d bytes", len(got))
		}
		text := outsideFences(t, got)
		if a := actions.FindString(text); a != "" {
			t.Errorf("quick action %q in:\n%q", a, text)
		}
		if strings.Count(text, "<details>") != strings.Count(text, "</details>") {
			t.Errorf("details are not balanced in:\n%q", text)
		}
		for _, allowed := range []string{"<details>", "</details>", "<summary>", "</summary>", "<sub>", "</sub>", "<sup>", "</sup>", "<kbd>", "</kbd>", "<br>"} {
			text = strings.ReplaceAll(text, allowed, " ")
		}
		text = addresses.ReplaceAllString(text, " ")
		if r := live.FindString(text); r != "" {
			t.Errorf("%q acts in:\n%q", r, text)
		}
	})
}

var addresses = regexp.MustCompile(`\bhttps?://[A-Za-z0-9][^\s<>"'` + "`" + `()\[\]|\\^{}*_@!~$]*`)

// outsideFences is a text without its blocks of code, which must begin at the
// first column after an empty line and be closed.
func outsideFences(t *testing.T, text string) string {
	t.Helper()
	var out []string
	fence, before := "", ""
	for l := range strings.SplitSeq(text, "\n") {
		ticks := l[:len(l)-len(strings.TrimLeft(l, "`"))]
		switch {
		case fence != "" && l == ticks && len(l) >= len(fence):
			fence = ""
		case fence != "":
			if strings.HasPrefix(l, "/") || strings.HasPrefix(l, "<!--") {
				t.Errorf("a line of code could act: %q", l)
			}
		case len(ticks) >= 3 && !strings.Contains(l[len(ticks):], "`"):
			fence = ticks
			if before != "" {
				t.Errorf("no empty line before a block of code in:\n%q", text)
			}
		default:
			out = append(out, l)
		}
		before = l
	}
	if fence != "" {
		t.Errorf("a block of code is not closed in:\n%q", text)
	}
	return strings.Join(out, "\n")
}

func TestSomebodysNoteIsOfItsOwnAndFollowsTheRules(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "")
	d.want("created", 1, notFound())
	say := func(pipeline int64, key, text string) string {
		t.Helper()
		action, _, err := d.writer(pipeline, pipeline).WriteText(t.Context(), key, text, false)
		if err != nil {
			t.Fatal(err)
		}
		return action
	}
	got := []string{say(1, "build", "**built** by @all\n"+hostile), say(2, "build", "**built** by @all\n"+hostile), say(3, "build", "*broken*"), say(2, "build", "old"), say(1, "sync", "a"), say(1, "", "a")}
	if want := "[created unchanged updated overtaken created unchanged]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
	d.shows("Sync failed", "*broken*\n\n<sub>[pipeline 3]", "a\n\n<sub>")

	long := strings.Repeat("k", 5000)
	if a, b := say(1, long, "a"), say(2, long, "b"); a != "created" || b != "updated" {
		t.Errorf("a long key: got %q, %q, want created, updated", a, b)
	}
	_, _, err := d.writer(1, 1).WriteText(t.Context(), "build", " \n\x00", false)
	d.refused(err, true, "empty note", "--note-file")
}

func TestSomebodysNoteInAThread(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "thread")
	d.want("created", 1, notFound())
	for i, c := range []struct {
		failed bool
		want   string
	}{{false, "none"}, {true, "created"}, {false, "resolved"}, {true, "reopened"}} {
		action, _, err := d.writer(int64(i+1), 1).WriteText(t.Context(), "sync", "text", c.failed)
		if err != nil || action != c.want {
			t.Errorf("step %d: got %q, %v, want %q", i, action, err, c.want)
		}
	}
	d.shows("Sync failed", "text")
}

func TestN7ALongTextIsCutWhereItIsStillMarkdown(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "")
	for name, text := range map[string]string{
		"open fence": "<details><summary>s</summary>\n\n```\n" + strings.Repeat("/close\n", 40_000),
		"mentions":   strings.Repeat("@a\n/close ", 30_000),
		"fences":     strings.Repeat("```\n", 60_000),
		"a table":    strings.Repeat("| a | b |\n", 25_000),
	} {
		action, _, err := d.writer(1, 1).WriteText(t.Context(), name, text, false)
		if err != nil || action != "created" {
			t.Errorf("%s: got %q, %v, want created", name, action, err)
		}
	}
	for _, n := range d.bots() {
		if !strings.Contains(n.Body, "The rest is left out") || !strings.HasSuffix(n.Body, "</sub>") {
			t.Errorf("want the cut to be told and the last line kept: …%s", n.Body[len(n.Body)-200:])
		}
		if strings.Count(n.Body, "<details>") != strings.Count(n.Body, "</details>") {
			t.Error("details are not closed")
		}
	}
}

func TestN8N9AHostileNoteIsInertInGitLab(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "")
	_, _, err := d.writer(1, 1).Write(t.Context(), []delivery.Outcome{attacked()}, []*delivery.Fault{{Summary: hostile, Cause: hostile}})
	if err != nil {
		t.Fatal(err)
	}
	notes := d.shows("### Sync failed")
	_, visible, _ := strings.Cut(notes[0].Body, "\n")
	inertNote(t, visible)
	d.want("updated", 2, pushed())
	d.want("updated", 3, attacked())
}
