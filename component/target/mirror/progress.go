package mirror

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"

	"gitlab.com/remora-ci/remora/component/delivery"
)

const (
	maxLines = 40  // of what the server said
	maxLine  = 300 // bytes of each
)

// progress collects what the server says beside its answer: the last lines, each
// bounded and without control characters. Of a line that is overwritten in place,
// such as a percentage, the last form stays.
type progress struct {
	lines []string
	part  []byte
}

// Write takes the next piece; it never fails.
func (p *progress) Write(b []byte) (int, error) {
	for _, c := range b {
		switch {
		case c == '\n':
			p.end()
		case len(p.part) < 4*maxLine:
			p.part = append(p.part, c)
		}
	}
	return len(b), nil
}

func (p *progress) end() {
	text := bytes.TrimRight(p.part, "\r \t")
	if i := bytes.LastIndexByte(text, '\r'); i >= 0 {
		text = text[i+1:]
	}
	if line := clean(string(text), maxLine); strings.Trim(line, "= ") != "" {
		p.lines = append(p.lines, line)
	}
	if len(p.lines) > maxLines {
		p.lines = append(p.lines[:0], p.lines[len(p.lines)-maxLines:]...)
	}
	p.part = p.part[:0]
}

// said is what the server said, as Git would show it.
func (p *progress) said(scrub *delivery.Scrubber) []delivery.LogLine {
	p.end()
	var log []delivery.LogLine
	for _, l := range p.lines {
		level := ""
		if upper := strings.ToUpper(l); strings.HasPrefix(upper, "ERROR") || strings.HasPrefix(upper, "GITLAB:") || strings.HasPrefix(upper, "FATAL") {
			level = "ERROR"
		}
		log = append(log, delivery.LogLine{Level: level, Text: "remote: " + scrub.Text(l)})
	}
	return log
}

// quoted are the lines of it that matter, on one line, for a fault.
func (p *progress) quoted() string {
	p.end()
	return clean(strings.Join(p.lines[max(0, len(p.lines)-8):], " "), 600)
}

// clean is text from outside on one line: valid UTF-8, no control or invisible
// characters, at most limit bytes.
func clean(text string, limit int) string {
	text = strings.ToValidUTF8(text[:min(len(text), 8*limit)], "")
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	if len(text) <= limit {
		return text
	}
	cut := limit - len("…")
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}
