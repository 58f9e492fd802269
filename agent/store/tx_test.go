package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/store/storetest"
)

func TestAnErrorUndoesItsOwnTransactionAndNoOther(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		s := storetest.Open(t, c)
		refused := errors.New("refused")
		var all sync.WaitGroup
		for i := range 60 {
			all.Go(func() {
				committed := false
				err := s.Write(context.Background(), func(tx *store.Tx) error {
					tx.OnCommit(func() { committed = true })
					if _, err := tx.Fire(fmt.Sprint("slot ", i), at); err != nil {
						return err
					}
					if i%3 == 0 {
						return refused
					}
					return nil
				})
				if want := i%3 == 0; errors.Is(err, refused) != want || committed == want {
					t.Errorf("%d: got %v, committed %v", i, err, committed)
				}
			})
		}
		all.Wait()
		for i := range 60 {
			slot, err := s.LastFired(t.Context(), fmt.Sprint("slot ", i))
			if err != nil || slot.IsZero() != (i%3 == 0) {
				t.Errorf("%d: got %v, %v", i, slot, err)
			}
		}
	})
}

func TestAStatementThatFailsSpoilsNothing(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		s := storetest.Open(t, c)
		err := s.Write(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Exec("UPDATE nothing SET x = 1")
			return err
		})
		if err == nil {
			t.Error("a wrong statement was accepted")
		}
		mustAppend(t, s, push("after"))
		if err := s.Ready(t.Context()); err != nil {
			t.Errorf("not ready: %v", err)
		}
	})
}

func TestAPanicIsThatOfItsCaller(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		s := storetest.Open(t, c)
		func() {
			defer func() {
				if r := recover(); r != "boom" {
					t.Errorf("got %v, want the panic", r)
				}
			}()
			_ = s.Write(t.Context(), func(tx *store.Tx) error {
				_, _ = tx.Fire("gone", at)
				panic("boom")
			})
		}()
		if slot, err := s.LastFired(t.Context(), "gone"); err != nil || !slot.IsZero() {
			t.Errorf("got %v, %v; want nothing stored", slot, err)
		}
		mustAppend(t, s, push("after"))
	})
}

func TestACallerWhoLeftIsNotServed(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		s := storetest.Open(t, c)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, err := s.Append(ctx, push("left")); !errors.Is(err, context.Canceled) {
			t.Errorf("append: got %v, want canceled", err)
		}
		if err := s.Write(ctx, func(*store.Tx) error { return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("write: got %v, want canceled", err)
		}
	})
}

func TestAClosedStoreRefuses(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		s, err := store.Open(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Append(t.Context(), push("late")); !errors.Is(err, store.ErrClosed) {
			t.Errorf("append: got %v, want ErrClosed", err)
		}
		if err := s.Write(t.Context(), func(*store.Tx) error { return nil }); err == nil {
			t.Error("write: no error")
		}
	})
}

func TestAScheduleFiresOnce(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		stores := []*store.Store{storetest.Open(t, c), storetest.Open(t, c), storetest.Open(t, c)}
		var mu sync.Mutex
		fired := map[int]int{}
		var all sync.WaitGroup
		for _, s := range stores {
			all.Go(func() {
				for slot := range 20 {
					var first bool
					err := s.Write(context.Background(), func(tx *store.Tx) (err error) {
						first, err = tx.Fire("nightly", at.Add(time.Duration(slot)*time.Hour))
						return err
					})
					if err != nil {
						t.Errorf("fire: %v", err)
					}
					mu.Lock()
					if first {
						fired[slot]++
					}
					mu.Unlock()
				}
			})
		}
		all.Wait()
		for slot := range 20 {
			if fired[slot] != 1 {
				t.Errorf("slot %d fired %d times", slot, fired[slot])
			}
		}
		if last, err := stores[0].LastFired(t.Context(), "nightly"); err != nil || !last.Equal(at.Add(19*time.Hour)) {
			t.Errorf("last: got %v, %v", last, err)
		}
	})
}

func TestADeliveryGoesItsWay(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		s := storetest.Open(t, c)
		want := store.Delivery{
			Event: 3, Key: "sync:direktiv:acme/app:main", Target: "direktiv", Project: "acme/app", ProjectID: 7, Ref: "main", SHA: "c0ffee",
			MergeRequest: 12, State: store.Waiting, Payload: []byte(`{"a":1}`), CreatedAt: at,
		}
		write := func(fn func(*store.Tx) error) {
			t.Helper()
			if err := s.Write(t.Context(), fn); err != nil {
				t.Fatal(err)
			}
		}
		write(func(tx *store.Tx) (err error) { want.ID, err = tx.AddDelivery(want); return err })
		second := want
		second.Event = 4
		write(func(tx *store.Tx) (err error) { second.ID, err = tx.AddDelivery(second); return err })
		waiting, err := s.WaitingOf(t.Context(), want.Key)
		if diff := cmp.Diff([]store.Delivery{want, second}, waiting); err != nil || diff != "" {
			t.Errorf("waiting: %v (-want +got):\n%s", err, diff)
		}
		want.State, want.Attempts, want.Error, want.Result = store.Failed, 2, "reference not found", []byte(`{"summary":"x"}`)
		want.StartedAt, want.EndedAt = at.Add(time.Second), at.Add(2*time.Second)
		write(func(tx *store.Tx) error { return tx.UpdateDelivery(want) })
		got, err := s.Delivery(t.Context(), want.ID)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("ended: %v (-want +got):\n%s", err, diff)
		}
		if waiting, _ = s.WaitingOf(t.Context(), want.Key); len(waiting) != 1 || waiting[0].ID != second.ID {
			t.Errorf("waiting after the end of one: got %+v", waiting)
		}
		write(func(tx *store.Tx) error {
			reopened, err := tx.Reopen(want.Key)
			if !reopened {
				t.Error("the failed delivery was not reopened")
			}
			return err
		})
		if got, _ = s.Delivery(t.Context(), want.ID); got.State != store.Waiting || !got.EndedAt.IsZero() {
			t.Errorf("reopened: got %+v", got)
		}
		other := want
		other.Target, other.State = "another name of the key", store.Dead
		write(func(tx *store.Tx) (err error) { other.ID, err = tx.AddDelivery(other); return err })
		write(func(tx *store.Tx) error {
			for _, d := range []store.Delivery{want, other} {
				if err := tx.UpdateDelivery(d); err != nil {
					return err
				}
			}
			_, err := tx.Reopen(want.Key)
			return err
		})
		for _, d := range []store.Delivery{want, other} {
			if got, _ = s.Delivery(t.Context(), d.ID); got.State != store.Waiting {
				t.Errorf("retried with another target of its key: %s is %s, want waiting", d.Target, got.State)
			}
		}
		n := 0
		for d, err := range s.Deliveries(t.Context(), store.DeliveryFilter{Project: "acme/app", Target: "direktiv", State: store.Waiting, Event: 4}) {
			if n++; err != nil || d.ID != second.ID {
				t.Errorf("chosen: got %+v, %v", d, err)
			}
		}
		if n != 1 {
			t.Errorf("chosen: got %d, want 1", n)
		}
		if _, err := s.Delivery(t.Context(), 1<<40); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("unknown: got %v, want ErrNotFound", err)
		}
		if err := s.Write(t.Context(), func(tx *store.Tx) error { return tx.UpdateDelivery(store.Delivery{ID: 1 << 40}) }); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("update of an unknown: got %v, want ErrNotFound", err)
		}
	})
}
