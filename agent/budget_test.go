package agent_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"gitlab.com/remora-ci/remora/agent"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/store/storetest"
	"gitlab.com/remora-ci/remora/component/rest"
)

var budgetStart = time.Date(2026, 11, 20, 14, 0, 0, 0, time.UTC)

func TestBudgetIsStrictAsLongAsGitLabSpeaksOfLimits(t *testing.T) {
	t.Parallel()
	now := budgetStart
	b := agent.NewBudget(nil, func() time.Time { return now })
	want := func(when string, strict bool) {
		t.Helper()
		if got := b.Strict(); got != strict {
			t.Errorf("%s: got strict %t, want %t", when, got, strict)
		}
	}
	want("before anything is known", true)
	b.Learn(rest.Attempt{})
	want("after no answer", true)
	b.Learn(rest.Attempt{Code: 200})
	want("after an answer that speaks of no limit", false)
	b.Learn(rest.Attempt{Code: 200, Remaining: "590"})
	want("after one that does", true)
	b.Learn(rest.Attempt{Code: 200})
	want("soon after", true)
	now = now.Add(11 * time.Minute)
	want("long after, without an answer", true)
	b.Learn(rest.Attempt{Code: 404})
	want("long after", false)
	b.Learn(rest.Attempt{Code: 429})
	want("after too many", true)
}

func TestBudgetIsStrictUnlessItMayBeFree(t *testing.T) {
	t.Parallel()
	b := agent.NewStrictBudget(func() time.Time { return budgetStart })
	b.Learn(rest.Attempt{Code: 200})
	if !b.Strict() {
		t.Error("an answer that speaks of no limit made it free")
	}
}

// spend makes n requests and says how long that took.
func spend(t *testing.T, b *agent.Budget, n int) time.Duration {
	t.Helper()
	start := time.Now()
	for range n {
		if err := b.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return time.Since(start).Round(time.Millisecond)
}

func TestWhatIsSentInAMinute(t *testing.T) {
	t.Parallel()
	in := func(d time.Duration) time.Time { return time.Now().Add(d) }
	for name, tt := range map[string]struct {
		learn func() rest.Attempt // nil: nothing
		n     int
		want  time.Duration
	}{
		"sixty at once, then nine in a second": {nil, 60 + 540, time.Minute},
		"freely where there is no limit":       {func() rest.Attempt { return rest.Attempt{Code: 200} }, 200 + 1000, 5 * time.Second},
		"nothing before the time that GitLab names": {func() rest.Attempt {
			return rest.Attempt{Code: 429, After: 7 * time.Second}
		}, 1, 7 * time.Second},
		"a question at least now and then": {func() rest.Attempt {
			return rest.Attempt{Code: 429, After: time.Hour}
		}, 1, 20 * time.Second},
		"a limit of one endpoint stops no other": {func() rest.Attempt { return rest.Attempt{Code: 429} }, 60, 0},
		"what is left is spread until it is counted anew": {func() rest.Attempt {
			return rest.Attempt{Code: 200, Remaining: "4", Reset: in(10 * time.Second)}
		}, 1 + 4, 8 * time.Second},
		"nothing when nothing is left": {func() rest.Attempt {
			return rest.Attempt{Code: 200, Remaining: "0", Reset: in(10 * time.Second)}
		}, 2, 10 * time.Second},
		"after that as usual": {func() rest.Attempt {
			return rest.Attempt{Code: 200, Remaining: "0", Reset: in(10 * time.Second)}
		}, 60, 10 * time.Second},
		"as usual while much is left": {func() rest.Attempt {
			return rest.Attempt{Code: 200, Remaining: "400", Reset: in(10 * time.Second)}
		}, 60, 0},
		"as usual when the time is over": {func() rest.Attempt {
			return rest.Attempt{Code: 200, Remaining: "0", Reset: in(-time.Second)}
		}, 60, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := agent.NewBudget(nil, time.Now)
				n := tt.n
				if strings.Contains(name, "left") || strings.Contains(name, "after that") {
					spend(t, b, 1) // whose answer it is
					n--
				}
				if tt.learn != nil {
					b.Learn(tt.learn())
				}
				if got := spend(t, b, n); got < tt.want || got > tt.want+20*time.Millisecond {
					t.Errorf("got %d requests in %v, want %v", tt.n, got, tt.want)
				}
			})
		})
	}
}

func TestWhoGivesUpDoesNotWaitForTheBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := agent.NewBudget(nil, time.Now)
		b.Learn(rest.Attempt{Code: 429, After: time.Hour})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if err := b.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("got %v after %v, want the deadline", err, time.Since(start))
		}
		if err := b.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want nothing begun after the end", err)
		}
	})
}

func TestADatabaseThatIsAwayDoesNotStopRequestsAndIsTold(t *testing.T) {
	t.Parallel()
	now := budgetStart
	gone := storetest.Open(t, storetest.SQLite(t))
	away, err := store.Open(t.Context(), storetest.SQLite(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := away.Close(); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	ctx := zerolog.New(&log).WithContext(t.Context())
	b := agent.NewBudget(away, func() time.Time { return now })
	sent := 0
	for range 600 { // of a tenth of a second
		if d, err := b.Take(ctx); err != nil {
			t.Fatal(err)
		} else if d <= 0 {
			sent++
		}
		now = now.Add(100 * time.Millisecond)
	}
	if sent < 120 || sent > 136 {
		t.Errorf("got %d requests in a minute, want a quarter of 540", sent)
	}
	if said := strings.Count(log.String(), "not shared"); said != 1 {
		t.Errorf("said it %d times, want once: %s", said, &log)
	}
	b.Share(gone) // it is back
	now = now.Add(11 * time.Second)
	b.Await(9)
	for range 9 {
		if d, err := b.Take(ctx); d > 0 || err != nil {
			t.Errorf("got %v, %v, want the lease", d, err)
		}
	}
	if said := strings.Count(log.String(), "shared again"); said != 1 {
		t.Errorf("said %d times that it is back, want once: %s", said, &log)
	}
	b.Share(away)
	now = now.Add(11 * time.Second)
	_, _ = b.Take(ctx)
	if said := strings.Count(log.String(), "not shared"); said != 2 {
		t.Errorf("said it %d times, want once again: %s", said, &log)
	}
}

func TestNoDatabaseIsWrittenWhereGitLabDoesNotLimit(t *testing.T) {
	t.Parallel()
	now := budgetStart
	s := storetest.Open(t, storetest.SQLite(t))
	b := agent.NewBudget(s, func() time.Time { return now })
	b.Learn(rest.Attempt{Code: 200})
	before := s.Stats().Commits
	for range 3000 {
		if d, err := b.Take(t.Context()); d > 0 || err != nil {
			t.Fatalf("got %v, %v, want leave", d, err)
		}
		b.Learn(rest.Attempt{Code: 200})
		now = now.Add(10 * time.Millisecond)
	}
	if got := s.Stats().Commits - before; got != 0 {
		t.Errorf("got %d writes, want none", got)
	}
	// Until another agent is told of a limit.
	other := agent.NewBudget(s, func() time.Time { return now })
	other.Learn(rest.Attempt{Code: 429})
	if _, err := other.Take(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b.Strict() {
		t.Error("got strict before it can be known")
	}
	now = now.Add(10 * time.Second)
	if _, err := b.Take(t.Context()); err != nil || !b.Strict() {
		t.Errorf("got strict %t, %v, want what the other knows", b.Strict(), err)
	}
	b.Learn(rest.Attempt{Code: 200})
	if !b.Strict() {
		t.Error("got free, want strict as long as the other knows")
	}
}

// replica is an agent of the simulation, with those in it who want to send.
type replica struct {
	*agent.Budget
	wants  []time.Time // when each asks next
	pause  time.Duration
	change time.Time // of the pause
}

func TestAgentsOnOneDatabaseNeverSendMoreThan600InAMinute(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		first := storetest.Open(t, c)
		stores := []*store.Store{first, first, first}
		if c.URL != "" { // each agent has its own connections
			stores[1], stores[2] = storetest.Open(t, c), storetest.Open(t, c)
		}
		seed := rand.Uint64()
		r := rand.New(rand.NewPCG(seed, 1))
		now := budgetStart
		made := func(i int) *agent.Budget {
			return agent.NewBudget(stores[i], func() time.Time { return now })
		}
		var replicas []*replica
		var sent []time.Time
		for i := range stores { // at first each has a lease, which it uses when it is about to end; then all are busy
			p := &replica{Budget: made(i), wants: slices.Repeat([]time.Time{now.Add(900 * time.Millisecond)}, 8), change: now.Add(70 * time.Second)}
			p.Await(9)
			if d, err := p.Take(t.Context()); d > 0 || err != nil {
				t.Fatalf("got %v, %v, want leave", d, err)
			}
			p.Learn(rest.Attempt{Code: 200, Remaining: "1900"})
			replicas, sent = append(replicas, p), append(sent, now)
		}
		end, writes := budgetStart.Add(4*time.Minute), first.Stats().Commits
		for now.Before(end) {
			at, who, which := end, -1, 0
			for i, p := range replicas {
				for j, want := range p.wants {
					if want.Before(at) {
						at, who, which = want, i, j
					}
				}
			}
			if who < 0 {
				break
			}
			if at.After(now) {
				now = at
			}
			p := replicas[who]
			if !now.Before(p.change) { // busy, at leisure, or asleep
				p.pause = []time.Duration{0, 0, 300 * time.Millisecond, 2 * time.Second, 20 * time.Second}[r.IntN(5)]
				p.change = now.Add(time.Duration(r.IntN(20)) * time.Second)
			}
			if now.Sub(budgetStart) > 70*time.Second && r.IntN(2000) == 0 { // it is started again
				p.Budget = made(who)
			}
			p.Await(len(p.wants))
			d, err := p.Take(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if d <= 0 {
				sent = append(sent, now)
				p.Learn(rest.Attempt{Code: 200, Remaining: "1900"})
				d = p.pause/2 + time.Duration(r.Int64N(int64(p.pause)+int64(20*time.Millisecond)))
			}
			p.wants[which] = now.Add(d)
		}
		most := 0
		for i, from := 0, 0; i < len(sent); i++ {
			for sent[i].Sub(sent[from]) > time.Minute {
				from++
			}
			most = max(most, i-from+1)
		}
		written := first.Stats().Commits - writes
		for _, s := range stores[1:] {
			if s != first {
				written += s.Stats().Commits
			}
		}
		t.Logf("seed %d: %d requests, %d at most in a minute, %d writes", seed, len(sent), most, written)
		if most > 600 || most < 580 {
			t.Errorf("seed %d: got %d requests in a minute, want at most 600, and no fewer than are needed", seed, most)
		}
		if perSecond := float64(written) / end.Sub(budgetStart).Seconds(); perSecond > 4 {
			t.Errorf("seed %d: got %.1f writes a second by 3 agents", seed, perSecond)
		}
	})
}
