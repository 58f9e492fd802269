package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"gitlab.com/remora-ci/remora/agent/config"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/work"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab"
	"gitlab.com/remora-ci/remora/component/rest"
)

// kindRotate is the kind of the work that replaces a token: rotate:<token name>.
const kindRotate = "rotate"

const (
	rotateTime = 30 * time.Second // for the one request
	keepTime   = time.Minute      // for storing what came of it

	// settleTime is how long a rotation whose answer was lost may still be on its
	// way. Before that has passed, a living old token proves nothing.
	settleTime = 10 * time.Minute
)

const lostRemedy = "make a new token in GitLab and configure it: the old one is dead, and the new one never arrived"

// rotation is one run of a key of kind rotate.
//
// Before the request the state rotating is stored; after it the new value, before
// anything uses it. A run that finds that state does not know how the one before
// it ended: it asks with the old token whether that is still good, and never sends
// the request blindly, for rotating a dead token ends its successor too.
type rotation struct {
	a     *Agent
	it    work.Item
	who   *speaker
	log   zerolog.Logger
	text  func(string) string // scrubbed
	state store.TokenState
}

var errStaleToken = errors.New("the token was replaced meanwhile")

// rotate replaces a token that is due.
func (a *Agent) rotate(ctx context.Context, it work.Item, name string) work.Result {
	s := a.current()
	who := s.tokens.byName[name]
	if who == nil || !s.rotates(who) {
		return work.Result{}
	}
	fresh, err := s.configured.Effective(ctx, a.store)
	if err != nil {
		return work.Result{Err: err}
	}
	named := func(t config.Token) bool { return t.Name == name }
	if i := slices.IndexFunc(fresh.Tokens, named); i < 0 || fresh.Tokens[i].Value != who.Value {
		a.keeper.kick()
		return work.Result{Err: errStaleToken, After: time.Second}
	}
	states, err := a.store.TokenStates(ctx)
	if err != nil {
		return work.Result{Err: err}
	}
	r := &rotation{a: a, it: it, who: who, text: s.scrub.Text, state: s.stateOf(states, name), log: zerolog.Ctx(ctx).With().Str("token", name).Logger()}
	if r.state.Name == "" {
		configured := s.configured.Tokens[slices.IndexFunc(s.configured.Tokens, named)]
		r.state = store.TokenState{Name: name, Fingerprint: config.Fingerprint(configured.Value)}
	}
	return r.run(ctx)
}

func (r *rotation) run(ctx context.Context) work.Result {
	switch r.state.State {
	case store.TokenLost:
		return work.Result{}
	case store.TokenRotating:
		return r.recover(ctx)
	}
	asking, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	info, err := r.who.gl.Token(asking)
	switch {
	case isRefusedToken(err):
		return work.Result{Err: delivery.Permanent(fmt.Errorf("token %s is not rotated: %w", r.who.Name, err))}
	case err != nil:
		return work.Result{Err: err}
	case !isDue(info, r.a.o.now()):
		return work.Result{}
	}
	return r.replace(ctx, info)
}

func isRefusedToken(err error) bool {
	var status *rest.StatusError
	return errors.As(err, &status) && status.Code == 401
}

// recover finds out how a rotation ended of which nothing is known.
func (r *rotation) recover(ctx context.Context) work.Result {
	if wait := r.state.RotatedAt.Add(settleTime).Sub(r.a.o.now()); wait > 0 {
		return work.Result{After: wait}
	}
	asking, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	_, err := r.who.gl.Token(asking)
	switch {
	case isRefusedToken(err):
		r.log.Error().Str("reason", r.text(err.Error())).Str("remedy", lostRemedy).Msg("token lost")
		return work.Result{
			Err:    delivery.Permanent(&delivery.Fault{Summary: "token lost", Cause: "the answer to the rotation of token " + r.who.Name + " never arrived", Remedy: lostRemedy, Err: err}),
			Finish: r.settle(store.TokenLost, "the answer to its rotation never arrived: "+r.text(err.Error())),
		}
	case err != nil:
		return work.Result{Err: err}
	}
	r.log.Info().Msg("token was not rotated, it is tried again")
	return work.Result{After: settleTime, Finish: r.settle(store.TokenActive, "")}
}

// settle stores how a rotation ended that brought no new token. It changes nothing
// if the token came after all.
func (r *rotation) settle(state, reason string) func(*store.Tx) error {
	return func(tx *store.Tx) error {
		now, err := tx.TokenState(r.who.Name)
		if err != nil || now.State != store.TokenRotating || now.Fingerprint != r.state.Fingerprint {
			return err
		}
		now.State, now.Error, now.CheckedAt = state, reason, r.a.o.now()
		return tx.PutTokenState(now)
	}
}

// replace makes the request, once.
func (r *rotation) replace(ctx context.Context, info gitlab.Token) work.Result {
	if err := r.begin(ctx, info); err != nil {
		return work.Result{Err: err}
	}
	if ctx.Err() != nil {
		return work.Result{Err: ctx.Err(), Finish: r.settle(store.TokenActive, "")}
	}
	// From here on it is brought to its end, also by an agent that is told to stop.
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), rotateTime)
	defer cancel()
	made, value, err := r.who.gl.RotateToken(asking, nextEnd(info, r.a.o.now()))
	switch {
	case err == nil:
		return r.keep(ctx, made, value)
	case gitlab.NotRotated(err) && delivery.StateOf(rest.Fault(err, rest.Names{})) == delivery.Retry:
		return work.Result{Err: err, Finish: r.settle(store.TokenActive, "")}
	case gitlab.NotRotated(err):
		r.log.Error().Str("reason", r.text(err.Error())).Str("remedy", "give the token the scope api or self_rotate, or see what GitLab says").Msg("token not rotated")
		return work.Result{Finish: r.settle(store.TokenRefused, r.text(err.Error()))}
	}
	r.log.Error().Str("reason", r.text(err.Error())).Dur("after", settleTime).Msg("no answer to the rotation of a token; whether it lives is asked later")
	return work.Result{After: settleTime}
}

// nextEnd is the last day of the new token: it lives as long as the old one did, by
// GitLab's clock.
func nextEnd(old gitlab.Token, now time.Time) time.Time {
	if !old.Now.IsZero() {
		now = old.Now
	}
	const day = 24 * time.Hour
	days := int((lifeOf(old) + day - 1) / day)
	return now.UTC().Truncate(day).AddDate(0, 0, days)
}

// begin stores that the request is about to be made.
func (r *rotation) begin(ctx context.Context, info gitlab.Token) error {
	r.state.State, r.state.ExpiresAt, r.state.Error = store.TokenRotating, info.ExpiresAt, ""
	r.state.RotatedAt = r.a.o.now()
	r.state.CheckedAt = r.state.RotatedAt
	return r.a.store.Write(ctx, func(tx *store.Tx) error {
		ours, err := r.a.queue.Holds(tx, r.it)
		if err != nil {
			return err
		}
		if !ours {
			return errNotOurs
		}
		now, err := tx.TokenState(r.who.Name)
		if err != nil {
			return err
		}
		if now.Fingerprint != r.state.Fingerprint { // the stored value came from one that is not configured any more
			if err := tx.DeleteSecret(store.TokenSecret(r.who.Name)); err != nil {
				return err
			}
		}
		return tx.PutTokenState(r.state)
	})
}

// keep stores the new token, which nobody else has, for as long as it takes within
// reason; whose run this is does not matter any more.
func (r *rotation) keep(ctx context.Context, made gitlab.Token, value delivery.Secret) work.Result {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepTime)
	defer cancel()
	state := r.state
	state.State, state.ExpiresAt, state.CheckedAt = store.TokenActive, made.ExpiresAt, r.a.o.now()
	for {
		err := r.a.store.Write(ctx, func(tx *store.Tx) error {
			now, err := tx.TokenState(r.who.Name)
			if err != nil {
				return err
			}
			if now.Fingerprint != state.Fingerprint {
				return errStaleToken
			}
			tx.OnCommit(r.a.keeper.kick)
			return errors.Join(tx.PutSecret(store.TokenSecret(r.who.Name), value), tx.PutTokenState(state), tx.Notify(tokenChannel))
		})
		if err == nil {
			r.log.Info().Time("expires_at", made.ExpiresAt).Msg("token rotated")
			return work.Result{}
		}
		r.log.Error().Err(err).Msg("new token not stored")
		if errors.Is(err, errStaleToken) || delivery.Wait(ctx, 500*time.Millisecond) != nil {
			return work.Result{Err: err, After: settleTime}
		}
	}
}
