package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

// kinds are the databases to look at, and what they are called.
func (b *agentBench) kinds() map[bool]string {
	if b.missing != nil {
		return map[bool]string{false: "SQLite"}
	}
	return map[bool]string{false: "SQLite", true: "PostgreSQL"}
}

// details prints what a table of loads does not show.
func (b *agentBench) details(ctx context.Context) error {
	fmt.Println()
	for _, postgres := range []bool{false, true} {
		name, ok := b.kinds()[postgres]
		if !ok {
			continue
		}
		if err := b.syncsPerEvent(ctx, name, postgres); err != nil {
			return err
		}
		if err := b.idle(ctx, name, postgres); err != nil {
			return fmt.Errorf("ingest to delivered: %w", err)
		}
	}
	return nil
}

// syncsPerEvent counts the syncs to disk under load: of the agent with strace, of
// PostgreSQL as it counts them itself.
func (b *agentBench) syncsPerEvent(ctx context.Context, name string, postgres bool) error {
	place, err := b.place(ctx, postgres)
	if err != nil {
		return err
	}
	p, err := b.agent(ctx, place)
	if err != nil {
		return err
	}
	defer p.kill()
	var got loaded
	do := func() error {
		got, err = load{address: p.address(), conns: 64, lasts: 2 * time.Second, bytes: payload, prefix: uuid()}.run(ctx)
		return err
	}
	count := func() (int, error) { return syncs(ctx, p.cmd.Process.Pid, b.dir, do) }
	if postgres {
		count = func() (int, error) { return walSyncs(ctx, place.URL, do) }
	}
	n, err := count()
	if err != nil {
		fmt.Printf("fsyncs per event, %s: not counted: %v\n", name, err)
		return nil
	}
	fmt.Printf("fsyncs per event, %s: %.3f (%d for %d events, 64 connections)\n", name, float64(n)/float64(max(1, got.accepted)), n, got.accepted)
	return nil
}

// walSyncs is how often PostgreSQL synced its log while do ran.
func walSyncs(ctx context.Context, address string, do func() error) (int, error) {
	db, err := sql.Open("pgx", address)
	if err != nil {
		return 0, err
	}
	defer func() { _ = db.Close() }()
	var before, after int
	const query = "SELECT wal_sync FROM pg_stat_wal"
	if err := db.QueryRowContext(ctx, query).Scan(&before); err != nil {
		return 0, err
	}
	if err := do(); err != nil {
		return 0, err
	}
	pause(ctx, 1500*time.Millisecond) // its processes tell their counts once a second
	err = db.QueryRowContext(ctx, query).Scan(&after)
	return after - before, err
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// idle measures the time from the first byte of a webhook to the call of the
// target, one at a time.
func (b *agentBench) idle(ctx context.Context, name string, postgres bool) error {
	gl := gitlabtest.NewServer()
	defer gl.Close()
	scene := gl.Populate()
	calls := newReceiver()
	address, err := calls.listen()
	if err != nil {
		return err
	}
	defer calls.close()
	place, err := b.place(ctx, postgres)
	if err != nil {
		return err
	}
	p, err := b.agentWith(ctx, place, map[string]string{
		"REMORA_GITLAB_URL": gl.URL, "REMORA_GITLAB_TOKEN": scene.Token, "REMORA_PROJECTS": "acme/*", "REMORA_HTTP_URL": "http://" + address + "/",
	})
	if err != nil {
		return err
	}
	defer p.kill()
	var took []time.Duration
	before := scene.Base
	for range 30 {
		after := gl.AddCommit(scene.Project.ID, gitlabtest.Commit{Parents: []string{before}, Branches: []string{"main"}, Paths: []string{"a"}}).SHA
		start := time.Now()
		status, _, err := push{instance: gl.URL, project: scene.Project.Path, projectID: scene.Project.ID, userID: scene.Person.ID, branch: "main", before: before, after: after, commits: 1}.send(ctx, p.url)
		if err != nil || status/100 != 2 {
			return fmt.Errorf("push was answered %d: %w", status, err)
		}
		at, ok := calls.await(ctx, after, 10*time.Second)
		if !ok {
			return fmt.Errorf("%s was not delivered in 10 s\n%s", after, p.log.String())
		}
		took = append(took, at.Sub(start))
		before = after
	}
	slices.Sort(took)
	fmt.Printf("ingest to delivered, idle, %s: median %.1f ms, slowest %.1f ms of %d\n", name, ms(took[len(took)/2]), ms(took[len(took)-1]), len(took))
	return nil
}

// flat measures the way in on an empty database and on one with many events.
func (b *agentBench) flat(ctx context.Context) error {
	if b.stored == 0 {
		return nil
	}
	fmt.Println()
	for _, postgres := range []bool{false, true} {
		name, ok := b.kinds()[postgres]
		if !ok {
			continue
		}
		empty, err := b.measure(ctx, server{name, postgres, b.agent}, 64)
		if err != nil {
			return err
		}
		place, err := b.place(ctx, postgres)
		if err != nil {
			return err
		}
		if err := fill(ctx, place, b.stored); err != nil {
			return fmt.Errorf("fill: %w", err)
		}
		p, err := b.agent(ctx, place)
		if err != nil {
			return err
		}
		full, err := b.load(ctx, p, 64)
		p.kill()
		if err != nil {
			return err
		}
		fmt.Printf("with 1 and with %d stored events, %s: %.0f and %.0f events/s, p99 %.1f and %.1f ms, CPU %.0f and %.0f µs, peak %.0f and %.0f MiB\n", b.stored, name,
			empty.rate(), full.rate(), ms(empty.quantile(0.99)), ms(full.quantile(0.99)), float64(empty.cpu.Nanoseconds())/1000, float64(full.cpu.Nanoseconds())/1000,
			float64(empty.peak)/(1<<20), float64(full.peak)/(1<<20))
		_ = os.RemoveAll(place.Dir)
	}
	return nil
}

// fill stores n events that are routed already.
func fill(ctx context.Context, place store.Config, n int) error {
	s, err := store.Open(ctx, place)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	body := push{instance: "https://gitlab.example.com", project: "load/app", branch: "main", before: strings.Repeat("b", 40), after: strings.Repeat("a", 40), commits: 20}.body()
	var all sync.WaitGroup
	errs := make(chan error, 256)
	next := make(chan int)
	for range cap(errs) {
		all.Go(func() {
			for i := range next {
				_, _, err := s.Append(ctx, store.Event{
					IdempotencyKey: fmt.Sprint("fill-", i), Kind: "push", Project: "load/app", ProjectID: 4711, Ref: "main", SHA: fmt.Sprintf("%040x", i), Body: body,
				})
				if err != nil {
					select {
					case errs <- err:
					default:
					}
				}
			}
		})
	}
	for i := range n {
		if len(errs) > 0 || ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	all.Wait()
	if len(errs) > 0 {
		return <-errs
	}
	return s.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec("UPDATE event SET state = 'ignored', reason = 'filled' WHERE state = 'received'")
		return err
	})
}
