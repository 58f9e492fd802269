package api_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"gitlab.com/remora-ci/remora/agent/api"
	"gitlab.com/remora-ci/remora/agent/auth"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component/trigger"
)

var update = flag.Bool("update", false, "write docs/openapi.yaml")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	instance = "https://gitlab.example.com"
	admin    = "admin-canary-token"
	project  = "project-canary-token"
)

// The jobs whose ID tokens are good; lab's has the same number at another instance.
var (
	job   = auth.Job{Instance: instance, ProjectID: 7, ProjectPath: "acme/app", Exact: true, SourceID: 7, PipelineID: 1001, JobID: 77, SHA: "c0ffee", Ref: "main", RefProtected: true}
	other = auth.Job{Instance: instance, ProjectID: 7, ProjectPath: "acme/app", Exact: true, SourceID: 7, PipelineID: 1001, JobID: 78, SHA: "c0ffee", Ref: "main", RefProtected: true}
	lab   = auth.Job{Instance: "https://lab.example.com", ProjectID: 7, ProjectPath: "acme/app", JobID: 77, SHA: "c0ffee", PipelineID: 1001}
)

// idToken looks like an ID token, whose signature is a word.
func idToken(word string) string {
	b64 := base64.RawURLEncoding.EncodeToString
	return b64([]byte(`{"alg":"RS256","kid":"1"}`)) + "." + b64([]byte(`{"iss":"`+instance+`","secret":"canary"}`)) + "." + word
}

// callers stand for the verification of tokens.
type callers struct{}

func (callers) Bearer(h http.Header) (auth.Caller, error) {
	given, bearer := strings.CutPrefix(h.Get("Authorization"), "Bearer ")
	if !bearer || given == "" || len(h.Values("Authorization")) != 1 {
		return auth.Caller{}, &auth.Refusal{Code: auth.CodeMissing, Reason: "no bearer token, or two", Public: "Send a token as Authorization: Bearer."}
	}
	switch given {
	case admin:
		return auth.Caller{Kind: auth.KindAdmin, Name: "admin token 1", Scope: auth.Scope{All: true}}, nil
	case project:
		return auth.Caller{Kind: auth.KindProjectToken, Name: "project token t1", Scope: auth.Scope{Path: "acme/app"}}, nil
	case "packit":
		return auth.Caller{Kind: auth.KindPackit, Name: "packit", Scope: auth.Scope{Path: "acme/app"}}, nil
	}
	return auth.Caller{}, &auth.Refusal{Code: auth.CodeSecret, Reason: "the bearer token is none of ours, in full", Public: "The bearer token is not good here."}
}

func (callers) Covers(c auth.Caller, path string) bool { return c.Scope.Path == path }

func (callers) Client(http.Header, netip.Addr) netip.Addr { return netip.MustParseAddr("203.0.113.5") }

func (callers) Verify(_ context.Context, raw string) (auth.Job, error) {
	switch raw {
	case idToken("good"):
		return job, nil
	case idToken("other"):
		return other, nil
	case idToken("lab"):
		return lab, nil
	case idToken("outage"):
		return auth.Job{}, fmt.Errorf("read the keys of %s: connection refused", instance)
	case idToken("silent"):
		return auth.Job{}, &auth.Refusal{Code: auth.CodeToken, Reason: "no sentence for this"}
	}
	return auth.Job{}, &auth.Refusal{Code: auth.CodeToken, Reason: `aud is ["https://elsewhere"], want "remora:x"`, Public: "The claim aud of the ID token does not hold."}
}

// desk keeps deliveries in memory.
type desk struct {
	mu         sync.Mutex
	deliveries map[int64]trigger.Delivery
	owners     map[int64]api.Owner
	waiting    map[int64]map[chan struct{}]bool
	mute       bool  // watchers are not told
	err        error // of every call
	lastKey    string
	asked      any
	reporter   api.Reporter
	looked     int
	broken     bool // it panics
}

func newDesk() *desk {
	return &desk{deliveries: map[int64]trigger.Delivery{}, owners: map[int64]api.Owner{}, waiting: map[int64]map[chan struct{}]bool{}}
}

// put sets a delivery, which is job's, and tells those who watch.
func (d *desk) put(id int64, state string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	done := state == "done" || state == "failed" || state == "skipped"
	d.deliveries[id] = trigger.Delivery{ID: id, State: state, Done: done, Project: "acme/app", SHA: "c0ffee", Targets: []trigger.Target{{Delivery: id + 100, Target: "direktiv", State: state, Done: done}}}
	d.owners[id] = api.Owner{Instance: instance, Job: job.JobID, Project: "acme/app"}
	if d.mute {
		return
	}
	for ch := range d.waiting[id] {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

func (d *desk) set(f func(*desk)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(d)
}

func (d *desk) watchers() (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, all := range d.waiting {
		n += len(all)
	}
	return n
}

func (d *desk) Watch(id int64) (<-chan struct{}, func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	ch := make(chan struct{}, 1)
	if d.waiting[id] == nil {
		d.waiting[id] = map[chan struct{}]bool{}
	}
	d.waiting[id][ch] = true
	return ch, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.waiting[id], ch)
	}
}

func (d *desk) Deliver(_ context.Context, _ auth.Job, key string, r trigger.Request) (trigger.Delivery, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.broken {
		panic("canary of a panic")
	}
	d.lastKey, d.asked = key, r
	return trigger.Delivery{ID: 12, State: "waiting", Project: "acme/app", SHA: r.SHA}, d.err
}

func (d *desk) Report(_ context.Context, who api.Reporter, key string, r trigger.Report) (trigger.Delivery, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lastKey, d.asked, d.reporter = key, r, who
	return trigger.Delivery{ID: 13, State: "done", Done: r.State != "pending", Project: "acme/app", SHA: r.SHA}, d.err
}

func (d *desk) Delivery(_ context.Context, id int64) (trigger.Delivery, api.Owner, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.looked++
	if d.err != nil {
		return trigger.Delivery{}, api.Owner{}, d.err
	}
	got, ok := d.deliveries[id]
	if !ok {
		return trigger.Delivery{}, api.Owner{}, &api.Refused{Status: http.StatusNotFound, Title: "not found", Detail: "not in these words"}
	}
	return got, d.owners[id], nil
}

// rig is an API with all that it stands on.
type rig struct {
	handler http.Handler
	desk    *desk
	logs    *logs
	seen    *seen
}

// logs are the lines that were logged.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// seen are the calls that were observed.
type seen struct {
	mu   sync.Mutex
	list []string
}

func (s *seen) observe(route string, status int, _ time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, fmt.Sprint(route, " ", status))
}

func (s *seen) has(one string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.list, one)
}

func (s *seen) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.list) == 0 {
		return ""
	}
	return s.list[len(s.list)-1]
}

// newRig makes an API; change may be nil.
func newRig(t testing.TB, change func(*api.Options)) *rig {
	t.Helper()
	r := &rig{desk: newDesk(), logs: &logs{}, seen: &seen{}}
	o := api.Options{Desk: r.desk, Verifier: callers{}, IDTokens: callers{}, Store: new(store.Store), Observe: r.seen.observe}
	if change != nil {
		change(&o)
	}
	h, err := api.New(o)
	if err != nil {
		t.Fatal(err)
	}
	log := zerolog.New(r.logs).Level(zerolog.WarnLevel)
	r.handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		h.ServeHTTP(w, req.WithContext(log.WithContext(req.Context())))
	})
	return r
}

// send makes a call; headers are pairs.
func (r *rig) send(t testing.TB, method, path, token, body string, headers ...string) *http.Response {
	t.Helper()
	var b io.Reader
	if body != "" {
		b = strings.NewReader(body)
	}
	req := httptest.NewRequestWithContext(t.Context(), method, path, b)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	r.handler.ServeHTTP(w, req)
	return w.Result()
}

// content is the body of an answer.
func content(t testing.TB, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return string(b)
}

// decoded is the body of an answer with this status.
func decoded[T any](t testing.TB, resp *http.Response, status int) (v T) {
	t.Helper()
	text := content(t, resp)
	if resp.StatusCode != status {
		t.Fatalf("got %d, want %d: %s", resp.StatusCode, status, text)
	}
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}

// refusal checks that an answer is a problem that does not tell what it must not.
func refusal(t testing.TB, r *rig, resp *http.Response, status int) trigger.Problem {
	t.Helper()
	text := content(t, resp)
	var p trigger.Problem
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if resp.StatusCode != status || p.Status != status || p.Title == "" || p.Detail == "" {
		t.Errorf("got %d: %s; want %d with title, status and detail", resp.StatusCode, text, status)
	}
	if kind := resp.Header.Get("Content-Type"); kind != "application/problem+json" {
		t.Errorf("got content type %q", kind)
	}
	if strings.Contains(text+r.logs.String()+fmt.Sprint(resp.Header), "canary") {
		t.Errorf("something secret is told:\n%s\n%v\n%s", text, resp.Header, r.logs)
	}
	if r.logs.String() == "" {
		t.Error("nothing was logged")
	}
	return p
}

// request is the body that a job sends, changed.
func request(change map[string]any) string {
	body := map[string]any{"job_id": 77, "pipeline_id": 1001, "sha": "c0ffee"}
	maps.Copy(body, change)
	maps.DeleteFunc(body, func(_ string, v any) bool { return v == nil })
	b, _ := json.Marshal(body)
	return string(b)
}
