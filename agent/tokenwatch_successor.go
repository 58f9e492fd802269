package agent

import (
	"context"
	"slices"
	"time"

	"gitlab.com/remora-ci/remora/agent/config"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component/delivery"
)

const (
	successorTime  = 5 * time.Second // for a rotation that goes on to come to its end
	successorPause = 50 * time.Millisecond
)

// heedSuccessors has requests that meet a rotation sent again with the new token:
// between GitLab's answer and the new setup of each agent, the old one is refused.
func (a *Agent) heedSuccessors(s *setup) {
	for _, who := range s.tokens.byName {
		if who.Rotate {
			who.gl.Renewing(func(ctx context.Context, refused delivery.Secret) delivery.Secret {
				return a.successor(ctx, s.configured, who.Name, refused)
			})
		}
	}
}

// successor is what a token was rotated to a moment ago, by whichever agent; empty
// if it was not.
func (a *Agent) successor(ctx context.Context, c *config.Config, name string, refused delivery.Secret) delivery.Secret {
	ctx, cancel := context.WithTimeout(ctx, successorTime)
	defer cancel()
	for {
		effective, err := c.Effective(ctx, a.store)
		if err != nil {
			return ""
		}
		i := slices.IndexFunc(effective.Tokens, func(t config.Token) bool { return t.Name == name })
		if i >= 0 && effective.Tokens[i].Value != refused {
			a.keeper.kick()
			return effective.Tokens[i].Value
		}
		states, err := a.store.TokenStates(ctx)
		state := states[name]
		if err != nil || state.State != store.TokenRotating || a.o.now().Sub(state.RotatedAt) > rotateTime || delivery.Wait(ctx, successorPause) != nil {
			return ""
		}
	}
}
