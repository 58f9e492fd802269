package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sethvargo/go-envconfig"

	"gitlab.com/remora-ci/remora/component/target/direktiv/direktivtest"
)

const gitCanary = "glpat-canary-77aa88bb"

// remora runs a command line with only the given variables. Its tests are not
// parallel: the command line library keeps state in its package.
func remora(t *testing.T, env map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(context.Background(), append([]string{"remora"}, args...), envconfig.MapLookuper(env), &out, &errs)
	for _, text := range []string{out.String(), errs.String()} {
		if strings.Contains(text, gitCanary) {
			t.Errorf("remora %s shows a secret: %s", strings.Join(args, " "), text)
		}
	}
	return code, out.String(), errs.String()
}

func TestAMirrorIsCreatedSyncedChangedAndShown(t *testing.T) {
	for _, g := range direktivtest.Generations() {
		t.Run(string(g), func(t *testing.T) {
			srv := direktivtest.NewServer(direktivtest.Options{Generation: g, Key: "key", GitPassword: gitCanary, Refs: []string{"main"}})
			defer srv.Close()
			env := map[string]string{"DIREKTIV_URL": srv.URL, "DIREKTIV_TOKEN": "key", "DIREKTIV_GIT_TOKEN": gitCanary}

			code, out, errs := remora(t, env, "mirror", "create", "--namespace", "shop", "--url", "https://gitlab.example.com/acme/app.git", "--ref", "main", "--sync")
			if code != 0 || !strings.Contains(out, "https://gitlab.example.com/acme/app.git") || !strings.Contains(out, "  synced\n") {
				t.Fatalf("create: exit %d\n%s%s\nwant 0, the mirror and a sync that worked", code, out, errs)
			}
			delete(env, "DIREKTIV_GIT_TOKEN")
			code, out, errs = remora(t, env, "mirror", "update", "--namespace", "shop", "--ref", "gone", "--sync")
			if code != 1 || !strings.Contains(errs, "try: a mirror follows a branch by its plain name") || !strings.Contains(out, "failed: reference not found") {
				t.Errorf("update: exit %d\n%s%s\nwant 1, cause and remedy", code, out, errs)
			}
			code, out, errs = remora(t, env, "mirror", "show", "--namespace", "shop", "--last", "1", "--output", "json")
			var view struct {
				Ref   string
				Syncs []struct{ Status string }
			}
			if err := json.Unmarshal([]byte(out), &view); err != nil || code != 0 || view.Ref != "gone" || len(view.Syncs) != 1 || view.Syncs[0].Status != "failed" {
				t.Errorf("show: exit %d, %+v, %v\n%s; want the ref and the failed sync", code, view, err, errs)
			}
		})
	}
}

func TestAMirrorCommandThatCannotBeTriedIsMisuse(t *testing.T) {
	srv := direktivtest.NewServer(direktivtest.Options{})
	defer srv.Close()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(gitCanary+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	base := map[string]string{"DIREKTIV_URL": srv.URL, "DIREKTIV_NAMESPACE": "shop"}
	for name, c := range map[string]struct {
		env  map[string]string
		args []string
		want []string
	}{
		"everything missing":       {nil, []string{"create"}, []string{"DIREKTIV_URL: missing", "DIREKTIV_NAMESPACE: missing", "--url: missing", "--ref: missing"}},
		"everything wrong to show": {nil, []string{"show", "--last", "51", "--timeout", "soon"}, []string{"DIREKTIV_URL: missing", "--last: want", "REMORA_TIMEOUT"}},
		"URL and ref missing":      {base, []string{"create"}, []string{"--url: missing", "--ref: missing"}},
		"two sources of a secret":  {with(base, "DIREKTIV_GIT_TOKEN", "x", "DIREKTIV_GIT_TOKEN_FILE", file), []string{"update"}, []string{"DIREKTIV_GIT_TOKEN: set, and"}},
		"a file that is not there": {with(base, "DIREKTIV_GIT_TOKEN_FILE", file+"x"), []string{"update"}, []string{"DIREKTIV_GIT_TOKEN_FILE: open"}},
		"a token and an http URL":  {with(base, "DIREKTIV_GIT_TOKEN_FILE", file), []string{"update", "--url", "http://h/a.git"}, []string{"--url: a token needs an https URL"}},
		"too many syncs":           {base, []string{"show", "--last", "99"}, []string{"--last: want 0 to 50"}},
		"a secret as a flag":       {base, []string{"create", "--git-token", "x"}, []string{"not defined: -git-token"}},
		"an argument":              {base, []string{"show", "shop"}, []string{`unexpected argument "shop"`}},
		"no such command":          {base, []string{"delete"}, []string{`unknown command "delete"`}},
		"a bad output":             {base, []string{"show", "--output", "xml"}, []string{"REMORA_OUTPUT: want table or json"}},
		"a bad timeout":            {base, []string{"show", "--timeout", "5"}, []string{"REMORA_TIMEOUT: want a duration"}},
	} {
		code, out, errs := remora(t, c.env, append([]string{"mirror"}, c.args...)...)
		if code != 2 {
			t.Errorf("%s: exit %d\n%s%s\nwant 2", name, code, out, errs)
		}
		for _, w := range c.want {
			if !strings.Contains(errs, w) {
				t.Errorf("%s: stderr %q, want %q in it", name, errs, w)
			}
		}
	}
	if n := len(srv.Requests()); n != 0 {
		t.Errorf("%d requests were sent, want none", n)
	}
}

func TestARefusalIsShownWithItsRemedyAndAsJSON(t *testing.T) {
	srv := direktivtest.NewServer(direktivtest.Options{Key: "key"})
	defer srv.Close()
	env := map[string]string{"DIREKTIV_URL": srv.URL, "DIREKTIV_NAMESPACE": "demo", "DIREKTIV_TOKEN": gitCanary}
	code, _, errs := remora(t, env, "mirror", "show")
	if code != 1 || !strings.Contains(errs, "token refused") || !strings.Contains(errs, "try: set DIREKTIV_TOKEN") || !strings.Contains(errs, "request: GET "+srv.URL) {
		t.Errorf("exit %d, stderr %q; want 1, summary, remedy and request", code, errs)
	}
	code, out, _ := remora(t, env, "mirror", "show", "--output", "json")
	var told struct {
		Error []string
		Code  int `json:"exit_code"`
	}
	if err := json.Unmarshal([]byte(out), &told); err != nil || code != 1 || told.Code != 1 || len(told.Error) != 3 {
		t.Errorf("exit %d, %q, %v; want the same as JSON", code, out, err)
	}
}

func TestTheHelpOfAMirrorCommandHasExamples(t *testing.T) {
	for _, name := range []string{"create", "update", "show"} {
		code, out, _ := remora(t, nil, "mirror", name, "--help")
		if code != 0 || !strings.Contains(out, "EXAMPLES") || !strings.Contains(out, "DIREKTIV_TOKEN") || !strings.Contains(out, "--direktiv-url") {
			t.Errorf("%s --help: exit %d\n%s\nwant examples, secrets and flags", name, code, out)
		}
	}
	if _, out, _ := remora(t, nil, "mirror"); !strings.Contains(out, "create") || !strings.Contains(out, "show") {
		t.Errorf("remora mirror: %q, want its commands", out)
	}
}

// with is env with more variables, given as name and value in turn.
func with(env map[string]string, more ...string) map[string]string {
	all := map[string]string{}
	for k, v := range env {
		all[k] = v
	}
	for i := 0; i < len(more); i += 2 {
		all[more[i]] = more[i+1]
	}
	return all
}
