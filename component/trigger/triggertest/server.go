// Package triggertest is an agent in memory, for whoever asks one. It is strict: a
// request that a real agent would refuse is refused, and what was sent is kept.
package triggertest

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/component/trigger"
)

// Options are what the agent knows, and how it behaves.
type Options struct {
	IDToken      string // the one that it takes, and what that proves:
	JobID        int64
	PipelineID   int64
	SHA          string
	Project      string
	ProjectToken string // for reports only; empty: none

	Results   []trigger.Target // what a delivery ends as
	Reason    string           // why it has no targets
	Nothing   string           // its state then: skipped by default, or failed
	Hold      bool             // a delivery stays waiting until Finish
	Heartbeat time.Duration    // of a stream; default 15 s

	FullHouse  bool // no stream is opened: there are too many
	NoStreams  bool // JSON is answered, whatever is accepted
	HoldBack   bool // as a proxy that buffers: nothing of a stream comes before its end
	HeartsOnly bool // a stream has heartbeats and nothing else
	CutAfter   int  // events until a stream breaks; 0: it does not
}

// Fault is what a request gets instead of an answer.
type Fault struct {
	Code   int // 0: the connection breaks, after the request was taken
	Detail string
	Remedy string
	After  string // Retry-After
	Plain  string // text/html instead of a problem
}

// Request is one that came in. Its token is not kept.
type Request struct {
	Method, Path, Key, Body string
	Stream                  bool // events were asked for
}

// Server is the agent.
type Server struct {
	URL string

	o       Options
	address string
	server  *httptest.Server

	mu       sync.Mutex
	changed  chan struct{} // closed at each change, and replaced
	cut      chan struct{} // closed to break the streams, and replaced
	asked    chan struct{} // closed when somebody follows
	known    []trigger.Delivery
	keys     map[string]int64 // of our job: the delivery
	taken    map[string]bool  // by another job
	faults   []Fault
	requests []Request
	reports  []trigger.Report
}

// New starts an agent that ends with the test.
func New(t testing.TB, o Options) *Server {
	t.Helper()
	s := NewServer(o)
	t.Cleanup(s.Close)
	return s
}

// NewServer starts an agent; Close it.
func NewServer(o Options) *Server {
	if o.Heartbeat == 0 {
		o.Heartbeat = 15 * time.Second
	}
	s := &Server{o: o, keys: map[string]int64{}, taken: map[string]bool{}, changed: make(chan struct{}), cut: make(chan struct{}), asked: make(chan struct{})}
	s.address = "127.0.0.1:0"
	s.Start()
	return s
}

// Start has the agent listen again after Stop, at the same address and with all that
// it knew.
func (s *Server) Start() {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", s.address)
	if err != nil {
		panic("triggertest: " + err.Error())
	}
	s.address = l.Addr().String()
	s.server = &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(s.serve), ReadHeaderTimeout: time.Minute}}
	s.server.Start()
	s.URL = s.server.URL
}

// Stop breaks every connection and listens no longer, as an agent that restarts.
func (s *Server) Stop() {
	s.server.CloseClientConnections()
	s.server.Close()
}

// Close ends the agent. It may be called after Stop.
func (s *Server) Close() { s.Stop() }

// Change sets what is known of every delivery's targets; the delivery ends when all
// of them are done.
func (s *Server) Change(targets ...trigger.Target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.known {
		d := &s.known[i]
		d.Targets = targets
		d.State, d.Done = "done", true
		for _, t := range targets {
			d.Done = d.Done && t.Done
			if t.State == "failed" && !t.Optional {
				d.State = "failed"
			}
		}
		if !d.Done {
			d.State = "running"
		}
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

// Finish ends every delivery with the results of the options.
func (s *Server) Finish() { s.Change(s.o.Results...) }

// Fail has the next requests get these faults, one each.
func (s *Server) Fail(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, faults...)
}

// Take has key belong to another job.
func (s *Server) Take(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken[key] = true
}

// Cut breaks the streams that are open.
func (s *Server) Cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.cut)
	s.cut = make(chan struct{})
}

// Followed is closed once somebody follows a delivery.
func (s *Server) Followed() <-chan struct{} { return s.asked }

// Requests are those that came in.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Asked counts the requests that begin with start, such as "GET /api".
func (s *Server) Asked(start string) (n int) {
	for _, r := range s.Requests() {
		if strings.HasPrefix(r.Method+" "+r.Path, start) {
			n++
		}
	}
	return n
}

// Deliveries counts what was taken; a key that comes again adds nothing.
func (s *Server) Deliveries() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.known)
}

// Reports are those that were taken.
func (s *Server) Reports() []trigger.Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.reports)
}
