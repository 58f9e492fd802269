package work

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"gitlab.com/remora-ci/remora/agent/store"
)

// Item is one run of one key.
type Item struct {
	Key      string
	Pool     string
	Project  string
	Wanted   int64 // the newest event asked for; what this run is about, see Take
	Taken    int64 // the newest event of the last run that ended well
	Attempts int   // 1 for the first
	Last     bool  // fails it once more, it is given up, unless it was asked for again meanwhile
	Fence    int64 // grows with each run of the key
}

// Put asks for a key.
type Put struct {
	Key     string // kind:rest
	Pool    string // whose workers run it; default: those of the kind
	Project string // path; a key of no project leaves it empty
	Wanted  int64  // id of the event, 0 if there is none

	// Debounce waits for more to come: the key is due when nobody asked for it for
	// so long, but never later than MaxWait after the first who did (default: ten
	// times Debounce).
	Debounce, MaxWait time.Duration

	// NotBefore is when the key is due, in place of Debounce. It never delays
	// what is due sooner.
	NotBefore time.Time
}

// Options of a queue. What is zero has the default.
type Options struct {
	PerProject  int           // runs at a time per lane, over all agents: 10
	Workers     int           // runs at a time of each pool, in this agent: 64
	Lease       time.Duration // how long a run outlives its agent: 1 minute
	Poll        time.Duration // how often to look without being kicked: 500 ms
	Drain       time.Duration // what work in hand gets after the end: 20 s
	Backoff     time.Duration // pause after the first failure; doubles: 2 s
	MaxBackoff  time.Duration // 10 minutes
	MaxAttempts int           // 20, which is some two hours
	Now         func() time.Time
	Replica     string // name of this agent, for people who look; the host's

	// Alone says that no other agent uses the store while this one runs: what it
	// finds running was left by one that is no more, and nobody waits for its lease.
	Alone bool

	// Abandoned ends what belongs to a run that was given up because its agents
	// died MaxAttempts times: nobody is left to do it in [Result].Finish.
	Abandoned func(tx *store.Tx, it Item) error
}

// Queue is the work of one store. Agents on one database share it.
type Queue struct {
	store *store.Store
	o     Options
	owner string
	kick  chan struct{}

	cursor map[string]string // the lane that was served last, by pool; the claimer's own
	turn   int               // of the pools; the claimer's own

	mu   sync.Mutex
	held map[string]*hold // runs of this agent, by key
	busy map[string]int   // how many, by pool
}

// channel is where agents that share a PostgreSQL wake each other.
const channel = "remora_work"

// New makes a queue. It does nothing before Run.
func New(s *store.Store, o Options) *Queue {
	o.PerProject = cmp.Or(o.PerProject, 10)
	o.Workers = cmp.Or(o.Workers, 64)
	o.Lease = cmp.Or(o.Lease, time.Minute)
	o.Poll = cmp.Or(o.Poll, 500*time.Millisecond)
	o.Drain = cmp.Or(o.Drain, 20*time.Second)
	o.Backoff = cmp.Or(o.Backoff, 2*time.Second)
	o.MaxBackoff = cmp.Or(o.MaxBackoff, 10*time.Minute)
	o.MaxAttempts = cmp.Or(o.MaxAttempts, 20)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Replica == "" {
		o.Replica, _ = os.Hostname() // a name is a help, not a need
	}
	return &Queue{store: s, o: o, owner: o.Replica + " " + rand.Text(), kick: make(chan struct{}, 1),
		cursor: map[string]string{}, held: map[string]*hold{}, busy: map[string]int{}}
}

// Kick has the queue look for work now. It never blocks.
func (q *Queue) Kick() {
	select {
	case q.kick <- struct{}{}:
	default:
	}
}

// Put asks for a key in the transaction tx: an idle or dead key becomes ready, or
// later where it is debounced; a running one becomes so when its run ends. Agents
// are woken by the commit. Of many keys, put them in their order: that keeps two
// agents on one PostgreSQL from waiting for each other.
func (q *Queue) Put(tx *store.Tx, p Put) error {
	kind, _, ok := strings.Cut(p.Key, ":")
	if !ok || kind == "" {
		return fmt.Errorf("put work %q: a key is kind:rest", p.Key)
	}
	now := q.o.Now()
	due, wait, query := now.Add(p.Debounce), p.MaxWait, putDebounced
	if wait <= 0 {
		wait = 10 * p.Debounce
	}
	if wait < p.Debounce {
		due = now.Add(wait)
	}
	if !p.NotBefore.IsZero() {
		due, wait, query = p.NotBefore, 0, putAt
	}
	state := "ready"
	if due.After(now) {
		state = "later"
	}
	us := now.UnixMicro()
	args := []any{p.Key, cmp.Or(p.Pool, kind), kind + " " + p.Project, p.Project, p.Wanted, state, due.UnixMicro(), us, us, us}
	for range strings.Count(query, waitMark) {
		args = append(args, wait.Microseconds())
	}
	if _, err := tx.Exec(query, args...); err != nil {
		return fmt.Errorf("put work %s: %w", p.Key, err)
	}
	tx.OnCommit(q.Kick)
	return tx.Notify(channel)
}

// The parts of Put's statement. Somebody waits for the key already: it keeps its
// place in the lane. The fence begins with the time, so that a row that was swept
// and made anew does not meet an old run.
const (
	waitMark    = "CAST(? AS BIGINT)"
	isWaiting   = "(work.state IN ('ready', 'later') OR work.asked > work.seen)"
	firstAsked  = "CASE WHEN " + isWaiting + " THEN LEAST(work.first_at, excluded.first_at) ELSE excluded.first_at END"
	dueAt       = "GREATEST(work.held, CASE WHEN " + isWaiting + " THEN LEAST(work.not_before, excluded.not_before) ELSE excluded.not_before END)"
	dueDebounce = "GREATEST(work.held, LEAST(excluded.not_before, " + firstAsked + " + " + waitMark + "))"

	putAt        = putHead + dueAt + putState + dueAt + putTail
	putDebounced = putHead + dueDebounce + putState + dueDebounce + putTail

	putHead = `INSERT INTO work (key, pool, lane, project, wanted, taken, done, asked, seen, state, not_before, held, first_at, lease, owner, fence, attempts, error, updated_at)
VALUES (?, ?, ?, ?, ?, 0, 0, 1, 0, ?, ?, 0, ?, 0, '', ?, 0, '', ?)
ON CONFLICT (key) DO UPDATE SET
  pool = excluded.pool,
  wanted = GREATEST(work.wanted, excluded.wanted),
  asked = work.asked + 1,
  first_at = ` + firstAsked + `,
  attempts = CASE WHEN work.state = 'running' THEN work.attempts ELSE 0 END,
  updated_at = excluded.updated_at,
  not_before = `
	putState = `,
  state = CASE WHEN work.state = 'running' THEN 'running' WHEN `
	putTail = ` <= excluded.first_at THEN 'ready' ELSE 'later' END`
)

// Retry has a key tried again now because a person wants it: a dead one, or one
// that waits for its next attempt, with all its attempts before it. The newest
// failed delivery of the key waits again. The error is [store.ErrNotFound] when
// there is nothing to retry.
func (q *Queue) Retry(ctx context.Context, key string) error {
	err := q.store.Write(ctx, func(tx *store.Tx) error {
		reopened, err := tx.Reopen(key)
		if err != nil {
			return err
		}
		states := "'dead', 'later'"
		if reopened {
			states += ", 'idle'"
		}
		us := q.o.Now().UnixMicro()
		n, err := tx.Exec("UPDATE work SET state = 'ready', attempts = 0, error = '', held = 0, not_before = ?, first_at = ?, updated_at = ? WHERE key = ? AND state IN ("+states+")", us, us, us, key)
		if err != nil {
			return err
		}
		if n == 0 {
			busy := false
			if err := tx.Query(func(store.Row) error { busy = true; return nil }, "SELECT 1 FROM work WHERE key = ? AND state IN ('ready', 'running')", key); err != nil {
				return err
			}
			if !busy {
				return store.ErrNotFound
			}
			if reopened {
				_, err = tx.Exec("UPDATE work SET asked = asked + 1, not_before = ?, first_at = ? WHERE key = ? AND state = 'running'", us, us, key)
			}
			return err
		}
		tx.OnCommit(q.Kick)
		return tx.Notify(channel)
	})
	if err != nil {
		return fmt.Errorf("retry %s: %w", key, err)
	}
	return nil
}

// Depth counts the keys in each state but idle, and says how long the oldest that
// is due has waited.
func (q *Queue) Depth(ctx context.Context) (depth map[string]int, oldest time.Duration, err error) {
	depth = map[string]int{}
	var parts []string
	for _, state := range []string{"ready", "later", "running", "dead"} {
		first := "0"
		if state == "ready" {
			first = "COALESCE(min(first_at), 0)"
		}
		parts = append(parts, fmt.Sprintf("SELECT '%s', count(*), %s FROM work WHERE state = '%s'", state, first, state))
	}
	err = q.store.Query(ctx, func(r store.Row) error {
		var state string
		var n int
		var first int64
		err := r.Scan(&state, &n, &first)
		depth[state] = n
		if state == "ready" && n > 0 {
			oldest = max(0, q.o.Now().Sub(time.UnixMicro(first)))
		}
		return err
	}, strings.Join(parts, " UNION ALL "))
	if err != nil {
		return nil, 0, fmt.Errorf("count work: %w", err)
	}
	return depth, oldest, nil
}
