package report

import (
	"net/url"
	"regexp"
	"strings"
	"unicode"
)

// Text of targets is inert in a note: it is cut into words, and a word is
// either plain, which means letters, digits and a little punctuation that no
// Markdown and no GitLab reference is made of, or it is shown as code. In code
// GitLab looks for nothing: no mention, reference, link, image, emoji, HTML or
// quick action. A URL, a path, a variable, a commit look better as code anyway.
//
// The plain words alone would still be a list or a quick action at the start of
// a line; the renderer never puts text there.

const maxProse = 1500 // runes of one text of a target: a cause, a remedy, a warning

// inline is text of a target for a paragraph. Pairs of backticks in it mark code.
func inline(text string) string {
	text = cut(oneLine(text), maxProse)
	var line words
	parts := strings.Split(text, "`")
	if len(parts)%2 == 0 { // a backtick without its pair is a character like others
		parts = []string{text}
	}
	for i, part := range parts {
		if i%2 == 1 {
			line.add(part, true, false)
			continue
		}
		line.text(part)
	}
	return line.String()
}

// cell is text of a target for a cell of a table.
func cell(text string) string { return inline(noPipe(cut(oneLine(text), 200))) }

// noPipe replaces the character that separates cells. Escaping it would depend
// on how many backslashes stand before it.
func noPipe(text string) string { return strings.ReplaceAll(text, "|", "¦") }

// code is text as code on one line; a dash if there is none.
func code(text string) string {
	text = strings.TrimSpace(oneLine(text))
	if text == "" {
		return "–"
	}
	fence := strings.Repeat("`", longestRun(text, '`')+1)
	if strings.HasPrefix(text, "`") || strings.HasSuffix(text, "`") {
		text = " " + text + " "
	}
	return fence + text + fence
}

func longestRun(text string, of byte) int {
	longest, run := 0, 0
	for i := range len(text) {
		if text[i] != of {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	return longest
}

// words is a line under construction. Neighbours that are code become one span,
// for two spans without a space between them would be read as neither.
type words []word

type word struct {
	text   string
	code   bool
	spaced bool // a space stands before it
}

func (w *words) add(text string, isCode, spaced bool) {
	if text == "" {
		return
	}
	if n := len(*w); n > 0 && isCode && (*w)[n-1].code {
		(*w)[n-1].text += " " + text
		return
	}
	*w = append(*w, word{text, isCode, spaced})
}

func (w *words) text(part string) {
	spaced := strings.HasPrefix(part, " ")
	for _, one := range strings.Fields(part) {
		core := strings.TrimLeft(one, `("'`)
		lead := one[:len(one)-len(core)]
		tail := core
		core = strings.TrimRight(core, `.,;:!?)"'%`)
		tail = tail[len(core):]
		w.add(lead, false, spaced)
		w.add(core, !plain(core), spaced && lead == "")
		w.add(tail, false, spaced && lead == "" && core == "")
		spaced = true
	}
	if strings.HasSuffix(part, " ") {
		w.add(" ", false, false)
	}
}

func (w words) String() string {
	var b strings.Builder
	for _, one := range w {
		if one.spaced && b.Len() > 0 && !strings.HasSuffix(b.String(), " ") {
			b.WriteByte(' ')
		}
		if one.code {
			b.WriteString(code(one.text))
		} else {
			b.WriteString(one.text)
		}
	}
	return strings.TrimSpace(b.String())
}

// linked are plain-looking words that GitLab links: commits and the keys of
// outside issue trackers.
var linked = regexp.MustCompile(`^(?:[0-9a-f]{7,64}|[A-Z][A-Z0-9_]*-[0-9]+)$`)

// plain says whether a word, without the punctuation around it, means nothing to
// Markdown and to GitLab.
func plain(core string) bool {
	switch core {
	case "", "-", "e.g", "i.e":
		return true
	}
	if linked.MatchString(core) {
		return false
	}
	runes := []rune(core)
	for i, r := range runes {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r), unicode.IsMark(r):
		case r > unicode.MaxASCII && r != zwj && r != zwnj && (unicode.IsPunct(r) || unicode.IsSymbol(r)):
		case r == zwj || r == zwnj || r == '-' || r == '\'':
			if i == 0 || i == len(runes)-1 {
				return false
			}
		case r == '.' || r == ',' || r == ':':
			if i == 0 || i == len(runes)-1 || !unicode.IsDigit(runes[i-1]) || !unicode.IsDigit(runes[i+1]) {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// discussed are pages to which a link would be a reference, with a system note
// on the other side.
var discussed = regexp.MustCompile(`(?i)/(?:issues|merge_requests|work_items|epics|vulnerabilities)/[0-9]`)

// unsafeInLink are characters that end or change a link destination or a cell.
var unsafeInLink = strings.NewReplacer("(", "%28", ")", "%29", "|", "%7C", "<", "%3C", ">", "%3E",
	`"`, "%22", "'", "%27", "`", "%60", `\`, "%5C", " ", "%20", "{", "%7B", "}", "%7D", "*", "%2A", "@", "%40")

// linkTo is label, which must be safe already, leading to address; label alone if
// address is no plain web address.
func linkTo(label, address string) string {
	u, err := url.Parse(strings.TrimSpace(address))
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil || len(address) > 2000 {
		return label
	}
	if discussed.MatchString(u.Path) {
		return label
	}
	return "[" + label + "](" + unsafeInLink.Replace(oneLine(u.String())) + ")"
}
