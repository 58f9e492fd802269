package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"gitlab.com/remora-ci/remora/agent/config"
	"gitlab.com/remora-ci/remora/agent/hooks"
	"gitlab.com/remora-ci/remora/agent/schedule"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/webhook"
	"gitlab.com/remora-ci/remora/agent/work"
	"gitlab.com/remora-ci/remora/component/delivery"
)

// kindHeal is the kind of work that puts the hooks of an instance right:
// heal:<name of the instance>.
const kindHeal = "heal"

// awayPrefix begins the names of the firings that say until when calls may have
// failed without our knowing: every start of an agent, once a day, and when a
// webhook was answered with 5xx.
const awayPrefix = "away:"

const (
	secretsEvery = 5 * time.Second  // less than [hooks.Settle]
	resendPause  = 61 * time.Second // GitLab's limit on calls that are sent again is of a minute
	headPause    = 10               // polls, for the deliveries of calls that come now
)

// heal has the hooks in GitLab put right, and their secrets taken, until ctx ends.
func (a *Agent) heal(ctx context.Context) {
	a.metrics.registry.MustRegister(newHookStates(a.store))
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() { a.store.Listen(ctx, hooks.Channel, func() { a.acceptHooks(ctx, a.current()) }) })
	all.Go(func() {
		every(ctx, func() time.Duration { a.acceptHooks(ctx, a.current()); return secretsEvery })
	})
	for first := true; ctx.Err() == nil; first = false {
		s := a.current()
		running, stop := context.WithCancel(ctx)
		var round sync.WaitGroup
		round.Go(func() { a.healNowAndThen(running, s, first) })
		every(running, func() time.Duration {
			if a.current() != s {
				stop() // another configuration has others
			}
			return time.Second
		})
		stop()
		round.Wait()
	}
}

// healNowAndThen asks for the work of healing as often as s wants it, and at the
// start of an agent.
func (a *Agent) healNowAndThen(ctx context.Context, s *setup, start bool) {
	var all []schedule.Config
	if !s.Hooks.Enabled() || s.Hooks.Heal <= 0 {
		return
	}
	for _, i := range s.Instances {
		if start {
			a.came(ctx, i.Name)
		}
		every := fmt.Sprintf("PT%dS", int(s.Hooks.Heal.Seconds()))
		for name, every := range map[string]string{kindHeal + ":" + i.Name: every, awayPrefix + i.Name: "P1D"} {
			// Nothing is brought in step, but a schedule has to name something.
			all = append(all, schedule.Config{Name: name, Every: every, Projects: []string{"**"}, Sync: []string{"hooks"}})
		}
	}
	put := func(tx *store.Tx, c schedule.Config, _ time.Time) error {
		instance, heals := strings.CutPrefix(c.Name, kindHeal+":")
		if !heals {
			return nil // the next round looks at the calls, too
		}
		if a.refused.Load() {
			if _, err := tx.Fire(awayPrefix+instance, a.o.now()); err != nil {
				return err
			}
			tx.OnCommit(func() { a.refused.Store(false) })
		}
		return a.queue.Put(tx, work.Put{Key: c.Name})
	}
	runner, err := schedule.NewRunner(a.store, all, put, schedule.Options{Now: a.o.now})
	if err != nil {
		zerolog.Ctx(ctx).Error().Err(err).Msg("hooks not healed")
		return
	}
	_ = runner.Run(ctx) // it returns nil
}

// observed is told of every webhook. What was answered with 5xx GitLab does not send
// again by itself.
func (a *Agent) observed(o webhook.Observation) {
	a.metrics.webhook(o)
	if o.Status >= http.StatusInternalServerError {
		a.refused.Store(true)
	}
}

// came notes that an agent was away until now, and asks for healing.
func (a *Agent) came(ctx context.Context, instance string) {
	err := a.store.Write(ctx, func(tx *store.Tx) error {
		if _, err := tx.Fire(awayPrefix+instance, a.o.now()); err != nil {
			return err
		}
		return a.queue.Put(tx, work.Put{Key: kindHeal + ":" + instance})
	})
	if err != nil && ctx.Err() == nil {
		zerolog.Ctx(ctx).Error().Err(err).Msg("hooks not healed")
	}
}

// acceptHooks has s take the secrets that are stored for the hooks. What cannot be
// read now stays as it was.
func (a *Agent) acceptHooks(ctx context.Context, s *setup) {
	var tokens, signing []delivery.Secret
	for _, i := range s.Instances {
		t, sign, err := a.vault(s, i).Accepted(ctx)
		if err != nil {
			if ctx.Err() == nil {
				zerolog.Ctx(ctx).Error().Err(err).Msg("secrets of hooks not read")
			}
			return
		}
		tokens, signing = append(tokens, t...), append(signing, sign...)
	}
	if err := s.verifier.Extra(tokens, signing); err != nil {
		zerolog.Ctx(ctx).Error().Err(err).Msg("secrets of hooks not taken")
	}
}

func (a *Agent) vault(s *setup, i config.Instance) hooks.Vault {
	return hooks.Vault{Store: a.store, Instance: i.URL, Configured: s.Auth, Now: a.o.now}
}

// healHooks puts the hooks of an instance right: each that was not looked at since
// this round began, so that a run which was stopped goes on where it was.
func (a *Agent) healHooks(ctx context.Context, name string) work.Result {
	s := a.current()
	at := slices.IndexFunc(s.Instances, func(i config.Instance) bool { return i.Name == name })
	if at < 0 || !s.Hooks.Enabled() {
		return work.Result{} // taken out of the configuration meanwhile
	}
	h := healing{a: a, s: s, log: zerolog.Ctx(ctx).With().Str("instance", name).Logger()}
	var again time.Duration
	var err error
	if h.keeper, err = newHookKeeper(s.Config, s.Instances[at], s.tokens, a.store, a.o.now); err == nil {
		again, err = h.round(ctx, name)
	}
	if err != nil {
		if ctx.Err() == nil {
			err = errors.New(s.scrub.Text(err.Error()))
			h.log.Error().Err(err).Msg("hooks not healed")
		}
		return work.Result{Err: err}
	}
	return work.Result{After: again}
}

// healing is a round over the hooks of an instance.
type healing struct {
	a      *Agent
	s      *setup
	keeper *hooks.Keeper
	log    zerolog.Logger

	looked, changed, failed int
}

// round says when it is to go on, if it did not come to its end.
func (h *healing) round(ctx context.Context, name string) (again time.Duration, err error) {
	rows, err := h.a.store.Hooks(ctx, h.keeper.Instance)
	if err != nil {
		return 0, err
	}
	if len(rows) == 0 { // the first plan is a person's to see
		h.log.Info().Msg("hooks were never applied: see remora hooks plan")
		return 0, nil
	}
	if err := h.rotate(ctx); err != nil {
		return 0, err
	}
	if wait, err := h.keeper.Settling(ctx); err != nil || wait > 0 {
		return wait, err
	}
	since, err := h.a.store.LastFired(ctx, kindHeal+":"+name)
	if err != nil {
		return 0, err
	}
	if h.keeper.Away, err = h.a.store.LastFired(ctx, awayPrefix+name); err != nil {
		return 0, err
	}
	if h.keeper.Away.After(since) {
		since = h.keeper.Away
	}
	for v, err := range h.keeper.Walk(ctx, func(k store.Hook) bool { return !hooks.Due(k) && !k.CheckedAt.Before(since) }, false) {
		if err != nil {
			return 0, err
		}
		if h.a.draining.Load() {
			return time.Second, nil // another agent goes on
		}
		pause, err := h.visit(ctx, v)
		if err != nil {
			return 0, err
		}
		if again == 0 || pause > 0 && pause < again {
			again = pause
		}
	}
	h.log.Info().Int("looked_at", h.looked).Int("changed", h.changed).Int("failed", h.failed).Msg("hooks healed")
	return again, nil
}

// rotate replaces the secrets when it is time, and drops replaced ones when it is.
func (h *healing) rotate(ctx context.Context) error {
	vault := h.keeper.Vault
	if err := vault.Forget(ctx); err != nil && !errors.Is(err, store.ErrNoKey) {
		return err
	}
	p, err := vault.Current(ctx)
	if err != nil || !p.Own || h.s.Hooks.Rotate <= 0 || h.a.o.now().Sub(p.Since) < h.s.Hooks.Rotate {
		return err
	}
	if err := vault.Rotate(ctx); err != nil {
		return err
	}
	h.log.Info().Msg("secrets of hooks replaced")
	h.a.acceptHooks(ctx, h.s)
	return nil
}

// visit puts one hook right and makes up for what was lost there. It says when it is
// to go on, if that is not done.
func (h *healing) visit(ctx context.Context, v hooks.Visit) (again time.Duration, err error) {
	h.looked++
	log := h.log.With().Str("hook", v.Scope.Kind).Str("path", v.Scope.Path).Logger()
	done, err := h.keeper.Apply(ctx, v)
	if err != nil {
		return 0, err
	}
	if !h.tell(v, done, log) || !hooks.Due(done.Row) {
		return 0, nil
	}
	return h.makeUp(ctx, done.Row, done.Done > 0, log)
}

// tell logs and counts what became of a visit, and says whether the hook is right.
func (h *healing) tell(v hooks.Visit, done hooks.Applied, log zerolog.Logger) bool {
	h.changed += done.Done
	if done.Err != nil {
		h.failed++
		log.Warn().Str("reason", h.s.scrub.Text(done.Err.Error())).Msg("hook not put right")
		return false
	}
	for _, c := range v.Changes {
		if c.Action != hooks.Keep {
			log.Info().Str("action", string(c.Action)).Strs("reasons", c.Why).Msg("hook put right")
		}
	}
	return true
}

// makeUp has failed calls of a hook sent again, and reads the heads where that is
// not enough. Of calls that come now, tested says so, it waits for the deliveries:
// they need not be made twice.
func (h *healing) makeUp(ctx context.Context, row store.Hook, tested bool, log zerolog.Logger) (again time.Duration, err error) {
	r, err := h.keeper.Resend(ctx, row)
	if err != nil {
		return 0, err
	}
	if r.Sent > 0 {
		log.Info().Int("calls", r.Sent).Bool("left", r.Left).Msg("failed calls sent again")
	}
	if r.Err != nil {
		log.Warn().Str("reason", h.s.scrub.Text(r.Err.Error())).Msg("failed calls not sent again")
	}
	if r.Left {
		again = resendPause
	}
	switch {
	case !r.Heads:
		return again, nil
	case r.Sent > 0 || tested:
		return headPause * h.a.o.poll, nil
	}
	if !h.readHeads(ctx, r.Row, log) {
		return again, ctx.Err() // the next round reads them
	}
	return again, h.keeper.Settle(ctx, &r)
}

// readHeads says whether the heads of a hook's projects were read.
func (h *healing) readHeads(ctx context.Context, row store.Hook, log zerolog.Logger) bool {
	n, err := h.heads(ctx, row)
	if err != nil {
		log.Warn().Str("reason", h.s.scrub.Text(err.Error())).Msg("heads not read")
		return false
	}
	log.Info().Int("deliveries", n).Msg("heads read for calls that were lost")
	return true
}
