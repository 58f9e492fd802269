package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/store/storetest"
)

func TestTheStateOfATokenIsOneRow(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		s := storetest.Open(t, c)
		at := time.Date(2026, 11, 20, 14, 3, 0, 0, time.UTC)
		first := store.TokenState{Name: "bot", Fingerprint: "f1", State: store.TokenRotating, RotatedAt: at, CheckedAt: at}
		second := store.TokenState{Name: "bot", Fingerprint: "f2", State: store.TokenLost, ExpiresAt: at.AddDate(0, 1, 0), RotatedAt: at, CheckedAt: at, Error: "gone\x00"}
		err := s.Write(t.Context(), func(tx *store.Tx) error {
			if none, err := tx.TokenState("bot"); err != nil || none != (store.TokenState{}) {
				t.Errorf("got %+v, %v before there is one", none, err)
			}
			if err := tx.PutTokenState(first); err != nil {
				return err
			}
			if got, err := tx.TokenState("bot"); err != nil || got != first {
				t.Errorf("got %+v, %v, want %+v", got, err, first)
			}
			return tx.PutTokenState(second)
		})
		if err != nil {
			t.Fatal(err)
		}
		second.Error = "gone\uFFFD" // a byte that no text column takes
		got, err := s.TokenStates(t.Context())
		if diff := cmp.Diff(map[string]store.TokenState{"bot": second}, got); diff != "" || err != nil {
			t.Error(diff, err)
		}
	})
}
