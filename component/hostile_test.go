package component_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sethvargo/go-envconfig"

	"gitlab.com/remora-ci/remora/component"
)

// echo is a server that refuses everything and says what it was sent, in colors. It
// remembers method and path of what it was asked.
type echo struct {
	url  string
	mu   sync.Mutex
	seen []string
}

func newEcho(t *testing.T) *echo {
	t.Helper()
	e := &echo{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.seen = append(e.seen, r.Method+" "+r.URL.Path)
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, "\x1b[31myou sent "+r.Header.Get("PRIVATE-TOKEN"))
	}))
	t.Cleanup(s.Close)
	e.url = s.URL
	return e
}

func (e *echo) asked() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.seen)
}

func TestFinishTellsFaultWithRemedyAndWithoutSecret(t *testing.T) {
	t.Parallel()
	f, hostile := newFixture(t), newEcho(t)
	f.vars["REMORA_GITLAB_URL"] = hostile.url
	f.vars["REMORA_JOURNAL"] = filepath.Join(t.TempDir(), "journal")
	line := `{"op":"open","project":"42","sha":"` + f.scene.SHA + `","name":"sync/direktiv","pipeline":1001}` + "\n"
	if err := os.WriteFile(f.vars["REMORA_JOURNAL"], []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	n, err := component.Finish(f.context(t), f.load(t), "1.0.0")
	if n != 0 || err == nil {
		t.Fatalf("ended %d, error %v; want none and an error", n, err)
	}
	for _, bad := range []string{f.scene.Token, "\x1b"} {
		if strings.Contains(err.Error(), bad) {
			t.Errorf("%q is in %q", bad, err)
		}
	}
	for _, want := range []string{"you sent [secret]", "\n  try: ", "\n  request: GET "} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %q", want, err)
		}
	}
}

func TestFinishChecksWhatItIsGiven(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.vars["REMORA_GITLAB_TOKEN"], f.vars["REMORA_OUTPUT"] = "two words", "xml"
	_, err := component.Finish(f.context(t), f.load(t), "1.0.0")
	var misuse *component.Misuse
	if !errors.As(err, &misuse) || !strings.Contains(err.Error(), "REMORA_GITLAB_TOKEN") || !strings.Contains(err.Error(), "REMORA_OUTPUT") {
		t.Errorf("got %v, want a misuse that names both variables", err)
	}
}

func TestACAFileThatCannotBeReadIsNamed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.vars["CI_SERVER_TLS_CA_FILE"], f.vars["REMORA_JOURNAL"] = "no-such-file", filepath.Join(t.TempDir(), "journal")
	for name, try := range map[string]func() error{
		"Run":    func() error { _, err := component.Run(f.context(t), f.load(t), "1.0.0"); return err },
		"Finish": func() error { _, err := component.Finish(f.context(t), f.load(t), "1.0.0"); return err },
		"Post": func() error {
			_, err := component.Post(f.context(t), f.load(t), component.Single{Name: "lint", State: "success"}, nil, "1.0.0")
			return err
		},
	} {
		var misuse *component.Misuse
		if err := try(); !errors.As(err, &misuse) || !strings.HasPrefix(err.Error(), "CI_SERVER_TLS_CA_FILE: ") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestReportOffAsksGitLabNothing(t *testing.T) {
	t.Parallel()
	f, gitlab := newFixture(t), newEcho(t)
	f.vars["REMORA_GITLAB_URL"], f.vars["REMORA_REPORT"] = gitlab.url, "off"
	if r := f.run(t); r.State != "done" {
		t.Errorf("got %s: %+v", r.State, r.Targets)
	}
	if asked := gitlab.asked(); len(asked) > 0 {
		t.Errorf("GitLab was asked %q", asked)
	}
}

func TestPostSendsNothingOnMisuse(t *testing.T) {
	t.Parallel()
	f, hostile := newFixture(t), newEcho(t)
	f.vars["REMORA_GITLAB_URL"], f.vars["REMORA_OUTPUT"] = hostile.url, "xml"
	single := component.Single{Name: "lint", State: "perhaps", NoteFile: "-"}
	_, err := component.Post(f.context(t), f.load(t), single, strings.NewReader("text"), "1.0.0")
	var misuse *component.Misuse
	if !errors.As(err, &misuse) || !strings.Contains(err.Error(), "--state") || !strings.Contains(err.Error(), "REMORA_OUTPUT") {
		t.Errorf("got %v, want a misuse that names both", err)
	}
	if got := hostile.asked(); len(got) > 0 {
		t.Errorf("GitLab was asked %q", got)
	}
}

func TestNoticesAreInertAndHoldNoSecret(t *testing.T) {
	t.Parallel()
	f, hostile := newFixture(t), newEcho(t)
	f.vars["REMORA_GITLAB_URL"] = hostile.url
	r := f.run(t)
	told := strings.Join(r.Notices, "\n")
	if !strings.Contains(told, "cannot look for the commit's merge request") || !strings.Contains(told, "[secret]") {
		t.Errorf("notices %q", told)
	}
	if strings.ContainsAny(told, "\x1b") || strings.Contains(told+f.log.String(), f.scene.Token) || strings.Contains(f.log.String(), `\u001b`) {
		t.Errorf("notices %q, log %q", told, f.log.String())
	}
}

func TestASignalBeforeTheDeliveryOpensNothing(t *testing.T) {
	t.Parallel()
	f, gitlab := newFixture(t), newEcho(t)
	f.vars["REMORA_GITLAB_URL"] = gitlab.url
	ctx, cancel := context.WithCancel(f.context(t))
	cancel()
	r, err := component.Run(ctx, f.load(t), "1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	if r.State != "canceled" || len(r.Targets) != 1 || r.Targets[0].State != "canceled" || r.Targets[0].Place != "demo" {
		t.Errorf("got %s, %+v", r.State, r.Targets)
	}
	if asked := gitlab.asked(); len(asked) > 0 || f.direktiv.Asked("") > 0 {
		t.Errorf("asked GitLab %q, Direktiv %+v", asked, f.direktiv.Requests())
	}
}

func TestPlan(t *testing.T) {
	t.Parallel()
	const merged = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	mergedResult := map[string]string{"CI_MERGE_REQUEST_IID": "7", "CI_COMMIT_SHA": merged, "CI_MERGE_REQUEST_SOURCE_BRANCH_SHA": "c0ffee1200000000000000000000000000000002"}
	for _, tt := range []struct {
		name   string
		set    map[string]string
		paths  string
		mirror []string // steps of the mirror target
		report []string
	}{
		{"in merged results the status is on the pipeline's commit", mergedResult, "", nil,
			[]string{"commit status sync/direktiv on aaaaaaaa", "note on merge request !7 (update)"}},
		{"or on the source's", map[string]string{"REMORA_STATUS_ON": "source"}, "", nil,
			[]string{"commit status sync/direktiv on c0ffee12", "note on merge request !7 (update)"}},
		{"or on both", map[string]string{"REMORA_STATUS_ON": "both", "REMORA_NOTE": "off"}, "", nil,
			[]string{"commit status sync/direktiv on aaaaaaaa", "commit status sync/direktiv on c0ffee12"}},
		{"a target that would skip is no misuse", map[string]string{"REMORA_MIRROR_URL": "https://git.example.com/a.git", "REMORA_MIRROR_REFS": "main", "REMORA_REPORT": "off"}, "",
			[]string{"nothing: feature is not in REMORA_MIRROR_REFS"}, []string{"nothing: switched off"}},
		{"a path filter that needs GitLab", map[string]string{"REMORA_PATHS": "docs/**", "REMORA_REPORT": "off"},
			"paths: all targets are skipped if GitLab proves that nothing in the change matches", nil, []string{"nothing: switched off"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			for _, set := range []map[string]string{mergedResult, tt.set} {
				for k, v := range set {
					f.vars[k] = v
				}
			}
			p, err := component.PlanOf(f.context(t), f.load(t), "1.0.0")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.report, p.Report); diff != "" {
				t.Error(diff)
			}
			if p.Paths != tt.paths {
				t.Errorf("paths %q, want %q", p.Paths, tt.paths)
			}
			for _, target := range p.Targets {
				if target.Target == "mirror" {
					if diff := cmp.Diff(tt.mirror, target.Steps); diff != "" {
						t.Error(diff)
					}
				}
			}
			if asked := f.direktiv.Requests(); len(asked) > 0 {
				t.Errorf("a plan asked %+v", asked)
			}
		})
	}
}

func TestASecretThatIsThePathOfAFileIsToldApart(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "DIREKTIV_TOKEN")
	if err := os.WriteFile(file, []byte("canary-in-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		vars map[string]string
		want string // of the secret
		err  string
	}{
		"a variable of type File":             {map[string]string{"X": file}, "", "X: is the path of a file, as GitLab gives a variable of type File; name that variable X_FILE"},
		"the same under the right name":       {map[string]string{"X_FILE": file}, "canary-in-file", ""},
		"a token that begins with a slash":    {map[string]string{"X": "/no/such/file"}, "/no/such/file", ""},
		"a folder is no secret":               {map[string]string{"X_FILE": filepath.Dir(file)}, "", "X_FILE: read"},
		"an empty variable beside the file":   {map[string]string{"X": "", "X_FILE": file}, "canary-in-file", ""},
		"both":                                {map[string]string{"X": "a", "X_FILE": file}, "", "X: set, and X_FILE too"},
		"neither":                             {nil, "", ""},
		"a file that is too large for a key":  {map[string]string{"X_FILE": large(t)}, "", "larger than 64 KiB"},
		"a file that was lost with its owner": {map[string]string{"X_FILE": file + ".gone"}, "", "X_FILE: open"},
	} {
		got, err := component.ReadSecret(envconfig.MapLookuper(tt.vars), "X")
		if got.Reveal() != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: got %q, %v; want %q, %q", name, got.Reveal(), err, tt.want, tt.err)
		}
	}
}

func large(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(file, make([]byte, 65<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
