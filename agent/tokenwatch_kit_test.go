package agent_test

import (
	"context"
	"encoding/base64"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"gitlab.com/remora-ci/remora/agent"
	"gitlab.com/remora-ci/remora/agent/config"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

var vaultKey = delivery.Secret(base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef")))

// leapClock is the real clock, and leaps that the test makes.
type leapClock struct {
	mu  sync.Mutex
	off time.Duration
}

func (c *leapClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.off)
}

func (c *leapClock) leap(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.off += d }

// rotationStage is a stage whose token is to be rotated.
type rotationStage struct {
	*stage
	clock  *leapClock
	change func(*config.Config)
}

func midnight(days int) time.Time {
	return time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, days)
}

func newRotationStage(t *testing.T, db store.Config, facts gitlabtest.Facts) *rotationStage {
	s := &rotationStage{stage: newStage(t, db), clock: &leapClock{}}
	s.db.Key = vaultKey
	s.git.Describe(s.scene.Token, facts)
	return s
}

// due is a token of 60 days of which 10 are left.
func due() gitlabtest.Facts {
	return gitlabtest.Facts{CreatedAt: midnight(-50), ExpiresAt: midnight(10)}
}

// run starts an agent that may rotate its token.
func (s *rotationStage) run() (a *agent.Agent, stop func()) {
	s.Helper()
	c := s.parse()
	c.Tokens[0].Rotate = true
	if s.change != nil {
		s.change(c)
	}
	s.Cleanup(func() {
		if strings.Contains(s.logs.String(), "glpat-") {
			s.Errorf("a token is in the log:\n%s", s.logs)
		}
	})
	return s.launch(c, agent.Patient(agent.Hastened(agent.Options{Version: "1.0.0"}, 2*time.Second), s.clock.now))
}

// state is what is stored of the token.
func (s *rotationStage) state() store.TokenState {
	s.Helper()
	db := s.open()
	defer func() { _ = db.Close() }()
	states, err := db.TokenStates(context.Background())
	if err != nil {
		s.Fatal(err)
	}
	return states["bot"]
}

// look is what happens every hour.
func (s *rotationStage) look(a *agent.Agent) {
	a.LookAtTokens(zerolog.New(s.logs).WithContext(s.Context()))
}

func (s *rotationStage) asked() int { return len(s.git.Requests("POST /rotate")) }

// works pushes, and waits for the status that only a good token can set.
func (s *rotationStage) works(branch string) {
	s.Helper()
	sha := s.commitTo(branch, map[string]string{})
	body := s.push(s.scene.Base, sha)
	body["ref"] = "refs/heads/" + branch
	s.hook(body)
	s.untilShown(sha, "sync/site success")
}
