package work_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/store/storetest"
	"gitlab.com/remora-ci/remora/agent/work"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is moved by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 20, 14, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// run is one call of the handler, which waits for its result.
type run struct {
	work.Item
	ctx context.Context
	end chan<- work.Result
}

// bench is a queue whose runs are ended by the test.
type bench struct {
	t     *testing.T
	store *store.Store
	queue *work.Queue
	clock *clock
	runs  chan run
	stop  func()
}

func newBench(t *testing.T, s *store.Store, o work.Options) *bench {
	t.Helper()
	b := &bench{t: t, store: s, clock: newClock(), runs: make(chan run, 100)}
	if o.Now == nil {
		o.Now = b.clock.Now
	}
	if o.Poll == 0 {
		o.Poll = time.Millisecond
	}
	if o.Drain == 0 {
		o.Drain = time.Millisecond
	}
	b.queue = work.New(s, o)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = b.queue.Run(ctx, b.handle)
	}()
	b.stop = sync.OnceFunc(func() { cancel(); <-ended })
	t.Cleanup(b.stop)
	return b
}

func (b *bench) handle(ctx context.Context, it work.Item) work.Result {
	end := make(chan work.Result, 1)
	b.runs <- run{it, ctx, end}
	select {
	case res := <-end:
		return res
	case <-ctx.Done():
		return work.Result{Err: ctx.Err()}
	}
}

func (b *bench) put(p work.Put) {
	b.t.Helper()
	if err := b.store.Write(b.t.Context(), func(tx *store.Tx) error { return b.queue.Put(tx, p) }); err != nil {
		b.t.Fatal(err)
	}
}

// next is the next run.
func (b *bench) next() run {
	b.t.Helper()
	select {
	case r := <-b.runs:
		return r
	case <-time.After(10 * time.Second):
		b.t.Fatal("no run began")
		return run{}
	}
}

// none makes sure that nothing is claimed by several looks.
func (b *bench) none(why string) {
	b.t.Helper()
	select {
	case r := <-b.runs:
		b.t.Fatalf("%s: %s runs", why, r.Key)
	case <-time.After(20 * time.Millisecond):
	}
}

// settle waits until the counts of the states are as wanted.
func (b *bench) settle(want map[string]int) {
	b.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		depth, _, err := b.queue.Depth(b.t.Context())
		if err != nil {
			b.t.Fatal(err)
		}
		same := true
		for _, state := range []string{"later", "ready", "running", "dead"} {
			same = same && depth[state] == want[state]
		}
		if same {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("got %v, want %v", depth, want)
		}
	}
}

func onBoth(t *testing.T, o work.Options, test func(t *testing.T, b *bench)) {
	t.Helper()
	storetest.Databases(t, func(t *testing.T, c store.Config) { test(t, newBench(t, storetest.Open(t, c), o)) })
}
