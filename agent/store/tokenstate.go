package store

import (
	"context"
	"fmt"
	"time"
)

// The states of a token that is rotated.
const (
	TokenActive   = "active"   // the stored one is in use; the configured one before the first rotation
	TokenRotating = "rotating" // a rotation was begun and its end is not known
	TokenRefused  = "refused"  // GitLab refused to rotate it; it is as good as it was
	TokenLost     = "lost"     // it was rotated and the new value never came: neither is of use
)

// TokenState is what is known of a token that is rotated. Its value is a secret of
// its own, see [TokenSecret].
type TokenState struct {
	Name        string
	Fingerprint string // of the configured value that it came from
	State       string
	ExpiresAt   time.Time // of the value in use
	RotatedAt   time.Time // when the last rotation began
	CheckedAt   time.Time
	Error       string
}

// TokenSecret is the name of the secret that holds the value of a token.
func TokenSecret(name string) string { return "token/" + name }

const tokenStates = "SELECT name, fingerprint, state, expires_at, rotated_at, checked_at, error FROM token_state"

// TokenStates are those of all tokens that were ever rotated, by name.
func (s *Store) TokenStates(ctx context.Context) (map[string]TokenState, error) {
	states := map[string]TokenState{}
	err := s.Query(ctx, func(r Row) error {
		t, err := scanTokenState(r)
		states[t.Name] = t
		return err
	}, tokenStates)
	if err != nil {
		return nil, fmt.Errorf("read states of tokens: %w", err)
	}
	return states, nil
}

// TokenState is that of one token, in the transaction, held until its end; the
// zero one if there is none.
func (tx *Tx) TokenState(name string) (state TokenState, err error) {
	err = tx.Query(func(r Row) error { state, err = scanTokenState(r); return err }, tokenStates+" WHERE name = ? FOR UPDATE", name)
	if err != nil {
		return state, fmt.Errorf("read state of token %s: %w", name, err)
	}
	return state, nil
}

func scanTokenState(r Row) (t TokenState, err error) {
	var expires, rotated, checked int64
	err = r.Scan(&t.Name, &t.Fingerprint, &t.State, &expires, &rotated, &checked, &t.Error)
	t.ExpiresAt, t.RotatedAt, t.CheckedAt = instant(expires), instant(rotated), instant(checked)
	return t, err
}

// PutTokenState stores the state of a token in place of the one it had.
func (tx *Tx) PutTokenState(t TokenState) error {
	_, err := tx.Exec(`INSERT INTO token_state (name, fingerprint, state, expires_at, rotated_at, checked_at, error) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET fingerprint = excluded.fingerprint, state = excluded.state, expires_at = excluded.expires_at,
  rotated_at = excluded.rotated_at, checked_at = excluded.checked_at, error = excluded.error`,
		t.Name, t.Fingerprint, t.State, micros(t.ExpiresAt), micros(t.RotatedAt), micros(t.CheckedAt), clean(t.Error))
	if err != nil {
		return fmt.Errorf("store state of token %s: %w", t.Name, err)
	}
	return nil
}
