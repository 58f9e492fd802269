package store_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/store/storetest"
)

func TestPermitsAreSharedAndNoMoreThanTheyMayBe(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		s := storetest.Open(t, c)
		now := time.Date(2026, 11, 20, 14, 0, 0, 0, time.UTC)
		take := func(when string, n int, want time.Duration) {
			t.Helper()
			got, err := s.TakePermits(t.Context(), store.PermitAsk{Token: "f1", N: n, Every: time.Second, Burst: 10, Now: now})
			if err != nil || got.Wait != want {
				t.Errorf("%s: got %v, %v, want %v", when, got.Wait, err, want)
			}
		}
		take("all of the burst", 10, 0)
		take("one more", 1, time.Second)
		take("those after it", 3, 4*time.Second)
		now = now.Add(4 * time.Second)
		take("when that much time has passed", 1, time.Second)
		now = now.Add(time.Hour)
		take("long after, half of the burst", 5, 0)
		take("and the other half", 5, 0)
		take("and no more", 2, 2*time.Second)
		other, err := s.TakePermits(t.Context(), store.PermitAsk{Token: "f2", N: 10, Every: time.Second, Burst: 10, Now: now})
		if err != nil || other != (store.Permits{}) {
			t.Errorf("got %+v, %v, want another token free", other, err)
		}
	})
}

func TestWhatOneAgentKnowsOfALimitReachesTheOthers(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		s := storetest.Open(t, c)
		now := time.Date(2026, 11, 20, 14, 0, 0, 0, time.UTC)
		strict := func(when string, want time.Duration) {
			t.Helper()
			if got, err := s.StrictFor(t.Context(), "f1", now); got != want || err != nil {
				t.Errorf("%s: got %v, %v, want %v", when, got, err, want)
			}
		}
		take := func(known, want time.Duration) {
			t.Helper()
			got, err := s.TakePermits(t.Context(), store.PermitAsk{Token: "f1", N: 1, Every: time.Second, Burst: 10, Strict: known, Now: now})
			if err != nil || got.Strict != want {
				t.Errorf("got %+v, %v, want %v", got, err, want)
			}
		}
		strict("before anybody asked", 0)
		take(0, 0)
		strict("when nobody knows", 0)
		take(10*time.Minute, 10*time.Minute)
		now = now.Add(time.Minute)
		take(0, 9*time.Minute)
		take(-time.Hour, 9*time.Minute)
		strict("a minute later", 9*time.Minute)
		now = now.Add(time.Hour)
		strict("when it is over", 0)
		take(0, 0)
	})
}

func TestByTheClockOfTheDatabase(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		s := storetest.Open(t, c)
		var wg sync.WaitGroup
		waits := make([]time.Duration, 20)
		for i := range waits {
			wg.Go(func() {
				got, err := s.TakePermits(t.Context(), store.PermitAsk{Token: "f1", N: 1, Every: time.Minute, Burst: 5, Strict: time.Hour})
				if waits[i] = got.Wait; err != nil || got.Strict < 50*time.Minute || got.Strict > time.Hour {
					t.Errorf("got %+v, %v, want strict for an hour", got, err)
				}
			})
		}
		wg.Wait()
		slices.Sort(waits)
		for i, wait := range waits {
			want := time.Duration(max(i-4, 0)) * time.Minute
			if wait > want || wait < want-time.Minute/2 {
				t.Errorf("permit %d: got %v, want %v less the time that passed", i, wait, want)
			}
		}
		if got, err := s.StrictFor(t.Context(), "f1", time.Time{}); got < 50*time.Minute || err != nil {
			t.Errorf("got %v, %v, want most of an hour", got, err)
		}
	})
}

func TestTokensThatNobodyUsesAreSweptAway(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		c.Retention = "P1D"
		s := storetest.Open(t, c)
		now := time.Date(2026, 11, 20, 14, 0, 0, 0, time.UTC)
		for token, at := range map[string]time.Time{"old": now.Add(-48 * time.Hour), "young": now} {
			if _, err := s.TakePermits(t.Context(), store.PermitAsk{Token: token, N: 1, Every: time.Second, Burst: 10, Strict: time.Minute, Now: at}); err != nil {
				t.Fatal(err)
			}
		}
		if n, err := s.Sweep(t.Context(), now); n != 1 || err != nil {
			t.Errorf("got %d, %v, want one swept", n, err)
		}
		if got, err := s.StrictFor(t.Context(), "young", now); got != time.Minute || err != nil {
			t.Errorf("got %v, %v, want the young one kept", got, err)
		}
	})
}
