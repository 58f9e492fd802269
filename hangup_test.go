package main

import (
	"context"
	"fmt"
	"os"
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
