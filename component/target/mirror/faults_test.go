package mirror_test

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/target/mirror"
)

func TestFaultsOfTheRemoteEachHaveTheirOwnWords(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sha := w.commit("README.md", "hello\n")
	w.publish("main")
	for name, tc := range map[string]struct {
		change  func(*mirror.Config)
		code    int
		body    string
		summary string
		remedy  string
	}{
		"a wrong token":                  {change: func(c *mirror.Config) { c.Token = "bot:wrong-wrong" }, summary: "token refused", remedy: "user:token"},
		"a token without user":           {change: func(c *mirror.Config) { c.Token = mirrorToken }, summary: "token refused", remedy: "so oauth2 was sent"},
		"no token":                       {change: func(c *mirror.Config) { c.Token = "" }, summary: "token missing", remedy: "protected variable"},
		"a path that is no repository":   {change: func(c *mirror.Config) { c.URL += "/nowhere" }, summary: "repository not found", remedy: "REMORA_MIRROR_URL"},
		"a token without rights":         {code: 403, body: "You are not allowed to upload code.", summary: "not allowed", remedy: "write_repository"},
		"a push that is too large":       {code: 413, summary: "push too large"},
		"a host that does not exist":     {change: func(c *mirror.Config) { c.URL = "https://no-such-host.invalid/a.git" }, summary: "unknown host", remedy: "REMORA_MIRROR_URL"},
		"plain HTTP where TLS is spoken": {change: func(c *mirror.Config) { c.URL = strings.Replace(c.URL, "http:", "https:", 1) }, summary: "no TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			w := w.in(t)
			c := w.config()
			if tc.code != 0 {
				srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { http.Error(rw, tc.body, tc.code) }))
				t.Cleanup(srv.Close)
				c.URL = srv.URL + "/copy/app.git"
			}
			if tc.change != nil {
				tc.change(&c)
			}
			f := w.wantFault(w.apply(c, w.event("main", sha)), tc.summary)
			if !strings.Contains(f.Remedy, tc.remedy) || !strings.Contains(f.Cause, tc.body) {
				t.Errorf("fault = %+v, want remedy with %q, cause with %q", *f, tc.remedy, tc.body)
			}
			w.wantAt("refs/heads/main", "")
		})
	}
}

func TestFaultsOfTheProjectNameItsToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sha := w.commit("README.md", "hello\n")
	w.publish("main")
	for name, tc := range map[string]struct {
		change func(*mirror.Config, *delivery.Event)
		remedy string
	}{
		"a job token that ended":       {func(c *mirror.Config, _ *delivery.Event) { c.JobToken = "gone-gone" }, "CI_JOB_TOKEN"},
		"a bot's token without rights": {func(c *mirror.Config, _ *delivery.Event) { c.JobToken, c.ProjectToken = "", "glpat-wrong" }, "REMORA_GITLAB_TOKEN"},
		"no token":                     {func(c *mirror.Config, _ *delivery.Event) { c.JobToken = "" }, "neither is sent to another host"},
		"a project on another host":    {func(_ *mirror.Config, ev *delivery.Event) { ev.Instance = "https://gitlab.example.com" }, "neither is sent to another host"},
	} {
		t.Run(name, func(t *testing.T) {
			w := w.in(t)
			c, ev := w.config(), w.event("main", sha)
			tc.change(&c, &ev)
			f := w.wantFault(w.apply(c, ev), "project not readable")
			if !strings.Contains(f.Remedy, tc.remedy) {
				t.Errorf("remedy = %q, want %q in it", f.Remedy, tc.remedy)
			}
		})
	}
}

func TestTheBotsTokenReadsTheProjectWhereThereIsNoJobToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sha := w.commit("README.md", "hello\n")
	w.publish("main")
	w.home.user, w.home.token = "oauth2", "glpat-canary-bot"
	c := w.config()
	c.JobToken, c.ProjectToken = "", "glpat-canary-bot"
	w.wantDone(w.apply(c, w.event("main", sha)), "created")
}

func TestARefusalIsQuotedScrubbedAndBounded(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ hook, script, summary, quote string }{
		"a hook that says why":          {"pre-receive", `echo "commit messages must name a ticket"; exit 1`, "refused by the remote", "pre-receive hook declined: commit messages must name a ticket"},
		"GitLab's protected branch":     {"pre-receive", `echo "GitLab: You are not allowed to push code to protected branches on this project." >&2; exit 1`, "protected at the remote", "You are not allowed to push code to protected branches"},
		"a hook for one ref":            {"update", `exit 1`, "refused by the remote", "hook declined"},
		"a hook that tells secrets":     {"pre-receive", `echo "token ` + mirrorToken + ` of https://bot:` + mirrorToken + `@git.example.com/x"; exit 1`, "refused by the remote", "token [secret] of https://git.example.com/x"},
		"a hook that talks without end": {"pre-receive", `i=0; while [ $i -lt 3000 ]; do echo "line $i of very many"; i=$((i+1)); done; exit 1`, "refused by the remote", "line 2999 of very many"},
		"LFS objects that are missing":  {"pre-receive", `echo "GitLab: LFS objects are missing. Ensure LFS is properly set up"; exit 1`, "LFS objects missing", "LFS objects are missing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			old := w.seed()
			sha := w.commit("x", "1")
			w.publish("main")
			hook := filepath.Join(w.copy, "hooks", tc.hook)
			if err := os.WriteFile(hook, []byte("#!/bin/sh\n"+tc.script+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			o := w.apply(w.config(), w.event("main", sha))
			f := w.wantFault(o, tc.summary)
			if !strings.Contains(f.Cause, tc.quote) || len(f.Cause) > 1300 {
				t.Errorf("cause = %q (%d bytes), want %q in it", f.Cause, len(f.Cause), tc.quote)
			}
			if text := fmt.Sprintf("%+v %v", o.Receipt, o.Err); strings.Contains(text, mirrorToken) {
				t.Errorf("outcome holds the token: %s", text)
			}
			if n := len(o.Receipt.Log); n > 40 {
				t.Errorf("%d lines of log, want at most 40", n)
			}
			w.wantAt("refs/heads/main", old)
			if err := os.Remove(hook); err != nil {
				t.Fatal(err)
			}
			w.wantDone(w.apply(w.config(), w.event("main", sha)), "pushed")
		})
	}
}

func TestWhatTheServerSaysIsShownAsLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seed()
	sha := w.commit("x", "1")
	w.publish("main")
	script := "#!/bin/sh\nprintf 'one\\033[2J\\n\\nGitLab: two\\n10%%\\r100%%\\n'\n"
	if err := os.WriteFile(filepath.Join(w.copy, "hooks", "post-receive"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	o := w.apply(w.config(), w.event("main", sha))
	w.wantDone(o, "pushed")
	got := fmt.Sprint(o.Receipt.Log)
	if want := "[{ remote: one[2J} {ERROR remote: GitLab: two} { remote: 100%}]"; got != want {
		t.Errorf("log = %s, want %s", got, want)
	}
}

func TestServersThatForbidWhatIsAskedAreExplained(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	base := w.seed()
	theirs := w.commit("x", "theirs")
	w.git(w.work, "push", "-q", w.copy, "main")
	w.git(w.work, "reset", "-q", "--hard", base)
	ours := w.commit("x", "ours")
	w.publish("main")
	c := w.config()
	c.Refs = "+main:delete"

	w.git(w.copy, "config", "receive.denyNonFastForwards", "true")
	w.wantFault(w.apply(c, w.event("main", ours)), "overwriting refused")
	w.wantAt("refs/heads/main", theirs)

	ev := w.event("main", "")
	ev.Deleted = true
	w.git(w.work, "push", "-q", w.project, "main:other")
	w.git(w.project, "update-ref", "-d", "refs/heads/main")
	w.git(w.copy, "config", "receive.denyDeletes", "true")
	w.wantFault(w.apply(c, ev), "deletion refused")
	w.git(w.copy, "config", "receive.denyDeletes", "false")
	w.wantFault(w.apply(c, ev), "deletion refused") // it is the remote's default branch
	w.wantAt("refs/heads/main", theirs)
}

func TestSHA256RepositoriesAreRefusedClearly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sha := w.commit("README.md", "hello\n")
	w.publish("main")
	for name, dir := range map[string]string{"an empty remote": w.copy, "a remote with commits": w.copy, "the project": w.project} {
		t.Run(name, func(t *testing.T) {
			w := w.in(t)
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			w.git(w.root, "init", "-q", "--bare", "--object-format=sha256", "-b", "main", dir)
			if name != "an empty remote" {
				tree := w.git(dir, "mktree", "--missing")
				w.git(dir, "update-ref", "refs/heads/main", w.git(dir, "commit-tree", "-m", "x", tree))
			}
			if dir == w.project {
				w.git(w.root, "init", "-q", "--bare", "-b", "main", filepath.Join(w.root, "copy", "new.git"))
			}
			c := w.config()
			if dir == w.project {
				c.URL = w.there.URL + "/copy/new.git"
			}
			w.wantFault(w.apply(c, w.event("main", sha)), "SHA-256 repository")
		})
	}
	w.wantFault(w.apply(w.config(), w.event("main", sha+sha[:24])), "SHA-256 repository")
}

func TestARedirectWithinTheOriginIsFollowedAndOneElsewhereIsNot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sha := w.commit("README.md", "hello\n")
	w.publish("main")
	w.there.tame(func(rw http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, ".git/") {
			return false
		}
		http.Redirect(rw, r, strings.Replace(r.URL.RequestURI(), "/app/", "/app.git/", 1), http.StatusMovedPermanently)
		return true
	})
	c := w.config()
	c.URL = strings.TrimSuffix(c.URL, ".git")
	w.wantDone(w.apply(c, w.event("main", sha)), "created")

	w.there.tame(func(rw http.ResponseWriter, r *http.Request) bool {
		http.Redirect(rw, r, "http://other.example.com"+r.URL.RequestURI(), http.StatusFound)
		return true
	})
	f := w.wantFault(w.apply(c, w.event("main", sha)), "redirected")
	if !strings.Contains(f.Remedy, "http://other.example.com/copy/app") {
		t.Errorf("remedy = %q, want it to name where it leads", f.Remedy)
	}
}

func TestTLSNeedsAnAuthorityThatIsKnown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sha := w.commit("README.md", "hello\n")
	w.publish("main")
	srv := httptest.NewTLSServer(w.there)
	t.Cleanup(srv.Close)
	c := w.config()
	c.URL = srv.URL + "/copy/app.git"
	w.wantFault(w.apply(c, w.event("main", sha)), "certificate refused")
	c.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if err := os.WriteFile(c.CAFile, text, 0o600); err != nil {
		t.Fatal(err)
	}
	w.wantDone(w.apply(c, w.event("main", sha)), "created")
	c.CAFile = filepath.Join(t.TempDir(), "none.pem")
	if _, err := mirror.New(c); err == nil || !strings.Contains(err.Error(), "CI_SERVER_TLS_CA_FILE") {
		t.Errorf("New = %v, want an error that names CI_SERVER_TLS_CA_FILE", err)
	}
}

func TestTheProjectIsNoMirrorOfItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.config()
	c.URL = w.home.URL + "/acme/app"
	sha := w.seed()
	c.Token = "gitlab-ci-token:" + jobToken
	w.wantFault(w.apply(c, w.event("gone", sha)), "mirror of itself")
	c.URL += ".git"
	w.wantFault(w.apply(c, w.event("gone", sha)), "mirror of itself")
}
