package work_test

import (
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/store/storetest"
	"gitlab.com/remora-ci/remora/agent/work"
)

func TestAnAgentThatIsAloneWaitsForNoLeaseOfADeadOne(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		s := storetest.Open(t, c)
		dead := newBench(t, s, work.Options{Lease: time.Hour, Workers: 1}) // busy, it claims no more
		dead.put(work.Put{Key: "sync:a", Project: "p", Wanted: 1})
		lost := dead.next()
		other := newBench(t, s, work.Options{Lease: time.Hour, Now: dead.clock.Now})
		other.none("another holds the lease")
		other.stop()
		alone := newBench(t, s, work.Options{Lease: time.Hour, Now: dead.clock.Now, Alone: true})
		taken := alone.next()
		if taken.Fence <= lost.Fence || taken.Attempts != 2 {
			t.Errorf("taken over: got %+v after %+v", taken.Item, lost.Item)
		}
		taken.end <- work.Result{}
		alone.settle(nil)
	})
}

func TestAKeyWaitsLongerForAnAgentThatDiesOften(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		s := storetest.Open(t, c)
		b := newBench(t, s, work.Options{Lease: time.Hour})
		b.put(work.Put{Key: "sync:a", Project: "p", Wanted: 1})
		for death := range 4 {
			if it := b.next(); it.Attempts != death+1 {
				t.Errorf("attempt %d, want %d", it.Attempts, death+1)
			}
			b.clock.forward(time.Hour + time.Second) // nothing is heard of it again
		}
		b.settle(map[string]int{"later": 1})
		b.none("it waits after four deaths")
		b.clock.forward(10 * time.Second)
		b.next().end <- work.Result{}
		b.settle(nil)
	})
}
