package agent_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"gitlab.com/remora-ci/remora/agent"
	"gitlab.com/remora-ci/remora/agent/config"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

const hookSecret = "a-hook-secret-of-some-length"

func TestMain(m *testing.M) {
	if file := os.Getenv(childConfig); file != "" {
		os.Exit(child(file))
	}
	goleak.VerifyTestMain(m)
}

// vars are the variables of an agent.
type vars map[string]string

func (v vars) Lookup(name string) (string, bool) { text, ok := v[name]; return text, ok }

// place is a target: an HTTP system that remembers what it was told.
type place struct {
	*httptest.Server
	mu     sync.Mutex
	events []delivery.Event
	now    int // calls that are not answered yet
	most   int // of them at once, for one ref
	hold   chan struct{}
	code   int    // answered in place of 200
	only   string // to this commit alone
}

func newPlace(t *testing.T) *place {
	p := &place{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var ev delivery.Event
		body, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(body, &ev); err != nil {
			t.Errorf("the target got %q: %v", body, err)
		}
		p.mu.Lock()
		p.events = append(p.events, ev)
		p.now++
		p.most = max(p.most, p.now)
		hold, code := p.hold, p.code
		if p.only != "" && p.only != ev.SHA {
			code = 0
		}
		p.mu.Unlock()
		if hold != nil {
			select {
			case <-hold:
			case <-r.Context().Done():
			}
		}
		p.mu.Lock()
		p.now--
		p.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		if code != 0 {
			w.WriteHeader(code)
			return
		}
		_, _ = io.WriteString(w, `{"state":"success"}`)
	}))
	t.Cleanup(p.Close)
	return p
}

// block has calls wait until the function it returns is called.
func (p *place) block() (release func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	hold := make(chan struct{})
	p.hold = hold
	return sync.OnceFunc(func() {
		p.mu.Lock()
		p.hold = nil
		p.mu.Unlock()
		close(hold)
	})
}

func (p *place) answer(code int) { p.mu.Lock(); defer p.mu.Unlock(); p.code = code }

// refuse answers code to one commit alone.
func (p *place) refuse(sha string, code int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.only, p.code = sha, code
}

func (p *place) got() []delivery.Event {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.events)
}

func (p *place) shas() []string {
	var out []string
	for _, ev := range p.got() {
		out = append(out, ev.SHA)
	}
	return out
}

// stage is a GitLab, a target, and the configuration of an agent between them.
type stage struct {
	*testing.T
	git    *gitlabtest.Server
	scene  gitlabtest.Scene
	place  *place
	db     store.Config
	yaml   string // more of the configuration
	route  string // more of the route
	target string // more of the target
	slow   *place // another target, of the projects slow/**
	url    string // of the running agent
	events int
	after  string      // the last answer's Retry-After
	name   string      // of the target
	hooks  string      // more of the webhooks
	header http.Header // more of the webhook
	secret string      // of the webhook; default hookSecret
	logs   *logs
	whole  string // in place of the configuration
}

func newStage(t *testing.T, db store.Config) *stage {
	t.Helper()
	git := gitlabtest.New(t)
	return &stage{T: t, git: git, scene: git.Populate(), place: newPlace(t), db: db, logs: &logs{}}
}

// config is remora.yaml.
func (s *stage) config() string {
	if s.whole != "" {
		return s.whole
	}
	name := cmp.Or(s.name, "site")
	targets, routes := "", ""
	if s.slow != nil {
		targets = fmt.Sprintf(", {name: slow, kind: http, url: %q}", s.slow.URL)
		routes = ", {name: slow, projects: ['slow/**'], sync: [slow], timeout: 30s}"
	}
	return fmt.Sprintf(`
gitlab: [{url: %q}]
tokens: [{name: bot, token: %q}]
targets: [{name: %s, kind: http, url: %q%s}%s]
routes: [{name: all, sync: [%s], timeout: 30s%s}%s]
webhook: {secret: %q%s}
listen: 127.0.0.1:0
url: https://remora.example.com
shutdown_timeout: 5s
%s`, s.git.URL, s.scene.Token, name, s.place.URL, s.target, targets, name, s.route, routes, hookSecret, s.hooks, s.yaml)
}

func (s *stage) parse() *config.Config {
	s.Helper()
	c, _, err := config.Parse("remora.yaml", []byte(s.config()), vars{"REMORA_GITLAB_REQUESTS": "auto"})
	if err != nil {
		s.Fatal(err)
	}
	c.Store = s.db
	return c
}

// logs keeps what was logged.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) { l.mu.Lock(); defer l.mu.Unlock(); return l.text.Write(p) }

func (l *logs) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.text.String() }

// start runs an agent until stop is called or the test ends.
func (s *stage) start(options ...func(*agent.Options)) (a *agent.Agent, stop func()) {
	s.Helper()
	o := agent.Hastened(agent.Options{Version: "1.0.0"}, 2*time.Second)
	for _, change := range options {
		change(&o)
	}
	return s.launch(s.parse(), o)
}

// launch runs an agent of a configuration until stop is called or the test ends.
func (s *stage) launch(c *config.Config, o agent.Options) (a *agent.Agent, stop func()) {
	s.Helper()
	ctx, cancel := context.WithCancel(zerolog.New(s.logs).WithContext(context.Background()))
	a, err := agent.New(ctx, c, o)
	if err != nil {
		cancel()
		s.Fatal(err)
	}
	s.url = "http://" + a.Addr().String()
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			s.Errorf("agent ended with %v", err)
		}
	})
	s.Cleanup(func() {
		stop()
		if s.Failed() {
			s.Logf("log:\n%s", s.logs)
		}
	})
	return a, stop
}

// open opens the database beside a running agent.
func (s *stage) open() *store.Store {
	s.Helper()
	db, err := store.Open(context.Background(), s.db)
	if err != nil {
		s.Fatal(err)
	}
	return db
}

// deliveries are all rows, oldest first: "sha state error".
func (s *stage) deliveries() []string {
	s.Helper()
	db := s.open()
	defer func() { _ = db.Close() }()
	var out []string
	for d, err := range db.Deliveries(context.Background(), store.DeliveryFilter{}) {
		if err != nil {
			s.Fatal(err)
		}
		out = append(out, strings.TrimSpace(delivery.ShortSHA(d.SHA)+" "+d.State+" "+d.Error))
	}
	slices.Reverse(out)
	return out
}

// eventStates are all events, oldest first: "kind state reason".
func (s *stage) eventStates() []string {
	s.Helper()
	db := s.open()
	defer func() { _ = db.Close() }()
	var out []string
	for e, err := range db.Events(context.Background(), store.EventFilter{}) {
		if err != nil {
			s.Fatal(err)
		}
		out = append(out, strings.TrimSpace(e.Kind+" "+e.State+" "+e.Reason))
	}
	slices.Reverse(out)
	return out
}

// hook sends a webhook and wants a 2xx.
func (s *stage) hook(body map[string]any) {
	s.Helper()
	if code := s.send(body); code < 200 || code > 299 {
		s.Fatalf("webhook answered %d", code)
	}
}

func (s *stage) send(body map[string]any) int {
	s.Helper()
	s.events++
	text, err := json.Marshal(body)
	if err != nil {
		s.Fatal(err)
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, s.url+"/hooks/gitlab", bytes.NewReader(text))
	if err != nil {
		s.Fatal(err)
	}
	for name, values := range s.header {
		req.Header[name] = values
	}
	req.Header.Set("X-Gitlab-Token", cmp.Or(s.secret, hookSecret))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", fmt.Sprintf("key-%d", s.events))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	_ = res.Body.Close()
	s.after = res.Header.Get("Retry-After")
	return res.StatusCode
}

func (s *stage) project() map[string]any {
	return map[string]any{"id": 42, "path_with_namespace": "acme/app", "web_url": s.git.URL + "/acme/app", "default_branch": "main"}
}

// push is the body of a push of feature.
func (s *stage) push(before, after string) map[string]any {
	return map[string]any{"object_kind": "push", "ref": "refs/heads/feature", "before": before, "after": after, "checkout_sha": after,
		"user_id": s.scene.Person.ID, "project_id": 42, "project": s.project()}
}

// commit pushes a commit to feature in GitLab, with a pipeline, and tells nobody.
func (s *stage) commit(paths ...string) string {
	head := s.scene.SHA
	sha := s.git.AddCommit(42, gitlabtest.Commit{Parents: []string{head}, Paths: paths, Branches: []string{"feature"}}).SHA
	s.git.AddPipeline(42, gitlabtest.Pipeline{SHA: sha, Ref: "refs/merge-requests/7/head", Source: "merge_request_event", MergeRequest: 7})
	return sha
}

// commitTo pushes a commit to a branch in GitLab, with a pipeline.
func (s *stage) commitTo(branch string, heads map[string]string) string {
	parent := heads[branch]
	if parent == "" {
		parent = s.scene.Base
	}
	sha := s.git.AddCommit(42, gitlabtest.Commit{Parents: []string{parent}, Branches: []string{branch}}).SHA
	s.git.AddPipeline(42, gitlabtest.Pipeline{SHA: sha, Ref: branch})
	heads[branch] = sha
	return sha
}

// shown are the statuses of a commit that count: "name state".
func (s *stage) shown(sha string) []string {
	out := []string{}
	for _, st := range s.git.Statuses(42, sha) {
		if !st.Retried {
			out = append(out, st.Name+" "+st.State)
		}
	}
	return out
}

// posts are the states that were posted for a commit and taken.
func (s *stage) posts(sha string) []string {
	out := []string{}
	for _, r := range s.git.Requests("POST /statuses/" + sha) {
		var body struct{ State string }
		_ = json.Unmarshal([]byte(r.Body), &body)
		if r.Code == 201 {
			out = append(out, body.State)
		}
	}
	return out
}

func (s *stage) until(what string, ok func() bool) {
	s.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			s.Fatalf("no %s after 20 s; deliveries %q", what, s.deliveries())
		case <-tick.C:
		}
	}
}

func (s *stage) untilShown(sha string, want ...string) {
	s.Helper()
	s.until(fmt.Sprintf("%q on %s", want, delivery.ShortSHA(sha)), func() bool { return slices.Equal(s.shown(sha), want) })
}

func sqlite(t *testing.T) store.Config {
	t.Helper()
	return store.Config{Dir: filepath.Join(t.TempDir(), "data")}
}
