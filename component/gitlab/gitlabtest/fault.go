package gitlabtest

import (
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Request is one that arrived.
type Request struct {
	Method  string
	Path    string // decoded, below /api/v4
	Query   url.Values
	Headers []string // their names, sorted
	Token   Kind     // what kind of token came with it
	Body    string
	Code    int // of the answer; 0 while there is none, or if it was dropped
}

// Answer is a fault to inject. The zero Answer lets the request pass, so that a
// later one can be hit.
type Answer struct {
	Code   int
	Header map[string]string
	Body   string // sent as JSON if it looks like JSON
	After  bool   // the request has its effect first
	Drop   bool   // the connection is cut instead of an answer
	Cut    bool   // the answer says it is longer than Body
}

type fault struct {
	method, part string
	answers      []Answer
}

// Fail answers the next requests that match with these answers, one each. match
// is a method and a part of the path, "POST /statuses/"; a method of * is any.
func (s *Server) Fail(match string, answers ...Answer) {
	method, part, _ := strings.Cut(match, " ")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &fault{method: method, part: part, answers: answers})
}

// Pending is how many injected answers were not used.
func (s *Server) Pending() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, f := range s.faults {
		n += len(f.answers)
	}
	return n
}

// Requests are all requests so far, oldest first; with a match as in
// [Server.Fail], only those.
func (s *Server) Requests(match ...string) []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Request
	for _, r := range s.log {
		for _, m := range match {
			if method, part, _ := strings.Cut(m, " "); matches(*r, method, part) {
				out = append(out, *r)
				break
			}
		}
		if len(match) == 0 {
			out = append(out, *r)
		}
	}
	return out
}

// Forget empties the log of requests.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = nil
}

// Leaks are the requests that brought a token in the query, without it.
func (s *Server) Leaks() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.leaks)
}

func matches(r Request, method, part string) bool {
	return (method == "*" || method == r.Method) && strings.Contains(r.Path, part)
}

// planned is the answer injected for a request; the caller holds the lock.
func (s *Server) planned(r Request) *Answer {
	for _, f := range s.faults {
		if len(f.answers) > 0 && matches(r, f.method, f.part) {
			a := f.answers[0]
			f.answers = f.answers[1:]
			return &a
		}
	}
	return nil
}

func (a *Answer) effective() bool { return a.Code != 0 || a.Drop }

func (a *Answer) write(w http.ResponseWriter, r *http.Request) {
	if a.Drop {
		panic(http.ErrAbortHandler)
	}
	body := strings.TrimSpace(a.Body)
	kind := "text/plain"
	switch {
	case strings.HasPrefix(body, "{") || strings.HasPrefix(body, "["):
		kind = "application/json"
	case strings.HasPrefix(body, "<"):
		kind = "text/html"
	}
	w.Header().Set("Content-Type", kind)
	for k, v := range a.Header {
		w.Header().Set(k, v)
	}
	w.WriteHeader(a.Code)
	_, _ = io.WriteString(w, a.Body)
	if a.Cut {
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// read makes the log entry of a request.
func (s *Server) read(r *http.Request) Request {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 16<<20))
	_, kind := s.identify(r)
	return Request{
		Method: r.Method, Path: strings.TrimPrefix(r.URL.Path, "/api/v4"), Query: r.URL.Query(),
		Headers: slices.Sorted(maps.Keys(r.Header)), Token: kind, Body: string(body),
	}
}
