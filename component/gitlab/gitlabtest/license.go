package gitlabtest

import (
	"strconv"
	"strings"
)

// Edition is what an installation of GitLab may do.
type Edition string

// The editions, and what they do with group hooks.
const (
	Premium   Edition = "premium"   // licensed: calls them. The default
	Free      Edition = "free"      // Enterprise Edition without a licence: takes them, and never calls one
	Community Edition = "community" // has no such route
)

// SetEdition changes the edition.
func (s *Server) SetEdition(e Edition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.edition = e
}

// SetVersion changes the version, "17.3.0-ee". What came later is not there: 16.11
// tests of hooks, 17.3 events of hooks, 17.4 resend and Idempotency-Key, 19.0
// signing tokens. The default is 18.5.0-ee.
func (s *Server) SetVersion(version string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version = version
}

// since says whether the version is at least major.minor.
func (s *Server) since(major, minor int) bool {
	parts := strings.SplitN(s.version, ".", 3)
	at := make([]int, 2)
	for i := range min(len(parts), 2) {
		at[i], _ = strconv.Atoi(parts[i])
	}
	return at[0] > major || at[0] == major && at[1] >= minor
}

func (c *call) metadata() reply {
	if c.user == nil {
		return unauthorized()
	}
	return ok(fields{"version": c.version, "revision": "c0ffee12", "enterprise": c.edition != Community})
}

// noRoute is the answer where there is no such route.
func noRoute() reply { return reply{code: 404, body: fields{"error": "404 Not Found"}} }
