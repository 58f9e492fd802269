package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sethvargo/go-envconfig"

	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
	"gitlab.com/remora-ci/remora/component/target/direktiv/direktivtest"
)

// shared is a buffer that several goroutines write to and read.
type shared struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *shared) String() string { s.mu.Lock(); defer s.mu.Unlock(); return s.text.String() }

// agentEnv are the variables of an agent beside a GitLab and a Direktiv; there is
// no file.
func agentEnv(t *testing.T, git *gitlabtest.Server, scene gitlabtest.Scene) map[string]string {
	t.Helper()
	direktiv := direktivtest.NewServer(direktivtest.Options{
		Key: "direktiv-canary", Mirror: &direktivtest.Mirror{URL: git.URL + "/acme/app.git", GitRef: "feature"},
	})
	t.Cleanup(direktiv.Close)
	return map[string]string{
		"REMORA_LISTEN": "127.0.0.1:0", "REMORA_DATA_DIR": t.TempDir(), "REMORA_GITLAB_URL": git.URL, "REMORA_GITLAB_TOKEN": scene.Token,
		"REMORA_WEBHOOK_SECRET": "hook-canary-0123456789", "DIREKTIV_URL": direktiv.URL, "DIREKTIV_NAMESPACE": "demo", "DIREKTIV_TOKEN": "direktiv-canary",
		"REMORA_LOG": "debug",
	}
}

func TestAgentFromTheEnvironment(t *testing.T) {
	t.Parallel()
	git := gitlabtest.New(t)
	scene := git.Populate()
	env := agentEnv(t, git, scene)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var out, log shared
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"remora", "agent"}, envconfig.MapLookuper(env), &out, &log)
	}()
	eventually(t, &log, "start", func() bool { return strings.Contains(log.String(), "agent started") })
	address := regexp.MustCompile(`"address":"([^"]+)"`).FindStringSubmatch(log.String())[1]

	body, err := json.Marshal(map[string]any{
		"object_kind": "push", "ref": "refs/heads/feature", "before": scene.Base, "after": scene.SHA, "checkout_sha": scene.SHA,
		"user_id": scene.Person.ID, "project_id": 42,
		"project": map[string]any{"id": 42, "path_with_namespace": "acme/app", "web_url": git.URL + "/acme/app", "default_branch": "main"},
	})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/integration/webhook", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Gitlab-Token", env["REMORA_WEBHOOK_SECRET"])
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	answer, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if res.StatusCode != http.StatusAccepted {
		t.Fatalf("webhook: %d %s", res.StatusCode, answer)
	}
	eventually(t, &log, "status and note", func() bool {
		all := git.Statuses(42, scene.SHA)
		return len(all) == 1 && all[0].State == "success" && all[0].Name == "sync/direktiv" && len(git.Notes(42, 7)) == 1
	})
	stop()
	if got := <-code; got != 0 {
		t.Errorf("got exit code %d after a signal, want 0", got)
	}
	for line := range strings.SplitSeq(strings.TrimSpace(log.String()), "\n") {
		if !json.Valid([]byte(line)) {
			t.Errorf("log line is no JSON: %s", line)
		}
	}
	for _, secret := range []string{"canary", scene.Token} {
		if strings.Contains(log.String()+out.String()+git.Notes(42, 7)[0].Body, secret) {
			t.Errorf("a secret was told: %s", log.String())
		}
	}
}

func TestAgentMisuse(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		env  map[string]string
		args []string
		want []string
	}{
		"nothing configured":               {nil, nil, []string{"DIREKTIV_URL"}},
		"everything wrong is told at once": {map[string]string{"DIREKTIV_URL": "ftp://x", "REMORA_LISTEN": "x", "REMORA_RETENTION": "never"}, nil, []string{"DIREKTIV_URL", "REMORA_LISTEN", "REMORA_RETENTION"}},
		"a file that is not there":         {nil, []string{"--config", "/nowhere/remora.yaml"}, []string{"/nowhere/remora.yaml"}},
		"an argument":                      {nil, []string{"start"}, []string{"start"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := map[string]string{"REMORA_DATA_DIR": t.TempDir()}
			for k, v := range tc.env {
				env[k] = v
			}
			var out, errs shared
			if code := run(t.Context(), append([]string{"remora", "agent"}, tc.args...), envconfig.MapLookuper(env), &out, &errs); code != 2 {
				t.Errorf("got exit code %d, want 2", code)
			}
			for _, want := range tc.want {
				if !strings.Contains(errs.String(), want) {
					t.Errorf("the error does not name %s: %s", want, errs.String())
				}
			}
		})
	}
}

func eventually(t *testing.T, log fmt.Stringer, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("no %s after 20 s; log:\n%s", what, log)
		}
	}
}
