package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"gitlab.com/remora-ci/remora/agent/config"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/work"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab"
	"gitlab.com/remora-ci/remora/component/rest"
)

const (
	watchEvery = time.Hour
	askTime    = 30 * time.Second // for the facts of one token

	warnBefore  = 30 * 24 * time.Hour
	lateForUs   = 7 * 24 * time.Hour // a token that we rotate should never come so near its end
	refusedRest = 24 * time.Hour     // until a refused rotation is tried again
)

// tokenChannel is where agents that share a PostgreSQL tell that a token is new.
const tokenChannel = "remora_token"

// tokenKeeper watches the tokens and has them rotated.
type tokenKeeper struct {
	expiry *prometheus.GaugeVec
	stale  chan struct{} // has a value when a token may have been replaced

	mu   sync.Mutex
	told map[string]string // by token: the day of the last warning, or "kind" where there is nothing to watch
}

func newTokenKeeper(r prometheus.Registerer) *tokenKeeper {
	k := &tokenKeeper{stale: make(chan struct{}, 1), told: map[string]string{}, expiry: prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Namespace: "remora", Name: "token_expiry_timestamp_seconds", Help: "When a token of GitLab expires, by its name; of one that is refused, when that was last seen; missing where it never does.",
	}, []string{"token"})}
	r.MustRegister(k.expiry)
	return k
}

// kick has the tokens read again. It never blocks.
func (k *tokenKeeper) kick() {
	select {
	case k.stale <- struct{}{}:
	default:
	}
}

// ended shows that a token is good no more, for whoever watches when it will be.
func (k *tokenKeeper) ended(token string, now time.Time) {
	k.expiry.WithLabelValues(token).Set(float64(now.Unix()))
}

// once says whether word is news about a token; what is said each day anew has the
// day in it.
func (k *tokenKeeper) once(token, word string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.told[token] == word {
		return false
	}
	k.told[token] = word
	return true
}

// adopt makes the setup of a configuration that was read, with the tokens that are
// stored in place of those that they came from.
func (a *Agent) adopt(ctx context.Context, c *config.Config) (*setup, error) {
	effective, err := c.Effective(ctx, a.store)
	if err != nil {
		return nil, err
	}
	s, err := a.newSetup(effective)
	if err == nil {
		s.configured = c
		a.heedSuccessors(s)
		a.acceptHooks(ctx, s)
	}
	return s, err
}

// listenTokens learns that another agent has rotated a token.
func (a *Agent) listenTokens(ctx context.Context) {
	a.store.Listen(ctx, tokenChannel, a.keeper.kick)
}

// renewTokens makes a new setup if a token was replaced since the last one.
func (a *Agent) renewTokens(ctx context.Context) {
	log := zerolog.Ctx(ctx)
	old := a.current()
	next, err := a.renewed(ctx, old)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		log.Error().Str("reason", old.scrub.Text(err.Error())).Msg("stored tokens not read")
		if delivery.Wait(ctx, time.Second) == nil {
			a.keeper.kick()
		}
	case next != nil:
		a.use(ctx, next)
		log.Info().Msg("rotated token in use")
	}
}

// renewed is a setup with the tokens that are stored now; nil if they are those of
// old.
func (a *Agent) renewed(ctx context.Context, old *setup) (*setup, error) {
	effective, err := old.configured.Effective(ctx, a.store)
	if err != nil {
		return nil, err
	}
	same := func(x, y config.Token) bool { return x.Name == y.Name && x.Value == y.Value }
	if slices.EqualFunc(effective.Tokens, old.Tokens, same) {
		return nil, nil
	}
	return a.adopt(ctx, old.configured)
}

// watchTokens looks at the tokens every hour.
func (a *Agent) watchTokens(ctx context.Context) {
	select {
	case <-a.learned: // the first thing that GitLab is asked is who we are
	case <-ctx.Done():
	}
	every(ctx, func() time.Duration {
		a.lookAtTokens(ctx)
		return watchEvery
	})
}

func (a *Agent) lookAtTokens(ctx context.Context) {
	a.keeper.kick() // a notice may have been missed
	s := a.current()
	states, err := a.store.TokenStates(ctx)
	if err != nil {
		if ctx.Err() == nil {
			zerolog.Ctx(ctx).Error().Err(err).Msg("tokens not looked at")
		}
		return
	}
	for _, name := range slices.Sorted(maps.Keys(s.tokens.byName)) {
		a.lookAtToken(ctx, s, s.tokens.byName[name], s.stateOf(states, name))
	}
}

// stateOf is what is stored of a token; the zero state if that is of another value.
func (s *setup) stateOf(states map[string]store.TokenState, name string) store.TokenState {
	i := slices.IndexFunc(s.configured.Tokens, func(t config.Token) bool { return t.Name == name })
	if state := states[name]; i >= 0 && state.Fingerprint == config.Fingerprint(s.configured.Tokens[i].Value) {
		return state
	}
	return store.TokenState{}
}

func (a *Agent) lookAtToken(ctx context.Context, s *setup, who *speaker, state store.TokenState) {
	asking, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	now := a.o.now()
	today := now.UTC().Format(time.DateOnly)
	log := zerolog.Ctx(ctx).With().Str("token", who.Name).Logger()
	if state.State == store.TokenLost {
		a.keeper.ended(who.Name, now)
		if a.keeper.once(who.Name, today) {
			log.Error().Str("reason", state.Error).Str("remedy", lostRemedy).Msg("token lost")
		}
		return
	}
	if state.State == store.TokenRotating {
		a.wantRotation(ctx, log, s, who, state) // to find out how it ended
		return
	}
	info, err := who.gl.Token(asking)
	var status *rest.StatusError
	switch {
	case errors.Is(err, gitlab.ErrNotPersonal):
		if a.keeper.once(who.Name, "kind") {
			log.Debug().Msg("GitLab does not tell when this kind of token expires")
		}
		return
	case errors.As(err, &status) && status.Code == 401:
		a.keeper.ended(who.Name, now)
		if a.keeper.once(who.Name, today) {
			log.Error().Str("reason", s.scrub.Text(err.Error())).Str("remedy", "make a new token in GitLab and configure it").Msg("token refused")
		}
		return
	case err != nil:
		log.Debug().Str("reason", s.scrub.Text(err.Error())).Msg("token not looked at")
		return
	case info.ExpiresAt.IsZero():
		a.keeper.expiry.DeleteLabelValues(who.Name)
		return
	}
	a.keeper.expiry.WithLabelValues(who.Name).Set(float64(info.ExpiresAt.Unix()))
	a.warnOfEnd(log, who, info, s.rotates(who))
	if who.Rotate && isDue(info, now) {
		a.wantRotation(ctx, log, s, who, state)
	}
}

// rotates says whether we would rotate a token: only what can be stored is.
func (s *setup) rotates(who *speaker) bool { return who.Rotate && !s.Store.Key.Empty() }

// warnOfEnd tells once a day that a token ends soon.
func (a *Agent) warnOfEnd(log zerolog.Logger, who *speaker, info gitlab.Token, ours bool) {
	left, before := info.ExpiresAt.Sub(a.o.now()), warnBefore
	if ours {
		before = lateForUs
	}
	if left > before || !a.keeper.once(who.Name, a.o.now().UTC().Format(time.DateOnly)) {
		return
	}
	log.Warn().Int("days", daysLeft(left)).Time("expires_at", info.ExpiresAt).
		Str("remedy", "make a new token in GitLab and configure it, or let the agent rotate this one with rotate: true").Msg("token expires soon")
}

func daysLeft(left time.Duration) int { return max(0, int(math.Floor(left.Hours()/24))) }

// isDue says whether a token is to be rotated: in the last third of its life, and
// in the last 30 days at most.
func isDue(t gitlab.Token, now time.Time) bool {
	return !t.ExpiresAt.IsZero() && t.ExpiresAt.Sub(now) <= min(warnBefore, lifeOf(t)/3)
}

// longestLife is the most that GitLab allows.
const longestLife = 365 * 24 * time.Hour

func lifeOf(t gitlab.Token) time.Duration {
	if t.CreatedAt.IsZero() {
		return longestLife
	}
	day := 24 * time.Hour
	return min(max(t.ExpiresAt.Sub(t.CreatedAt.UTC().Truncate(day)), day), longestLife)
}

// wantRotation puts the work, of which there is one over all agents.
func (a *Agent) wantRotation(ctx context.Context, log zerolog.Logger, s *setup, who *speaker, state store.TokenState) {
	switch {
	case !s.rotates(who):
		if a.keeper.once(who.Name, "key "+a.o.now().UTC().Format(time.DateOnly)) {
			log.Warn().Str("remedy", "set REMORA_ENCRYPTION_KEY, for the new token is stored encrypted; make one with: openssl rand -base64 32").Msg("token not rotated")
		}
		return
	case state.State == store.TokenRefused && a.o.now().Before(state.CheckedAt.Add(refusedRest)):
		return
	}
	err := a.store.Write(ctx, func(tx *store.Tx) error { return a.queue.Put(tx, work.Put{Key: kindRotate + ":" + who.Name}) })
	if err != nil && ctx.Err() == nil {
		log.Error().Err(fmt.Errorf("ask for rotation: %w", err)).Msg("token not rotated")
	}
}
