package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/store/storetest"
)

func TestMain(m *testing.M) {
	if appendUntilKilled() {
		return
	}
	goleak.VerifyTestMain(m)
}

var at = time.Date(2026, 11, 20, 14, 3, 0, 123456000, time.UTC)

// push is an event as the webhook stores it.
func push(key string) store.Event {
	return store.Event{
		IdempotencyKey: key, Kind: "push", Instance: "https://gitlab.example.com", Project: "acme/app", ProjectID: 7,
		Ref: "main", SHA: "c0ffee", ReceivedAt: at, TraceParent: "00-01-02-01", Body: []byte(`{"object_kind":"push","key":"` + key + `"}`),
	}
}

func mustAppend(t *testing.T, s *store.Store, e store.Event) int64 {
	t.Helper()
	id, duplicate, err := s.Append(t.Context(), e)
	if err != nil || duplicate {
		t.Fatalf("append %s: duplicate %v, %v", e.IdempotencyKey, duplicate, err)
	}
	return id
}

func TestAnEventComesBackAsItWas(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		s := storetest.Open(t, c)
		for name, change := range map[string]func(*store.Event){
			"as it is":                func(*store.Event) {},
			"with an empty body":      func(e *store.Event) { e.Body = []byte{} },
			"with a body of 3 MB":     func(e *store.Event) { e.Body = bytes.Repeat([]byte("0123456789abcde\x00"), 200_000) },
			"with a kind of its own":  func(e *store.Event) { e.Kind = "Work Item Hook"; e.Project, e.ProjectID = "", 0 },
			"with words in Unicode":   func(e *store.Event) { e.Ref = "größe/日本" },
			"with a key of 10,000":    func(e *store.Event) { e.IdempotencyKey = strings.Repeat("k", 10_000) },
			"with quotes and a mark?": func(e *store.Event) { e.Ref = `it's "?" $1`; e.Reason = "" },
		} {
			want := push(name)
			change(&want)
			want.ID = mustAppend(t, s, want)
			want.State = store.Received
			got, err := s.Event(t.Context(), want.ID)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if !bytes.Equal(got.Body, want.Body) || got.Body == nil {
				t.Errorf("%s: got a body of %d bytes, want %d", name, len(got.Body), len(want.Body))
			}
			got.Body, want.Body = nil, nil // slow to compare
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
		if _, err := s.Event(t.Context(), 1<<40); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("an unknown event: got %v, want ErrNotFound", err)
		}
	})
}

func TestTextThatADatabaseRefusesIsMended(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		s := storetest.Open(t, c)
		e := push("a\x00b\xff")
		e.Ref, e.Project = "ma\x00in", "acme/\xc3\x28"
		id := mustAppend(t, s, e)
		got, err := s.Event(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if got.Ref != "ma\uFFFDin" || got.Project != "acme/\uFFFD(" || !bytes.Equal(got.Body, e.Body) {
			t.Errorf("got ref %q, project %q, body %q", got.Ref, got.Project, got.Body)
		}
		if _, _, err := s.Append(t.Context(), store.Event{}); err == nil {
			t.Error("an event without a key was stored")
		}
	})
}

func TestAKeyIsStoredOnce(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		s := storetest.Open(t, c)
		first := mustAppend(t, s, push("one"))
		id, duplicate, err := s.Append(t.Context(), push("one"))
		if err != nil || !duplicate || id != first {
			t.Fatalf("again: got id %d, duplicate %v, %v; want %d, true", id, duplicate, err, first)
		}
		var mu sync.Mutex
		var all sync.WaitGroup
		stored := map[string]int{}
		ids := map[string]map[int64]bool{}
		for i := range 200 {
			all.Go(func() {
				key := fmt.Sprint("key ", i%20)
				id, duplicate, err := s.Append(context.Background(), push(key))
				if err != nil {
					t.Errorf("append: %v", err)
				}
				mu.Lock()
				defer mu.Unlock()
				if ids[key] == nil {
					ids[key] = map[int64]bool{}
				}
				ids[key][id] = true
				if !duplicate {
					stored[key]++
				}
			})
		}
		all.Wait()
		for key, n := range stored {
			if n != 1 || len(ids[key]) != 1 {
				t.Errorf("%s: stored %d times under ids %v", key, n, ids[key])
			}
		}
		if got := s.Stats(); len(stored) != 20 || got.Events != 21 || got.Duplicates != 181 {
			t.Errorf("got %d keys and %+v, want 20, 21 events and 181 duplicates", len(stored), got)
		}
	})
}

func TestManyWritersShareACommit(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		s := storetest.Open(t, c)
		const writers, each = 64, 25
		var all sync.WaitGroup
		before := s.Stats()
		for w := range writers {
			all.Go(func() {
				for i := range each {
					if _, _, err := s.Append(context.Background(), push(fmt.Sprint(w, " ", i))); err != nil {
						t.Errorf("append: %v", err)
					}
				}
			})
		}
		all.Wait()
		got := s.Stats()
		events, commits := got.Events-before.Events, got.Commits-before.Commits
		t.Logf("%d events in %d commits: %.3f a commit each", events, commits, float64(commits)/float64(events))
		if events != writers*each || commits*4 > events {
			t.Errorf("%d events took %d commits, want %d events and less than a quarter as many commits", events, commits, writers*each)
		}
	})
}

func TestRoutingMovesAnEventOn(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		s := storetest.Open(t, c)
		a, b, d := mustAppend(t, s, push("a")), mustAppend(t, s, push("b")), mustAppend(t, s, push("d"))
		select {
		case <-s.Arrived():
		default:
			t.Error("nobody was told of the events")
		}
		err := s.Write(t.Context(), func(tx *store.Tx) error {
			if err := tx.MarkRouted(a, store.Routed, ""); err != nil {
				return err
			}
			if err := tx.MarkRouted(a, store.Routed, ""); !errors.Is(err, store.ErrNotReceived) {
				t.Errorf("routed twice: got %v, want ErrNotReceived", err)
			}
			return tx.MarkRouted(b, store.Ignored, "no route matches: ref feature/x")
		})
		if err != nil {
			t.Fatal(err)
		}
		left, err := s.Received(t.Context(), 10)
		if err != nil || len(left) != 1 || left[0].ID != d || len(left[0].Body) == 0 {
			t.Errorf("received: got %+v, %v; want the event %d with its body", left, err, d)
		}
		if got, _ := s.Event(t.Context(), b); got.State != store.Ignored || got.Reason != "no route matches: ref feature/x" {
			t.Errorf("ignored event: got %q, %q", got.State, got.Reason)
		}
		n, err := s.Replay(t.Context(), store.EventFilter{IDs: []int64{a, b, d}})
		if err != nil || n != 2 {
			t.Errorf("replay: got %d, %v; want 2", n, err)
		}
		if left, err = s.Received(t.Context(), 2); err != nil || len(left) != 2 || left[0].ID != a || left[1].ID != b || left[1].Reason != "" {
			t.Errorf("after replay: got %+v, %v; want the oldest two", left, err)
		}
	})
}

func TestEventsAreChosen(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		s := storetest.Open(t, c)
		var ids []int64
		for i := range 1203 {
			e := push(fmt.Sprint(i))
			e.ReceivedAt = at.Add(time.Duration(i) * time.Second)
			if i%400 == 0 {
				e.Project, e.Kind = "acme/other", "note"
			}
			ids = append(ids, mustAppend(t, s, e))
		}
		for name, tc := range map[string]struct {
			filter      store.EventFilter
			n           int
			first, last int64
		}{
			"all, over several pages":  {store.EventFilter{}, 1203, ids[1202], ids[0]},
			"a limit takes the newest": {store.EventFilter{Limit: 700}, 700, ids[1202], ids[503]},
			"of a project":             {store.EventFilter{Project: "acme/other"}, 4, ids[1200], ids[0]},
			"of a kind":                {store.EventFilter{Kind: "note", Limit: 2}, 2, ids[1200], ids[800]},
			"since a time":             {store.EventFilter{Since: at.Add(1200 * time.Second)}, 3, ids[1202], ids[1200]},
			"of a state":               {store.EventFilter{State: store.Received, Limit: 1}, 1, ids[1202], ids[1202]},
			"of no such state":         {store.EventFilter{State: store.Routed}, 0, 0, 0},
			"by id, with bodies":       {store.EventFilter{IDs: ids[5:7], Bodies: true}, 2, ids[6], ids[5]},
		} {
			n, first, last := 0, int64(0), int64(0)
			for e, err := range s.Events(t.Context(), tc.filter) {
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if n == 0 {
					first = e.ID
				}
				n, last = n+1, e.ID
				if (len(e.Body) > 0) != tc.filter.Bodies {
					t.Fatalf("%s: body of %d bytes", name, len(e.Body))
				}
			}
			if n != tc.n || first != tc.first || last != tc.last {
				t.Errorf("%s: got %d, %d to %d; want %d, %d to %d", name, n, first, last, tc.n, tc.first, tc.last)
			}
		}
	})
}
