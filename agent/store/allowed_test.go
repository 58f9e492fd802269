package store_test

import (
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/store/storetest"
)

func TestACommitIsAllowedForItsMergeRequestAlone(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		s := storetest.Open(t, c)
		at := time.Now()
		allow := func(a store.Allowed) {
			t.Helper()
			if err := s.Write(t.Context(), func(tx *store.Tx) error { return tx.Allow(a) }); err != nil {
				t.Fatal(err)
			}
		}
		first := store.Allowed{Project: "gitlab.example.com/42", MergeRequest: 7, SHA: "c0ffee12", UserID: 5, UserName: "mona\x00", At: at}
		allow(first)
		again := first
		again.UserID, again.At = 6, at.Add(time.Hour)
		allow(again)
		for _, tt := range []struct {
			name, project string
			iid           int64
			sha           string
			want          bool
		}{
			{"the commit", "gitlab.example.com/42", 7, "c0ffee12", true},
			{"another commit", "gitlab.example.com/42", 7, "c0ffee13", false},
			{"the beginning of it", "gitlab.example.com/42", 7, "c0ffee", false},
			{"another merge request", "gitlab.example.com/42", 8, "c0ffee12", false},
			{"another project", "gitlab.example.com/43", 7, "c0ffee12", false},
			{"another instance", "gitlab.example.org/42", 7, "c0ffee12", false},
			{"no commit", "gitlab.example.com/42", 7, "", false},
		} {
			if got, err := s.Allowed(t.Context(), tt.project, tt.iid, tt.sha); got != tt.want || err != nil {
				t.Errorf("%s: got %v, %v, want %v", tt.name, got, err, tt.want)
			}
		}
		var user int64
		if err := s.Query(t.Context(), func(r store.Row) error { return r.Scan(&user) }, "SELECT user_id FROM allowed"); err != nil || user != 5 {
			t.Errorf("got user %d, %v, want who was first", user, err)
		}
	})
}

func TestWhatWasAllowedLongAgoIsForgotten(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		c.Retention = "P1D"
		s := storetest.Open(t, c)
		now := time.Now()
		for sha, age := range map[string]time.Duration{"young": time.Hour, "old": 25 * time.Hour} {
			if err := s.Write(t.Context(), func(tx *store.Tx) error {
				return tx.Allow(store.Allowed{Project: "h/1", MergeRequest: 7, SHA: sha, At: now.Add(-age)})
			}); err != nil {
				t.Fatal(err)
			}
		}
		if n, err := s.Sweep(t.Context(), now); n != 1 || err != nil {
			t.Errorf("swept %d rows, %v, want 1", n, err)
		}
		for sha, want := range map[string]bool{"young": true, "old": false} {
			if got, err := s.Allowed(t.Context(), "h/1", 7, sha); got != want || err != nil {
				t.Errorf("%s: got %v, %v, want %v", sha, got, err, want)
			}
		}
	})
}
