package config

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component/delivery"
)

// Fingerprint tells values of a token apart. It cannot be turned back into one.
func Fingerprint(value delivery.Secret) string {
	sum := sha256.Sum256([]byte("remora token\x00" + value.Reveal()))
	return hex.EncodeToString(sum[:16])
}

// Effective is c with the tokens that are stored in s in place of the configured
// ones that they were rotated from. An operator who configures another value wins:
// what is stored did not come from that one.
//
// The error is permanent where a token was rotated and its value cannot be read:
// the configured one is dead.
func (c *Config) Effective(ctx context.Context, s *store.Store) (*Config, error) {
	states, err := s.TokenStates(ctx)
	if err != nil {
		return nil, err
	}
	out := *c
	out.Tokens, out.secrets = slices.Clone(c.Tokens), slices.Clone(c.secrets)
	for i, t := range out.Tokens {
		state, ok := states[t.Name]
		if !ok || state.Fingerprint != Fingerprint(t.Value) {
			continue
		}
		value, err := s.Secret(ctx, store.TokenSecret(t.Name))
		switch {
		case errors.Is(err, store.ErrNotFound):
			continue // no rotation has come to its end yet
		case errors.Is(err, store.ErrNoKey) && state.State == store.TokenActive && state.RotatedAt.IsZero():
			continue // nor has one begun
		case errors.Is(err, store.ErrNoKey):
			return nil, delivery.Permanent(&delivery.Fault{
				Summary: "stored token cannot be read", Err: err,
				Cause:  fmt.Sprintf("the token %s was replaced by one that is stored, and the configured value is not accepted any more", t.Name),
				Remedy: "set REMORA_ENCRYPTION_KEY to the key that it was stored with, or make a new token in GitLab and configure that",
			})
		case err != nil:
			return nil, err
		}
		out.Tokens[i].Value = value
		out.secrets = append(out.secrets, value)
	}
	return &out, nil
}
