package work_test

import (
	"fmt"
	"slices"
	"testing"

	"gitlab.com/remora-ci/remora/agent/work"
)

func TestAPoolThatHangsHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	onBoth(t, work.Options{Workers: 4}, func(t *testing.T, b *bench) {
		for i := range 20 {
			b.put(work.Put{Key: fmt.Sprintf("sync:slow:%02d", i), Pool: "sync:slow", Project: fmt.Sprint("p", i)})
		}
		var slow []run
		for range 4 {
			slow = append(slow, b.next())
		}
		b.none("over the workers of the pool")
		for i := range 3 {
			b.put(work.Put{Key: fmt.Sprint("sync:fast:", i), Pool: "sync:fast", Project: fmt.Sprint("p", i)})
		}
		b.put(work.Put{Key: "status:p0:c0ffee", Project: "p0"})
		keys := []string{}
		for range 4 {
			r := b.next()
			keys = append(keys, r.Key)
			r.end <- work.Result{}
		}
		slices.Sort(keys)
		if want := []string{"status:p0:c0ffee", "sync:fast:0", "sync:fast:1", "sync:fast:2"}; !slices.Equal(keys, want) {
			t.Errorf("got %v, want %v", keys, want)
		}
		b.settle(map[string]int{"running": 4, "ready": 16})
		slow[0].end <- work.Result{}
		if r := b.next(); r.Pool != "sync:slow" {
			t.Errorf("got %s, want the next of the pool that has room again", r.Key)
		}
	})
}

func TestALaneServesItsPoolsInTurn(t *testing.T) {
	t.Parallel()
	onBoth(t, work.Options{PerProject: 1}, func(t *testing.T, b *bench) {
		for i := range 5 {
			for _, pool := range []string{"sync:a", "sync:b"} {
				b.put(work.Put{Key: fmt.Sprint(pool, ":", i), Pool: pool, Project: "p"})
			}
		}
		got := map[string]int{}
		for range 6 {
			r := b.next()
			got[r.Pool]++
			b.none("over the limit of the project")
			r.end <- work.Result{}
		}
		if got["sync:a"] == 0 || got["sync:b"] == 0 {
			t.Errorf("got %v, want both", got)
		}
	})
}
