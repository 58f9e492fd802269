package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/agent/auth"
	"gitlab.com/remora-ci/remora/agent/webhook"
	"gitlab.com/remora-ci/remora/component/delivery"
)

func TestALoadSendsEveryEventOnceWithKeysOfItsOwn(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	keys, commits := map[string]bool{}, map[string]bool{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		var event struct {
			After       string `json:"after"`
			CheckoutSHA string `json:"checkout_sha"`
			Commits     []any  `json:"commits"`
		}
		if err := json.Unmarshal(body, &event); err != nil {
			t.Errorf("%v in %s", err, body)
		}
		if len(body) < 9<<10 || len(body) > 12<<10 || event.After != event.CheckoutSHA {
			t.Errorf("a body of %d bytes, after %q, checkout_sha %q", len(body), event.After, event.CheckoutSHA)
		}
		mu.Lock()
		keys[r.Header.Get("Idempotency-Key")], commits[event.After] = true, true
		refuse := len(keys)%10 == 0
		mu.Unlock()
		if refuse {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer s.Close()
	l := load{address: strings.TrimPrefix(s.URL, "http://"), conns: 8, events: 200, lasts: 30 * time.Second, bytes: payload, prefix: "test"}
	got, err := l.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got.accepted+got.refused != 200 || got.refused != 20 || len(got.latencies) != got.accepted || len(keys) != 200 || len(commits) != 200 {
		t.Errorf("got %d accepted, %d refused, %d latencies, %d keys, %d commits; want 180, 20, 180, 200, 200", got.accepted, got.refused, len(got.latencies), len(keys), len(commits))
	}
	if p50, p99 := got.quantile(0.5), got.quantile(0.99); p50 <= 0 || p99 < p50 {
		t.Errorf("p50 %s, p99 %s", p50, p99)
	}
}

func TestALoadStaysOnLoopback(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"192.0.2.1:80", "example.com:80", "localhost"} {
		if _, err := (load{address: address, conns: 1, events: 1}).run(t.Context()); err == nil {
			t.Errorf("%s: no error", address)
		}
	}
}

func TestAPushIsSignedAsGitLabSignsIt(t *testing.T) {
	t.Parallel()
	v, err := auth.New(auth.Config{SigningTokens: delivery.Secret(signingToken())}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if c, err := v.Webhook(r.Header, body, remote(t, r)); err != nil || c.Kind != "signature" {
			t.Errorf("got %+v, %v, want a caller by its signature", c, err)
		}
		e, err := webhook.Parse(r.Header, body)
		if err != nil || e.Kind != "push" || e.Project != "acme/app" || e.Ref != "feature" || e.SHA != strings.Repeat("a", 40) || e.ProjectID != 42 {
			t.Errorf("got %+v, %v", e, err)
		}
	}))
	defer s.Close()
	p := push{instance: "https://gitlab.example.com", project: "acme/app", projectID: 42, branch: "feature", before: strings.Repeat("b", 40), after: strings.Repeat("a", 40), commits: 2}
	if status, _, err := p.send(t.Context(), s.URL); err != nil || status != http.StatusOK {
		t.Errorf("got %d, %v", status, err)
	}
}

func remote(t *testing.T, r *http.Request) netip.Addr {
	t.Helper()
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		t.Error(err)
	}
	return from.Addr()
}
