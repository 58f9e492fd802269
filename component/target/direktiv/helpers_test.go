package direktiv_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
	"gitlab.com/remora-ci/remora/component/target/direktiv"
	"gitlab.com/remora-ci/remora/component/target/direktiv/direktivtest"
)

const canary = "canary-a41b/77+e0"

// push is an event that the default mirror of direktivtest follows.
func push() delivery.Event {
	return delivery.Event{
		Cause: delivery.CauseCI, Ref: "main", RefType: delivery.Branch, SHA: strings.Repeat("c0ffee12", 5),
		Project: delivery.Project{ID: 1, Path: "acme/app", URL: "https://gitlab.example.com/acme/app", DefaultBranch: "main"},
	}
}

type config = direktiv.Config

// serveHandler serves h and returns its address.
func serveHandler(t *testing.T, h http.Handler) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}

// discard is where an answer goes that nobody sees.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}

// echo says that there is no such namespace, and refuses everything else with
// the request as its message.
type echo struct{}

func (echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	code, word, message := http.StatusBadRequest, "request_data_invalid", string(body)
	if r.Method == http.MethodGet {
		code, word, message = http.StatusNotFound, "resource_not_found", "requested resource(namespace) is not found"
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]string{"code": word, "message": message}})
}

func client(t *testing.T) *rest.Client {
	t.Helper()
	out, err := rest.New(rest.Config{Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func serve(t *testing.T, o direktivtest.Options) *direktivtest.Server {
	t.Helper()
	srv := direktivtest.NewServer(o)
	t.Cleanup(srv.Close)
	return srv
}

// target makes a target for the namespace demo at base; change may be nil.
func target(t *testing.T, base string, change func(*direktiv.Config)) *direktiv.Target {
	t.Helper()
	c := direktiv.Config{URL: base, Namespace: "demo", Token: canary}
	if change != nil {
		change(&c)
	}
	d, err := direktiv.New(c, client(t))
	if err != nil {
		t.Fatal(err)
	}
	return direktiv.Quick(d)
}

// apply delivers a push within a deadline that no test should reach.
func apply(t *testing.T, d *direktiv.Target) delivery.Outcome {
	t.Helper()
	return within(t, d, 20*time.Second)
}

func within(t *testing.T, d *direktiv.Target, limit time.Duration) delivery.Outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return delivery.Deliver(ctx, push(), d, 1)
}

func wantDone(t *testing.T, o delivery.Outcome) {
	t.Helper()
	if o.State != delivery.Done {
		t.Fatalf("state = %q (%v), want done", o.State, o.Err)
	}
}

// wantFault checks state, summary and that each of words stands in the fault.
func wantFault(t *testing.T, o delivery.Outcome, state delivery.State, summary string, words ...string) {
	t.Helper()
	if o.Err == nil {
		t.Fatalf("no error, want %q", summary)
	}
	f := delivery.Explain(o.Err)
	if o.State != state || f.Summary != summary {
		t.Errorf("state %q, summary %q (%v); want %q, %q", o.State, f.Summary, o.Err, state, summary)
	}
	if f.Remedy == "" || f.Request == "" {
		t.Errorf("fault = %+v, want a remedy and a request", *f)
	}
	for _, w := range words {
		if all := f.Cause + "\n" + f.Remedy + "\n" + f.Request; !strings.Contains(all, w) {
			t.Errorf("fault = %+v, want %q in it", *f, w)
		}
	}
}

// page answers everything with one code, type and body.
func page(code int, contentType, body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
		}
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body))
	})
}
