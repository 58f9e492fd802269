package gitlabtest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"
)

// Server is a GitLab. Its methods may be called while it serves.
type Server struct {
	// URL is the base URL that clients use and that links are made of. One who
	// serves Handler elsewhere sets it before the first request.
	URL string

	listener *httptest.Server
	handler  http.Handler

	mu       sync.Mutex // guards all below
	lastID   int64
	users    map[int64]*User
	tokens   map[string]credential
	facts    map[string]*fact // by token
	projects map[int64]*project
	leases   map[string]bool
	log      []*Request
	leaks    []string
	faults   []*fault
	limits   limits
	before   func(Request)
	leased   func(Request)
	oidc     issuer
	groups   map[int64]*group
	hooks    hookState
	edition  Edition
	version  string
}

// limits are those that a test may lower.
type limits struct {
	jobs      int // of one pipeline; 0: none
	notes     int // that may still be created; negative: any number
	perTarget int // notes of one merge request
	diff      int // files of one comparison
	silent    bool
	calls     int // of a window; 0: any number
	called    int // in this window
	wait      time.Duration
}

// TB is the part of testing.TB that [New] needs.
type TB interface {
	Helper()
	Cleanup(func())
}

// New starts a server that ends with the test.
func New(t TB) *Server {
	t.Helper()
	s := NewServer()
	t.Cleanup(s.Close)
	return s
}

// NewServer starts a server on a free port of the loopback interface.
func NewServer() *Server {
	s := NewHandler("")
	s.listener = httptest.NewServer(s.handler)
	s.URL = s.listener.URL
	return s
}

// NewHandler makes a server that does not listen: who serves its Handler says
// under which base URL.
func NewHandler(url string) *Server {
	s := &Server{
		URL: strings.TrimRight(url, "/"), lastID: 10_000,
		users: map[int64]*User{}, tokens: map[string]credential{}, projects: map[int64]*project{}, leases: map[string]bool{},
		limits: limits{notes: -1, perTarget: 5000, diff: 1000},
	}
	s.groups, s.hooks, s.edition, s.version = map[int64]*group{}, newHookState(), Premium, "18.5.0-ee"
	s.handler = s.routes()
	return s
}

// Close ends the server and waits for requests in hand.
func (s *Server) Close() {
	if s.listener != nil {
		s.listener.CloseClientConnections()
		s.listener.Close()
	}
}

// Handler is the API under /api/v4, and the issuer of ID tokens.
func (s *Server) Handler() http.Handler { return s.handler }

// Before sets a hook that runs before each request is served, in its goroutine
// and outside all locks: to delay it, or to change the world under it.
func (s *Server) Before(hook func(Request)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = hook
}

// WhileLeased sets a hook that runs while a status post holds the lease of its
// project and commit. Another post to the same commit meanwhile gets 409.
func (s *Server) WhileLeased(hook func(Request)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leased = hook
}

// LimitJobs lets a pipeline hold at most n jobs and statuses.
func (s *Server) LimitJobs(n int) { s.change(func(l *limits) { l.jobs = n }) }

// LimitNotes lets n more notes be created, by whomever; then creation is
// answered 429 without headers. A negative n ends the limit.
func (s *Server) LimitNotes(n int) { s.change(func(l *limits) { l.notes = n }) }

// LimitNotesPerMergeRequest lowers the cap of 5,000.
func (s *Server) LimitNotesPerMergeRequest(n int) { s.change(func(l *limits) { l.perTarget = n }) }

// LimitDiff cuts comparisons after n files; silently, or with compare_timeout.
func (s *Server) LimitDiff(n int, silent bool) {
	s.change(func(l *limits) { l.diff, l.silent = n, silent })
}

// LimitCalls lets a user make n calls, tells in the headers of each answer how
// many are left, and refuses the next with a Retry-After; then n more are allowed.
func (s *Server) LimitCalls(n int, retryAfter time.Duration) {
	s.change(func(l *limits) { l.calls, l.called, l.wait = n, 0, retryAfter })
}

func (s *Server) change(set func(*limits)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	set(&s.limits)
}

// id is a new id, or the one that was asked for; the caller holds the lock.
func (s *Server) id(asked int64) int64 {
	if asked != 0 {
		s.lastID = max(s.lastID, asked)
		return asked
	}
	s.lastID++
	return s.lastID
}

// routes is the part of the API that the fake knows.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, known string, serve func(*call) reply) {
		method, path, _ := strings.Cut(pattern, " ")
		route := &route{known: strings.Fields(known), serve: serve}
		mux.Handle(method+" /api/v4"+path, s.serve(route))
	}
	const mr = "/projects/{id}/merge_requests/{iid}"
	handle("GET /user", "", (*call).self)
	handle("GET /metadata", "", (*call).metadata)
	handle("GET /personal_access_tokens/self", "", (*call).ownToken)
	handle("POST /personal_access_tokens/self/rotate", "expires_at", (*call).rotateToken)
	handle("GET /projects/{id}", "", (*call).getProject)
	handle("POST /projects/{id}/statuses/{sha}", "state ref name context target_url description coverage pipeline_id", (*call).postStatus)
	handle("GET /projects/{id}/repository/commits/{sha}", "stats", (*call).getCommit)
	handle("GET /projects/{id}/repository/commits/{sha}/statuses", "all name ref stage pipeline_id order_by sort "+paging, (*call).listStatuses)
	handle("GET /projects/{id}/repository/commits/{sha}/merge_requests", "state "+paging, (*call).commitMergeRequests)
	handle("GET /projects", "membership min_access_level archived simple order_by sort "+paging, (*call).listProjects)
	handle("GET /projects/{id}/repository/branches", paging, (*call).listBranches)
	handle("GET /projects/{id}/repository/tags", paging, (*call).listTags)
	handle("GET /projects/{id}/repository/branches/{ref}", "", (*call).getBranch)
	handle("GET /projects/{id}/repository/tags/{ref}", "", (*call).getTag)
	handle("GET /projects/{id}/repository/compare", "from to straight unidiff", (*call).compare)
	handle("GET /projects/{id}/repository/merge_base", "refs", (*call).mergeBase)
	handle("GET "+mr, "include_rebase_in_progress include_diverged_commits_count render_html", (*call).getMergeRequest)
	handle("GET "+mr+"/pipelines", paging, (*call).mergeRequestPipelines)
	handle("GET "+mr+"/versions", paging, (*call).mergeRequestVersions)
	handle("GET "+mr+"/notes", "order_by sort activity_filter "+paging, (*call).listNotes)
	handle("POST "+mr+"/notes", "body internal created_at merge_request_diff_head_sha", (*call).postNote)
	handle("GET "+mr+"/notes/{note}", "", (*call).getNote)
	handle("PUT "+mr+"/notes/{note}", "body", (*call).putNote)
	handle("DELETE "+mr+"/notes/{note}", "", (*call).deleteNote)
	handle("GET "+mr+"/discussions", paging, (*call).listDiscussions)
	handle("POST "+mr+"/discussions", "body created_at position commit_id", (*call).postDiscussion)
	handle("GET "+mr+"/discussions/{discussion}", "", (*call).getDiscussion)
	handle("PUT "+mr+"/discussions/{discussion}", "resolved", (*call).resolveDiscussion)
	handle("POST "+mr+"/discussions/{discussion}/notes", "body created_at", (*call).replyDiscussion)
	handle("PUT "+mr+"/discussions/{discussion}/notes/{note}", "body resolved", (*call).putDiscussionNote)
	handle("DELETE "+mr+"/discussions/{discussion}/notes/{note}", "", (*call).deleteNote)
	handle("GET "+mr+"/award_emoji", paging, (*call).listEmoji)
	handle("POST "+mr+"/award_emoji", "name", (*call).postEmoji)
	handle("POST "+mr+"/notes/{note}/award_emoji", "name", (*call).postEmoji)
	mux.Handle("GET /.well-known/openid-configuration", s.serve(&route{serve: (*call).discovery}))
	mux.Handle("GET /oauth/discovery/keys", s.serve(&route{serve: (*call).publicKeys}))
	handle("GET /projects/{id}/members/all/{user}", "", (*call).getMember)
	s.groupRoutes(handle)
	s.hookRoutes(handle)
	mux.Handle("/", s.serve(&route{serve: func(*call) reply { return noRoute() }}))
	return mux
}
