package agent_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

// gate stands before a GitLab. Shut, it takes calls and answers none; when it
// opens, those that wait are cut.
type gate struct {
	next    http.Handler
	mu      sync.Mutex
	closed  chan struct{}
	waiting int
	most    int
}

// behind puts a gate before a GitLab that nobody has called yet.
func (s *stage) behind(git *gitlabtest.Server) *gate {
	g := &gate{next: git.Handler()}
	front := httptest.NewServer(g)
	s.Cleanup(front.Close)
	s.Cleanup(g.open)
	git.URL = front.URL
	return g
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	closed := g.closed
	if closed != nil {
		g.waiting++
		g.most = max(g.most, g.waiting)
	}
	g.mu.Unlock()
	if closed == nil {
		g.next.ServeHTTP(w, r)
		return
	}
	select {
	case <-closed:
	case <-r.Context().Done():
	}
	g.mu.Lock()
	g.waiting--
	g.mu.Unlock()
	panic(http.ErrAbortHandler)
}

func (g *gate) shut() { g.mu.Lock(); defer g.mu.Unlock(); g.closed = make(chan struct{}) }

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed != nil {
		close(g.closed)
		g.closed = nil
	}
}

// crowd is how many calls wait, and how many have at most.
func (g *gate) crowd() (now, most int) { g.mu.Lock(); defer g.mu.Unlock(); return g.waiting, g.most }

// project makes a project with a branch in a GitLab, and gives the body of the push
// of it, and its commit.
func (s *stage) newProject(git *gitlabtest.Server, bot, id int64, path string) (body map[string]any, sha string) {
	s.Helper()
	git.AddProject(gitlabtest.Project{ID: id, Path: path})
	git.AddMember(id, bot, gitlabtest.Developer)
	sha = git.AddCommit(id, gitlabtest.Commit{Branches: []string{"feature"}}).SHA
	git.AddPipeline(id, gitlabtest.Pipeline{SHA: sha, Ref: "feature"})
	return map[string]any{
		"object_kind": "push", "ref": "refs/heads/feature", "before": "", "after": sha, "checkout_sha": sha, "user_id": s.scene.Person.ID, "project_id": id,
		"project": map[string]any{"id": id, "path_with_namespace": path, "web_url": git.URL + "/" + path, "default_branch": "main"},
	}, sha
}

// post sends a webhook, from any goroutine, and gives the code of the answer.
func (s *stage) post(body map[string]any, key string) int {
	text, err := json.Marshal(body)
	if err != nil {
		return 0
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, s.url+"/hooks/gitlab", bytes.NewReader(text))
	if err != nil {
		return 0
	}
	req.Header.Set("X-Gitlab-Token", hookSecret)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// burst sends webhooks as fast as they are taken, some at a time, and gives how
// many were accepted.
func (s *stage) burst(name string, bodies []map[string]any) int {
	s.Helper()
	var accepted atomic.Int64
	var all sync.WaitGroup
	next := make(chan int)
	for range 32 {
		all.Go(func() {
			for i := range next {
				if s.post(bodies[i], fmt.Sprintf("%s-%d", name, i)) == http.StatusAccepted {
					accepted.Add(1)
				}
			}
		})
	}
	for i := range bodies {
		next <- i
	}
	close(next)
	all.Wait()
	return int(accepted.Load())
}

// unrouted says whether events wait for their routes.
func (s *stage) unrouted() bool {
	s.Helper()
	return strings.Contains(strings.Join(s.eventStates(), "\n"), " received")
}

// heap is how much memory is in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// count is how many deliveries to a target are in a state.
func (s *stage) count(target, state string) int {
	s.Helper()
	db := s.open()
	defer func() { _ = db.Close() }()
	n := 0
	err := db.Query(context.Background(), func(r store.Row) error { return r.Scan(&n) }, "SELECT count(*) FROM delivery WHERE target = ? AND state = ?", target, state)
	if err != nil {
		s.Fatal(err)
	}
	return n
}

// untilLong is until for what is a lot of work.
func (s *stage) untilLong(what string, ok func() bool) {
	s.Helper()
	deadline := time.After(3 * time.Minute)
	tick := time.NewTicker(250 * time.Millisecond) // each look opens the database
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			s.Fatalf("no %s after 3 min", what)
		case <-tick.C:
		}
	}
}
