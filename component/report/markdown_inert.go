package report

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Somebody's Markdown keeps its headings, lists, tables, links and code, but
// nothing in it acts: an invisible space after the character that would begin a
// mention, a reference, an image or a tag, and before the slash of a quick
// action, leaves them to be read only. That is done outside code blocks, and in
// code spans too, for where a span ends is for GitLab to say. Code blocks are
// written anew, at the first column, longer than what is in them and closed:
// there must be no doubt where they end.

const (
	maxProseRunes = 200_000 // of somebody's Markdown; invisible spaces come on top
	nothing       = "\u200b"
)

var (
	opening = regexp.MustCompile("^ {0,3}(`{3,}|~{3,})[ \t]*(.*)$")
	// quickAction is a slash that is the first thing of a line, of a quote, of a
	// list entry or of a task.
	quickAction = regexp.MustCompile(`^((?:[ \t>]|[-*+]|\d{1,9}[.)]|\[.?\])*)/`)
	// address is a web address that GitLab makes a link of, in which references
	// are not looked for.
	address = regexp.MustCompile(`\bhttps?://[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::\d{1,5})?(?:[/?#][^\s<>"'` + "`" + `()\[\]|\\^{}*_]*)?`)
	// tag is the HTML that is let through.
	tag        = regexp.MustCompile(`^<(/?)(details|summary|sub|sup|kbd|br)>`)
	inBrackets = regexp.MustCompile(`^\[[a-z_]+:`)
)

// inAddress takes the characters out of an address that begin a reference, should
// GitLab not take it for a link after all.
var inAddress = strings.NewReplacer("@", "%40", "!", "%21", "~", "%7E", "$", "%24")

// inert is somebody's Markdown in which nothing acts, at most maxProseRunes of it
// and what was added.
func inert(markdown string) string {
	markdown = clean(markdown)
	whole := utf8.RuneCountInString(markdown) <= maxProseRunes
	if !whole {
		markdown = cut(markdown, maxProseRunes)
	}
	lines := strings.Split(strings.Trim(markdown, "\n"), "\n")
	var out []string
	var open tags
	for i := 0; i < len(lines); i++ {
		block, language, end := codeBlock(lines, i)
		if end == i {
			out = append(out, open.line(lines[i]))
			continue
		}
		out = append(out, "", fence(block, language), "")
		i = end - 1
	}
	text := strings.TrimSpace(strings.Join(out, "\n")) + open.closing()
	if !whole {
		text += "\n\nThe rest is left out: it is too long for a note."
	}
	return text
}

// codeBlock is the block that opens at line i: what is in it, its language, and the
// line after it, which is i if none opens there. A block without end ends with
// the text.
func codeBlock(lines []string, i int) (block []string, language string, end int) {
	m := opening.FindStringSubmatch(lines[i])
	if m == nil || m[1][0] == '`' && strings.Contains(m[2], "`") {
		return nil, "", i
	}
	indent := len(lines[i]) - len(strings.TrimLeft(lines[i], " "))
	for end = i + 1; end < len(lines); end++ {
		if closes(lines[end], m[1]) {
			return block, languageOf(m[2]), end + 1
		}
		l := lines[end]
		for range indent {
			l = strings.TrimPrefix(l, " ")
		}
		block = append(block, l)
	}
	return block, languageOf(m[2]), end
}

func closes(line, fence string) bool {
	trimmed := strings.TrimLeft(line, " ")
	if len(line)-len(trimmed) > 3 {
		return false
	}
	trimmed = strings.TrimRight(trimmed, " \t")
	return len(trimmed) >= len(fence) && strings.Trim(trimmed, fence[:1]) == ""
}

var language = regexp.MustCompile(`^[A-Za-z0-9+-]{1,20}\b`)

func languageOf(info string) string { return language.FindString(info) }

// tags are the open HTML elements.
type tags []string

// line is one line of text in which nothing acts.
func (t *tags) line(line string) string {
	if m := quickAction.FindStringIndex(line); m != nil {
		at := m[1] - 1
		line = line[:at] + nothing + line[at:]
	}
	var b strings.Builder
	for line != "" {
		at := address.FindStringIndex(line)
		if at == nil {
			at = []int{len(line), len(line)}
		}
		t.text(&b, line, at[0])
		b.WriteString(inAddress.Replace(line[at[0]:at[1]]))
		line = line[at[1]:]
	}
	return b.String()
}

// text writes the first n bytes of line; what follows them is looked at only.
func (t *tags) text(b *strings.Builder, line string, n int) {
	for i := 0; i < n; {
		r, size := utf8.DecodeRuneInString(line[i:])
		if r == '<' {
			if m := tag.FindStringSubmatch(line[i:]); m != nil && t.take(m[1] == "/", m[2]) {
				b.WriteString(m[0])
				if i += len(m[0]); strings.HasPrefix(line[i:], "/") {
					b.WriteString(nothing)
				}
				continue
			}
		}
		b.WriteRune(r)
		if acts(r, line[i:]) {
			b.WriteString(nothing)
		}
		i += size
	}
}

// acts says whether r, which begins text, would begin something there.
func acts(r rune, text string) bool {
	next, _ := utf8.DecodeRuneInString(text[1:])
	name := next == '_' || unicode.IsLetter(next) || unicode.IsDigit(next)
	switch r {
	case '@', '&', '$', '^':
		return name || next == '#' || next == '`'
	case '#', '~', '%':
		return name || next == '"' || next == '\''
	case '!':
		return name || next == '['
	case '<':
		return unicode.IsLetter(next) || strings.ContainsRune("/!?", next)
	case '[':
		return inBrackets.MatchString(text)
	}
	return false
}

// take notes a tag; false if it closes what is not open.
func (t *tags) take(closing bool, name string) bool {
	if name == "br" {
		return !closing
	}
	if !closing {
		if len(*t) > 50 {
			return false
		}
		*t = append(*t, name)
		return true
	}
	if n := len(*t); n > 0 && (*t)[n-1] == name {
		*t = (*t)[:n-1]
		return true
	}
	return false
}

// closing are the ends of what is still open.
func (t *tags) closing() string {
	if len(*t) == 0 {
		return ""
	}
	text := "\n\n"
	for _, name := range slices.Backward(*t) {
		text += "</" + name + ">"
	}
	return text
}
