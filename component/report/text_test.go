package report_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"gitlab.com/remora-ci/remora/component/report"
)

func TestClamp(t *testing.T) {
	t.Parallel()
	a := func(n int) string { return strings.Repeat("a", n) }
	for name, c := range map[string]struct{ text, want string }{
		"255 runes stay":                          {a(255), a(255)},
		"256 runes become 254 and an ellipsis":    {a(256), a(254) + "…"},
		"255 runes of three bytes stay":           {strings.Repeat("漢", 255), strings.Repeat("漢", 255)},
		"256 runes of three bytes are cut":        {strings.Repeat("漢", 256), strings.Repeat("漢", 254) + "…"},
		"an accent stays with its letter":         {a(253) + "e\u0301" + a(9), a(253) + "…"},
		"a letter with its accent stays if whole": {a(252) + "e\u0301" + a(9), a(252) + "e\u0301…"},
		"a family is not torn apart":              {a(252) + "👩‍👩‍👧" + a(9), a(252) + "…"},
		"a skin tone stays with its hand":         {a(253) + "👍🏽" + a(9), a(253) + "…"},
		"a flag is not halved":                    {a(253) + "🇩🇪" + a(9), a(253) + "…"},
		"the second of two flags is cut":          {a(251) + "🇩🇪🇫🇷" + a(9), a(251) + "🇩🇪…"},
		"a Korean syllable is not torn apart":     {a(253) + "\u1112\u1161" + a(9), a(253) + "…"},
		"a thousand accents are cut all the same": {"a" + strings.Repeat("\u0301", 1000), "a" + strings.Repeat("\u0301", 253) + "…"},
		"lines become one":                        {"a\r\n\tb  c\u2028d", "a b c d"},
		"control characters and NUL go":           {"a\x00b\x1b[31mc\u0085", "a b [31mc"},
		"what turns the reading order goes":       {"a\u202eb\u2066c", "abc"},
		"broken UTF-8 is shown as broken":         {"a\xffb", "a\ufffdb"},
		"nothing stays nothing":                   {" \n ", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := report.Clamp(c.text); got != c.want {
				t.Errorf("got %d runes %q, want %d runes %q", utf8.RuneCountInString(got), got, utf8.RuneCountInString(c.want), c.want)
			}
		})
	}
}

func FuzzClamp(f *testing.F) {
	f.Add("plain")
	f.Add(strings.Repeat("🇩🇪", 200))
	f.Add(strings.Repeat("e\u0301", 200) + "\xff\x00")
	f.Add(strings.Repeat("\u200d", 300))
	f.Fuzz(func(t *testing.T, text string) {
		got := report.Clamp(text)
		if n := utf8.RuneCountInString(got); n > 255 || !utf8.ValidString(got) || strings.ContainsAny(got, "\x00\n\r") {
			t.Errorf("Clamp(%q) = %q, %d runes", text, got, n)
		}
		if again := report.Clamp(got); again != got {
			t.Errorf("Clamp is not stable: %q, then %q", got, again)
		}
	})
}

func TestLink(t *testing.T) {
	t.Parallel()
	long := "https://example.com/" + strings.Repeat("x", 235)
	for name, c := range map[string]struct {
		in   []string
		want string
	}{
		"an address stays":                     {[]string{"https://example.com/a?b=c#d"}, "https://example.com/a?b=c#d"},
		"the first that can be used is taken":  {[]string{"", "ftp://a", "http://example.com", "https://b"}, "http://example.com"},
		"255 characters stay":                  {[]string{long}, long},
		"256 characters do not":                {[]string{long + "x"}, ""},
		"a private network stays":              {[]string{"http://10.1.2.3/x"}, "http://10.1.2.3/x"},
		"white space around it goes":           {[]string{" https://example.com\n"}, "https://example.com"},
		"user and password go":                 {[]string{"https://user:pass@example.com/x"}, "https://example.com/x"},
		"an upper case scheme is one":          {[]string{"HTTPS://example.com"}, "https://example.com"},
		"localhost does not":                   {[]string{"http://localhost", "http://LOCALHOST.:80", "http://a.localhost"}, ""},
		"loopback addresses do not":            {[]string{"http://127.0.0.1", "http://127.9.9.9:1", "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://0.0.0.0", "http://127.1", "http://2130706433"}, ""},
		"link-local addresses do not":          {[]string{"http://169.254.169.254/latest", "http://[fe80::1]/"}, ""},
		"what is no absolute address does not": {[]string{"//example.com", "/x", "example.com/x", "https://", "https:///x", "mailto:a@b", "http://a b/", "http://a/\x00", ":"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, in := range append(c.in, "") {
				if got := report.Link(in); c.want == "" && got != "" {
					t.Errorf("Link(%q) = %q, want none", in, got)
				}
			}
			if got := report.Link(c.in...); got != c.want {
				t.Errorf("Link(%q) = %q, want %q", c.in, got, c.want)
			}
		})
	}
}
