package mirror_test

import (
	"context"
	"encoding/base64"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/target/mirror"
)

func TestSSHPushesWithTheRightKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := newSSHServer(t, w.root)
	sha := w.commit("README.md", "hello\n")
	w.publish("main")
	o := w.apply(s.config(w), w.event("main", sha))
	w.wantDone(o, "created")
	w.wantAt("refs/heads/main", sha)
	if !strings.HasPrefix(o.Receipt.Request, "ssh git@127.0.0.1:") || !strings.Contains(o.Receipt.Request, "git-receive-pack '/copy/app.git'") {
		t.Errorf("request = %q, want the command that was run", o.Receipt.Request)
	}
	w.wantDone(w.apply(s.config(w), w.event("main", sha)), "up to date")

	w.git(w.work, "reset", "-q", "--hard", w.commit("x", "1"))
	foreign := w.commit("x", "theirs")
	w.git(w.work, "push", "-q", w.copy, "main")
	w.git(w.work, "reset", "-q", "--hard", sha)
	ours := w.commit("x", "ours")
	w.publish("main")
	w.wantFault(w.apply(s.config(w), w.event("main", ours)), "remote has other commits")
	w.wantAt("refs/heads/main", foreign)

	c := s.config(w)
	c.Refs = "+main:delete"
	ev := w.event("main", "")
	ev.Deleted, ev.Before = true, ours
	w.git(w.copy, "symbolic-ref", "HEAD", "refs/heads/other")
	w.git(w.project, "update-ref", "-d", "refs/heads/main")
	w.git(w.project, "symbolic-ref", "HEAD", "refs/heads/other")
	w.git(w.work, "push", "-q", w.project, ours+":refs/heads/other")
	w.wantDone(w.apply(c, ev), "deleted")
	w.wantAt("refs/heads/main", "")
}

func TestSSHKeysAndHostKeysMayComeInEveryUsualForm(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := newSSHServer(t, w.root)
	sha := w.seed()
	file := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(file, []byte("# a comment\n"+s.knownHosts(s.host.PublicKey())), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*mirror.Config){
		"a key in base64": func(c *mirror.Config) {
			c.SSHKey = delivery.Secret(base64.StdEncoding.EncodeToString([]byte(s.client)))
		},
		"a key without its last line break": func(c *mirror.Config) { c.SSHKey = delivery.Secret(strings.TrimSpace(string(s.client))) },
		"a key with CRLF":                   func(c *mirror.Config) { c.SSHKey = delivery.Secret(strings.ReplaceAll(string(s.client), "\n", "\r\n")) },
		"host keys in a file":               func(c *mirror.Config) { c.KnownHosts = file },
		"host keys with CRLF":               func(c *mirror.Config) { c.KnownHosts = strings.ReplaceAll(c.KnownHosts, "\n", "\r\n") },
		"a passphrase nobody needs":         func(c *mirror.Config) { c.SSHPassphrase = "not needed" },
		"more kinds of host keys": func(c *mirror.Config) {
			c.KnownHosts += strings.ReplaceAll(rsaHost, "HOST", strings.Fields(c.KnownHosts)[0])
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := w.in(t)
			c := s.config(w)
			change(&c)
			w.wantDone(w.apply(c, w.event("main", sha)), "up to date")
		})
	}
}

// rsaHost is a host key of a kind that the server does not have.
const rsaHost = "HOST ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZMy7opKgwFB9nkt5YRrYMjNuG5N87uRgg6CLrbo5wAdT/y6v0mKV0U2w0WZ2YB/++Tpockg=\n"

func TestSSHHostKeysAreAlwaysChecked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := newSSHServer(t, w.root)
	sha := w.commit("README.md", "hello\n")
	w.publish("main")
	other, _ := newKey(t)
	_, port, _ := net.SplitHostPort(s.Addr().String())
	for name, tc := range map[string]struct{ hosts, summary string }{
		"another key":             {s.knownHosts(other.PublicKey()), "host key changed"},
		"no such host":            {"git.example.com ssh-ed25519 " + strings.Fields(s.knownHosts(s.host.PublicKey()))[2], "unknown host key"},
		"another kind of key":     {strings.ReplaceAll(rsaHost, "HOST", "[127.0.0.1]:"+port), "host key changed"},
		"the key on another port": {strings.ReplaceAll(s.knownHosts(s.host.PublicKey()), port, "1"), "unknown host key"},
	} {
		t.Run(name, func(t *testing.T) {
			w := w.in(t)
			c := s.config(w)
			c.KnownHosts = tc.hosts
			f := w.wantFault(w.apply(c, w.event("main", sha)), tc.summary)
			if want := "ssh-keyscan -p " + port + " 127.0.0.1"; !strings.HasSuffix(f.Remedy, want) {
				t.Errorf("remedy = %q, want it to end with %q", f.Remedy, want)
			}
			w.wantAt("refs/heads/main", "")
		})
	}
}

func TestSSHFaultsEachHaveTheirOwnWords(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sha := w.commit("README.md", "hello\n")
	w.publish("main")
	for name, tc := range map[string]struct {
		change  func(*mirror.Config)
		say     string
		summary string
		cause   string
	}{
		"a key that is not let in":       {change: func(c *mirror.Config) { _, c.SSHKey = newKey(t) }, summary: "key refused"},
		"a repository that is not there": {change: func(c *mirror.Config) { c.URL = strings.Replace(c.URL, "copy", "nowhere", 1) }, summary: "repository not found"},
		"GitLab's words for not found":   {say: "remote: \nremote: ERROR: The project you were looking for could not be found or you don't have permission to view it.\n", summary: "repository not found"},
		"other words of the server":      {say: "Your account has been \x1b[31mblocked\x1b[0m by https://bot:hunter22@git.example.com/\n", summary: "refused by the remote", cause: "has been [31mblocked[0m by https://git.example.com/"},
		"a host that does not exist":     {change: func(c *mirror.Config) { c.URL = "ssh://git@no-such-host.invalid/a.git" }, summary: "unknown host"},
	} {
		t.Run(name, func(t *testing.T) {
			w := w.in(t)
			s := newSSHServer(t, w.root)
			s.say = tc.say
			c := s.config(w)
			if tc.change != nil {
				tc.change(&c)
			}
			f := w.wantFault(w.apply(c, w.event("main", sha)), tc.summary)
			if !strings.Contains(f.Cause, tc.cause) {
				t.Errorf("cause = %q, want %q in it", f.Cause, tc.cause)
			}
		})
	}
}

// silentListener takes connections and says nothing.
func silentListener(t *testing.T) (addr string, arrived <-chan struct{}) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	came, done := make(chan struct{}, 16), make(chan struct{})
	go func() {
		defer close(done)
		var open []net.Conn
		for {
			conn, err := l.Accept()
			if err != nil {
				break
			}
			open = append(open, conn)
			came <- struct{}{}
		}
		for _, c := range open {
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String(), came
}

func TestASilentServerEndsWithTheContextOrItsOwnLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := newSSHServer(t, w.root)
	ev := w.event("main", strings.Repeat("a", 40))
	for name, url := range map[string]string{"SSH": "ssh://git@%/a.git", "HTTP": "http://%/a.git"} {
		t.Run(name, func(t *testing.T) {
			w := w.in(t)
			addr, arrived := silentListener(t)
			c := s.config(w)
			if c.URL = strings.Replace(url, "%", addr, 1); name == "HTTP" {
				c.SSHKey, c.KnownHosts = "", ""
			}
			target := w.target(c)

			ctx, cancel := context.WithCancel(context.Background())
			result := make(chan delivery.Outcome, 1)
			go func() { result <- delivery.Deliver(ctx, ev, target, 1) }()
			<-arrived
			cancel()
			if o := <-result; o.State != delivery.Retry || !o.Canceled() {
				t.Errorf("canceled: got %s (%v), want retry and canceled", o.State, o.Err)
			}

			ctx, cancel = context.WithTimeout(context.Background(), 50*time.Millisecond)
			defer cancel()
			o := delivery.Sync(ctx, ev, []delivery.Target{target}, nil)[0]
			if o.State != delivery.Failed || !o.Overdue() {
				t.Errorf("deadline: got %s (%v), want failed and overdue", o.State, o.Err)
			}

			if err := mirror.SetStall(target, 50*time.Millisecond); err != nil {
				t.Fatal(err)
			}
			o = delivery.Deliver(context.Background(), ev, target, 1)
			if o.State != delivery.Retry || delivery.Explain(o.Err).Summary != "no answer in time" {
				t.Errorf("stall: got %s (%v), want retry: no answer in time", o.State, o.Err)
			}
		})
	}
}
