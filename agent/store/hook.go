package store

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Hook is a webhook in GitLab that we keep, as we left it there. Instance, Kind
// and Scope name it.
type Hook struct {
	Instance  string   // URL of the instance
	Kind      string   // group, project, system; how it is kept is for package hooks to say
	Scope     int64    // id of the group or project; 0 of an instance
	Path      string   // of the group or project when it was last seen
	Token     string   // name of the token that keeps it
	Hook      int64    // its id; 0 where there is none
	URL       string   // where it sends
	Events    []string // names of its flags
	Secret    string   // which pair of secrets it has; never a secret
	State     string   // what it was last found to be
	Error     string   // why it could not be put right; empty where it is
	Seen      int64    // id of the newest of its calls that was dealt with
	CheckedAt time.Time
}

// Hooks are the hooks of an instance that are kept, by kind and scope; of all
// instances if none is named.
func (s *Store) Hooks(ctx context.Context, instance string) ([]Hook, error) {
	var list []Hook
	err := s.Query(ctx, func(r Row) error {
		var h Hook
		var events string
		var checked int64
		err := r.Scan(&h.Instance, &h.Kind, &h.Scope, &h.Path, &h.Token, &h.Hook, &h.URL, &events, &h.Secret, &h.State, &h.Error, &h.Seen, &checked)
		h.Events, h.CheckedAt = strings.Fields(events), instant(checked)
		list = append(list, h)
		return err
	}, `SELECT instance, kind, scope, path, token, hook, url, events, secret, state, error, seen, checked_at
		FROM hook WHERE ? = '' OR instance = ? ORDER BY instance, kind, scope`, instance, instance)
	if err != nil {
		return nil, fmt.Errorf("read hooks: %w", err)
	}
	return list, nil
}

// HookStates counts the hooks in each state.
func (s *Store) HookStates(ctx context.Context) (map[string]int, error) {
	states := map[string]int{}
	err := s.Query(ctx, func(r Row) error {
		var state string
		var n int
		err := r.Scan(&state, &n)
		states[state] = n
		return err
	}, "SELECT state, count(*) FROM hook GROUP BY state")
	if err != nil {
		return nil, fmt.Errorf("count hooks: %w", err)
	}
	return states, nil
}

// PutHook keeps a hook, in place of what was kept of its scope.
func (tx *Tx) PutHook(h Hook) error {
	_, err := tx.Exec(`INSERT INTO hook (instance, kind, scope, path, token, hook, url, events, secret, state, error, seen, checked_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (instance, kind, scope) DO UPDATE SET path = excluded.path, token = excluded.token, hook = excluded.hook, url = excluded.url,
			events = excluded.events, secret = excluded.secret, state = excluded.state, error = excluded.error, seen = excluded.seen, checked_at = excluded.checked_at`,
		h.Instance, h.Kind, h.Scope, h.Path, h.Token, h.Hook, h.URL, strings.Join(h.Events, " "), h.Secret, h.State, h.Error, h.Seen, micros(h.CheckedAt))
	if err != nil {
		return fmt.Errorf("keep %s hook of %s: %w", h.Kind, h.Path, err)
	}
	return nil
}

// DeleteHook forgets a hook; that it is not kept is no error.
func (tx *Tx) DeleteHook(instance, kind string, scope int64) error {
	if _, err := tx.Exec("DELETE FROM hook WHERE instance = ? AND kind = ? AND scope = ?", instance, kind, scope); err != nil {
		return fmt.Errorf("forget %s hook: %w", kind, err)
	}
	return nil
}

// SecretChanged is when a secret was stored last; the zero time if there is none.
// It needs no key.
func (s *Store) SecretChanged(ctx context.Context, name string) (time.Time, error) {
	var at int64
	err := s.Query(ctx, func(r Row) error { return r.Scan(&at) }, "SELECT COALESCE(max(changed_at), 0) FROM secret WHERE name = ?", name)
	if err != nil {
		return time.Time{}, fmt.Errorf("read age of secret %q: %w", name, err)
	}
	return instant(at), nil
}
