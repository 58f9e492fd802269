package work_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/store/storetest"
	"gitlab.com/remora-ci/remora/agent/work"
	"gitlab.com/remora-ci/remora/component/delivery"
)

func TestTenPushesWhileTheTargetIsBusyAreOneMoreRun(t *testing.T) {
	t.Parallel()
	onBoth(t, work.Options{}, func(t *testing.T, b *bench) {
		b.put(work.Put{Key: "sync:a", Project: "p", Wanted: 1})
		first := b.next()
		for i := range 10 {
			b.put(work.Put{Key: "sync:a", Project: "p", Wanted: int64(2 + i)})
		}
		b.none("while the key runs")
		first.end <- work.Result{}
		second := b.next()
		if second.Wanted != 11 || second.Taken != 1 || second.Attempts != 1 || second.Fence <= first.Fence {
			t.Errorf("second run: got %+v after %+v", second.Item, first.Item)
		}
		second.end <- work.Result{}
		b.settle(nil)
		b.none("after the end")
	})
}

func TestAnOlderEventThatComesLateIsNotForgotten(t *testing.T) {
	t.Parallel()
	onBoth(t, work.Options{}, func(t *testing.T, b *bench) {
		b.put(work.Put{Key: "sync:a", Project: "p", Wanted: 5})
		first := b.next()
		b.put(work.Put{Key: "sync:a", Project: "p", Wanted: 4})
		first.end <- work.Result{}
		second := b.next()
		if second.Wanted != 5 {
			t.Errorf("got wanted %d, want the newest, 5", second.Wanted)
		}
		second.end <- work.Result{Err: delivery.Skip("nothing to do")}
		b.settle(nil)
	})
}

func TestDebounceWaitsForQuietButNotForEver(t *testing.T) {
	t.Parallel()
	onBoth(t, work.Options{}, func(t *testing.T, b *bench) {
		push := func(event int64) {
			b.put(work.Put{Key: "sync:a", Project: "p", Wanted: event, Debounce: 10 * time.Second, MaxWait: 25 * time.Second})
		}
		push(1)
		b.clock.forward(9 * time.Second)
		push(2) // due at 19
		b.clock.forward(9 * time.Second)
		b.none("at 18 s")
		push(3) // due at 25 and not at 28
		b.clock.forward(6 * time.Second)
		b.none("at 24 s")
		b.clock.forward(time.Second)
		r := b.next()
		if r.Wanted != 3 {
			t.Errorf("got wanted %d, want 3", r.Wanted)
		}
		push(4)
		r.end <- work.Result{}
		b.settle(map[string]int{"later": 1})
		b.clock.forward(10 * time.Second)
		b.next().end <- work.Result{}
		b.settle(nil)

		b.put(work.Put{Key: "heal:g", NotBefore: b.clock.Now().Add(time.Hour)})
		b.settle(map[string]int{"later": 1})
		b.put(work.Put{Key: "heal:g", NotBefore: b.clock.Now().Add(time.Minute)})
		b.clock.forward(time.Minute)
		b.next().end <- work.Result{}
	})
}

func TestAFailureIsTriedAgainLater(t *testing.T) {
	t.Parallel()
	onBoth(t, work.Options{Backoff: 10 * time.Second, MaxBackoff: time.Minute, MaxAttempts: 4}, func(t *testing.T, b *bench) {
		b.put(work.Put{Key: "sync:a", Project: "p", Wanted: 1})
		for attempt, pause := range []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second} {
			r := b.next()
			if r.Attempts != attempt+1 || r.Last {
				t.Errorf("got attempt %d, last %v; want %d", r.Attempts, r.Last, attempt+1)
			}
			r.end <- work.Result{Err: errors.New("target is down")}
			b.settle(map[string]int{"later": 1})
			b.clock.forward(pause * 4 / 5 * 99 / 100)
			b.none("before the pause is over")
			b.clock.forward(pause)
		}
		r := b.next()
		if !r.Last {
			t.Error("the fourth of four is not the last")
		}
		r.end <- work.Result{Err: errors.New("target is down")}
		b.settle(map[string]int{"dead": 1})
		b.clock.forward(time.Hour)
		b.none("while it is dead")

		b.put(work.Put{Key: "sync:a", Project: "p", Wanted: 2}) // a newer event revives it
		r = b.next()
		if r.Attempts != 1 || r.Wanted != 2 {
			t.Errorf("revived: got %+v", r.Item)
		}
		r.end <- work.Result{Err: delivery.Permanent(errors.New("no such namespace"))}
		b.settle(map[string]int{"dead": 1})
		if err := b.queue.Retry(t.Context(), "sync:a"); err != nil { // so does a person
			t.Fatal(err)
		}
		b.next().end <- work.Result{}
		b.settle(nil)
		if err := b.queue.Retry(t.Context(), "sync:other"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("retry of nothing: got %v, want ErrNotFound", err)
		}
	})
}

func TestNewsIsNotBuriedWithAFailure(t *testing.T) {
	t.Parallel()
	onBoth(t, work.Options{Backoff: 10 * time.Second}, func(t *testing.T, b *bench) {
		b.put(work.Put{Key: "sync:a", Project: "p", Wanted: 1})
		r := b.next()
		b.put(work.Put{Key: "sync:a", Project: "p", Wanted: 2})
		r.end <- work.Result{Err: delivery.Permanent(errors.New("bad commit"))}
		r = b.next()
		if r.Wanted != 2 || r.Attempts != 1 {
			t.Errorf("got %+v, want event 2 at its first attempt", r.Item)
		}
		// The other side asked for a minute: news does not shorten it.
		r.end <- work.Result{Err: errors.New("status 429"), After: time.Minute}
		b.settle(map[string]int{"later": 1})
		b.put(work.Put{Key: "sync:a", Project: "p", Wanted: 3})
		b.clock.forward(50 * time.Second)
		b.none("before the minute is over")
		b.clock.forward(10 * time.Second)
		r = b.next()
		if r.Wanted != 3 || r.Attempts != 1 {
			t.Errorf("got %+v, want event 3 at its first attempt", r.Item)
		}
		r.end <- work.Result{After: time.Hour} // well, and again in an hour
		b.settle(map[string]int{"later": 1})
		b.clock.forward(time.Hour)
		b.next().end <- work.Result{}
		b.settle(nil)
	})
}

func TestTheOutcomeAndTheEndAreOneTransaction(t *testing.T) {
	t.Parallel()
	onBoth(t, work.Options{Backoff: 10 * time.Second}, func(t *testing.T, b *bench) {
		fire := func(name string, fail error) func(*store.Tx) error {
			return func(tx *store.Tx) error {
				if _, err := tx.Fire(name, b.clock.Now()); err != nil {
					return err
				}
				return fail
			}
		}
		b.put(work.Put{Key: "sync:a", Project: "p"})
		b.next().end <- work.Result{Finish: fire("good", nil)}
		b.settle(nil)
		if at, err := b.store.LastFired(t.Context(), "good"); err != nil || at.IsZero() {
			t.Errorf("the outcome was not stored: %v, %v", at, err)
		}
		b.put(work.Put{Key: "sync:a", Project: "p"})
		b.next().end <- work.Result{Finish: fire("bad", errors.New("no"))}
		b.settle(map[string]int{"later": 1}) // tried again as a whole
		if at, err := b.store.LastFired(t.Context(), "bad"); err != nil || !at.IsZero() {
			t.Errorf("half of the transaction was stored: %v, %v", at, err)
		}
	})
}

func TestWhoLostTheLeaseCannotWrite(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		s := storetest.Open(t, c)
		slow := newBench(t, s, work.Options{Lease: time.Hour}) // its heartbeat never comes in time
		slow.put(work.Put{Key: "sync:a", Project: "p", Wanted: 1})
		lost := slow.next()
		other := newBench(t, s, work.Options{Lease: time.Hour, Now: func() time.Time { return slow.clock.Now().Add(2 * time.Hour) }})
		taken := other.next()
		if taken.Fence <= lost.Fence || taken.Attempts != 2 {
			t.Errorf("taken over: got %+v after %+v", taken.Item, lost.Item)
		}
		lost.end <- work.Result{Finish: func(tx *store.Tx) error {
			_, err := tx.Fire("lost", slow.clock.Now())
			return err
		}}
		slow.stop()
		if at, err := s.LastFired(t.Context(), "lost"); err != nil || !at.IsZero() {
			t.Errorf("an outcome was stored without the lease: %v, %v", at, err)
		}
		other.settle(map[string]int{"running": 1})
		taken.end <- work.Result{}
		other.settle(nil)
	})
}

func TestTheHeartbeatKeepsALongRunAndStopsALostOne(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		s := storetest.Open(t, c)
		o := work.Options{Lease: 600 * time.Millisecond, Now: time.Now}
		a, b := newBench(t, s, o), newBench(t, s, o)
		a.put(work.Put{Key: "sync:a", Project: "p"})
		var long run
		select {
		case long = <-a.runs:
		case long = <-b.runs:
		case <-time.After(10 * time.Second):
			t.Fatal("no run began")
		}
		select {
		case <-time.After(1500 * time.Millisecond): // more than two leases
		case <-a.runs:
			t.Fatal("taken over although it lives")
		case <-b.runs:
			t.Fatal("taken over although it lives")
		}
		err := s.Write(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Exec("UPDATE work SET owner = 'another', fence = fence + 1 WHERE key = 'sync:a'")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		select {
		case <-long.ctx.Done():
		case <-time.After(10 * time.Second):
			t.Error("the run was not told that it lost its lease")
		}
	})
}

func TestADrainEndsAndLosesNothing(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		s := storetest.Open(t, c)
		b := newBench(t, s, work.Options{Drain: 50 * time.Millisecond})
		b.put(work.Put{Key: "sync:a", Project: "p", Wanted: 1})
		b.put(work.Put{Key: "sync:b", Project: "p", Wanted: 2})
		first, second := b.next(), b.next()
		stopped := make(chan struct{})
		go func() { b.stop(); close(stopped) }()
		first.end <- work.Result{} // in time
		<-stopped                  // the other one was not
		if second.ctx.Err() == nil {
			t.Error("the run in hand was not stopped")
		}
		depth, _, err := b.queue.Depth(t.Context())
		if err != nil || depth["ready"] != 1 || depth["running"] != 0 {
			t.Errorf("got %v, %v; want one ready", depth, err)
		}
		next := newBench(t, s, work.Options{})
		if r := next.next(); r.Key != second.Key || r.Attempts != 1 {
			t.Errorf("got %+v, want %s at its first attempt", r.Item, second.Key)
		} else {
			r.end <- work.Result{}
		}
		next.settle(nil)
	})
}

func TestAPanicIsAFailure(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t, storetest.SQLite(t))
	q := work.New(s, work.Options{Backoff: time.Hour, Poll: time.Millisecond})
	b := &bench{t: t, store: s, queue: q}
	b.put(work.Put{Key: "sync:a", Project: "p"})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- q.Run(ctx, func(context.Context, work.Item) work.Result { panic("boom") }) }()
	b.settle(map[string]int{"later": 1})
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("run: %v", err)
	}
}

func TestWorkThatKillsItsAgentIsGivenUp(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		s := storetest.Open(t, c)
		now := newClock()
		abandoned := make(chan work.Item, 1)
		o := work.Options{MaxAttempts: 2, Lease: time.Hour, Now: now.Now, Abandoned: func(_ *store.Tx, it work.Item) error {
			abandoned <- it
			return nil
		}}
		b := newBench(t, s, o)
		b.put(work.Put{Key: "sync:a", Project: "p", Wanted: 1})
		for range 2 {
			b.next() // and nothing is heard of it again
			now.forward(2 * time.Hour)
		}
		b.settle(map[string]int{"dead": 1})
		if it := <-abandoned; it.Key != "sync:a" || it.Attempts != 2 {
			t.Errorf("abandoned: got %+v", it)
		}
	})
}

func TestLanesTakeTurnsAndHaveALimit(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		s := storetest.Open(t, c)
		before := work.New(s, work.Options{Now: newClock().Now})
		err := s.Write(t.Context(), func(tx *store.Tx) error {
			for i := range 30 {
				if err := before.Put(tx, work.Put{Key: fmt.Sprintf("sync:big:%02d", i), Project: "big"}); err != nil {
					return err
				}
			}
			for i := range 30 {
				if err := before.Put(tx, work.Put{Key: fmt.Sprintf("sync:small:%02d", i), Project: fmt.Sprintf("small/%02d", i)}); err != nil {
					return err
				}
			}
			return before.Put(tx, work.Put{Key: "status:big:c0ffee", Project: "big"})
		})
		if err != nil {
			t.Fatal(err)
		}
		b := newBench(t, s, work.Options{PerProject: 3, Workers: 40})
		var keys []string
		ends := map[string]chan<- work.Result{}
		for range 34 { // 3 of the big one, 30 small ones, the status
			r := b.next()
			keys = append(keys, r.Key)
			ends[r.Key] = r.end
		}
		b.none("over the limit")
		b.settle(map[string]int{"running": 34, "ready": 27})
		slices.Sort(keys)
		if want := []string{"sync:big:00", "sync:big:01", "sync:big:02"}; !slices.Equal(keys[1:4], want) {
			t.Errorf("got %v, want the oldest keys of the big project", keys[1:4])
		}
		ends["sync:big:01"] <- work.Result{}
		if r := b.next(); r.Key != "sync:big:03" {
			t.Errorf("got %s, want sync:big:03", r.Key)
		}
	})
}

func TestWhatComesBeforeTakeBelongsToTheRun(t *testing.T) {
	t.Parallel()
	onBoth(t, work.Options{}, func(t *testing.T, b *bench) {
		take := func(it work.Item) (taken work.Item, held bool) {
			t.Helper()
			err := b.store.Write(t.Context(), func(tx *store.Tx) (err error) {
				taken, held, err = b.queue.Take(tx, it)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return taken, held
		}
		b.put(work.Put{Key: "sync:a", Project: "p", Wanted: 1})
		r := b.next()
		b.put(work.Put{Key: "sync:a", Project: "p", Wanted: 2})
		if taken, held := take(r.Item); !held || taken.Wanted != 2 {
			t.Errorf("got %+v, held %v; want event 2", taken, held)
		}
		r.end <- work.Result{Err: delivery.Permanent(errors.New("refused"))}
		b.settle(map[string]int{"dead": 1}) // event 2 was no news to it
		if _, held := take(r.Item); held {
			t.Error("a run that has ended took the key")
		}
	})
}
