package route

import (
	"fmt"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// globs are patterns in the order in which they were written. The last one that
// fits decides; one that begins with ! takes away, and where the first does, the
// rest is there from the start. Without patterns everything fits.
type globs struct {
	all      []glob
	foldCase bool
}

type glob struct {
	pattern string
	no      bool
}

// compile reads patterns; * stops at a slash and ** does not, but a * alone is
// everything. group/** is all below the group, and what is called group itself.
func compile(patterns []string, foldCase bool) (globs, error) {
	g := globs{foldCase: foldCase}
	for _, text := range patterns {
		p, no := strings.CutPrefix(strings.TrimSpace(text), "!")
		p = strings.Trim(strings.TrimSpace(p), "/")
		if p == "*" {
			p = "**"
		}
		if foldCase {
			p = strings.ToLower(p)
		}
		if p == "" || !doublestar.ValidatePattern(p) {
			return g, fmt.Errorf("%q is no pattern", text)
		}
		g.all = append(g.all, glob{pattern: p, no: no})
	}
	return g, nil
}

// fit says whether one of names is what the patterns ask for.
func (g globs) fit(names ...string) bool {
	if len(g.all) == 0 {
		return true
	}
	ok := g.all[0].no
	for _, p := range g.all {
		if p.fits(names, g.foldCase) {
			ok = !p.no
		}
	}
	return ok
}

func (p glob) fits(names []string, foldCase bool) bool {
	below, whole := strings.CutSuffix(p.pattern, "/**")
	for _, name := range names {
		if foldCase {
			name = strings.ToLower(name)
		}
		if doublestar.MatchUnvalidated(p.pattern, name) || whole && doublestar.MatchUnvalidated(below, name) {
			return true
		}
	}
	return false
}
