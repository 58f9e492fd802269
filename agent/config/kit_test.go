package config_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sethvargo/go-envconfig"

	"gitlab.com/remora-ci/remora/agent/config"
)

var update = flag.Bool("update", false, "write golden files")

// sampleEnv are the variables of testdata/remora.yaml.
func sampleEnv() map[string]string {
	return map[string]string{
		"GITLAB_BOT_TOKEN": "glpat-bot-canary", "LAB_BOT_TOKEN": "glpat-lab-canary",
		"DIREKTIV_PROD_TOKEN": "direktiv-canary-p", "DIREKTIV_STAGING_TOKEN": "direktiv-canary-s", "BUILDS_KEY": "builds-canary-key",
		"HOOK_SECRET": "hook-canary-secret-new", "HOOK_SECRET_OLD": "hook-canary-secret-old",
		"REMORA_ADMIN": "admin-canary-token-long", "DB_PASSWORD": "db-canary-password",
		"REMORA_KEY": "Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5LWNhbmE=",
	}
}

func load(t *testing.T, file string, env map[string]string) (*config.Config, []config.Warning, error) {
	t.Helper()
	return config.Load(t.Context(), file, envconfig.MapLookuper(env))
}

func parse(text string, env map[string]string) (*config.Config, []config.Warning, error) {
	return config.Parse("remora.yaml", []byte(text), envconfig.MapLookuper(env))
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (run with -update to accept)\ngot:\n%s\nwant:\n%s", file, got, want)
	}
}

func lines(warnings []config.Warning) string {
	var b strings.Builder
	for _, w := range warnings {
		b.WriteString(w.String() + "\n")
	}
	return b.String()
}
