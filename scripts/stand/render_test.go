package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestANoteIsShownAsAPersonSeesIt(t *testing.T) {
	t.Parallel()
	got := render("<!-- marker -->\n### Sync failed · `feature`\n\n| target | result | took |\n|---|---|---|\n" +
		"| a `b` | ❌ no | 4 s |\n| c | ⏭️ skipped: x | – |\n\n**a**: [why](https://example.com)\n\n" +
		"<details><summary>Log</summary>\n\n```text\nERROR no\n```\n\n</details>\n")
	want := []string{
		"Sync failed · feature",
		"",
		"target   result          took   ",
		"a b      ❌ no           4 s    ",
		"c        ⏭️ skipped: x   –      ",
		"",
		"a: why",
		"",
		"▸ Log",
		"",
		"ERROR no",
	}
	if diff := cmp.Diff(want, strings.Split(got, "\n")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAFrameIsStraightForATerminal(t *testing.T) {
	t.Parallel()
	for _, l := range strings.Split(frame("✅ done\n⚠️ warned\nplain"), "\n") {
		if got := cells(l); got != paperWidth+7 {
			t.Errorf("%q is %d cells wide, want %d", l, got, paperWidth+7)
		}
	}
}
