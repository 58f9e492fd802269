package component_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"github.com/sethvargo/go-envconfig"

	"gitlab.com/remora-ci/remora/component"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
	"gitlab.com/remora-ci/remora/component/target/direktiv/direktivtest"
)

// fixture is a merge-request job beside a GitLab and a Direktiv.
type fixture struct {
	gitlab   *gitlabtest.Server
	scene    gitlabtest.Scene
	direktiv *direktivtest.Server
	vars     map[string]string
	log      strings.Builder
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{gitlab: gitlabtest.New(t)}
	f.scene = f.gitlab.Populate()
	f.direktiv = direktivtest.NewServer(direktivtest.Options{
		Key: "direktiv-canary", Mirror: &direktivtest.Mirror{URL: f.gitlab.URL + "/acme/app.git", GitRef: "feature"},
	})
	t.Cleanup(f.direktiv.Close)
	f.vars = map[string]string{
		"CI_SERVER_URL": f.gitlab.URL, "CI_PROJECT_ID": "42", "CI_PROJECT_PATH": "acme/app", "CI_PROJECT_URL": f.gitlab.URL + "/acme/app",
		"CI_PROJECT_DIR": t.TempDir(), "CI_DEFAULT_BRANCH": "main", "CI_COMMIT_REF_NAME": "feature", "CI_COMMIT_SHA": f.scene.SHA,
		"CI_PIPELINE_ID": fmt.Sprint(f.scene.Pipeline.ID), "CI_PIPELINE_SOURCE": "push", "CI_JOB_ID": "7001",
		"DIREKTIV_URL": f.direktiv.URL, "DIREKTIV_NAMESPACE": "demo", "DIREKTIV_TOKEN": "direktiv-canary", "REMORA_GITLAB_TOKEN": f.scene.Token,
	}
	return f
}

func (f *fixture) load(t *testing.T) component.Config {
	t.Helper()
	c, err := component.Load(t.Context(), nil, envconfig.MapLookuper(f.vars))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (f *fixture) run(t *testing.T) component.Result {
	t.Helper()
	r, err := component.Run(f.context(t), f.load(t), "1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (f *fixture) context(t *testing.T) context.Context {
	return zerolog.New(zerolog.SyncWriter(&f.log)).WithContext(t.Context())
}

func (f *fixture) notes() []gitlabtest.Note { return f.gitlab.Notes(42, 7) }

func TestMergeRequestIsFound(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		set  map[string]string
		want int // notes on !7
	}{
		{"from the merge request's own variables", map[string]string{"CI_MERGE_REQUEST_IID": "7", "CI_MERGE_REQUEST_PROJECT_ID": "42"}, 1},
		{"from the open merge requests of a branch pipeline", map[string]string{"CI_OPEN_MERGE_REQUESTS": "acme/app!7"}, 1},
		{"of several the first", map[string]string{"CI_OPEN_MERGE_REQUESTS": "acme/app!7,acme/app!9"}, 1},
		{"of several the one in this project", map[string]string{"CI_OPEN_MERGE_REQUESTS": "up/app!3,acme/app!7"}, 1},
		{"from the commit where the variables are silent", nil, 1},
		{"not from another branch's merge request", map[string]string{"CI_COMMIT_REF_NAME": "other", "DIREKTIV_ANY_REF": "true"}, 0},
		{"not for a tag", map[string]string{"CI_COMMIT_TAG": "v1", "DIREKTIV_ANY_REF": "true"}, 0},
		{"not where notes are off", map[string]string{"REMORA_NOTE": "off"}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			for k, v := range tt.set {
				f.vars[k] = v
			}
			r := f.run(t)
			if got := len(f.notes()); got != tt.want {
				t.Errorf("%d notes, want %d; %+v", got, tt.want, r.Report)
			}
			if r.State != "done" && r.State != "skipped" {
				t.Errorf("the sync is %s: %+v", r.State, r.Targets)
			}
		})
	}
}

func TestGitLabDownFailsNoSync(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.vars["CI_SERVER_URL"] = "http://127.0.0.1:1" // a port that nobody gets
	r := f.run(t)
	if r.State != "done" || r.ExitCode != 0 || len(r.Report.Problems) == 0 {
		t.Errorf("got %s, exit %d, problems %+v", r.State, r.ExitCode, r.Report.Problems)
	}
	for _, p := range r.Report.Problems {
		if p.Remedy == "" {
			t.Errorf("a problem without remedy: %+v", p)
		}
	}
}

// TestNoSecretLeaves plants a canary in every secret, has every target and GitLab
// echo what it was sent, and searches all that comes out.
func TestNoSecretLeaves(t *testing.T) {
	t.Parallel()
	const canary = "c4n4ry"
	f := newFixture(t)
	var elsewhere strings.Builder
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_ = r.Write(&elsewhere)
	}))
	t.Cleanup(other.Close)
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/started" {
			_ = json.NewEncoder(w).Encode(map[string]string{"state": "failed", "why": strings.Join(r.Header["Authorization"], "") + r.Header.Get("X-Key")})
			return
		}
		w.WriteHeader(http.StatusTeapot)
		_, _ = fmt.Fprintf(w, `{"error":"you sent %s and %s"}`, r.Header.Get("Authorization"), r.Header.Get("X-Key"))
	}))
	t.Cleanup(echo.Close)
	f.direktiv.Next(direktivtest.Script{Failure: "clone https://" + canary + "-user:" + canary + "-pass@host/p.git failed for direktiv-canary"})
	for k, v := range map[string]string{
		"REMORA_HTTP_URL": echo.URL + "/hook?key=" + canary + "-query", "REMORA_HTTP_TOKEN": canary + "-http-token", "REMORA_HTTP_HEADERS": "X-Key: " + canary + "-header",
		"REMORA_MIRROR_URL": "https://127.0.0.1:1/p.git", "REMORA_MIRROR_TOKEN": "bot:" + canary + "-mirror", "CI_JOB_TOKEN": canary + "-job", "CI_MERGE_REQUEST_IID": "7",
		"REMORA_TIMEOUT": "2s", "REMORA_LOG": "debug", "REMORA_JUNIT": "j.xml", "REMORA_DOTENV": "d.env", "REMORA_ANNOTATIONS": "a.json",
	} {
		f.vars[k] = v
	}
	dir := f.vars["CI_PROJECT_DIR"]
	for _, file := range []string{"REMORA_JUNIT", "REMORA_DOTENV", "REMORA_ANNOTATIONS"} {
		f.vars[file] = filepath.Join(dir, f.vars[file])
	}
	r := f.run(t)
	out := everythingSaid(t, f, r, dir)
	for _, secret := range []string{canary, "direktiv-canary", f.scene.Token} {
		if i := strings.Index(out, secret); i >= 0 {
			t.Errorf("%s is told: …%s…", secret, out[max(0, i-200):min(len(out), i+100)])
		}
	}
	if elsewhere.Len() > 0 {
		t.Errorf("another host was called: %s", elsewhere.String())
	}
	if leaks := f.gitlab.Leaks(); len(leaks) > 0 {
		t.Errorf("GitLab saw %v", leaks)
	}
	if len(r.Targets) != 3 || r.State != "failed" {
		t.Errorf("want three failing targets, got %+v", r.Targets)
	}
}

// everythingSaid is all that a run put anywhere: result, files, log, GitLab.
func everythingSaid(t *testing.T, f *fixture, r component.Result, dir string) string {
	t.Helper()
	var b strings.Builder
	for _, style := range []component.Style{{}, {JSON: true}} {
		if err := r.Print(&b, style); err != nil {
			t.Fatal(err)
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) < 3 {
		t.Fatalf("%d files were written (%v)", len(files), err)
	}
	for _, file := range files {
		content, err := os.ReadFile(filepath.Join(dir, file.Name()))
		if err != nil {
			t.Fatal(err)
		}
		b.Write(content)
	}
	b.WriteString(f.log.String())
	for _, q := range f.gitlab.Requests() {
		b.WriteString(q.Path + q.Query.Encode() + q.Body)
	}
	if len(f.notes()) == 0 || f.log.Len() == 0 {
		t.Errorf("%d notes and %d bytes of log: too little to search", len(f.notes()), f.log.Len())
	}
	return b.String()
}
