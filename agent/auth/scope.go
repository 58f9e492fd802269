package auth

import "strings"

// How a caller proved itself.
const (
	KindSignature    = "signature"     // Standard Webhooks signature
	KindSecret       = "secret"        // shared secret in X-Gitlab-Token
	KindProjectToken = "project-token" // token made by [Issue]
	KindPackit       = "packit"        // token made by a Packit service
	KindAdmin        = "admin"         // admin token
)

// Caller is who called, as far as it was proved.
type Caller struct {
	Kind  string // one of the Kind constants
	Name  string // for logs: which of the secrets or keys; never a secret
	Scope Scope  // what it may speak for; the zero Scope is no project at all
}

// Scope is what a caller may speak for.
type Scope struct {
	All       bool   // every project
	Path      string // a project, or with Group a group
	Group     bool   // Path is a group: its own projects
	Subgroups bool   // with Group: those of its subgroups too
}

// Covers says whether c may speak for the project with this full path. Case does
// not count. A text that is no project path is covered by no token.
func (v *Verifier) Covers(c Caller, projectPath string) bool { return c.Scope.covers(projectPath) }

func (s Scope) covers(path string) bool {
	if s.All {
		return true
	}
	if s.Path == "" || !validPath(path) {
		return false
	}
	own, path := asciiLower(s.Path), asciiLower(path)
	if !s.Group {
		return path == own
	}
	rest, inside := strings.CutPrefix(path, own+"/")
	return inside && (s.Subgroups || !strings.Contains(rest, "/"))
}

// validPath says whether path can be the full path of a group or project: parts
// of letters, digits, "_", "-" and ".", and none that climbs.
func validPath(path string) bool {
	if len(path) > maxPath {
		return false
	}
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == "." || part == ".." {
			return false
		}
		for i := range len(part) {
			switch c := part[i]; {
			case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-', c == '.':
			default:
				return false
			}
		}
	}
	return true
}

// maxPath is far above what GitLab allows for a full path with 20 subgroups.
const maxPath = 4096

// asciiLower leaves other letters alone, so that no foreign letter folds into a
// path that GitLab could have.
func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// OutOfScope is the refusal of an event for a project that c may not speak for;
// "" for one that names no project.
func OutOfScope(c Caller, projectPath string) *Refusal {
	if projectPath == "" {
		return refuse(CodeScope, "%s is good for %q, and the body names no project", c.Name, c.Scope.Path)
	}
	return refuse(CodeScope, "%s is good for %q (group %t, subgroups %t), not for %.200q", c.Name, c.Scope.Path, c.Scope.Group, c.Scope.Subgroups, projectPath)
}
