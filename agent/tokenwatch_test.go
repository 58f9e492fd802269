package agent_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"gitlab.com/remora-ci/remora/agent"
	"gitlab.com/remora-ci/remora/agent/config"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/store/storetest"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

func TestATokenThatIsDueIsRotatedAndUsed(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		s := newRotationStage(t, c, due())
		a, stop := s.run()
		s.until("rotation", func() bool { return a.TokenInUse("bot") != delivery.Secret(s.scene.Token) })
		next := s.git.Rotated(s.scene.Token)
		if a.TokenInUse("bot") != delivery.Secret(next) || !s.git.Good(next) || s.asked() != 1 {
			t.Errorf("rotated %d times, in use is another token than GitLab's new one", s.asked())
		}
		state := s.state()
		if state.State != store.TokenActive || !state.ExpiresAt.Equal(midnight(60)) || state.Fingerprint != config.Fingerprint(delivery.Secret(s.scene.Token)) {
			t.Errorf("stored %+v, want an active token until %s: as long as the old one lived", state, midnight(60))
		}
		s.works("after-rotation")
		s.look(a)
		s.until("rest", s.idle)
		if got, err := testutil.GatherAndCount(a.Registry(), "remora_token_expiry_timestamp_seconds"); got != 1 || err != nil {
			t.Errorf("%d metrics of the expiry, %v", got, err)
		}
		if s.asked() != 1 {
			t.Errorf("rotated %d times, want once", s.asked())
		}
		stop()

		// The configured value is dead; the next agent finds the stored one.
		s.run()
		s.works("after-restart")
	})
}

func TestATokenIsLeftAloneUntilItIsDueAndCanBeKept(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		facts  gitlabtest.Facts
		change func(*config.Config)
		log    string
	}{
		{"half of its life is left", gitlabtest.Facts{CreatedAt: midnight(-20), ExpiresAt: midnight(20)}, nil, ""},
		{"it never expires", gitlabtest.Facts{CreatedAt: midnight(-900)}, nil, ""},
		{"a year's token with 40 days left", gitlabtest.Facts{CreatedAt: midnight(-325), ExpiresAt: midnight(40)}, nil, ""},
		{"nobody asked for it", due(), func(c *config.Config) { c.Tokens[0].Rotate = false }, "token expires soon"},
		{"there is no key to store it with", due(), func(c *config.Config) { c.Store.Key = "" }, "REMORA_ENCRYPTION_KEY"},
		{"GitLab tells nothing of it", gitlabtest.Facts{OAuth: true}, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newRotationStage(t, sqlite(t), tt.facts)
			s.change = tt.change
			a, _ := s.run()
			s.until("first look", func() bool { return len(s.git.Requests("GET /personal_access_tokens/self")) > 0 })
			s.look(a)
			s.look(a)
			s.until("rest", s.idle)
			if s.asked() != 0 || s.state().State != "" {
				t.Errorf("rotated %d times, state %+v; want nothing done", s.asked(), s.state())
			}
			if !strings.Contains(s.logs.String(), tt.log) {
				t.Errorf("the log does not say %q", tt.log)
			}
			if n := strings.Count(s.logs.String(), `"level":"warn"`); tt.log == "" && n > 0 {
				t.Errorf("%d warnings, want none", n)
			}
		})
	}
}

func TestTheEndOfATokenIsToldOnceADay(t *testing.T) {
	t.Parallel()
	s := newRotationStage(t, sqlite(t), gitlabtest.Facts{CreatedAt: midnight(-300), ExpiresAt: midnight(25)})
	s.change = func(c *config.Config) { c.Tokens[0].Rotate = false }
	a, _ := s.run()
	said := func() int { return strings.Count(s.logs.String(), "token expires soon") }
	s.until("warning", func() bool { return said() == 1 })
	s.look(a)
	s.look(a)
	if said() != 1 {
		t.Errorf("told %d times on one day, want once", said())
	}
	s.clock.leap(24 * time.Hour)
	s.look(a)
	if said() != 2 {
		t.Errorf("told %d times on two days, want twice", said())
	}
	if want := fmt.Sprintf(`"expires_at":"%s"`, midnight(25).Format(time.RFC3339)); !strings.Contains(s.logs.String(), want) {
		t.Errorf("the log does not say %s", want)
	}
}

// A token that GitLab refuses is loud in the log once a day, and ends in the metric
// that people watch, whatever was said of it before.
func TestATokenThatIsRefusedIsToldOnceADay(t *testing.T) {
	t.Parallel()
	s := newRotationStage(t, sqlite(t), gitlabtest.Facts{CreatedAt: midnight(-10), ExpiresAt: midnight(200)})
	s.change = func(c *config.Config) { c.Tokens[0].Rotate = false }
	a, _ := s.run()
	ends := func() time.Time {
		found, err := a.Registry().Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			if f.GetName() == "remora_token_expiry_timestamp_seconds" {
				return time.Unix(int64(f.GetMetric()[0].GetGauge().GetValue()), 0)
			}
		}
		return time.Time{}
	}
	s.until("metric", func() bool { return ends().Equal(midnight(200)) })
	s.git.Revoke(s.scene.Token)
	said := func() int { return strings.Count(s.logs.String(), "token refused") }
	s.look(a)
	s.look(a)
	if said() != 1 || ends().After(s.clock.now()) {
		t.Errorf("told %d times, and that it ends at %s; want once, and no more time", said(), ends())
	}
	s.clock.leap(24 * time.Hour)
	s.look(a)
	if said() != 2 {
		t.Errorf("told %d times on two days, want twice", said())
	}
	if !strings.Contains(s.logs.String(), `"remedy":"make a new token in GitLab and configure it"`) {
		t.Error("the log does not say what helps")
	}
}

// The answer is lost, in every way: with the token rotated, or not.
func TestALostAnswerIsNeverFollowedByABlindAttempt(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]gitlabtest.Answer{
		"a gateway fault":              {Code: 502, Body: "<html>"},
		"a server fault":               {Code: 500, Body: `{"message":"500 Internal Server Error"}`},
		"a broken connection":          {Drop: true},
		"an answer that was cut short": {Code: 200, Body: `{"id":1,"token":"glpat-`, Cut: true},
	} {
		for _, rotated := range []bool{true, false} {
			if !rotated && answer.Code == 200 {
				continue
			}
			t.Run(fmt.Sprintf("%s, rotated %v", name, rotated), func(t *testing.T) {
				t.Parallel()
				s := newRotationStage(t, sqlite(t), due())
				answer.After = rotated
				s.git.Fail("POST /rotate", answer)
				a, _ := s.run()
				s.until("attempt", func() bool { return s.asked() == 1 && strings.Contains(s.logs.String(), "no answer to the rotation") })
				s.look(a)
				if got := s.state(); got.State != store.TokenRotating || s.asked() != 1 {
					t.Fatalf("state %q after %d attempts, want rotating after one", got.State, s.asked())
				}
				s.clock.leap(11 * time.Minute)
				s.look(a)
				if rotated {
					s.until("end", func() bool { return s.state().State == store.TokenLost })
					s.clock.leap(48 * time.Hour)
					s.look(a)
					if s.asked() != 1 {
						t.Errorf("%d attempts, want no other: it would end the new token too", s.asked())
					}
					s.until("remedy", func() bool { return strings.Contains(s.logs.String(), "make a new token in GitLab and configure it: ") })
					return
				}
				s.until("look", func() bool { return s.state().State == store.TokenActive })
				s.clock.leap(11 * time.Minute)
				s.until("second attempt", func() bool { return a.TokenInUse("bot") != delivery.Secret(s.scene.Token) })
				s.works("after-all")
			})
		}
	}
}

func TestARefusedRotationIsTriedAgainTheNextDay(t *testing.T) {
	t.Parallel()
	s := newRotationStage(t, sqlite(t), due())
	s.git.Fail("POST /rotate", gitlabtest.Answer{Code: 400, Body: `{"message":"400 Bad request - Expiration date must be before 2026-12-24"}`})
	a, _ := s.run()
	s.until("refusal", func() bool { return s.state().State == store.TokenRefused })
	if got := s.state(); !strings.Contains(got.Error, "Expiration date must be before") {
		t.Errorf("stored %q, want GitLab's words", got.Error)
	}
	s.clock.leap(23 * time.Hour)
	s.look(a)
	s.until("rest", s.idle)
	if s.asked() != 1 {
		t.Errorf("%d attempts within a day, want one", s.asked())
	}
	s.clock.leap(2 * time.Hour)
	s.look(a)
	s.until("rotation", func() bool { return a.TokenInUse("bot") != delivery.Secret(s.scene.Token) })
}

// A process that dies leaves one of these behind.
func TestADeadAgentsRotationIsFoundOut(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		left func(s *rotationStage)
		want string
	}{
		{"it died before the request", func(*rotationStage) {}, store.TokenActive},
		{"it died after the request, before the answer was stored", func(s *rotationStage) { s.git.Revoke(s.scene.Token) }, store.TokenLost},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newRotationStage(t, sqlite(t), due())
			db := s.open()
			err := db.Write(t.Context(), func(tx *store.Tx) error {
				return tx.PutTokenState(store.TokenState{Name: "bot", State: store.TokenRotating, Fingerprint: config.Fingerprint(delivery.Secret(s.scene.Token)), RotatedAt: time.Now().Add(-time.Hour)})
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			tt.left(s)
			a, _ := s.run()
			s.until("answer", func() bool { return s.state().State == tt.want })
			if s.asked() != 0 {
				t.Errorf("%d requests before it was known, want none", s.asked())
			}
			s.clock.leap(11 * time.Minute)
			if tt.want == store.TokenActive {
				s.until("rotation", func() bool { return a.TokenInUse("bot") != delivery.Secret(s.scene.Token) })
				return
			}
			s.look(a)
			s.until("loud error", func() bool { return strings.Contains(s.logs.String(), `"level":"error"`) && s.idle() })
			if s.asked() != 0 {
				t.Errorf("%d requests for a lost token, want none", s.asked())
			}
		})
	}
}

// A process that died after it had stored the token left all in order.
func TestTheStoredTokenIsUsedByWhoComesAfter(t *testing.T) {
	t.Parallel()
	s := newRotationStage(t, sqlite(t), due())
	_, stop := s.run()
	s.until("rotation", func() bool { return s.state().State == store.TokenActive })
	stop()
	s.change = func(c *config.Config) { c.Tokens[0].Rotate = false } // it stays so without
	s.run()
	s.works("later")
}

func TestTwoAgentsRotateOnceAndBothUseTheNewToken(t *testing.T) {
	t.Parallel()
	s := newRotationStage(t, storetest.Postgres(t), due())
	a, _ := s.run()
	b, _ := s.run()
	for name, one := range map[string]*agent.Agent{"first": a, "second": b} {
		s.until(name+" agent's new token", func() bool { return one.TokenInUse("bot") == delivery.Secret(s.git.Rotated(s.scene.Token)) })
		s.look(one)
	}
	s.until("rest", s.idle)
	if s.asked() != 1 {
		t.Errorf("rotated %d times by two agents, want once", s.asked())
	}
	s.works("by-either")
}

// An agent that has not heard of a rotation yet learns of it by being refused.
func TestARequestThatMeetsARotationIsNotLost(t *testing.T) {
	t.Parallel()
	s := newRotationStage(t, sqlite(t), gitlabtest.Facts{CreatedAt: midnight(-100), ExpiresAt: midnight(200)})
	a, _ := s.run()
	s.until("first look", func() bool { return len(s.git.Requests("GET /personal_access_tokens/self")) > 0 })
	s.works("before")
	next := s.git.Rotate(s.scene.Token)
	state := store.TokenState{Name: "bot", State: store.TokenRotating, Fingerprint: config.Fingerprint(delivery.Secret(s.scene.Token)), RotatedAt: time.Now()}
	put := func(change func(*store.Tx) error) {
		if err := a.Write(context.Background(), change); err != nil {
			t.Error(err)
		}
	}
	put(func(tx *store.Tx) error { return tx.PutTokenState(state) })
	refused := make(chan struct{})
	once := sync.OnceFunc(func() { close(refused) })
	s.git.Before(func(r gitlabtest.Request) {
		if r.Token == gitlabtest.Revoked {
			once()
		}
	})
	var other sync.WaitGroup
	other.Go(func() { // the other agent stores it when a request was refused already
		<-refused
		done := state
		done.State = store.TokenActive
		put(func(tx *store.Tx) error {
			return errors.Join(tx.PutSecret(store.TokenSecret("bot"), delivery.Secret(next)), tx.PutTokenState(done))
		})
	})
	s.works("during")
	other.Wait()
	s.until("new token", func() bool { return a.TokenInUse("bot") == delivery.Secret(next) })
}

func TestWithoutTheKeyARotatedTokenIsAFaultAtStart(t *testing.T) {
	t.Parallel()
	s := newRotationStage(t, sqlite(t), due())
	_, stop := s.run()
	s.until("rotation", func() bool { return s.state().State == store.TokenActive })
	stop()
	c := s.parse()
	c.Store.Key = ""
	_, err := agent.New(t.Context(), c, agent.Options{})
	if err == nil || !strings.Contains(delivery.Explain(err).Remedy, "REMORA_ENCRYPTION_KEY") {
		t.Errorf("got %v, want a fault whose remedy names the key", err)
	}
}
