package agent_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

// A target that hangs for two hundred projects holds up no other target, and no
// report.
func TestNobodyWaitsForAnothersSlowTarget(t *testing.T) {
	t.Parallel()
	const slow = 200
	s := newStage(t, sqlite(t))
	s.slow, s.route = newPlace(t), ", projects: ['acme/**']"
	release := s.slow.block()
	defer release()
	s.start()
	bodies := make([]map[string]any, slow)
	shas := make([]string, slow)
	for i := range slow {
		id := int64(1000 + i)
		s.git.AddProject(gitlabtest.Project{ID: id, Path: fmt.Sprintf("slow/%03d", i)})
		s.git.AddMember(id, s.scene.Bot.ID, gitlabtest.Developer)
		shas[i] = s.git.AddCommit(id, gitlabtest.Commit{Branches: []string{"feature"}}).SHA
		s.git.AddPipeline(id, gitlabtest.Pipeline{SHA: shas[i], Ref: "feature"})
		body := s.push("", shas[i])
		project := s.project()
		project["id"], project["path_with_namespace"], project["web_url"] = id, fmt.Sprintf("slow/%03d", i), fmt.Sprintf("%s/slow/%03d", s.git.URL, i)
		body["project"], body["project_id"] = project, id
		bodies[i] = body
	}
	for _, body := range bodies {
		s.hook(body)
	}
	s.until("a target with its hands full", func() bool { return len(s.slow.got()) >= 64 })
	from := time.Now()
	s.hook(s.push(s.scene.Base, s.scene.SHA))
	s.untilShown(s.scene.SHA, "sync/site success")
	if took := time.Since(from); took > 5*time.Second {
		t.Errorf("the project with the healthy target waited %s", took)
	}
	if n := s.slow.held(); n < 64 || n == slow {
		t.Errorf("the slow target has %d calls open, want those of its workers", n)
	}
	release()
	s.until("the slow ones", func() bool { return len(s.slow.got()) == slow && s.idle() })
	for i, sha := range shas {
		statuses := s.git.Statuses(int64(1000+i), sha)
		if len(statuses) != 1 || statuses[0].State != "success" {
			t.Errorf("slow/%03d: got statuses %+v, want one that ended well", i, statuses)
		}
	}
}

// held is how many calls have no answer yet.
func (p *place) held() int { p.mu.Lock(); defer p.mu.Unlock(); return p.now }

// What may be slow has workers of its own: each target, and each GitLab for the
// statuses and for the notes.
func TestWhatMayBeSlowIsAPool(t *testing.T) {
	t.Parallel()
	s := newStage(t, sqlite(t))
	s.start()
	s.hook(s.push(s.scene.Base, s.scene.SHA))
	s.until("note", func() bool { return len(s.git.Notes(42, 7)) == 1 && s.idle() })
	db := s.open()
	defer func() { _ = db.Close() }()
	pools := []string{}
	err := db.Query(t.Context(), func(r store.Row) error {
		var pool string
		err := r.Scan(&pool)
		pools = append(pools, pool)
		return err
	}, "SELECT DISTINCT pool FROM work ORDER BY pool")
	if err != nil {
		t.Fatal(err)
	}
	host := strings.TrimPrefix(s.git.URL, "http://")
	s.same("pools", pools, []string{"note:" + host, "status:" + host, "sync:site"})
}
