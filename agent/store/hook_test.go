package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/store/storetest"
)

func putHooks(t *testing.T, s *store.Store, hooks ...store.Hook) {
	t.Helper()
	err := s.Write(t.Context(), func(tx *store.Tx) error {
		for _, h := range hooks {
			if err := tx.PutHook(h); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAHookIsKeptByItsScope(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		s := storetest.Open(t, c)
		const one, two = "https://one.example.com", "https://two.example.com/gitlab"
		group := store.Hook{
			Instance: one, Kind: "group", Scope: 7, Path: "acme", Token: "bot", Hook: 70, URL: "https://agent.example.com/hooks/gitlab",
			Events: []string{"merge_requests_events", "push_events"}, Secret: "v1", State: "right", Error: "none", Seen: 9, CheckedAt: at.UTC(),
		}
		project := store.Hook{Instance: one, Kind: "project", Scope: 7, Path: "acme/app"}
		other := store.Hook{Instance: two, Kind: "group", Scope: 7, Path: "acme"}
		putHooks(t, s, group, project, other)
		group.Path, group.Hook, group.CheckedAt = "acme-renamed", 71, at.Add(time.Hour).UTC()
		putHooks(t, s, group)

		got, err := s.Hooks(t.Context(), one)
		if diff := cmp.Diff([]store.Hook{group, project}, got, noNil); err != nil || diff != "" {
			t.Errorf("got (-want +got) %s, %v", diff, err)
		}
		if err := s.Write(t.Context(), func(tx *store.Tx) error { return tx.DeleteHook(one, "group", 7) }); err != nil {
			t.Fatal(err)
		}
		got, err = s.Hooks(t.Context(), "")
		if diff := cmp.Diff([]store.Hook{project, other}, got, noNil); err != nil || diff != "" {
			t.Errorf("got (-want +got) %s, %v", diff, err)
		}
		states, err := s.HookStates(t.Context())
		if diff := cmp.Diff(map[string]int{"": 2}, states); err != nil || diff != "" {
			t.Errorf("got (-want +got) %s, %v", diff, err)
		}
	})
}

// noNil takes an empty list for none.
var noNil = cmp.Transformer("noNil", func(list []string) []string { return append([]string{}, list...) })

func TestTheAgeOfASecretNeedsNoKey(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		c.Key = bareKey(1)
		s := storetest.Open(t, c)
		if got, err := s.SecretChanged(t.Context(), "hook/x/token"); err != nil || !got.IsZero() {
			t.Errorf("got %v, %v of a secret that is not there", got, err)
		}
		before := time.Now().Add(-time.Second)
		putSecret(t, s, "hook/x/token", "correct horse")
		c.Key = ""
		s = storetest.Open(t, c)
		if got, err := s.SecretChanged(t.Context(), "hook/x/token"); err != nil || got.Before(before) || got.After(time.Now()) {
			t.Errorf("got %v, %v", got, err)
		}
	})
}
