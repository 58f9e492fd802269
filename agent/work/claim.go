package work

import (
	"context"
	"fmt"
	"maps"
	"time"

	"gitlab.com/remora-ci/remora/agent/store"
)

const (
	// claimLock is held by the agent that claims, on PostgreSQL, so that the limit
	// of a lane is counted by one at a time.
	claimLock = 7_366_601_002

	// claimPatience bounds one claim; it is not cut short by the end of the agent,
	// for a claim whose end is not known would keep its keys until the lease ends.
	claimPatience = 15 * time.Second

	// deaths is how many agents a key may outlive and be ready at once; from then on
	// each more makes it wait deathPause longer.
	deaths     = 3
	deathPause = 10 * time.Second

	// promoteStep is how many keys become ready in one claim.
	promoteStep = 1000
)

const itemColumns = "key, pool, project, lane, wanted, done, attempts, fence"

// peekSQL says, without asking for a lock, when the next key is due and when the
// next lease ends.
const peekSQL = `SELECT (SELECT COALESCE(min(not_before), 0) FROM work WHERE state = 'later'),
  (SELECT COALESCE(min(lease), 0) FROM work WHERE state = 'running')`

const promoteSQL = `WITH due AS MATERIALIZED (
  SELECT key FROM work WHERE state = 'later' AND not_before <= ? ORDER BY not_before LIMIT ? FOR UPDATE SKIP LOCKED
) UPDATE work SET state = 'ready' WHERE key IN (SELECT key FROM due)`

// rescueSQL ends runs whose lease is over. Their attempts were counted when they
// were claimed. An agent that dies often, for whatever reason, takes down what it
// has in hand each time, so that after a few deaths a key waits longer and longer:
// its attempts last until somebody has looked.
const rescueSQL = `WITH lost AS MATERIALIZED (
  SELECT key FROM work WHERE state = 'running' AND lease < ? FOR UPDATE SKIP LOCKED
) UPDATE work SET state = CASE WHEN attempts >= ? AND asked <= seen THEN 'dead' WHEN attempts > ? THEN 'later' ELSE 'ready' END,
  not_before = CASE WHEN attempts > ? THEN CAST(? AS BIGINT) + (attempts - ?) * CAST(? AS BIGINT) ELSE not_before END,
  error = 'its agent stopped before it ended', lease = 0, owner = '', updated_at = ?
WHERE key IN (SELECT key FROM lost) RETURNING ` + itemColumns + `, state`

// poolsSQL steps from pool to pool that has a ready key, along the index.
const poolsSQL = `WITH RECURSIVE pools (pool) AS (
  SELECT min(f.pool) FROM work f WHERE f.state = 'ready'
  UNION ALL
  SELECT (SELECT min(f.pool) FROM work f WHERE f.state = 'ready' AND f.pool > pools.pool) FROM pools WHERE pool IS NOT NULL
) SELECT pool FROM pools WHERE pool IS NOT NULL`

// lanesSQL steps from ready lane to ready lane of one pool along the index, so
// its cost is that of the lanes it looks at and not of the keys that wait.
const lanesSQL = `WITH RECURSIVE lanes (lane, n) AS (
  SELECT (SELECT min(f.lane) FROM work f WHERE f.state = 'ready' AND f.pool = ? AND f.lane > ?), 1
  UNION ALL
  SELECT (SELECT min(f.lane) FROM work f WHERE f.state = 'ready' AND f.pool = ? AND f.lane > lanes.lane), n + 1
  FROM lanes WHERE lane IS NOT NULL AND n < ?
)`

// claimSQL takes the oldest keys of one pool, of lanes that have room, a first of each lane
// before a second of any.
const claimSQL = lanesSQL + `, room AS MATERIALIZED (
  SELECT lane, n, ? - (SELECT count(*) FROM work r WHERE r.state = 'running' AND r.lane = lanes.lane) AS free
  FROM lanes WHERE lane IS NOT NULL
), picked AS MATERIALIZED (
  SELECT key FROM (
    SELECT w.key AS key, room.n AS n, room.free AS free, row_number() OVER (PARTITION BY room.n ORDER BY w.first_at, w.key) AS turn
    FROM room %s WHERE room.free > 0
  ) AS t WHERE turn <= free ORDER BY turn, n LIMIT ?
) UPDATE work SET state = 'running', taken = wanted, seen = asked, attempts = attempts + 1, fence = fence + 1, owner = ?, lease = ?, updated_at = ?
WHERE key IN (SELECT key FROM picked) RETURNING ` + itemColumns

// The first keys of each lane, as the two databases can be asked for them.
const (
	firstKeys     = "SELECT c.key, c.first_at FROM work c WHERE c.state = 'ready' AND c.pool = ? AND c.lane = room.lane ORDER BY c.first_at, c.key LIMIT ?"
	firstPostgres = "CROSS JOIN LATERAL (" + firstKeys + " FOR UPDATE SKIP LOCKED) AS w"
	firstSQLite   = "JOIN work w ON w.key IN (SELECT key FROM (" + firstKeys + "))"
)

// positionSQL is the last lane that a claim from the same place looked at, if
// there may be more behind it.
const positionSQL = lanesSQL + ` SELECT lane FROM lanes WHERE n = ? AND lane IS NOT NULL`

// claim takes what the pools of this agent have room for. When it takes none, wait
// says when to look again at the latest.
func (q *Queue) claim(ctx context.Context) (items []Item, wait time.Duration, err error) {
	now := q.o.Now()
	some, wait, err := q.peek(ctx, now)
	if err != nil || !some {
		return nil, wait, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), claimPatience)
	defer cancel()
	cursor := map[string]string{}
	err = q.store.Write(ctx, func(tx *store.Tx) (err error) {
		items = nil
		if err := tx.Serialize(claimLock); err != nil {
			return err
		}
		if err := q.refresh(tx, now); err != nil {
			return err
		}
		pools, err := q.pools(tx.Query)
		if err != nil {
			return err
		}
		for i := range pools { // a lane that has keys of several pools serves them in turn
			pool := pools[(i+q.turn)%len(pools)]
			got, last, err := q.take(tx, pool, q.room(pool), now)
			if err != nil {
				return err
			}
			items, cursor[pool] = append(items, got...), last
		}
		return nil
	})
	if err != nil {
		return nil, q.o.Poll, fmt.Errorf("claim work: %w", err)
	}
	q.turn++
	maps.Copy(q.cursor, cursor)
	return items, q.o.Poll, nil
}

func (q *Queue) peek(ctx context.Context, now time.Time) (some bool, wait time.Duration, err error) {
	var due, lease int64
	query := func(scan func(store.Row) error, text string, args ...any) error {
		return q.store.Query(ctx, scan, text, args...)
	}
	err = query(func(r store.Row) error { return r.Scan(&due, &lease) }, peekSQL)
	var pools []string
	if err == nil {
		pools, err = q.pools(query)
	}
	if err != nil {
		return false, q.o.Poll, fmt.Errorf("look for work: %w", err)
	}
	us := now.UnixMicro()
	wait = q.o.Poll
	if due != 0 {
		wait = min(wait, max(time.Duration(due-us)*time.Microsecond, time.Millisecond))
	}
	return len(pools) > 0 || due != 0 && due <= us || lease != 0 && lease < us, wait, nil
}

// pools are those that have a ready key and room for it.
func (q *Queue) pools(query func(func(store.Row) error, string, ...any) error) (pools []string, err error) {
	err = query(func(r store.Row) error {
		var pool string
		err := r.Scan(&pool)
		if q.room(pool) > 0 {
			pools = append(pools, pool)
		}
		return err
	}, poolsSQL)
	return pools, err
}

// room is how many more runs a pool may have in this agent.
func (q *Queue) room(pool string) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.o.Workers - q.busy[pool]
}

// refresh makes ready what is due and what has lost its agent.
func (q *Queue) refresh(tx *store.Tx, now time.Time) error {
	us := now.UnixMicro()
	if _, err := tx.Exec(promoteSQL, us, promoteStep); err != nil {
		return err
	}
	var abandoned []Item
	err := tx.Query(func(r store.Row) error {
		it, state, err := q.scanItem(r, true)
		if state == "dead" {
			abandoned = append(abandoned, it)
		}
		return err
	}, rescueSQL, us, q.o.MaxAttempts, deaths, deaths, us, deaths, deathPause.Microseconds(), us)
	if err != nil || q.o.Abandoned == nil {
		return err
	}
	for _, it := range abandoned {
		if err := q.o.Abandoned(tx, it); err != nil {
			return err
		}
	}
	return nil
}

// take claims up to want keys of a pool from the lanes behind the one that was
// served last, then from the first up to that one.
func (q *Queue) take(tx *store.Tx, pool string, want int, now time.Time) (items []Item, cursor string, err error) {
	began := q.cursor[pool]
	cursor = began
	from, wrapped := began, began == ""
	for {
		lanes := want - len(items) + 16
		got, last, err := q.takeFrom(tx, pool, from, lanes, want-len(items), now)
		if err != nil {
			return nil, "", err
		}
		items = append(items, got...)
		if last != "" {
			cursor = last
		}
		if len(items) >= want {
			return items, cursor, nil
		}
		next := ""
		if err := tx.Query(func(r store.Row) error { return r.Scan(&next) }, positionSQL, pool, from, pool, lanes, lanes); err != nil {
			return nil, "", err
		}
		switch {
		case next == "" && wrapped, wrapped && from < began && next > began:
			return items, cursor, nil
		case next == "":
			from, wrapped = "", true
		default:
			from = next
		}
	}
}

// takeFrom claims up to want keys of a pool from the lanes behind after.
func (q *Queue) takeFrom(tx *store.Tx, pool, after string, lanes, want int, now time.Time) (items []Item, last string, err error) {
	first := firstSQLite
	if tx.Postgres() {
		first = firstPostgres
	}
	err = tx.Query(func(r store.Row) error {
		it, lane, err := q.scanItem(r, false)
		items = append(items, it)
		last = max(last, lane)
		return err
	}, fmt.Sprintf(claimSQL, first), pool, after, pool, lanes, q.o.PerProject, pool, min(q.o.PerProject, want), want, q.owner, now.Add(q.o.Lease).UnixMicro(), now.UnixMicro())
	return items, last, err
}

// scanItem reads itemColumns, and the state where it is asked for. It returns the
// state then, and the lane else.
func (q *Queue) scanItem(r store.Row, state bool) (it Item, text string, err error) {
	dest := []any{&it.Key, &it.Pool, &it.Project, &text, &it.Wanted, &it.Taken, &it.Attempts, &it.Fence}
	if state {
		dest = append(dest, &text)
	}
	err = r.Scan(dest...)
	it.Last = it.Attempts >= q.o.MaxAttempts
	return it, text, err
}
