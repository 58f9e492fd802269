package report

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// escapes are the control sequences of terminals: colours, titles, the rest.
var escapes = regexp.MustCompile("(?:\x1b\\[|\u009b)[0-?]*[ -/]*[@-~]|\x1b\\][^\x07\x1b]*(?:\x07|\x1b\\\\)?|\x1b[ -/]*[0-~]")

// clean makes text of bytes from outside: valid UTF-8, lines that end with \n,
// no terminal sequences, no control characters but tab, and none of the
// invisible ones that reorder or hide text.
func clean(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if strings.ContainsAny(text, "\x1b\u009b") {
		text = escapes.ReplaceAllString(text, "")
	}
	text = strings.ReplaceAll(text, "\r\n", "\n")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == zwnj || r == zwj:
			return r
		case r == '\r' || r == '\v' || r == '\f' || r == 0x85 || r == 0x2028 || r == 0x2029:
			return '\n'
		case unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, text)
}

// The two joiners are needed to write several languages and many emoji.
const (
	zwnj = '\u200c'
	zwj  = '\u200d'
)

// oneLine is clean text with every run of white space made one space. Of a text
// that no line of a note could hold it is the beginning.
func oneLine(text string) string {
	if len(text) > maxLine {
		text = text[:maxLine] + "…"
	}
	return strings.Join(strings.Fields(clean(text)), " ")
}

const maxLine = 8 << 10 // bytes

// cut is the first n runes of text, the last of them an ellipsis if any is lost.
func cut(text string, n int) string {
	if len(text) <= n || utf8.RuneCountInString(text) <= n {
		return text
	}
	runes := 0
	for i := range text {
		if runes++; runes == n {
			return strings.TrimRight(text[:i], " \n") + "…"
		}
	}
	return text
}
