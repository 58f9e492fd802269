package agent

import (
	"context"
	"strings"
	"sync"
	"time"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component/gitlab"
)

const (
	idPatience = 2 * time.Second  // for the ids of the projects of a batch of events
	idKept     = 10 * time.Minute // how long an id is believed
	idMissed   = time.Minute      // how long it is not asked for again
	maxIDs     = 10_000
)

// projectIDs remembers the ids of projects by their paths, so that a project has one
// key of work, whichever way its events come in.
type projectIDs struct {
	mu    sync.Mutex
	known map[string]knownID
}

type knownID struct {
	id    int64 // 0: GitLab did not say
	until time.Time
}

func (p *projectIDs) get(key string, now time.Time) (id int64, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k, ok := p.known[key]
	return k.id, ok && now.Before(k.until)
}

func (p *projectIDs) put(key string, id int64, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil || len(p.known) >= maxIDs {
		p.known = map[string]knownID{}
	}
	k := knownID{id, now.Add(idKept)}
	if id == 0 {
		k.until = now.Add(idMissed)
	}
	p.known[key] = k
}

// projectID is the id of a project, by the URL of its instance and its path; 0 if
// GitLab does not say it. It is asked for once in a while.
func (t *Tokens) projectID(ctx context.Context, instance, path string) int64 {
	key := strings.ToLower(strings.TrimRight(instance, "/") + "/" + path)
	now := time.Now()
	if id, known := t.ids.get(key, now); known {
		return id
	}
	gl := t.For(instance, path)
	if gl == nil {
		return 0
	}
	ctx, cancel := context.WithTimeout(ctx, idPatience)
	defer cancel()
	p, err := gl.Project(ctx, gitlab.Project(path))
	if err != nil || !strings.EqualFold(p.Path, path) { // a moved project is another one to whoever has a token for the path
		p.ID = 0
	}
	t.ids.put(key, p.ID, now)
	return p.ID
}

// identify finds the ids of the projects of events whose sender proved a path and
// no id. Where GitLab cannot be asked in time, the path has to do: 0.
func (s *setup) identify(ctx context.Context, events []store.Event) []int64 {
	ctx, cancel := context.WithTimeout(ctx, idPatience)
	defer cancel()
	ids := make([]int64, len(events))
	room := make(chan struct{}, 16)
	var all sync.WaitGroup
	for i, e := range events {
		if e.ProjectID != 0 || e.Project == "" || isOwn(e) {
			continue
		}
		all.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			ids[i] = s.tokens.projectID(ctx, e.Instance, e.Project)
		})
	}
	all.Wait()
	return ids
}
