package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sethvargo/go-envconfig"

	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

// The signal itself, as systemd and Kubernetes send it.
func TestHangupReadsTheConfigurationAgain(t *testing.T) {
	t.Parallel()
	git := gitlabtest.New(t)
	scene := git.Populate()
	file := filepath.Join(t.TempDir(), "remora.yaml")
	write := func(more string) {
		t.Helper()
		text := fmt.Sprintf(`
gitlab: [{url: %q}]
tokens: [{name: bot, token: '${REMORA_GITLAB_TOKEN}'}]
targets: [{name: site, kind: http, url: 'http://127.0.0.1:1'}]
routes: [{name: all, sync: [site]}]
webhook: {secret: '${REMORA_WEBHOOK_SECRET}'}
%s`, git.URL, more)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("")
	env := map[string]string{"REMORA_LISTEN": "127.0.0.1:0", "REMORA_DATA_DIR": t.TempDir(), "REMORA_GITLAB_TOKEN": scene.Token, "REMORA_WEBHOOK_SECRET": "hook-canary-0123456789"}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var out, log shared
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"remora", "agent", "--config", file}, envconfig.MapLookuper(env), &out, &log)
	}()
	eventually(t, &log, "start", func() bool { return strings.Contains(log.String(), "agent started") })

	hangup := func() {
		t.Helper()
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	write("routs: []\n")
	hangup()
	eventually(t, &log, "refusal of a file with a fault", func() bool {
		return strings.Contains(log.String(), "the running one stays") && strings.Contains(log.String(), "routs")
	})
	write("limits: {per_project: 3}\n")
	hangup()
	eventually(t, &log, "new configuration", func() bool { return strings.Contains(log.String(), "configuration loaded") })
	stop()
	if got := <-code; got != 0 {
		t.Errorf("got exit code %d, want 0", got)
	}
}

// A signal that comes while the agent starts does not end it: the configuration is
// read once more.
func TestAnEarlyHangupDoesNotEndTheAgent(t *testing.T) {
	t.Parallel()
	git := gitlabtest.New(t)
	pipe := filepath.Join(t.TempDir(), "remora.yaml") // it has a reader while the agent reads its configuration
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skipf("no named pipes here: %v", err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Args = []string{"remora", "agent"} // see TestMain
	cmd.Env = append(os.Environ(), "REMORA_CONFIG="+pipe, "REMORA_LISTEN=127.0.0.1:0", "REMORA_DATA_DIR="+t.TempDir())
	var log shared
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	reads := func() (f *os.File) {
		t.Helper()
		eventually(t, &log, "reading of the configuration", func() bool {
			var err error
			f, err = os.OpenFile(pipe, os.O_WRONLY|syscall.O_NONBLOCK, 0)
			return err == nil
		})
		return f
	}
	write := func(f *os.File) {
		t.Helper()
		_, err := fmt.Fprintf(f, "gitlab: [{url: %q}]\ntargets: [{name: site, kind: http, url: 'http://127.0.0.1:1'}]\nroutes: [{sync: [site]}]\n", git.URL)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	first := reads()
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	write(first)
	eventually(t, &log, "start", func() bool { return strings.Contains(log.String(), "agent started") })
	write(reads())
	eventually(t, &log, "new configuration", func() bool { return strings.Contains(log.String(), "configuration loaded") })
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the agent ended with %v; log:\n%s", err, log.String())
	}
}
