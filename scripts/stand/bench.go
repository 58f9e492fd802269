package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"
)

// contender is one command to measure.
type contender struct {
	name string
	args []string
	vars map[string]string
	job  func(id int64) map[string]string // in place of the usual environment of a job
}

// measure is what one run cost.
type measure struct {
	wall, cpu time.Duration
	rss       int64 // bytes
	requests  int
}

// bench runs the contenders in turn, so that each meets the same machine, and
// prints the median of each. It asserts nothing: figures depend on the machine.
func bench(ctx context.Context, binary string, runs int) error {
	dir, err := os.MkdirTemp("", "remora-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if binary, err = build(ctx, binary, dir); err != nil {
		return err
	}
	w, err := open("127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer w.close()
	contenders := w.contenders(binary, dir)
	agent, err := w.benchedAgent(ctx, binary, dir)
	if err != nil {
		return err
	}
	defer agent.kill()
	contenders = append(contenders, contender{
		"remora sync, asking the agent", []string{binary, "sync"}, map[string]string{"HOME": dir, "CI_PROJECT_DIR": dir},
		func(id int64) map[string]string { return w.bare(id, agent.url) },
	})
	results := make([][]measure, len(contenders))
	for run := range runs + 1 {
		for i, c := range contenders {
			m, err := w.measure(ctx, c, run)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			if run > 0 { // the first run warms up
				results[i] = append(results[i], m)
			}
		}
	}
	return print(binary, runs, contenders, results)
}

func (w *world) contenders(binary, dir string) []contender {
	sync := w.settings()
	sync["HOME"], sync["CI_PROJECT_DIR"] = dir, dir
	list := []contender{
		{"remora version (start-up alone)", []string{binary, "version"}, nil, nil},
		{"remora sync, report off", []string{binary, "sync", "--report", "off"}, sync, nil},
		{"remora sync, status and note", []string{binary, "sync"}, sync, nil},
	}
	curl, err := exec.LookPath("curl")
	if err != nil {
		fmt.Println("curl is not on this machine: its row is missing")
		return list
	}
	// As in Direktiv's article, on the route that still exists: it awaits nothing
	// and reports nothing.
	article := contender{"curl, as in Direktiv's article", []string{
		curl, "-s", "-o", os.DevNull, "-X", "POST", "-H", "direktiv-token: " + direktivToken, w.direkURL + "/api/v2/namespaces/demo/syncs",
	}, nil, nil}
	return append([]contender{article}, list...)
}

func (w *world) measure(ctx context.Context, c contender, run int) (measure, error) {
	vars := w.job()
	if vars["CI_JOB_ID"] = fmt.Sprint(8000 + run); c.job != nil {
		vars = c.job(int64(8000 + run))
	}
	cmd := exec.CommandContext(ctx, c.args[0], c.args[1:]...)
	cmd.Env = environ(vars, c.vars)
	before := w.requests()
	start := time.Now()
	out, err := cmd.CombinedOutput()
	wall := time.Since(start)
	if err != nil {
		return measure{}, fmt.Errorf("%w\n%s", err, out)
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return measure{}, errors.New("this system does not tell what a process used")
	}
	w.settle()
	return measure{wall, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), usage.Maxrss << 10, w.requests() - before}, nil
}

// benchedAgent is an agent that serves jobs, with the same Direktiv behind it.
func (w *world) benchedAgent(ctx context.Context, binary, dir string) (*process, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	return startAgent(ctx, binary, address, w.settings(), map[string]string{
		"HOME": dir, "REMORA_DATA_DIR": filepath.Join(dir, "agent"), "REMORA_GITLAB_URL": w.gitlab.URL, "REMORA_WEBHOOK_SECRET": signingToken(),
		"REMORA_URL": "http://" + address, "REMORA_PROJECTS": "acme/*", "REMORA_LOG": "error",
	})
}

// settle ends what curl started and did not await, so that the next run meets an
// idle Direktiv.
func (w *world) settle() { w.direktiv.Release() }

func (w *world) requests() int { return len(w.gitlab.Requests()) + len(w.direktiv.Requests()) }

func print(binary string, runs int, contenders []contender, results [][]measure) error {
	info, err := os.Stat(binary)
	if err != nil {
		return err
	}
	fmt.Printf("median of %d runs in turn, on loopback; binary %.1f MiB\n\n", runs, float64(info.Size())/(1<<20))
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(t, "command\twall ms\t(least)\tCPU ms\tpeak MiB\trequests\t")
	for i, c := range contenders {
		m := results[i]
		_, _ = fmt.Fprintf(t, "%s\t%.1f\t%.1f\t%.1f\t%.1f\t%d\t\n", c.name,
			ms(median(m, func(m measure) time.Duration { return m.wall })),
			ms(slices.MinFunc(m, func(a, b measure) int { return int(a.wall - b.wall) }).wall),
			ms(median(m, func(m measure) time.Duration { return m.cpu })),
			float64(median(m, func(m measure) int64 { return m.rss }))/(1<<20),
			median(m, func(m measure) int { return m.requests }))
	}
	return t.Flush()
}

func median[T int | int64 | time.Duration](list []measure, of func(measure) T) T {
	values := make([]T, len(list))
	for i, m := range list {
		values[i] = of(m)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
