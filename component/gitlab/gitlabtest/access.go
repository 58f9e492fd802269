package gitlabtest

import (
	"net/http"
	"strconv"
	"strings"
)

// Kind is a kind of token.
type Kind string

// The kinds of token, and what GitLab does with them.
const (
	None    Kind = "none"    // no token came
	Unknown Kind = "unknown" // 401
	Bot     Kind = "bot"     // scope api
	ReadAPI Kind = "read"    // scope read_api: 403 on every write
	Job     Kind = "job"     // CI_JOB_TOKEN: reads a few things, writes nothing here
	Expired Kind = "expired" // 401
	Revoked Kind = "revoked" // 401
)

type credential struct {
	user int64
	kind Kind
}

// identify finds the user of the token in the headers.
func (s *Server) identify(r *http.Request) (*User, Kind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.who(r)
}

// tokenOf is the token in the headers, whatever the header.
func tokenOf(r *http.Request) string {
	if token := r.Header.Get("PRIVATE-TOKEN"); token != "" {
		return token
	}
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return bearer
	}
	return r.Header.Get("JOB-TOKEN")
}

func (s *Server) who(r *http.Request) (*User, Kind) {
	token := tokenOf(r)
	asJob := token == r.Header.Get("JOB-TOKEN")
	if token == "" {
		return nil, None
	}
	cred, known := s.tokens[token]
	if !known || (cred.kind == Job) != asJob && asJob {
		return nil, Unknown
	}
	return s.users[cred.user], cred.kind
}

// authenticate refuses bad tokens, writes without a user and writes that the
// scope of the token does not reach.
func (c *call) authenticate() *reply {
	c.user, c.kind = c.who(c.req)
	writes := c.req.Method != http.MethodGet
	switch {
	case c.kind == Unknown:
		return refuse(unauthorized())
	case c.kind == Expired:
		return refuse(reply{code: 401, body: fields{"error": "invalid_token", "error_description": "Token is expired. You can either do re-authorization or token refresh."}})
	case c.kind == Revoked:
		c.reused()
		return refuse(reply{code: 401, body: fields{"error": "invalid_token", "error_description": "Token was revoked. You have to re-authorize from the user."}})
	case c.kind == ReadAPI && writes:
		return refuse(reply{code: 403, body: fields{
			"error": "insufficient_scope", "error_description": "The request requires higher privileges than provided by the access token.", "scope": "api",
		}})
	case c.kind == Job && c.req.Header.Get("JOB-TOKEN") == "":
		return refuse(unauthorized()) // it is no personal token
	case c.kind == Job && (writes || !jobMayRead(c.req.URL.Path)):
		c.user = nil // the route does not know job tokens
	}
	if c.user == nil && (writes || needsUser(c.req.URL.Path)) {
		return refuse(unauthorized())
	}
	return nil
}

// needsUser says whether a route refuses to be read anonymously, whatever the
// project.
func needsUser(path string) bool {
	return strings.Contains(path, "/notes") || strings.Contains(path, "/discussions") || strings.HasSuffix(path, "/statuses")
}

// jobMayRead says what a job token may read: merge requests, their notes, and
// commits.
func jobMayRead(path string) bool {
	if strings.Contains(path, "/discussions") || strings.Contains(path, "/award_emoji") || strings.HasSuffix(path, "/statuses") {
		return false
	}
	return strings.Contains(path, "/merge_requests") || strings.Contains(path, "/repository/commits/")
}

// level is what the user may do in the project; 0 is nothing.
func (c *call) level() Level {
	if c.user == nil {
		return 0
	}
	return c.project.level(c.user.ID)
}

// findProject finds the project by id or path. One that the user may not see
// is not there; a moved one is pointed to.
func (c *call) findProject() *reply {
	name := c.req.PathValue("id")
	if id, err := strconv.ParseInt(name, 10, 64); err == nil {
		c.project = c.projects[id]
	}
	moved := false
	for _, p := range c.projects {
		if p.Path == name || has(p.MovedFrom, name) {
			c.project, moved = p, p.Path != name
		}
	}
	switch {
	case c.project == nil, !c.project.Public && c.level() == 0:
		return refuse(notFound("Project"))
	case moved && c.req.Method != http.MethodGet:
		return refuse(message(405, "Non GET methods are not allowed for moved projects"))
	case moved:
		rest := strings.SplitN(c.req.URL.EscapedPath(), "/", 6) // "", api, v4, projects, id, rest
		to := c.URL + "/api/v4/projects/" + strconv.FormatInt(c.project.ID, 10)
		if len(rest) > 5 {
			to += "/" + rest[5]
		}
		if q := c.req.URL.RawQuery; q != "" {
			to += "?" + q
		}
		return &reply{code: 301, body: fields{"message": "301 Moved Permanently"}, header: http.Header{"Location": {to}}}
	}
	return nil
}

func (c *call) findMergeRequest() *reply {
	iid, err := strconv.ParseInt(c.req.PathValue("iid"), 10, 64)
	if err != nil {
		return refuse(invalid("merge_request_iid is invalid"))
	}
	c.mr = c.project.mrs[iid]
	if c.mr == nil || !c.mayReadCode() {
		return refuse(missing())
	}
	return nil
}

// mayReadCode is false for guests of a private project.
func (c *call) mayReadCode() bool { return c.project.Public || c.level() >= Reporter }

// mayComment says whether the user may write notes.
func (c *call) mayComment() bool {
	if c.project.Archived || c.user == nil || !c.mayReadCode() {
		return false
	}
	return !c.mr.Locked || c.level() > 0
}
