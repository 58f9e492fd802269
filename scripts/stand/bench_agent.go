package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"text/tabwriter"
	"time"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/store/storetest"
)

// agentBench measures how the agent accepts webhooks, beside handlers that do
// less. It asserts nothing: figures depend on the machine.
type agentBench struct {
	dir, binary, self string
	seconds           time.Duration // of each row
	stored            int           // events for "flat cost"
	postgres          *storetest.Server
	missing           error // why there is no PostgreSQL
	databases         int
}

// server is one process to measure.
type server struct {
	name string
	sql  bool // in PostgreSQL
	run  func(ctx context.Context, place store.Config) (*process, error)
}

// row is what one load on one server gave.
type row struct {
	loaded
	cpu  time.Duration // of the process, for each accepted
	peak int64
}

func benchAgent(ctx context.Context, binary string, seconds, stored int) error {
	dir, err := os.MkdirTemp("", "remora-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b := &agentBench{dir: dir, seconds: time.Duration(min(max(seconds, 1), 60)) * time.Second, stored: min(max(stored, 0), maxEvents)}
	if b.binary, err = build(ctx, binary, dir); err != nil {
		return err
	}
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	if b.postgres, b.missing = storetest.Start(); b.missing == nil {
		defer func() { _ = b.postgres.Close() }()
	}
	for _, part := range []func(context.Context) error{b.accepting, b.details, b.flat} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

// servers are those that are loaded, least work first.
func (b *agentBench) servers() []server {
	list := []server{
		{"Go handler that does nothing", false, b.handler("nothing")},
		{"one row per request, SQLite", false, b.handler("row")},
		{"remora agent, SQLite", false, b.agent},
	}
	if b.missing != nil {
		fmt.Printf("No rows of PostgreSQL: %v\n", b.missing)
		return list
	}
	return append(list, server{"one row per request, PostgreSQL", true, b.handler("row")}, server{"remora agent, PostgreSQL", true, b.agent})
}

// accepting prints the table.
func (b *agentBench) accepting(ctx context.Context) error {
	fmt.Printf("accepting push webhooks of %d KB for %s each, on loopback; the generator shares the machine\n\n", payload>>10, b.seconds)
	servers := b.servers()
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(t, "conns\tserver\tevents/s\tp50 ms\tp99 ms\tCPU µs/event\tpeak MiB\trefused\t")
	for _, conns := range []int{64, 256} {
		for _, s := range servers {
			r, err := b.measure(ctx, s, conns)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			_, _ = fmt.Fprintf(t, "%d\t%s\t%.0f\t%.1f\t%.1f\t%.0f\t%.0f\t%d\t\n", conns, s.name, r.rate(),
				ms(r.quantile(0.5)), ms(r.quantile(0.99)), float64(r.cpu.Nanoseconds())/1000, float64(r.peak)/(1<<20), r.refused)
		}
	}
	return t.Flush()
}

// measure starts a server on an empty database, warms it up and loads it.
func (b *agentBench) measure(ctx context.Context, s server, conns int) (row, error) {
	place, err := b.place(ctx, s.sql)
	if err != nil {
		return row{}, err
	}
	p, err := s.run(ctx, place)
	if err != nil {
		return row{}, err
	}
	defer p.kill()
	return b.load(ctx, p, conns)
}

const payload = 10 << 10

// load warms a process up and loads it.
func (b *agentBench) load(ctx context.Context, p *process, conns int) (row, error) {
	l := load{address: p.address(), conns: conns, lasts: 300 * time.Millisecond, bytes: payload, prefix: "warm-up"}
	if _, err := l.run(ctx); err != nil {
		return row{}, fmt.Errorf("%w\n%s", err, p.log.String())
	}
	before, err := cpu(p.cmd.Process.Pid)
	if err != nil {
		return row{}, err
	}
	l.lasts, l.prefix = b.seconds, uuid()
	got, err := l.run(ctx)
	if err != nil {
		return row{}, fmt.Errorf("%w\n%s", err, p.log.String())
	}
	after, err := cpu(p.cmd.Process.Pid)
	if err != nil {
		return row{}, err
	}
	most, err := peak(p.cmd.Process.Pid)
	return row{got, (after - before) / time.Duration(max(1, got.accepted)), most}, err
}

// place is an empty database.
func (b *agentBench) place(ctx context.Context, sql bool) (store.Config, error) {
	b.databases++
	name := "bench_" + strconv.Itoa(b.databases)
	if sql {
		address, err := b.postgres.Create(ctx, name)
		return store.Config{URL: address}, err
	}
	dir := filepath.Join(b.dir, name)
	return store.Config{Dir: dir}, os.Mkdir(dir, 0o700)
}

// handler runs this program as the handler of that kind.
func (b *agentBench) handler(kind string) func(context.Context, store.Config) (*process, error) {
	return func(ctx context.Context, place store.Config) (*process, error) {
		address, err := freeAddress()
		if err != nil {
			return nil, err
		}
		return start(ctx, address, "/readyz", os.Environ(), b.self, "handler", "--kind", kind, "--listen", address, "--data-dir", place.Dir, "--database-url", place.URL)
	}
}

// agent runs an agent whose one route matches nothing: what is measured is the
// way in, with each event stored, routed and marked as ignored.
func (b *agentBench) agent(ctx context.Context, place store.Config) (*process, error) {
	return b.agentWith(ctx, place, map[string]string{
		"REMORA_GITLAB_URL": "https://gitlab.example.com", "REMORA_PROJECTS": "nobody/*", "REMORA_HTTP_URL": "http://127.0.0.1:9/",
	})
}

func (b *agentBench) agentWith(ctx context.Context, place store.Config, vars map[string]string) (*process, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	return startAgent(ctx, b.binary, address, map[string]string{
		"HOME": b.dir, "REMORA_DATA_DIR": place.Dir, "REMORA_DATABASE_URL": place.URL, "REMORA_WEBHOOK_SECRET": webhookSecret + " " + signingToken(), "REMORA_LOG": "error",
	}, vars)
}
