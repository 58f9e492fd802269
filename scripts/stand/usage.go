package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// tick is what /proc counts the time of a process in, on every Linux.
const tick = 10 * time.Millisecond

// cpu is the time that a running process has used.
func cpu(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(string(text), ") ") // the name may hold anything
	fields := strings.Fields(rest)
	if !ok || len(fields) < 13 {
		return 0, errors.New("this system does not tell what a process used")
	}
	var sum int64
	for _, field := range fields[11:13] { // utime, stime
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return time.Duration(sum) * tick, nil
}

// peak is the most memory that a running process had, in bytes.
func peak(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(text)
	if m == nil {
		return 0, errors.New("this system does not tell the memory of a process")
	}
	kib, err := strconv.ParseInt(string(m[1]), 10, 64)
	return kib << 10, err
}

var syncCalls = regexp.MustCompile(`(?m)^\s*\S+\s+\S+\s+\S+\s+(\d+)\s.*\b(?:fsync|fdatasync)$`)

// syncs counts the fsyncs and fdatasyncs of a process while do runs, with strace.
func syncs(ctx context.Context, pid int, dir string, do func() error) (int, error) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		return 0, errors.New("strace is not on this machine")
	}
	file := filepath.Join(dir, "strace")
	cmd := exec.CommandContext(ctx, strace, "-f", "-c", "-e", "trace=fsync,fdatasync", "-o", file, "-p", strconv.Itoa(pid))
	var log tail
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	if err := attached(ctx, &log); err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return 0, err
	}
	err = do()
	_ = cmd.Process.Signal(os.Interrupt) // it lets the process go on, and writes its table
	_ = cmd.Wait()                       // it ends as the signal says
	if err != nil {
		return 0, err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	sum := 0
	for _, m := range syncCalls.FindAllStringSubmatch(string(text), -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// attached waits until strace says that it has the process.
func attached(ctx context.Context, log *tail) error {
	wait := time.NewTicker(10 * time.Millisecond)
	defer wait.Stop()
	for range 300 {
		select {
		case <-wait.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		text := log.String()
		switch {
		case strings.Contains(text, "ttached"):
			return nil
		case strings.Contains(text, "ermitted"), strings.Contains(text, "annot"):
			return errors.New("strace may not look at a process here")
		}
	}
	return errors.New("strace does not begin")
}
