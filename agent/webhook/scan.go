package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ErrNotObject says that a body is no JSON object.
var ErrNotObject = errors.New("not a JSON object")

// maxDepth bounds how deep values nest. GitLab's payloads stay below ten.
const maxDepth = 200

// scanner checks JSON and finds the members of objects, without decoding or
// copying them. It accepts what encoding/json accepts, down to maxDepth.
type scanner struct {
	b []byte
	i int
}

// members calls each with every member of the object that b holds: its key, with
// escapes resolved, and its value as it stands in b. All of b is checked, so b is
// valid JSON when there is no error.
func members(b []byte, each func(key, value []byte)) error {
	s := scanner{b: b}
	s.space()
	ok := s.peek() == '{' && s.object(1, each)
	s.space()
	if !ok || s.i != len(b) {
		return fmt.Errorf("%w: wrong at byte %d", ErrNotObject, s.i)
	}
	return nil
}

func (s *scanner) peek() byte {
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

func (s *scanner) space() {
	for s.i < len(s.b) && (s.b[s.i] == ' ' || s.b[s.i] == '\n' || s.b[s.i] == '\t' || s.b[s.i] == '\r') {
		s.i++
	}
}

// take passes over c, if it is next, and the space behind it.
func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.i++
	s.space()
	return true
}

func (s *scanner) object(depth int, each func(key, value []byte)) bool {
	if depth > maxDepth || !s.take('{') {
		return false
	}
	if s.peek() == '}' {
		s.i++
		return true
	}
	for {
		from := s.i
		if !s.text() {
			return false
		}
		key := s.b[from:s.i]
		s.space()
		if !s.take(':') {
			return false
		}
		from = s.i
		if !s.value(depth) {
			return false
		}
		if each != nil {
			each(unquote(key), s.b[from:s.i])
		}
		s.space()
		if s.take(',') {
			continue
		}
		if s.peek() != '}' {
			return false
		}
		s.i++
		return true
	}
}

func (s *scanner) array(depth int) bool {
	if depth > maxDepth || !s.take('[') {
		return false
	}
	if s.peek() == ']' {
		s.i++
		return true
	}
	for {
		if !s.value(depth) {
			return false
		}
		s.space()
		if s.take(',') {
			continue
		}
		if s.peek() != ']' {
			return false
		}
		s.i++
		return true
	}
}

func (s *scanner) value(depth int) bool {
	switch c := s.peek(); c {
	case '{':
		return s.object(depth+1, nil)
	case '[':
		return s.array(depth + 1)
	case '"':
		return s.text()
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	}
	return s.number()
}

func (s *scanner) word(word string) bool {
	if len(s.b)-s.i < len(word) || string(s.b[s.i:s.i+len(word)]) != word {
		return false
	}
	s.i += len(word)
	return true
}

func (s *scanner) text() bool {
	if s.peek() != '"' {
		return false
	}
	b, i := s.b, s.i+1
	for i < len(b) {
		switch c := b[i]; {
		case c == '"':
			s.i = i + 1
			return true
		case c == '\\':
			n := escape(b[i+1:])
			if n == 0 {
				s.i = i
				return false
			}
			i += 1 + n
		case c < ' ':
			s.i = i
			return false
		default:
			i++
		}
	}
	s.i = i
	return false
}

// escape is the length of the escape that b starts with, after the backslash; 0
// if there is none.
func escape(b []byte) int {
	if len(b) == 0 {
		return 0
	}
	switch b[0] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 1
	case 'u':
		if len(b) < 5 {
			return 0
		}
		for _, c := range b[1:5] {
			if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
				return 0
			}
		}
		return 5
	}
	return 0
}

func (s *scanner) number() bool {
	if s.peek() == '-' {
		s.i++
	}
	if s.peek() == '0' {
		s.i++
	} else if !s.digits() {
		return false
	}
	if s.peek() == '.' {
		s.i++
		if !s.digits() {
			return false
		}
	}
	if s.peek()|0x20 == 'e' {
		s.i++
		if c := s.peek(); c == '+' || c == '-' {
			s.i++
		}
		return s.digits()
	}
	return true
}

func (s *scanner) digits() bool {
	from := s.i
	for c := s.peek(); c >= '0' && c <= '9'; c = s.peek() {
		s.i++
	}
	return s.i > from
}

// unquote is the content of a checked JSON string, with escapes resolved.
func unquote(quoted []byte) []byte {
	content := quoted[1 : len(quoted)-1]
	for _, c := range content {
		if c == '\\' {
			var text string
			_ = json.Unmarshal(quoted, &text) // it was checked
			return []byte(text)
		}
	}
	return content
}

// text is a value as text, or "" if it is none or has more than limit bytes:
// half a ref would be another ref. Control characters become U+FFFD, as no name
// in Git or GitLab has them.
func text(value []byte, limit int) string {
	if len(value) < 2 || value[0] != '"' {
		return ""
	}
	s := string(unquote(value))
	if len(s) > limit {
		return ""
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		s = strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return utf8.RuneError
			}
			return r
		}, strings.ToValidUTF8(s, string(utf8.RuneError)))
	}
	return s
}

// number is a value as a number above 0, written plainly or in quotes; else 0.
func number(value []byte) int64 {
	if len(value) > 1 && value[0] == '"' {
		value = value[1 : len(value)-1]
	}
	if len(value) > 19 {
		return 0
	}
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil {
		return 0
	}
	return max(n, 0)
}

// plainNumber says whether a value is a number above 0 to every reader.
func plainNumber(value []byte) bool {
	return len(value) > 0 && value[0] != '"' && number(value) > 0
}

// member is one member of an object, or nil.
func member(object []byte, name string) (found []byte) {
	_ = members(object, func(key, value []byte) {
		if string(key) == name {
			found = value
		}
	})
	return found
}
