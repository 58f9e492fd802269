package webhook_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"gitlab.com/remora-ci/remora/agent/auth"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/webhook"
	"gitlab.com/remora-ci/remora/component/delivery"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	secret       = "hook-secret-0123456789"
	signingToken = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	sha          = "c0ffee1234567890c0ffee1234567890c0ffee12"
	zeros        = "0000000000000000000000000000000000000000"
	pushBody     = `{"object_kind":"push","ref":"refs/heads/main","checkout_sha":"` + sha + `","project":{"id":42,"path_with_namespace":"acme/app","web_url":"https://gitlab.example.com/acme/app"}}`
)

var (
	tokenKey    = base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))
	errDiskFull = errors.New("disk full")
)

// The real store is one.
var _ webhook.Appender = (*store.Store)(nil)

// memory is a store in memory: the first of a key wins, also at once.
type memory struct {
	mu     sync.Mutex
	ids    map[string]int64
	events []store.Event
	before func(ctx context.Context) error // called first, outside the lock
}

func (m *memory) Append(ctx context.Context, e store.Event) (int64, bool, error) {
	if m.before != nil {
		if err := m.before(ctx); err != nil {
			return 0, false, err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if id, known := m.ids[e.IdempotencyKey]; known {
		return id, true, nil
	}
	if m.ids == nil {
		m.ids = map[string]int64{}
	}
	e.ID = int64(len(m.events) + 1)
	e.Body = bytes.Clone(e.Body)
	m.ids[e.IdempotencyKey] = e.ID
	m.events = append(m.events, e)
	return e.ID, false, nil
}

func (m *memory) all() []store.Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.events
}

// hook is a handler with everything around it that a test looks at.
type hook struct {
	http.Handler
	store *memory
	logs  *lines

	mu   sync.Mutex
	seen []webhook.Observation
}

// lines is a log.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newHook(t testing.TB, o webhook.Options) *hook {
	t.Helper()
	v, err := auth.New(auth.Config{Secrets: secret, SigningTokens: signingToken, TokenKeys: delivery.Secret(tokenKey), PackitSecret: "gitlab-token-secret"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	h := &hook{store: &memory{}, logs: &lines{}}
	if o.Instances == nil {
		o.Instances = []string{"https://gitlab.example.com"}
	}
	o.Observe = func(s webhook.Observation) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.seen = append(h.seen, s)
	}
	inner := webhook.New(h.store, v, o)
	log := zerolog.New(h.logs)
	h.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner.ServeHTTP(w, r.WithContext(log.WithContext(r.Context())))
	})
	return h
}

func (h *hook) observed() []webhook.Observation {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.seen
}

// request is a POST to /hooks/gitlab with the secret; pairs are more headers, of
// which an empty one is taken away.
func request(body string, pairs ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/hooks/gitlab", strings.NewReader(body))
	r.Header.Set("X-Gitlab-Token", secret)
	for i := 0; i < len(pairs); i += 2 {
		if r.Header.Del(pairs[i]); pairs[i+1] != "" {
			r.Header.Set(pairs[i], pairs[i+1])
		}
	}
	return r
}

func (h *hook) do(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// reply is the JSON of an answer.
type reply struct {
	Event     int64
	Duplicate bool
	Error     string
}

func replyOf(t testing.TB, body io.Reader) reply {
	t.Helper()
	var r reply
	if err := json.NewDecoder(body).Decode(&r); err != nil {
		t.Fatalf("the answer is no JSON: %v", err)
	}
	return r
}

func projectToken(t testing.TB, g auth.Grant) string {
	t.Helper()
	g.Issued, g.Expires = time.Now(), time.Now().Add(time.Hour)
	i, err := auth.Issue(delivery.Secret(tokenKey), g)
	if err != nil {
		t.Fatal(err)
	}
	return i.Token.Reveal()
}

// push is a push payload of about 10 KB with 20 commits.
func push(t testing.TB) string {
	t.Helper()
	var commits []map[string]any
	for range 20 {
		commits = append(commits, map[string]any{
			"id": sha, "message": "folder: change a thing\n\nIt was \"so\" & it is no more, as it should be: " + strings.Repeat("why ", 20), "title": "folder: change a thing",
			"timestamp": "2026-11-20T14:03:00+00:00", "url": "https://gitlab.example.com/acme/app/-/commit/" + sha,
			"author": map[string]any{"name": "Someone", "email": "[REDACTED]"}, "added": []string{"a/new.go"}, "modified": []string{"b/old.go", "README.md"}, "removed": []string{},
		})
	}
	b, err := json.Marshal(map[string]any{
		"object_kind": "push", "event_name": "push", "before": zeros, "after": sha, "ref": "refs/heads/main", "ref_protected": true, "checkout_sha": sha,
		"user_id": 7, "user_name": "Someone", "project_id": 42, "commits": commits, "total_commits_count": 20,
		"project":    map[string]any{"id": 42, "name": "app", "web_url": "https://gitlab.example.com/acme/app", "path_with_namespace": "acme/app", "default_branch": "main"},
		"repository": map[string]any{"name": "app", "url": "git@gitlab.example.com:acme/app.git", "homepage": "https://gitlab.example.com/acme/app"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
