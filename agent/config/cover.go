package config

import (
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"gitlab.com/remora-ci/remora/agent/route"
)

// What globs have to do with each other is told here only where it is certain:
// in doubt, two of them may fit the same, and none takes all of another.

// emptied is the item that takes away the last of what the others name, or -1 if
// something is left.
func (l *loader) emptied(globs []string, form func(string) string) int {
	var live []string
	last := -1
	for i, text := range globs {
		g, no := strings.CutPrefix(strings.TrimSpace(text), "!")
		g = form(g)
		if l.compared > maxCompared {
			return -1
		}
		switch {
		case !no:
			live, last = append(live, g), -1
			continue
		case i == 0:
			live = []string{allProjects} // where ! stands first, all is there
		}
		before := len(live)
		live = slices.DeleteFunc(live, func(other string) bool { return l.compare() && covers(g, other) })
		if before > 0 && len(live) == 0 {
			last = i
		}
	}
	return last
}

// covers says whether glob a certainly fits all that b fits.
func covers(a, b string) bool {
	if a == allProjects || a == b || plain(b) && doublestar.MatchUnvalidated(a, b) {
		return true
	}
	below, whole := strings.CutSuffix(a, "/**")
	return whole && plain(below) && strings.HasPrefix(b, below+"/") && !strings.Contains(b, `\`)
}

// disjoint says whether globs of project paths certainly fit nothing in common.
func disjoint(a, b string) bool {
	a, b = normal(a), normal(b)
	switch {
	case plain(a):
		return !doublestar.MatchUnvalidated(b, a)
	case plain(b):
		return !doublestar.MatchUnvalidated(a, b)
	}
	x, y := beginning(a), beginning(b)
	return !strings.HasPrefix(x, y) && !strings.HasPrefix(y, x)
}

// trimmed is a glob of refs as it is compared, where case counts.
func trimmed(glob string) string {
	glob = strings.Trim(strings.TrimSpace(glob), "/")
	if glob == "*" {
		return allProjects
	}
	return glob
}

const wildcards = `*?[{\`

// plain says whether a glob is a name.
func plain(glob string) bool { return !strings.ContainsAny(glob, wildcards) }

// beginning is what stands before the first wildcard.
func beginning(glob string) string {
	if i := strings.IndexAny(glob, wildcards); i >= 0 {
		return glob[:i]
	}
	return glob
}

// taker is a route that takes a kind of event to a target.
type taker struct {
	name  string
	forks int
	open  bool
}

// width is how many forks a route takes.
func width(forks string) int {
	return slices.Index([]string{route.ForksNever, route.ForksAllowed, route.ForksAll}, forks)
}

// checkTaken warns of routes that never lead to a target, because the ones before
// them have taken everything: those without projects or refs, or with the same.
func (l *loader) checkTaken(routes []Route) {
	first := map[string][]taker{}
	for i, r := range routes {
		projects, refs := strings.Join(r.Projects, "\n"), strings.Join(r.Refs, "\n")
		for j, target := range r.Sync {
			by := ""
			all := true
			for _, kind := range kinds {
				if !takes(r, kind) {
					continue
				}
				name := before(first, r, kind, target, projects, refs)
				all = all && name != ""
				by = firstOf(by, name)
			}
			if all && by != "" {
				l.warn(l.itemOr(join(item("routes", i), "sync"), j), "never used: the route %q before it leads all of this to %q", clip(by), clip(target))
			}
		}
		for _, target := range r.Sync {
			for _, kind := range kinds {
				if takes(r, kind) {
					key := strings.Join([]string{kind, target, projects, refs}, "\x00")
					first[key] = append(first[key], taker{r.Name, width(r.Forks), r.Open})
				}
			}
		}
	}
}

// before is the name of a route that has taken all events of a kind that r would
// take to a target; empty if there is none.
func before(first map[string][]taker, r Route, kind, target, projects, refs string) string {
	for _, p := range slices.Compact([]string{"", projects}) {
		for _, f := range slices.Compact([]string{"", refs}) {
			for _, t := range first[strings.Join([]string{kind, target, p, f}, "\x00")] {
				forks := kind != route.MergeRequest && kind != route.Job || t.forks >= width(r.Forks)
				if forks && (kind != route.Job || t.open || !r.Open) {
					return t.name
				}
			}
		}
	}
	return ""
}
