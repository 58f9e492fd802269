package report_test

import (
	"strings"
	"testing"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/report"
)

func TestOnlyAPlainWebAddressIsLinked(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"https://h.example/a?b=1#c":                          "[open](https://h.example/a?b=1#c)",
		"http://h.example/a(b)|c d`e":                        "[open](http://h.example/a%28b%29%7Cc%20d%60e)",
		"https://[2001:db8::1]/a":                            "[open](https://[2001:db8::1]/a)",
		"https://user:password@h.example/":                   "–",
		"javascript:alert(1)":                                "–",
		"//h.example/a":                                      "–",
		"https://":                                           "–",
		"https://h.example/\n/close":                         "–",
		"https://gitlab.example.com/a/b/-/issues/7":          "–",
		"https://gitlab.example.com/a/b/-/merge_requests/1":  "–",
		"https://h.example/" + strings.Repeat("a", 3000):     "–",
		"https://gitlab.example.com/a/b/-/merge_requests":    "[open](https://gitlab.example.com/a/b/-/merge_requests)",
		"https://dev.direktiv.example/n/demo/mirror/issues/": "[open](https://dev.direktiv.example/n/demo/mirror/issues/)",
	} {
		o := with(synced(), func(o *delivery.Outcome) { o.Receipt.URL = address })
		note := report.Render(event(), "", "1", []delivery.Outcome{o}, nil, noon)
		if row := "| direktiv `demo` | ✅ synced | 4 s | " + want + " |\n"; !strings.Contains(note, row) {
			t.Errorf("%s: got\n%s\nwant the row %s", address, note, row)
		}
		inertNote(t, note)
	}
}

func TestAWordThatGitLabWouldLinkIsCode(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"set REMORA_TIMEOUT, then try":        "set `REMORA_TIMEOUT`, then try",
		"at c0ffee12 of 1234567":              "at `c0ffee12` of `1234567`",
		"see ABC-12 and UTF-8":                "see `ABC-12` and `UTF-8`",
		"open https://h.example/a now":        "open `https://h.example/a` now",
		"run remora --name x --url b":         "run remora `--name` x `--url` b",
		"don't (really) \"quote\" 4.1 s, 50%": "don't (really) \"quote\" 4.1 s, 50%",
		"a `b c` d":                           "a `b c` d",
		"one ` alone":                         "one `` ` `` alone",
		"`a` `b`":                             "`a` `b`",
		"`a``b`":                              "`a b`",
		"at 12:30, e.g. v0.8.6":               "at 12:30, e.g. v0.8.6",
		":smile: :100:":                       "`:smile`: `:100`:",
		"größer als 5 – naïve, 日本語 ✓":         "größer als 5 – naïve, 日本語 ✓",
	} {
		o := with(notFound(), func(o *delivery.Outcome) { o.Err = &delivery.Fault{Summary: "x", Cause: text} })
		note := report.Render(event(), "", "1", []delivery.Outcome{o}, nil, noon)
		_, got, _ := strings.Cut(note, "**direktiv**: ")
		got, _, _ = strings.Cut(got, "\n")
		if got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
		inertNote(t, note)
	}
}
