package paths

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// Config are the settings of the filter, as text.
type Config struct {
	Paths string `env:"REMORA_PATHS" usage:"sync only if the change touches one of these globs, such as docs/**, by comma or line; ! excludes; what cannot be known means sync"`
}

// Validate tells every pattern that is none.
func (c Config) Validate() error {
	_, err := parse(c.Paths)
	return err
}

// glob is one pattern.
type glob struct {
	text string // as written
	no   bool   // begins with !
	any  []string
}

func (g glob) fits(path string) bool {
	for _, p := range g.any {
		if doublestar.MatchUnvalidated(p, path) {
			return true
		}
	}
	return false
}

func parse(text string) ([]glob, error) {
	var globs []glob
	var errs []error
	for _, word := range split(text) {
		g, err := parseGlob(word)
		errs = append(errs, err)
		globs = append(globs, g)
	}
	return globs, errors.Join(errs...)
}

func parseGlob(word string) (glob, error) {
	g := glob{text: word}
	p, no := strings.CutPrefix(word, "!")
	g.no = no
	p = strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(p), "./"), "/")
	below := strings.HasSuffix(p, "/")
	p = collapse(strings.TrimRight(p, "/"))
	switch {
	case p == "" && !below && word != "/":
		return g, fmt.Errorf("REMORA_PATHS: %q names no path", word)
	case p == "": // the root
		g.any = []string{"**"}
	case !doublestar.ValidatePattern(p):
		return g, fmt.Errorf("REMORA_PATHS: %q is not a pattern; a [, { or \\ in it is not closed", word)
	default:
		below = below || !strings.ContainsAny(p, `*?[{\`)
		g.any = variants(p, below)
	}
	return g, nil
}

// variants are p and, if asked for, all below it. The library says that x/** fits
// x too but does not find it for every x, so x stands by itself.
func variants(p string, below bool) []string {
	if below {
		p = collapse(p + "/**")
	}
	if x, ok := strings.CutSuffix(p, "/**"); ok {
		return []string{p, x}
	}
	return []string{p}
}

// collapse makes one of several ** in a row: the library finds no file in the
// directory itself for more than one.
func collapse(p string) string {
	parts := strings.Split(p, "/")
	return strings.Join(slices.CompactFunc(parts, func(a, b string) bool { return a == "**" && b == "**" }), "/")
}

// split cuts text at lines and commas, but not at a comma within braces, which
// belongs to the pattern, nor at one behind a backslash.
func split(text string) []string {
	var words []string
	start, depth, escaped := 0, 0, false
	cut := func(end int) {
		if w := strings.TrimSpace(text[start:end]); w != "" {
			words = append(words, w)
		}
		start = end + 1
	}
	for i := range len(text) {
		switch c := text[i]; {
		case c == '\n':
			cut(i)
			depth, escaped = 0, false
		case escaped:
			escaped = false
		case c == '\\':
			escaped = true
		case c == '{':
			depth++
		case c == '}' && depth > 0:
			depth--
		case c == ',' && depth == 0:
			cut(i)
		}
	}
	cut(len(text))
	return words
}

// match says whether path matters, and by which pattern.
func (f *Filter) match(path string) (by string, ok bool) {
	if len(f.globs) > 0 && f.globs[0].no {
		by, ok = "all but "+strings.TrimPrefix(f.globs[0].text, "!"), true
	}
	for _, g := range f.globs {
		if g.fits(path) {
			by, ok = g.text, !g.no
		}
	}
	return by, ok
}
