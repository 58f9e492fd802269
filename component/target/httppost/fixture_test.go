package httppost_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
	"gitlab.com/remora-ci/remora/component/target/httppost"
)

const (
	token  = "canary-token-5f2c/9+d1"
	apiKey = "canary-header-77aa/x+y"
)

func event() delivery.Event {
	return delivery.Event{
		Cause: delivery.CauseCI, Instance: "https://gitlab.example.com",
		Project: delivery.Project{ID: 1<<60 + 1, Path: "acme/app", URL: "https://gitlab.example.com/acme/app", DefaultBranch: "main"},
		Ref:     "main", RefType: delivery.Branch, SHA: "c0ffee12c0ffee12c0ffee12c0ffee12c0ffee12",
		Pipeline: &delivery.Pipeline{ID: 1001, SHA: "c0ffee12c0ffee12c0ffee12c0ffee12c0ffee12", Source: "push"},
		At:       time.Date(2026, 11, 20, 14, 3, 0, 0, time.UTC),
	}
}

// seen is one request as it arrived.
type seen struct {
	Method, Path string
	Header       http.Header
	Body         string
}

// system is a build system on loopback: POST /trigger starts run 1, whose
// states are told one by one at /runs/1, the last one for ever.
type system struct {
	*httptest.Server
	mu       sync.Mutex
	requests []seen
	states   []string
}

// newSystem serves answers by path instead of its own where they are given.
func newSystem(t *testing.T, states []string, answers map[string]http.HandlerFunc) *system {
	t.Helper()
	s := &system{states: states}
	s.Server = httptest.NewServer(s.handler(answers))
	t.Cleanup(s.Close)
	return s
}

func (s *system) handler(answers map[string]http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.requests = append(s.requests, seen{r.Method, r.URL.RequestURI(), r.Header, string(body)})
		if answer := answers[r.URL.Path]; answer != nil {
			answer(w, r)
			return
		}
		switch r.URL.Path {
		case "/trigger":
			w.Header().Set("Location", "/runs/1")
			send(w, http.StatusAccepted, `{"id":1,"status_url":"/runs/1"}`)
		case "/runs/1":
			state := s.states[0]
			if len(s.states) > 1 {
				s.states = s.states[1:]
			}
			send(w, http.StatusOK, fmt.Sprintf(`{"id":1,"status":%q,"web_url":"/ui/runs/1","message":"said by the system"}`, state))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	})
}

func (s *system) all() []seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]seen(nil), s.requests...)
}

// count is how often path was asked for.
func (s *system) count(path string) int {
	n := 0
	for _, r := range s.all() {
		if r.Path == path {
			n++
		}
	}
	return n
}

func send(w http.ResponseWriter, code int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, body)
}

func answer(code int, kind, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil
		if kind != "" {
			w.Header().Set("Content-Type", kind)
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

func drop(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// target makes one that polls every few milliseconds and holds the canaries.
func target(t *testing.T, c httppost.Config) *httppost.Target {
	t.Helper()
	out, err := rest.New(rest.Config{Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(out.HTTP().CloseIdleConnections)
	made, err := httppost.New(c, out)
	if err != nil {
		t.Fatal(err)
	}
	return httppost.Hurry(made, 0)
}

// polled is the usual configuration: a token, a header, a status address.
func polled(base string) httppost.Config {
	return httppost.Config{
		URL: base + "/trigger", Token: token, Headers: "X-Api-Key: " + apiKey, StatusURL: ".answer.status_url // .location",
	}
}

func decoded(t *testing.T, text string) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("body %q: %v", text, err)
	}
	return v
}

func fault(t *testing.T, err error) *delivery.Fault {
	t.Helper()
	if err == nil {
		t.Fatal("no error, want one")
	}
	return delivery.Explain(err)
}
