package schedule_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"gitlab.com/remora-ci/remora/agent/schedule"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// put notes a firing where the work would be: in the same transaction, as one
// delivery, so that a firing without its work, or twice, shows.
func put(tx *store.Tx, c schedule.Config, slot time.Time) error {
	_, err := tx.AddDelivery(store.Delivery{Key: "sync:" + c.Name, Target: c.Name, Project: "acme/app", SHA: slot.UTC().Format(time.RFC3339Nano)})
	return err
}

// fired are the slots whose work was put, oldest first.
func fired(t *testing.T, s *store.Store, name string) []string {
	t.Helper()
	var slots []string
	for d, err := range s.Deliveries(t.Context(), store.DeliveryFilter{Target: name}) {
		if err != nil {
			t.Fatalf("read deliveries: %v", err)
		}
		slots = append([]string{d.SHA}, slots...)
	}
	return slots
}

func open(t *testing.T, c store.Config) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), c)
	if err != nil {
		t.Fatalf("open store: %v", err)
	}
	return s
}

// run runs one runner until the returned function is called.
func run(t *testing.T, book schedule.Book, o schedule.Options, configs ...schedule.Config) (stop func()) {
	t.Helper()
	r, err := schedule.NewRunner(book, configs, put, o)
	if err != nil {
		t.Fatalf("new runner: %v", err)
	}
	return start(r)
}

func start(r *schedule.Runner) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { _ = r.Run(ctx) })
	return func() { cancel(); all.Wait() }
}

// In a bubble the clock begins at midnight UTC on 1 January 2000.
func onSQLite(t *testing.T, test func(t *testing.T, c store.Config)) {
	t.Helper()
	c := store.Config{Dir: filepath.Join(t.TempDir(), "state")}
	synctest.Test(t, func(t *testing.T) { test(t, c) })
}

func named(name string) schedule.Config {
	return schedule.Config{Name: name, Sync: []string{"direktiv"}}
}

func TestADayOfFirings(t *testing.T) {
	t.Parallel()
	onSQLite(t, func(t *testing.T, c store.Config) {
		s := open(t, c)
		defer func() { _ = s.Close() }()
		cron, every := named("cron"), named("every")
		cron.Cron, cron.Zone, every.Every = "30 9,17 * * *", "Asia/Tokyo", "PT8H"
		stop := run(t, s, schedule.Options{}, cron, every)
		time.Sleep(24*time.Hour + time.Second)
		stop()
		if diff := cmp.Diff([]string{"2000-01-01T00:30:00Z", "2000-01-01T08:30:00Z"}, fired(t, s, "cron")); diff != "" {
			t.Errorf("cron (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"2000-01-01T08:00:00Z", "2000-01-01T16:00:00Z", "2000-01-02T00:00:00Z"}, fired(t, s, "every")); diff != "" {
			t.Errorf("every (-want +got):\n%s", diff)
		}
	})
}

func TestMissedFiringsRunOnceAfterDowntime(t *testing.T) {
	t.Parallel()
	onSQLite(t, func(t *testing.T, c store.Config) {
		hourly := named("hourly")
		hourly.Cron = "0 * * * *"
		s := open(t, c)
		stop := run(t, s, schedule.Options{}, hourly)
		time.Sleep(90 * time.Minute)
		stop()
		_ = s.Close()

		time.Sleep(10 * time.Hour)
		s = open(t, c)
		defer func() { _ = s.Close() }()
		stop = run(t, s, schedule.Options{}, hourly)
		time.Sleep(time.Hour)
		stop()
		want := []string{"2000-01-01T01:00:00Z", "2000-01-01T11:00:00Z", "2000-01-01T12:00:00Z"}
		if diff := cmp.Diff(want, fired(t, s, "hourly")); diff != "" {
			t.Errorf("fired (-want +got):\n%s", diff)
		}
	})
}

func TestAFirstFiringThatIsMissedIsMadeUpFor(t *testing.T) {
	t.Parallel()
	onSQLite(t, func(t *testing.T, c store.Config) {
		s := open(t, c)
		defer func() { _ = s.Close() }()
		weekly := named("weekly")
		weekly.Cron = "0 9 * * 1" // 3 January is a Monday
		stop := run(t, s, schedule.Options{}, weekly)
		time.Sleep(time.Hour)
		stop()
		if got := fired(t, s, "weekly"); got != nil {
			t.Errorf("fired %v before its time", got)
		}
		time.Sleep(7 * 24 * time.Hour)
		stop = run(t, s, schedule.Options{}, weekly)
		time.Sleep(time.Minute)
		stop()
		if diff := cmp.Diff([]string{"2000-01-03T09:00:00Z"}, fired(t, s, "weekly")); diff != "" {
			t.Errorf("fired (-want +got):\n%s", diff)
		}
	})
}

func TestOnStart(t *testing.T) {
	t.Parallel()
	onSQLite(t, func(t *testing.T, c store.Config) {
		s := open(t, c)
		defer func() { _ = s.Close() }()
		boot := named("boot")
		boot.OnStart, boot.Cron = true, "0 12 * * *"
		check := func(why string, want ...string) {
			t.Helper()
			if diff := cmp.Diff(want, fired(t, s, "boot")); diff != "" {
				t.Errorf("%s (-want +got):\n%s", why, diff)
			}
		}
		cycle := func(o schedule.Options) {
			stop := run(t, s, o, boot)
			time.Sleep(10 * time.Second)
			stop()
		}
		cycle(schedule.Options{})
		check("at the start", "2000-01-01T00:00:00Z")
		cycle(schedule.Options{})
		check("again and again within a minute is once", "2000-01-01T00:00:00Z")
		time.Sleep(time.Minute)
		cycle(schedule.Options{Reloaded: true})
		check("not when the configuration is read again", "2000-01-01T00:00:00Z")
		time.Sleep(24 * time.Hour)
		cycle(schedule.Options{})
		check("a start makes up for what was missed", "2000-01-01T00:00:00Z", "2000-01-02T00:01:00Z")
	})
}

// broken fails as often as told.
type broken struct {
	*store.Store
	mu    sync.Mutex
	fails int
}

func (b *broken) fail() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fails == 0 {
		return nil
	}
	b.fails--
	return errors.New("database is away")
}

func (b *broken) Write(ctx context.Context, fn func(*store.Tx) error) error {
	if err := b.fail(); err != nil {
		return err
	}
	return b.Store.Write(ctx, fn)
}

func (b *broken) LastFired(ctx context.Context, name string) (time.Time, error) {
	if err := b.fail(); err != nil {
		return time.Time{}, err
	}
	return b.Store.LastFired(ctx, name)
}

func TestADatabaseThatComesBackMissesNothing(t *testing.T) {
	t.Parallel()
	onSQLite(t, func(t *testing.T, c store.Config) {
		b := &broken{Store: open(t, c)}
		defer func() { _ = b.Close() }()
		hourly := named("hourly")
		hourly.Cron = "0 * * * *"
		stop := run(t, b, schedule.Options{}, hourly)
		time.Sleep(59 * time.Minute)
		b.mu.Lock()
		b.fails = 20 // a second, two, four, … a minute each: a quarter of an hour
		b.mu.Unlock()
		time.Sleep(30 * time.Minute)
		stop()
		if diff := cmp.Diff([]string{"2000-01-01T01:00:00Z"}, fired(t, b.Store, "hourly")); diff != "" {
			t.Errorf("fired (-want +got):\n%s", diff)
		}
	})
}

func TestAFiringWhoseWorkCannotBePutIsNotNoted(t *testing.T) {
	t.Parallel()
	onSQLite(t, func(t *testing.T, c store.Config) {
		s := open(t, c)
		defer func() { _ = s.Close() }()
		hourly := named("hourly")
		hourly.Cron = "0 * * * *"
		tries := 0
		r, err := schedule.NewRunner(s, []schedule.Config{hourly}, func(tx *store.Tx, c schedule.Config, slot time.Time) error {
			if tries++; tries < 3 {
				return errors.New("no")
			}
			return put(tx, c, slot)
		}, schedule.Options{})
		if err != nil {
			t.Fatal(err)
		}
		stop := start(r)
		time.Sleep(61 * time.Minute)
		stop()
		if diff := cmp.Diff([]string{"2000-01-01T01:00:00Z"}, fired(t, s, "hourly")); diff != "" || tries != 3 {
			t.Errorf("after %d tries fired (-want +got):\n%s", tries, diff)
		}
	})
}

// TestThreeAgentsFireEverySecondOnce: three agents with a store each, of which one
// is stopped on the way and one joins.
func TestThreeAgentsFireEverySecondOnce(t *testing.T) {
	t.Parallel()
	onSQLite(t, func(t *testing.T, c store.Config) {
		var stops []func()
		join := func() {
			s := open(t, c)
			stop := often(t, s, time.Second)
			stops = append(stops, func() { stop(); _ = s.Close() })
		}
		join()
		join()
		join()
		time.Sleep(60*time.Second + 500*time.Millisecond)
		stops[0]()
		time.Sleep(60 * time.Second)
		join()
		time.Sleep(60 * time.Second)
		for _, stop := range stops[1:] {
			stop()
		}
		s := open(t, c)
		defer func() { _ = s.Close() }()
		var want []string
		for i := range 180 {
			want = append(want, time.Date(2000, 1, 1, 0, 0, i+1, 0, time.UTC).Format(time.RFC3339))
		}
		if diff := cmp.Diff(want, fired(t, s, "often")); diff != "" {
			t.Errorf("fired (-want +got):\n%s", diff)
		}
	})
}

// often runs a schedule at a pace that no configuration may ask for.
func often(t *testing.T, book schedule.Book, every time.Duration) (stop func()) {
	t.Helper()
	r, err := schedule.NewRunner(book, []schedule.Config{{Name: "often", Every: "PT1M", Sync: []string{"x"}}}, put, schedule.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r.Often("often", every)
	return start(r)
}

// TestThreeAgentsOnBothDatabases is the same by the true clock, where a slot may be
// late and then is passed over, but none is fired twice and none without its work.
func TestThreeAgentsOnBothDatabases(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		var stops []func()
		var first *store.Store
		for range 3 {
			first = storetest.Open(t, c)
			stops = append(stops, often(t, first, 50*time.Millisecond))
		}
		wait(t, func() bool { return len(fired(t, first, "often")) >= 10 })
		stops[0]()
		wait(t, func() bool { return len(fired(t, first, "often")) >= 40 })
		stops[1]()
		stops[2]()
		seen := map[string]bool{}
		for _, slot := range fired(t, first, "often") {
			if seen[slot] {
				t.Errorf("slot %s was fired twice", slot)
			}
			seen[slot] = true
			if when, err := time.Parse(time.RFC3339Nano, slot); err != nil || when.UnixMilli()%50 != 0 {
				t.Errorf("slot %s is none of the schedule's", slot)
			}
		}
		noted := 0
		err := first.Query(t.Context(), func(r store.Row) error { return r.Scan(&noted) }, "SELECT count(*) FROM firing WHERE name = 'often'")
		if err != nil || noted != len(seen) {
			t.Errorf("noted %d firings (%v), put the work of %d", noted, err, len(seen))
		}
	})
}

// wait polls until done, at the pace of a test.
func wait(t *testing.T, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			t.Fatal("gave up waiting")
		case <-tick.C:
		}
	}
}

func TestNewRunnerTellsAllAtOnce(t *testing.T) {
	t.Parallel()
	_, err := schedule.NewRunner(nil, []schedule.Config{{Name: "a", Cron: "0 0 31 2 *", Sync: []string{"x"}}, {Name: "a", Every: "P1M"}}, put, schedule.Options{})
	for _, want := range []string{"a: cron", "a: every", "a: sync", "a: name: is given twice"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to hold %q", err, want)
		}
	}
}
