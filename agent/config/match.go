package config

import (
	"fmt"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// TokenFor is the token for a project of an instance. Of the globs that fit, in
// any case, the one with the longest beginning without a wildcard wins, then the
// longest, then the first.
func (c *Config) TokenFor(instance, project string) (Token, bool) {
	best, found := Token{}, false
	var bestExact, bestLength int
	project = strings.ToLower(strings.Trim(project, "/"))
	for _, t := range c.Tokens {
		if t.Instance != instance {
			continue
		}
		for _, glob := range t.Projects {
			glob = normal(glob)
			if !fits(glob, project) {
				continue
			}
			exact, length := exactness(glob), len(glob)
			if !found || exact > bestExact || exact == bestExact && length > bestLength {
				best, found, bestExact, bestLength = t, true, exact, length
			}
		}
	}
	return best, found
}

// exactness is how much of a glob stands before its first wildcard.
func exactness(glob string) int {
	if i := strings.IndexAny(glob, `*?[{\`); i >= 0 {
		return i
	}
	return len(glob) + 1 // a path as a whole beats the same with a wildcard behind it
}

// fits says whether a glob names a path: a/** names all below a, but not a.
func fits(glob, path string) bool {
	below, all := strings.CutSuffix(glob, "/**")
	return doublestar.MatchUnvalidated(glob, path) && !(all && doublestar.MatchUnvalidated(below, path))
}

// normal is a glob as it is compared: GitLab's paths have no case.
func normal(glob string) string {
	glob = strings.ToLower(strings.Trim(strings.TrimSpace(glob), "/"))
	if glob == "*" {
		return allProjects
	}
	return glob
}

func badGlob(glob string) string {
	switch g := normal(glob); {
	case g == "":
		return "an empty glob fits nothing; ** fits every project"
	case strings.HasPrefix(g, "!"):
		return fmt.Sprintf("%q: a token's globs cannot exclude; name another token for what this one is not for", clip(glob))
	case !doublestar.ValidatePattern(g):
		return fmt.Sprintf("%q is no glob; a [, { or \\ in it is not closed", clip(glob))
	}
	return ""
}
