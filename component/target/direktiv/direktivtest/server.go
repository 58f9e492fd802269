// Package direktivtest is a Direktiv in memory, as strict as the real ones: five
// generations of it, with their routes, status codes, bodies and moods.
//
// Nothing in it waits: a sync comes nearer to its end each time somebody reads
// its status, or ends when the test says so. What it clones is described by
// [Options].Refs and GitPassword; what it logs follows from the result.
//
// The behaviour of the Enterprise Edition is an assumption: its source is
// closed, so the strictest reading is taken (a bearer token and nothing else).
package direktivtest

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"
)

// Generation is a family of Direktiv releases that behave alike.
type Generation string

// The generations, by the last release that behaves so.
const (
	V07   Generation = "v0.7.2"  // legacy API only
	V085  Generation = "v0.8.5"  // legacy API and v2
	V0810 Generation = "v0.8.10" // v2 only
	V0100 Generation = "v0.10.0" // v2, another log store, no key check
	Main  Generation = "main"    // v2, syncs run in parallel
)

// Generations are all of them, oldest first.
func Generations() []Generation { return []Generation{V07, V085, V0810, V0100, Main} }

func (g Generation) legacy() bool    { return g == V07 || g == V085 }
func (g Generation) v2() bool        { return g != V07 }
func (g Generation) checksKey() bool { return g == V07 || g == V085 || g == V0810 }
func (g Generation) oldLogs() bool   { return g == V085 || g == V0810 }

// Mirror is the configuration of a mirror as the server stores it.
type Mirror struct {
	URL, GitRef, AuthType, AuthToken  string
	PublicKey, PrivateKey, Passphrase string
	Cron                              string // legacy only
	Insecure                          bool
	Created, Updated                  time.Time
}

// Options say what kind of Direktiv to be. The zero value is a v0.8.10 without a
// key, with namespace "demo" that mirrors branch main of acme/app.
type Options struct {
	Generation  Generation
	Namespace   string   // default "demo"
	Mirror      *Mirror  // of that namespace; nil: the default one
	NoMirror    bool     // the namespace has none
	Key         string   // API key; empty: no check
	Enterprise  bool     // wants Key as a bearer token
	Base        string   // path that the API lies under, such as /direktiv
	UI          bool     // the start page answers outside /api/
	Refs        []string // branches of the repository; nil: every ref exists
	GitPassword string   // what the repository wants as password; empty: it is public
	Polls       int      // status reads until a sync ends; default 1, negative: never by itself
	Now         func() time.Time
}

// Line is a line that a sync logs. Error is the field of that name, which exists
// from v0.9 on; older servers put the cause into Msg.
type Line struct{ Level, Msg, Error string }

// Script is how one sync goes. The zero value follows the options.
type Script struct {
	Failure   string // cause; the sync ends as failed
	Status    string // a last status of its own, such as one nobody knows
	Lines     []Line // logged besides the usual ones, in front of a failure
	Polls     int    // see [Options]; 0: as there
	NoLogs    bool   // its log never arrives
	LogsAfter int    // log reads that are answered empty before its lines arrive
}

// Sync is a process as the server keeps it.
type Sync struct {
	ID, Namespace, Type, Status string
	Created, Updated, Ended     time.Time

	script Script
	last   string // status it will end with
	left   int    // reads until then; negative: none end it
	asked  int    // log reads so far
	lines  []Line
}

func (p *Sync) running() bool { return p.Status == "pending" || p.Status == "executing" }

// Request is a request that arrived.
type Request struct {
	Method, URI string
	Header      http.Header
	Body        string
}

// Server is a Direktiv in memory. Its methods are safe for concurrent use.
type Server struct {
	URL string // of the listener and [Options].Base; empty for [New]

	listener *httptest.Server
	o        Options

	mu         sync.Mutex
	namespaces map[string]*namespace
	scripts    []Script
	requests   []Request
	count      int
	lost       int  // triggers whose answer is dropped after the effect
	refused    int  // triggers that are dropped before the effect
	broken     int  // triggers that are answered by a bare 500
	logsDown   bool // the log store does not answer
}

type namespace struct {
	name    string
	created time.Time
	mirror  *Mirror
	syncs   []*Sync // oldest first
}

// New makes a server that listens nowhere; see [Server.Handler].
func New(o Options) *Server {
	if o.Generation == "" {
		o.Generation = V0810
	}
	if o.Namespace == "" {
		o.Namespace = "demo"
	}
	if o.Polls == 0 {
		o.Polls = 1
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Base = strings.TrimRight(o.Base, "/")
	s := &Server{o: o, namespaces: map[string]*namespace{}}
	ns := &namespace{name: o.Namespace, created: o.Now(), mirror: o.Mirror}
	if o.Mirror == nil && !o.NoMirror {
		ns.mirror = &Mirror{URL: "https://gitlab.example.com/acme/app.git", GitRef: "main", AuthType: "public"}
	}
	s.namespaces[o.Namespace] = ns
	return s
}

// NewServer makes a server that listens on loopback until Close.
func NewServer(o Options) *Server {
	s := New(o)
	s.listener = httptest.NewServer(s.Handler())
	s.URL = s.listener.URL + s.o.Base
	return s
}

// Close stops the listener of [NewServer].
func (s *Server) Close() { s.listener.Close() }

// Handler serves the API, for a listener of the caller's choice.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.serve) }

// Next sets how the next syncs go, one after the other.
func (s *Server) Next(scripts ...Script) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scripts = append(s.scripts, scripts...)
}

// Release ends every running sync with the result of its script.
func (s *Server) Release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ns := range s.namespaces {
		for _, p := range ns.syncs {
			if p.running() {
				s.end(p)
			}
		}
	}
}

// Running adds a sync that was started at the given time by somebody else. polls
// is as in [Options]; negative is the one that a crash left behind.
func (s *Server) Running(since time.Time, polls int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.add(s.namespaces[s.o.Namespace], "sync", Script{Polls: polls})
	p.Created, p.Updated, p.Status = since, since, "executing"
	return p.ID
}

// Forget removes the syncs of a namespace, as its deletion does.
func (s *Server) Forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.namespaces[name].syncs = nil
}

// LoseAnswers drops the connection after the effect of the next n triggers.
func (s *Server) LoseAnswers(n int) { s.mu.Lock(); defer s.mu.Unlock(); s.lost = n }

// LoseTriggers drops the connection before the effect of the next n triggers.
func (s *Server) LoseTriggers(n int) { s.mu.Lock(); defer s.mu.Unlock(); s.refused = n }

// BreakTriggers answers the next n triggers as if a sync were running: with a
// bare 500 in v2, in words by the legacy API.
func (s *Server) BreakTriggers(n int) { s.mu.Lock(); defer s.mu.Unlock(); s.broken = n }

// LogsDown says whether the log store is unreachable.
func (s *Server) LogsDown(down bool) { s.mu.Lock(); defer s.mu.Unlock(); s.logsDown = down }

// Syncs are the syncs of a namespace, oldest first.
func (s *Server) Syncs(name string) []Sync {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Sync
	if ns := s.namespaces[name]; ns != nil {
		for _, p := range ns.syncs {
			out = append(out, *p)
		}
	}
	return out
}

// Mirror is the mirror of a namespace, nil if it has none.
func (s *Server) Mirror(name string) *Mirror {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ns := s.namespaces[name]; ns != nil && ns.mirror != nil {
		m := *ns.mirror
		return &m
	}
	return nil
}

// Requests are the requests that arrived, in their order, each "METHOD URI" or
// with header and body.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.requests...)
}

// Asked counts the requests whose "METHOD URI" begins with prefix.
func (s *Server) Asked(prefix string) int {
	n := 0
	for _, r := range s.Requests() {
		if strings.HasPrefix(r.Method+" "+r.URI, prefix) {
			n++
		}
	}
	return n
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, Request{r.Method, r.URL.RequestURI(), r.Header.Clone(), string(body)})
	path, ok := strings.CutPrefix(r.URL.Path, s.o.Base)
	switch {
	case !ok || !strings.HasPrefix(path, "/api/"):
		s.outside(w)
	case strings.HasPrefix(path, "/api/v2/") && s.o.Generation.v2():
		s.serveV2(w, r, strings.TrimPrefix(path, "/api/v2/"), body)
	case s.o.Generation.legacy():
		s.serveLegacy(w, r, strings.TrimPrefix(path, "/api/"), body)
	default:
		fault(w, http.StatusNotFound, "request_path_not_found", "request http path is not found")
	}
}

// outside answers what is no API: the start page, if it is installed.
func (s *Server) outside(w http.ResponseWriter) {
	switch {
	case s.o.UI:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<!doctype html><html><head><title>Direktiv</title></head><body></body></html>\n")
	case s.o.Generation == V07:
		http.Error(w, "404 page not found", http.StatusNotFound)
	default:
		fault(w, http.StatusNotFound, "request_path_not_found", "request http path is not found")
	}
}

// start begins a sync; busy says that one runs already, where only one may.
func (s *Server) start(ns *namespace, kind string) (p *Sync, busy bool) {
	if s.o.Generation != Main && s.running(ns) {
		return nil, true
	}
	var script Script
	if len(s.scripts) > 0 {
		script, s.scripts = s.scripts[0], s.scripts[1:]
	}
	return s.add(ns, kind, script), false
}

func (s *Server) running(ns *namespace) bool { return slices.ContainsFunc(ns.syncs, (*Sync).running) }

func (s *Server) add(ns *namespace, kind string, script Script) *Sync {
	s.count++
	now := s.o.Now().UTC()
	p := &Sync{ID: fmt.Sprintf("8c1f%04x-0d2e-4f6a-9b1c-%012x", s.count, s.count), Namespace: ns.name, Type: kind,
		Status: "pending", Created: now, Updated: now, script: script, left: script.Polls}
	if p.left == 0 {
		p.left = s.o.Polls
	}
	if p.script.Failure == "" {
		p.script.Failure = s.clone(ns.mirror)
	}
	p.last = "complete"
	if p.script.Failure != "" {
		p.last = "failed"
	}
	if p.script.Status != "" {
		p.last = p.script.Status
	}
	p.lines = s.linesOf(p)
	ns.syncs = append(ns.syncs, p)
	return p
}

// clone is why the repository cannot be cloned, or nothing.
func (s *Server) clone(m *Mirror) string {
	if m == nil {
		return ""
	}
	if s.o.GitPassword != "" && m.PublicKey == "" {
		credentials := m.AuthToken
		switch {
		case s.o.Generation == V07:
			credentials = m.Passphrase
		case s.o.Generation == Main && m.AuthType == "token":
			credentials = m.Passphrase
		case s.o.Generation == Main:
			credentials = ""
		case credentials == "":
			credentials = m.Passphrase
		}
		if _, password, _ := strings.Cut(credentials, ":"); password != s.o.GitPassword {
			return "authentication required"
		}
	}
	if s.o.Refs == nil {
		return ""
	}
	if !slices.Contains(s.o.Refs, m.GitRef) {
		return "reference not found"
	}
	return ""
}

// step is what happens to the syncs of a namespace between two reads.
func (s *Server) step(ns *namespace) {
	for _, p := range ns.syncs {
		if !p.running() {
			continue
		}
		p.Status = "executing"
		if p.left > 0 {
			if p.left--; p.left == 0 {
				s.end(p)
			}
		}
	}
}

func (s *Server) end(p *Sync) {
	p.Status, p.Updated = p.last, s.o.Now().UTC()
	if p.last == "complete" || p.last == "failed" {
		p.Ended = p.Updated
	}
}
