package mirror_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/target/mirror"
)

const (
	jobToken    = "canary-job-token-71b2"
	mirrorToken = "canary-mirror-token-9f0c"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a project, its mirror, both served by real Git, and a clone to make
// commits in.
type world struct {
	t             *testing.T
	root          string // of everything
	work          string // the clone
	project, copy string // the bare repositories
	home, there   *gitServer
	caches        string
	clock         int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("no git on this machine, and these tests need a real Git server")
	}
	w := &world{t: t, root: t.TempDir(), caches: t.TempDir()}
	w.work, w.project, w.copy = filepath.Join(w.root, "work"), filepath.Join(w.root, "acme", "app.git"), filepath.Join(w.root, "copy", "app.git")
	for _, bare := range []string{w.project, w.copy} {
		w.git(w.root, "init", "-q", "--bare", "-b", "main", bare)
	}
	w.git(w.root, "clone", "-q", w.project, w.work)
	w.git(w.work, "checkout", "-q", "-b", "main")
	w.home = newGitServer(t, w.root, "gitlab-ci-token", jobToken)
	w.there = newGitServer(t, w.root, "bot", mirrorToken)
	return w
}

// in is the same world in a subtest.
func (w world) in(t *testing.T) *world {
	w.t = t
	return &w
}

// git runs git in dir and gives what it prints.
func (w *world) git(dir string, args ...string) string {
	w.t.Helper()
	w.clock++
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	when := fmt.Sprintf("%d +0000", 1_700_000_000+w.clock)
	cmd.Env = append(os.Environ(), "HOME="+w.root, "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com",
		"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com", "GIT_AUTHOR_DATE="+when, "GIT_COMMITTER_DATE="+when)
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit makes a commit that changes one file, and gives its SHA.
func (w *world) commit(file, text string) string {
	w.t.Helper()
	path := filepath.Join(w.work, file)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
	w.git(w.work, "add", "-A")
	w.git(w.work, "commit", "-q", "-m", "change "+file)
	return w.git(w.work, "rev-parse", "HEAD")
}

// publish pushes to the project as a person would.
func (w *world) publish(args ...string) {
	w.t.Helper()
	w.git(w.work, append([]string{"push", "-q", w.project}, args...)...)
}

// seed makes a first commit on main, in the project and in the mirror.
func (w *world) seed() string {
	w.t.Helper()
	sha := w.commit("README.md", "hello\n")
	w.publish("main")
	w.git(w.work, "push", "-q", w.copy, "main")
	return sha
}

// at is what a bare repository has under a ref; empty if nothing.
func (w *world) at(bare, ref string) string {
	w.t.Helper()
	out, _, _ := strings.Cut(w.git(bare, "for-each-ref", "--format=%(objectname) %(refname)", ref), " ")
	return out
}

func (w *world) config() mirror.Config {
	return mirror.Config{URL: w.there.URL + "/copy/app.git", Token: "bot:" + mirrorToken, JobToken: jobToken, Cache: w.caches}
}

func (w *world) event(ref, sha string) delivery.Event {
	return delivery.Event{Cause: delivery.CauseCI, Instance: w.home.URL, Ref: ref, RefType: delivery.Branch, SHA: sha,
		Project: delivery.Project{ID: 7, Path: "acme/app", URL: w.home.URL + "/acme/app"}}
}

func (w *world) tag(name, sha string) delivery.Event {
	ev := w.event(name, sha)
	ev.RefType = delivery.Tag
	return ev
}

// apply delivers once with a target of its own.
func (w *world) apply(c mirror.Config, ev delivery.Event) delivery.Outcome {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return delivery.Deliver(ctx, ev, w.target(c), 1)
}

func (w *world) target(c mirror.Config) *mirror.Target {
	w.t.Helper()
	target, err := mirror.New(c)
	if err != nil {
		w.t.Fatalf("New: %v", err)
	}
	return target
}

// wantDone fails unless the outcome is done with result.
func (w *world) wantDone(o delivery.Outcome, result string) {
	w.t.Helper()
	if o.State != delivery.Done || o.Receipt.Result != result {
		w.t.Fatalf("got %s %q (%v), want done %q; log %v", o.State, o.Receipt.Result, o.Err, result, o.Receipt.Log)
	}
}

// wantFault fails unless the outcome failed for good with a summary, and gives
// the fault.
func (w *world) wantFault(o delivery.Outcome, summary string) *delivery.Fault {
	w.t.Helper()
	if o.State != delivery.Failed {
		w.t.Fatalf("got %s %q (%v), want failed with %q", o.State, o.Receipt.Result, o.Err, summary)
	}
	f := delivery.Explain(o.Err)
	if f.Summary != summary {
		w.t.Fatalf("got summary %q (%v), want %q", f.Summary, o.Err, summary)
	}
	if f.Remedy == "" {
		w.t.Errorf("fault %q has no remedy", summary)
	}
	return f
}

func (w *world) wantSkip(o delivery.Outcome, part string) {
	w.t.Helper()
	if reason, ok := delivery.SkipReason(o.Err); !ok || !strings.Contains(reason, part) {
		w.t.Fatalf("got %s %q (%v), want a skip that says %q", o.State, o.Receipt.Result, o.Err, part)
	}
}

func (w *world) wantAt(ref, sha string) {
	w.t.Helper()
	if got := w.at(w.copy, ref); got != sha {
		w.t.Errorf("mirror's %s = %q, want %q", ref, got, sha)
	}
}

// gitServer is smart HTTP by git http-backend, behind basic authentication.
type gitServer struct {
	*httptest.Server
	root, user, token string

	mu    sync.Mutex
	seen  []string                                          // "GET /path?query"
	sent  int64                                             // bytes of answers
	took  int64                                             // bytes of requests
	tamer func(w http.ResponseWriter, r *http.Request) bool // answers instead, if true
}

func newGitServer(t *testing.T, root, user, token string) *gitServer {
	t.Helper()
	s := &gitServer{root: root, user: user, token: token}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// tame has requests answered by f, where it returns true.
func (s *gitServer) tame(f func(w http.ResponseWriter, r *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tamer = f
}

func (s *gitServer) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.seen...)
}

// traffic gives the bytes received and sent, and starts counting anew.
func (s *gitServer) traffic() (took, sent int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	took, sent = s.took, s.sent
	s.took, s.sent, s.seen = 0, 0, nil
	return took, sent
}

func (s *gitServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.seen = append(s.seen, r.Method+" "+r.URL.RequestURI())
	s.took += max(r.ContentLength, 0)
	tamer := s.tamer
	s.mu.Unlock()
	if tamer != nil && tamer(w, r) {
		return
	}
	if user, token, _ := r.BasicAuth(); user != s.user || token != s.token {
		http.Error(w, "HTTP Basic: Access denied", http.StatusUnauthorized)
		return
	}
	s.serveGit(w, r)
}

// serveGit lets real Git answer, whoever asks.
func (s *gitServer) serveGit(w http.ResponseWriter, r *http.Request) {
	handler := cgi.Handler{Path: "/bin/sh", Args: []string{"-c", "exec git http-backend"}, Stderr: io.Discard,
		Env:        []string{"GIT_PROJECT_ROOT=" + s.root, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=bot", "HOME=" + s.root, "GIT_CONFIG_NOSYSTEM=1"},
		InheritEnv: []string{"PATH"}}
	handler.ServeHTTP(&counting{w, s}, r)
}

type counting struct {
	http.ResponseWriter
	s *gitServer
}

func (c *counting) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.s.mu.Lock()
	c.s.sent += int64(n)
	c.s.mu.Unlock()
	return n, err
}

func (c *counting) Flush() {
	if f, ok := c.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}
