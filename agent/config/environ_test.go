package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sethvargo/go-envconfig"

	"gitlab.com/remora-ci/remora/agent/auth"
	"gitlab.com/remora-ci/remora/agent/command"
	"gitlab.com/remora-ci/remora/agent/config"
	"gitlab.com/remora-ci/remora/agent/hooks"
	"gitlab.com/remora-ci/remora/agent/route"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component/report"
	"gitlab.com/remora-ci/remora/component/target"
	"gitlab.com/remora-ci/remora/component/target/direktiv"
)

func TestTheEnvironmentAlone(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "hook")
	if err := os.WriteFile(secret, []byte("hook-secret-of-length\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, warnings, err := config.FromEnv(t.Context(), envconfig.MapLookuper(map[string]string{
		"DIREKTIV_URL": "https://direktiv.example.com", "DIREKTIV_NAMESPACE": "demo", "DIREKTIV_TOKEN": "x-token",
		"REMORA_GITLAB_URL": "https://gitlab.example.com/api/v4/", "CI_SERVER_URL": "https://other.example.com", "REMORA_GITLAB_TOKEN": "glpat-1",
		"REMORA_WEBHOOK_SECRET_FILE": secret, "REMORA_ADMIN_TOKEN": "an-admin-token-of-length", "REMORA_LISTEN": "0.0.0.0:80",
		"REMORA_DATA_DIR": "data", "REMORA_SHUTDOWN_TIMEOUT": "PT40S", "REMORA_TIMEOUT": "90s",
		"REMORA_PROJECTS": "acme/{a,b}, acme/c/** !acme/c/d", "REMORA_REFS": "main", "REMORA_PATHS": "docs/**", "REMORA_NAME": "",
	}))
	if err != nil || len(warnings) > 0 {
		t.Fatalf("got error %v, warnings %v, want none", err, warnings)
	}
	want := &config.Config{
		Instances: []config.Instance{{Name: "gitlab.example.com", URL: "https://gitlab.example.com"}},
		Tokens:    []config.Token{{Name: "default", Instance: "gitlab.example.com", Value: "glpat-1", Projects: []string{"**"}}},
		Targets: []config.Target{{Name: "direktiv", Kind: "direktiv", Config: target.Config{Direktiv: direktiv.Config{
			URL: "https://direktiv.example.com", Namespace: "demo", Token: "x-token", Auth: "auto"}}}},
		Routes: []config.Route{{Timeout: 90 * time.Second, Wait: true, Rule: route.Rule{
			Name: "route 1", Projects: []string{"acme/{a,b}", "acme/c/**", "!acme/c/d"}, Refs: []string{"main"}, Paths: []string{"docs/**"},
			Sync: []string{"direktiv"}, Report: report.Config{Report: "auto", Name: "sync", Note: "update", StatusOn: "pipeline"}}}},
		Auth:     auth.Config{Secrets: "hook-secret-of-length", AdminToken: "an-admin-token-of-length"},
		Store:    store.Config{Dir: "data", Retention: "P30D"},
		Listen:   "0.0.0.0:80",
		Shutdown: 40 * time.Second,
		Commands: command.Config{Enabled: true, Prefix: "/remora", AccessLevel: 30},
		Hooks:    hooks.Config{Kind: hooks.Off},
		Limits:   config.Limits{PerProject: 10, Workers: 64, MaxAttempts: 20, Lease: time.Minute, Memory: 64 << 20},
		Log:      "info",
	}
	if diff := cmp.Diff(want, got, same); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

func TestFaultsOfTheEnvironmentNameTheVariable(t *testing.T) {
	t.Parallel()
	_, warnings, err := config.FromEnv(t.Context(), envconfig.MapLookuper(map[string]string{
		"DIREKTIV_URL": "ftp://x", "DIREKTIV_FAIL_ON_WARN": "perhaps", "REMORA_MIRROR_URL": "https://u:canary@example.com/a.git",
		"REMORA_MIRROR_TOKEN": "canary", "REMORA_MIRROR_TOKEN_FILE": "/nowhere",
		"REMORA_GITLAB_URL": "gitlab", "REMORA_GITLAB_TOKEN_FILE": "/nowhere", "REMORA_LISTEN": "80", "REMORA_DATABASE_URL": "x:canary",
		"REMORA_SHUTDOWN_TIMEOUT": "soon", "REMORA_PROJECTS": "a/[", "REMORA_REFS": "!", "REMORA_OPTIONAL": "port", "REMORA_NOTE": "loud",
		"REMORA_WEBHOOK_SECRET": "short", "REMORA_WEBHOOK_ALLOW": "all", "REMORA_RETENTION": "1d", "REMORA_LOG": "trace", "REMORA_PATHS": "[",
	}))
	if err == nil {
		t.Fatal("got no error")
	}
	text := err.Error() + "\nwarnings:\n" + lines(warnings)
	if strings.Contains(text, "canary") {
		t.Errorf("a secret is told: %s", text)
	}
	golden(t, "environment.txt", text)
}

func TestDefaultsOfTheEnvironment(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		env  map[string]string
		want string
	}{
		"GitLab of the job":    {map[string]string{"CI_SERVER_URL": "https://ci.example.com"}, "https://ci.example.com"},
		"gitlab.com":           {nil, "https://gitlab.com"},
		"an empty one is none": {map[string]string{"REMORA_GITLAB_URL": ""}, "https://gitlab.com"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := map[string]string{"REMORA_HTTP_URL": "https://x.example/", "GITLAB_TOKEN": "glpat-alias"}
			for k, v := range tc.env {
				env[k] = v
			}
			c, warnings, err := config.FromEnv(t.Context(), envconfig.MapLookuper(env))
			if err != nil {
				t.Fatal(err)
			}
			if c.Instances[0].URL != tc.want || c.Listen != "127.0.0.1:8080" || c.Tokens[0].Value.Reveal() != "glpat-alias" {
				t.Errorf("got %+v, want %s", c, tc.want)
			}
			if got := lines(warnings); !strings.HasPrefix(got, "REMORA_WEBHOOK_SECRET: missing") {
				t.Errorf("warnings: got %q, want one of the missing secret", got)
			}
		})
	}
	_, _, err := config.FromEnv(t.Context(), envconfig.MapLookuper(map[string]string{"REMORA_HTTP_URL": "https://x.example/", "REMORA_PROJECTS": " , "}))
	if err == nil || err.Error() != "REMORA_PROJECTS: names nothing; unset it for all" {
		t.Errorf("got %v, want no list of nothing to mean all", err)
	}
	if _, _, err := config.FromEnv(t.Context(), envconfig.MapLookuper(nil)); err == nil || !strings.HasPrefix(err.Error(), "no target is configured") || strings.Contains(err.Error(), "\n") {
		t.Errorf("nothing set: got %v, want the targets missed and nothing more", err)
	}
}

func TestVariablesOverTheFile(t *testing.T) {
	t.Parallel()
	const head = "targets: [{kind: http, url: https://x.example}]\nroutes: [{sync: http}]\nlisten: :1\nwebhook: {secret: '${A}'}\n"
	env := map[string]string{
		"A": "a-secret-of-good-length", "REMORA_LISTEN": ":2", "REMORA_WEBHOOK_SECRET": "another-secret-of-length", "REMORA_DATA_DIR": "here",
		"REMORA_GITLAB_URL": "https://env.example.com", "REMORA_GITLAB_TOKEN": "glpat-env", "DIREKTIV_URL": "https://direktiv.example.com",
		"REMORA_TIMEOUT": "1s", "REMORA_ADMIN_TOKEN": "an-admin-token-of-length",
	}
	for name, tc := range map[string]struct {
		file   string
		tokens []string
	}{
		"no instance and no token in the file": {"", []string{"default ** glpat-env"}},
		"a token for everything is replaced":   {"tokens: [{name: a, token: '${A}'}]\n", []string{"a ** glpat-env"}},
		"a token for a group stays":            {"gitlab: [{url: https://file.example.com}]\ntokens: [{name: a, token: '${A}', projects: acme/**}]\n", []string{"a acme/** a-secret-of-good-length", "default ** glpat-env"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, warnings, err := parse(head+tc.file, env)
			if err != nil {
				t.Fatal(err)
			}
			got := []string{c.Instances[0].URL, c.Listen, c.Auth.Secrets.Reveal(), c.Auth.AdminToken.Reveal(), c.Store.Dir, c.Routes[0].Timeout.String()}
			want := []string{"https://env.example.com", ":2", "another-secret-of-length", "an-admin-token-of-length", "here", "5m0s"}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
			var tokens []string
			for _, tok := range c.Tokens {
				tokens = append(tokens, tok.Name+" "+strings.Join(tok.Projects, ",")+" "+tok.Value.Reveal())
			}
			if diff := cmp.Diff(tc.tokens, tokens); diff != "" {
				t.Errorf("tokens: want -, got +:\n%s", diff)
			}
			if got, want := lines(warnings), "DIREKTIV_URL: not read beside a file; targets and routes come from remora.yaml\n"; got != want {
				t.Errorf("warnings: got %q, want %q", got, want)
			}
		})
	}
	_, _, err := parse(head+"gitlab: [{url: https://a.example}, {url: https://b.example}]\n", env)
	if want := "REMORA_GITLAB_URL: set, and remora.yaml names 2 instances; unset it"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

// An agent that says how it is reached takes jobs too.
func TestTheAgentsAddressFromTheEnvironment(t *testing.T) {
	t.Parallel()
	env := map[string]string{"REMORA_HTTP_URL": "https://x.example/", "REMORA_WEBHOOK_SECRET": "a-hook-secret-of-length", "REMORA_GITLAB_TOKEN": "glpat-1", "REMORA_URL": "https://remora.example.com/"}
	c, warnings, err := config.FromEnv(t.Context(), envconfig.MapLookuper(env))
	if err != nil || len(warnings) > 0 {
		t.Fatalf("got error %v, warnings %v, want none", err, warnings)
	}
	if c.URL != "https://remora.example.com" || c.Hooks.Enabled() {
		t.Errorf("got %q and hooks %+v, want the address without its slash, and no hooks", c.URL, c.Hooks)
	}
	if diff := cmp.Diff([]string{"push", "tag_push", "merge_request", "job"}, c.Routes[0].On); diff != "" || c.Routes[0].Open {
		t.Errorf("the route is open: %v; its kinds: want -, got +:\n%s", c.Routes[0].Open, diff)
	}
	for _, s := range c.Settings() {
		if (s.Key == "url" || s.Key == "routes[0].on") != (s.Origin.String() == "REMORA_URL") {
			t.Errorf("%s comes from %s", s.Key, s.Origin)
		}
	}
	env["REMORA_URL"] = "remora.example.com"
	_, _, err = config.FromEnv(t.Context(), envconfig.MapLookuper(env))
	if want := "REMORA_URL: want the agent's address, such as https://remora.example.com"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// What hooks and routes are made of is shown, with where it comes from.
func TestHooksAreShown(t *testing.T) {
	t.Parallel()
	c, _, err := load(t, "testdata/remora.yaml", sampleEnv())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, s := range c.Settings() {
		got[s.Key] = fmt.Sprint(s.Value) + " " + strings.TrimPrefix(s.Origin.String(), "testdata/")
	}
	for key, want := range map[string]string{
		"url": "https://remora.example.com remora.yaml:23:6", "hooks.kind": "group remora.yaml:", "hooks.url": "https://remora.example.com/hooks/gitlab remora.yaml:23:6",
		"hooks.heal": "PT15M remora.yaml:", "hooks.groups[1].events": "[push tag_push] remora.yaml:", "tokens[0].rotate": "true remora.yaml:", "commands.access_level": "developer remora.yaml:",
		"routes[0].protected": "true default", "routes[1].debounce": "2s remora.yaml:", "routes[2].forks": "never remora.yaml:", "id_tokens.audience": "[https://sync.example.com] remora.yaml:",
	} {
		if !strings.HasPrefix(got[key], want) {
			t.Errorf("%s is %q, want %q", key, got[key], want)
		}
	}
}
