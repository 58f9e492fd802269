package store_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/store/storetest"
)

// count is the number of rows of a table.
func count(t *testing.T, s *store.Store, from string) (n int) {
	t.Helper()
	if err := s.Query(t.Context(), func(r store.Row) error { return r.Scan(&n) }, "SELECT count(*) FROM "+from); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestSweepDeletesWhatEndedLongAgoAndNothingElse(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		c.Retention = "P10D"
		s := storetest.Open(t, c)
		now := at.Add(20 * 24 * time.Hour)
		var ids []int64
		for i := range 500 { // two and a half steps, a minute apart: the last fifty are young
			e := push(fmt.Sprint(i))
			e.ReceivedAt = at.Add(time.Duration(i) * time.Minute)
			if i >= 450 {
				e.ReceivedAt = now.Add(-time.Hour)
			}
			ids = append(ids, mustAppend(t, s, e))
		}
		waits := []int64{ids[3], ids[201]} // a delivery of theirs has not ended
		unrouted := []int64{ids[4], ids[399]}
		var doneOld, doneYoung store.Delivery
		err := s.Write(t.Context(), func(tx *store.Tx) error {
			for _, id := range ids {
				if slices.Contains(unrouted, id) {
					continue
				}
				if err := tx.MarkRouted(id, store.Routed, ""); err != nil {
					return err
				}
			}
			for _, id := range waits {
				if _, err := tx.AddDelivery(store.Delivery{Event: id, Key: "sync:a", CreatedAt: at}); err != nil {
					return err
				}
			}
			var err error
			doneOld = store.Delivery{Event: ids[10], Key: "sync:b", State: store.Done, CreatedAt: at, EndedAt: at}
			if doneOld.ID, err = tx.AddDelivery(doneOld); err != nil {
				return err
			}
			doneYoung = store.Delivery{Event: ids[11], Key: "sync:c", State: store.Dead, CreatedAt: at, EndedAt: now}
			if doneYoung.ID, err = tx.AddDelivery(doneYoung); err != nil {
				return err
			}
			for i := range 5 {
				if _, err := tx.Fire("nightly", at.Add(time.Duration(i)*time.Hour)); err != nil {
					return err
				}
			}
			for i, row := range []struct {
				state   string
				changed time.Time
			}{{"idle", at}, {"dead", at}, {"ready", at}, {"later", at}, {"running", at}, {"idle", now}} {
				_, err := tx.Exec("INSERT INTO work (key, lane, project, wanted, taken, done, asked, seen, state, not_before, held, first_at, lease, owner, fence, attempts, error, updated_at) VALUES (?, '', '', 0, 0, 0, 0, 0, ?, 0, 0, 0, 0, '', 0, 0, '', ?)", fmt.Sprint("sync:", i), row.state, row.changed.UnixMicro())
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}

		// 450 old events less 2 that wait, 2 unrouted and 1 whose delivery is young;
		// one delivery, four firings, two rows of work.
		n, err := s.Sweep(t.Context(), now)
		if want := 445 + 1 + 4 + 2; err != nil || n != want {
			t.Errorf("got %d, %v; want %d", n, err, want)
		}
		for from, want := range map[string]int{
			"event": 55, "event_body": 55, "delivery": 3, "firing": 1,
			"work WHERE state IN ('ready', 'later', 'running')": 3, "work": 4,
		} {
			if got := count(t, s, from); got != want {
				t.Errorf("%s: got %d rows, want %d", from, got, want)
			}
		}
		for _, id := range slices.Concat(waits, unrouted, ids[450:]) {
			if _, err := s.Event(t.Context(), id); err != nil {
				t.Errorf("event %d: %v", id, err)
			}
		}
		if n, err := s.Sweep(t.Context(), now); err != nil || n != 0 {
			t.Errorf("again: got %d, %v; want 0", n, err)
		}
	})
}

func TestSpaceIsGivenBack(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t, storetest.SQLite(t))
	body := make([]byte, 64<<10)
	chance := rand.NewChaCha8([32]byte{})
	pages := func() (n int) {
		t.Helper()
		if err := s.Query(t.Context(), func(r store.Row) error { return r.Scan(&n) }, "SELECT page_count FROM pragma_page_count"); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for i := range 150 {
		e := push(fmt.Sprint(i))
		_, _ = chance.Read(body)
		e.Body = body
		id := mustAppend(t, s, e)
		if err := s.Write(t.Context(), func(tx *store.Tx) error { return tx.MarkRouted(id, store.Routed, "") }); err != nil {
			t.Fatal(err)
		}
	}
	before := pages()
	if _, err := s.Sweep(t.Context(), at.Add(100*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if after := pages(); before < 2000 || after > before*3/4 {
		t.Errorf("got %d pages of %d, want fewer", after, before)
	}
}

func TestSweepForgetsIDTokensThatHaveEnded(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		s := storetest.Open(t, c)
		err := s.Write(t.Context(), func(tx *store.Tx) error {
			for i := range 450 { // two steps and a half have ended
				if _, err := tx.Exec("INSERT INTO id_token (instance, token_id, job, expires_at) VALUES (?, ?, ?, ?)", "https://gitlab.example.com", fmt.Sprint(i), i, at.Add(time.Duration(i/2)*time.Second).UnixMicro()); err != nil {
					return err
				}
			}
			_, err := tx.Exec("INSERT INTO id_token (instance, token_id, job, expires_at) VALUES (?, ?, ?, ?)", "https://gitlab.example.com", "young", 1, at.Add(time.Hour).UnixMicro())
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		n, err := s.Sweep(t.Context(), at.Add(30*time.Minute))
		if err != nil || n != 450 {
			t.Errorf("swept %d, %v; want 450", n, err)
		}
		if left := count(t, s, "id_token"); left != 1 {
			t.Errorf("%d tokens are left, want the young one", left)
		}
	})
}
