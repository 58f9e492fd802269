package work_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/store/storetest"
	"gitlab.com/remora-ci/remora/agent/work"
	"gitlab.com/remora-ci/remora/component/delivery"
)

const (
	perProject = 2
	projects   = 6
	keys       = 30
	chaos      = 4 * time.Second
	lease      = 3 * time.Second
)

// world is what a test without a view into the queue can know: what was
// acknowledged, and who runs.
type world struct {
	t *testing.T
	c store.Config

	mu      sync.Mutex
	acked   map[string]int64 // newest event acknowledged, by key
	puts    int
	runs    int
	onKey   map[string]int
	onLane  map[string]int
	calm    bool // no more faults
	members []*member
}

// member is one agent.
type member struct {
	w      *world
	store  *store.Store
	queue  *work.Queue
	cancel context.CancelFunc
	killed chan struct{}
	ended  chan struct{}
}

func projectOf(key int) string { return fmt.Sprintf("group/%d", key%projects) }

func (w *world) join() *member {
	s, err := store.Open(w.t.Context(), w.c)
	if err != nil {
		w.t.Fatalf("open store: %v", err)
	}
	m := &member{w: w, store: s, killed: make(chan struct{}), ended: make(chan struct{})}
	m.queue = work.New(s, work.Options{
		PerProject: perProject, Workers: 8, Lease: lease, Poll: 20 * time.Millisecond, Drain: time.Millisecond,
		Backoff: 5 * time.Millisecond, MaxBackoff: 50 * time.Millisecond, MaxAttempts: 3,
	})
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	m.cancel = cancel
	go func() {
		defer close(m.ended)
		_ = m.queue.Run(ctx, m.handle)
	}()
	return m
}

// kill ends a member as a fault does: its claims stay as they are.
func (m *member) kill() {
	if err := m.store.Close(); err != nil {
		m.w.t.Errorf("close store: %v", err)
	}
	close(m.killed)
	m.cancel()
	<-m.ended
}

func (m *member) leave() {
	m.cancel()
	<-m.ended
	if err := m.store.Close(); err != nil {
		m.w.t.Errorf("close store: %v", err)
	}
}

// handle delivers what waits for the key, unless a fault is drawn.
func (m *member) handle(ctx context.Context, it work.Item) work.Result {
	var waiting []store.Delivery
	err := m.store.Write(ctx, func(tx *store.Tx) error {
		_, held, err := m.queue.Take(tx, it)
		if err != nil || !held {
			return errors.Join(err, errors.New("not held"))
		}
		waiting, err = tx.WaitingOf(it.Key)
		return err
	})
	if err == nil {
		err = ctx.Err() // a busy database may have taken longer than the lease
	}
	if err != nil {
		return work.Result{Err: err}
	}
	defer m.w.enter(it)()
	select {
	case <-time.After(rand.N(10 * time.Millisecond)):
	case <-m.killed:
		return work.Result{Err: errors.New("killed")}
	case <-ctx.Done():
		return work.Result{Err: ctx.Err()}
	}
	state, fault := store.Done, m.w.fault()
	switch {
	case fault == nil:
	case delivery.StateOf(fault) == delivery.Failed, it.Last:
		state = store.Failed
	default:
		return work.Result{Err: fault}
	}
	return work.Result{Err: fault, Finish: func(tx *store.Tx) error {
		for _, d := range waiting {
			d.State, d.EndedAt = state, time.Now()
			if err := tx.UpdateDelivery(d); err != nil {
				return err
			}
		}
		return nil
	}}
}

// enter notes that a key runs, and checks who else does.
func (w *world) enter(it work.Item) (leave func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.runs++
	w.onKey[it.Key]++
	w.onLane[it.Project]++
	if n := w.onKey[it.Key]; n > 1 {
		w.t.Errorf("%s runs %d times at once", it.Key, n)
	}
	if n := w.onLane[it.Project]; n > perProject {
		w.t.Errorf("%d keys of %s run at once, over %d", n, it.Project, perProject)
	}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.onKey[it.Key]--
		w.onLane[it.Project]--
	}
}

func (w *world) fault() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch n := rand.IntN(100); {
	case w.calm || n >= 25:
		return nil
	case n < 5:
		return delivery.Permanent(errors.New("refused"))
	default:
		return errors.New("target is down")
	}
}

// push stores an event and its work, as the webhook and the router do, and notes
// it when it is acknowledged.
func (m *member) push(ctx context.Context, name string) {
	key := rand.IntN(keys)
	workKey := fmt.Sprintf("sync:t:%s:%02d", projectOf(key), key)
	id, _, err := m.store.Append(ctx, store.Event{IdempotencyKey: name, Kind: "push", Project: projectOf(key), Body: []byte("{}")})
	if err != nil {
		return // not acknowledged
	}
	err = m.store.Write(ctx, func(tx *store.Tx) error {
		if err := tx.MarkRouted(id, store.Routed, ""); err != nil {
			return err
		}
		if _, err := tx.AddDelivery(store.Delivery{Event: id, Key: workKey, Target: "t", Project: projectOf(key)}); err != nil {
			return err
		}
		return m.queue.Put(tx, work.Put{Key: workKey, Project: projectOf(key), Wanted: id, Debounce: rand.N(3 * time.Millisecond)})
	})
	if err != nil {
		return
	}
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	m.w.puts++
	m.w.acked[workKey] = max(m.w.acked[workKey], id)
}

// member i, which changes when it is killed.
func (w *world) member(i int) *member {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.members[i]
}

// storm pushes, and kills a member now and then, for a while.
func (w *world) storm() {
	ctx, cancel := context.WithTimeout(w.t.Context(), chaos)
	defer cancel()
	var all sync.WaitGroup
	for p := range 6 {
		all.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				w.member(p%len(w.members)).push(w.t.Context(), fmt.Sprint(p, " ", i))
				select {
				case <-time.After(rand.N(8 * time.Millisecond)):
				case <-ctx.Done():
				}
			}
		})
	}
	all.Go(func() {
		for {
			select {
			case <-time.After(400*time.Millisecond + rand.N(800*time.Millisecond)):
			case <-ctx.Done():
				return
			}
			i := rand.IntN(len(w.members))
			w.member(i).kill()
			next := w.join()
			w.mu.Lock()
			w.members[i] = next
			w.mu.Unlock()
		}
	})
	all.Wait()
}

// settle revives what is dead until nothing is left to do.
func (w *world) settle(m *member) {
	w.mu.Lock()
	w.calm = true
	w.mu.Unlock()
	for deadline := time.Now().Add(30 * time.Second); ; {
		depth, _, err := m.queue.Depth(w.t.Context())
		if err != nil {
			w.t.Fatal(err)
		}
		if depth["ready"]+depth["later"]+depth["running"]+depth["dead"] == 0 {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("still to do: %v", depth)
		}
		var dead []string
		if err := m.store.Query(w.t.Context(), func(r store.Row) error {
			var key string
			err := r.Scan(&key)
			dead = append(dead, key)
			return err
		}, "SELECT key FROM work WHERE state = 'dead'"); err != nil {
			w.t.Fatal(err)
		}
		for _, key := range dead {
			if err := m.queue.Retry(w.t.Context(), key); err != nil {
				w.t.Error(err)
			}
		}
		<-time.After(20 * time.Millisecond)
	}
}

// check compares what the database says with what was acknowledged. A delivery may
// have failed and an older one, routed later, may have been done after it: what
// counts is that a run ended well when everything acknowledged was asked for, and
// that each delivery has ended.
func (w *world) check(s *store.Store) {
	ended := map[string]int64{}
	for d, err := range s.Deliveries(w.t.Context(), store.DeliveryFilter{}) {
		if err != nil {
			w.t.Fatal(err)
		}
		if d.State != store.Done && d.State != store.Failed {
			w.t.Errorf("delivery of event %d for %s is %s for ever", d.Event, d.Key, d.State)
		}
		ended[d.Key] = max(ended[d.Key], d.Event)
	}
	done := map[string]int64{}
	err := s.Query(w.t.Context(), func(r store.Row) error {
		var key, state string
		var event int64
		err := r.Scan(&key, &event, &state)
		if done[key] = event; state != "idle" {
			w.t.Errorf("%s is %s", key, state)
		}
		return err
	}, "SELECT key, done, state FROM work")
	if err != nil {
		w.t.Fatal(err)
	}
	for key, id := range w.acked {
		if done[key] < id || ended[key] < id {
			w.t.Errorf("%s: the last good run was about event %d, the newest delivery about %d; want %d", key, done[key], ended[key], id)
		}
	}
}

func TestEveryKeyConvergesWhateverHappens(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		replicas int
		config   func(testing.TB) store.Config
	}{
		"one agent on SQLite":        {1, storetest.SQLite},
		"three agents on SQLite":     {3, storetest.SQLite},
		"three agents on PostgreSQL": {3, storetest.Postgres},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &world{t: t, c: tc.config(t), acked: map[string]int64{}, onKey: map[string]int{}, onLane: map[string]int{}}
			for range tc.replicas {
				w.members = append(w.members, w.join())
			}
			w.storm()
			w.settle(w.members[0])
			w.check(w.members[0].store)
			for _, m := range w.members {
				m.leave()
			}
			t.Logf("%d pushes on %d keys were %d runs", w.puts, len(w.acked), w.runs)
			if w.puts < keys {
				t.Errorf("only %d pushes were acknowledged", w.puts)
			}
		})
	}
}
