package agent_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"gitlab.com/remora-ci/remora/agent"
	"gitlab.com/remora-ci/remora/agent/config"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/store/storetest"
)

// childConfig names the configuration of an agent that this test binary is to be,
// in a process of its own, so that it can be killed.
const childConfig = "REMORA_TEST_AGENT_CONFIG"

// environment are the variables of this process.
type environment struct{}

func (environment) Lookup(name string) (string, bool) { return os.LookupEnv(name) }

func child(file string) int {
	c, _, err := config.Load(context.Background(), file, environment{})
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	ctx := zerolog.New(os.Stderr).WithContext(context.Background())
	a, err := agent.New(ctx, c, agent.Hastened(agent.Options{Version: "1.0.0"}, time.Second))
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	fmt.Println("address", a.Addr())
	if err := a.Run(ctx); err != nil {
		return 1
	}
	return 0
}

// spawn starts an agent in a process of its own.
func (s *stage) spawn() (kill func()) {
	s.Helper()
	file := filepath.Join(s.TempDir(), "remora.yaml")
	if err := os.WriteFile(file, []byte(s.config()), 0o600); err != nil {
		s.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childConfig+"="+file, "REMORA_DATA_DIR="+s.db.Dir, "REMORA_DATABASE_URL="+s.db.URL, "REMORA_GITLAB_REQUESTS=auto")
	cmd.Stderr = s.logs
	out, err := cmd.StdoutPipe()
	if err != nil {
		s.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	kill = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed: that is its error
	}
	s.Cleanup(kill)
	line := bufio.NewScanner(out)
	if !line.Scan() || !strings.HasPrefix(line.Text(), "address ") {
		kill()
		s.Fatalf("the agent said %q; log:\n%s", line.Text(), s.logs)
	}
	s.url = "http://" + strings.TrimPrefix(line.Text(), "address ")
	return kill
}

// S27: an agent that is killed while it delivers leaves a status open, and the
// next one ends it.
func TestKilledWhileDelivering(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		s := newStage(t, c)
		release := s.place.block()
		defer release()
		kill := s.spawn()
		s.hook(s.push(s.scene.Base, s.scene.SHA))
		s.untilShown(s.scene.SHA, "sync/site running")
		kill()
		s.same("left open", s.shown(s.scene.SHA), []string{"sync/site running"})
		release()
		s.spawn()
		s.untilShown(s.scene.SHA, "sync/site success")
		s.until("note", func() bool { return len(s.git.Notes(42, 7)) == 1 })
		s.until("rest", s.idle)
		s.same("posts", s.posts(s.scene.SHA), []string{"running", "success"})
		s.same("rows", len(s.git.Statuses(42, s.scene.SHA)), 1)
		s.same("deliveries", s.deliveries(), []string{"c0ffee12 done"})
	})
}

// What was answered 2xx is delivered, whenever the agent is killed, and nothing
// is shown twice.
func TestKilledAgainAndAgain(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		s := newStage(t, c)
		rounds := 6
		if testing.Short() {
			rounds = 2
		}
		heads := map[string]string{"feature": s.scene.SHA}
		branches := []string{"feature", "b1", "b2", "b3"}
		for range rounds {
			kill := s.spawn()
			stopAt := time.Now().Add(time.Duration(20+rand.IntN(400)) * time.Millisecond)
			for time.Now().Before(stopAt) {
				b := branches[rand.IntN(len(branches))]
				s.pushTo(b, heads)
			}
			kill()
		}
		s.spawn()
		for _, b := range branches {
			s.pushTo(b, heads)
		}
		s.until("rest", func() bool {
			for _, state := range s.eventStates() {
				if strings.Contains(state, "received") {
					return false
				}
			}
			return s.idle()
		})
		s.checkConverged(heads)
	})
}

// pushTo pushes a commit and tells the agent, until it has answered well.
func (s *stage) pushTo(branch string, heads map[string]string) {
	s.Helper()
	sha := s.commitTo(branch, heads)
	body := s.push("", sha)
	body["ref"] = "refs/heads/" + branch
	if code := s.send(body); code != 0 && code/100 != 2 && code != http.StatusServiceUnavailable {
		s.Errorf("webhook answered %d", code)
	}
}

// checkConverged checks that every branch is delivered as it is, that no status
// is open, and that nothing is shown twice.
func (s *stage) checkConverged(heads map[string]string) {
	s.Helper()
	last := map[string]string{}
	for _, ev := range s.place.got() {
		last[ev.Ref] = ev.SHA
	}
	for branch, sha := range heads {
		if last[branch] != sha {
			s.Errorf("%s: the last that was delivered is %s, want %s", branch, last[branch], sha)
		}
	}
	for _, row := range s.deliveries() {
		if f := strings.Fields(row); !slices.Contains([]string{"done", "skipped"}, f[1]) {
			s.Errorf("got delivery %q, want all of them ended well", row)
		}
	}
	seen := map[string]bool{}
	for _, ev := range s.place.got() {
		if seen[ev.SHA] {
			continue
		}
		seen[ev.SHA] = true
		open, rows := 0, s.git.Statuses(42, ev.SHA)
		for _, st := range rows {
			if !slices.Contains([]string{"success", "canceled"}, st.State) {
				open++
			}
		}
		if open > 0 || len(rows) > 1 {
			s.Errorf("%s has statuses %q, want one that has ended", ev.SHA, s.shown(ev.SHA))
		}
	}
	if n := len(s.git.Notes(42, 7)); n != 1 {
		s.Errorf("got %d notes, want 1", n)
	}
}
