package mirror_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/crypto/ssh"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/target/mirror"
)

func TestRefs(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ refs, ref, want string }{
		"nothing set takes every branch":            {"", "refs/heads/a/b", "push"},
		"nothing set takes every tag":               {"", "refs/tags/v1", "push"},
		"all takes other refs of the two kinds":     {"all", "refs/heads/x", "push"},
		"branches takes no tags":                    {"branches", "refs/tags/v1", ""},
		"tags takes no branches":                    {"tags", "refs/heads/v1", ""},
		"a name is a branch":                        {"main", "refs/heads/main", "push"},
		"a name is not the start of one":            {"main", "refs/heads/main2", ""},
		"a name is case-sensitive":                  {"main", "refs/heads/Main", ""},
		"a star takes slashes":                      {"release/*", "refs/heads/release/1/2", "push"},
		"a star in the middle":                      {"*/fix-*-x", "refs/heads/a/fix-1-x", "push"},
		"a star needs what follows it":              {"a*b*c", "refs/heads/acb", ""},
		"a tag pattern":                             {"tags/v*", "refs/tags/v1", "push"},
		"a tag pattern takes no branch":             {"tags/v*", "refs/heads/v1", ""},
		"a branch that is called tags":              {"heads/tags", "refs/heads/tags", "push"},
		"a full ref":                                {"refs/tags/v1", "refs/tags/v1", "push"},
		"commas and line breaks separate":           {"a,b\nc", "refs/heads/c", "push"},
		"plus allows force":                         {"+main", "refs/heads/main", "push force"},
		"delete follows deletions":                  {"feature/*:delete", "refs/heads/feature/1", "push delete"},
		"both":                                      {"+feature/*:delete", "refs/heads/feature/1", "push force delete"},
		"what any entry allows is allowed":          {"all +main main:delete", "refs/heads/main", "push force delete"},
		"force on one is not force on another":      {"all +main", "refs/heads/other", "push"},
		"an exception wins wherever it stands":      {"!wip/* +all", "refs/heads/wip/1", ""},
		"exceptions alone leave the others":         {"!wip/*", "refs/heads/main", "push"},
		"exceptions alone leave out what they name": {"!wip/* !tags", "refs/tags/v1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			push, force, remove, err := mirror.Grant(tc.refs, tc.ref)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for word, on := range map[string]bool{"push": push, "force": force, "delete": remove} {
				if on {
					got = append(got, word)
				}
			}
			slices.SortFunc(got, func(a, b string) int {
				return strings.Index("push force delete", a) - strings.Index("push force delete", b)
			})
			if g := strings.Join(got, " "); g != tc.want {
				t.Errorf("%q on %s allows %q, want %q", tc.refs, tc.ref, g, tc.want)
			}
		})
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"https://git.example.com/a/b.git":     "https://git.example.com/a/b.git",
		"HTTPS://git.example.com:8443/a":      "https://git.example.com:8443/a",
		"http://[::1]:80/a":                   "http://[::1]:80/a",
		"ssh://git.example.com/a.git":         "ssh://git@git.example.com/a.git",
		"ssh://me@git.example.com:2222/~x/a":  "ssh://me@git.example.com:2222/~x/a",
		"git@git.example.com:group/a.git":     "ssh://git@git.example.com/group/a.git",
		"git.example.com:a.git":               "ssh://git@git.example.com/a.git",
		" https://git.example.com/a ":         "https://git.example.com/a",
		"file:///srv/git/a.git":               "! file:// is not taken",
		"/srv/git/a.git":                      "! local paths are not taken",
		"../a.git":                            "! local paths are not taken",
		`C:\git\a.git`:                        "! local paths are not taken",
		"git://git.example.com/a.git":         `! scheme "git" is not taken`,
		"ext::sh -c id":                       "! space",
		"https://git.example.com":             "! names no repository",
		"https://git.example.com//":           "! names no repository",
		"https:///a":                          "! no host",
		"https://git.example.com/a?x=1":       "! neither ? nor #",
		"https://user:hunter22@example.com/a": "! must not hold a password",
		"https://hunter22@example.com/a":      "! must not hold a user or token",
		"ssh://git:hunter22@example.com/a":    "! must not hold a password",
		"ssh://-oProxyCommand=id@h.example/a": "! begin with a dash",
		"-oProxyCommand=id:a":                 "! local paths are not taken",
		"https://git.example.com:99999/a":     "! port",
		"https://git.example.com/a\nb":        "! control character",
		"https://git.example.com/%zz":         "! no well-formed URL",
		"":                                    "! must be https://",
	} {
		t.Run(in, func(t *testing.T) {
			t.Parallel()
			got, err := mirror.ParseAddress(in)
			if part, bad := strings.CutPrefix(want, "! "); bad {
				if err == nil || !strings.Contains(err.Error(), part) || strings.Contains(err.Error(), "hunter22") {
					t.Errorf("got %q, %v; want an error with %q", got, err, part)
				}
				return
			}
			if err != nil || got != want {
				t.Errorf("got %q, %v; want %q", got, err, want)
			}
		})
	}
}

func TestValidateTellsEverythingAtOnce(t *testing.T) {
	t.Parallel()
	_, key := newKey(t)
	locked := lockedKey(t, "opensesame")
	hosts := "git.example.com " + rsaHost[len("HOST "):]
	for name, tc := range map[string]struct {
		config mirror.Config
		want   []string // starts of lines
	}{
		"a good https address":      {mirror.Config{URL: "https://git.example.com/a", Token: "a:b"}, nil},
		"a good ssh address":        {mirror.Config{URL: "git@git.example.com:a", SSHKey: key, KnownHosts: hosts}, nil},
		"a key with its passphrase": {mirror.Config{URL: "git@git.example.com:a", SSHKey: locked, SSHPassphrase: "opensesame", KnownHosts: hosts}, nil},
		"nothing but nonsense": {mirror.Config{URL: "file:///a", Refs: "-x a:b"}, []string{
			`REMORA_MIRROR_REFS: "-x" begins with a dash`, `"a:b" has an unknown option`, "REMORA_MIRROR_URL: file:// is not taken"}},
		"no address":                   {mirror.Config{}, []string{"REMORA_MIRROR_URL: missing; "}},
		"SSH without anything":         {mirror.Config{URL: "git@git.example.com:a"}, []string{"REMORA_MIRROR_SSH_KEY: missing; ", "REMORA_MIRROR_KNOWN_HOSTS: missing; "}},
		"SSH with a token":             {mirror.Config{URL: "git@git.example.com:a", Token: "t", SSHKey: key, KnownHosts: hosts}, []string{"REMORA_MIRROR_TOKEN: not used with an SSH address"}},
		"https with a key":             {mirror.Config{URL: "https://git.example.com/a", SSHKey: key}, []string{"REMORA_MIRROR_SSH_KEY: not used with an https address"}},
		"a token on two lines":         {mirror.Config{URL: "https://git.example.com/a", Token: "a:b\n"}, []string{"REMORA_MIRROR_TOKEN: has a line break"}},
		"a key that is none":           {mirror.Config{URL: "git@git.example.com:a", SSHKey: "canary-key", KnownHosts: hosts}, []string{"REMORA_MIRROR_SSH_KEY: is no private key"}},
		"a key that is a path":         {mirror.Config{URL: "git@git.example.com:a", SSHKey: "/builds/tmp/KEY", KnownHosts: hosts}, []string{"REMORA_MIRROR_SSH_KEY: is the path of a file; set REMORA_MIRROR_SSH_KEY_FILE"}},
		"a key without its passphrase": {mirror.Config{URL: "git@git.example.com:a", SSHKey: locked, KnownHosts: hosts}, []string{"REMORA_MIRROR_SSH_KEY: needs a passphrase"}},
		"a wrong passphrase":           {mirror.Config{URL: "git@git.example.com:a", SSHKey: locked, SSHPassphrase: "canary-wrong", KnownHosts: hosts}, []string{"REMORA_MIRROR_SSH_PASSPHRASE: does not open"}},
		"host keys that are none":      {mirror.Config{URL: "git@git.example.com:a", SSHKey: key, KnownHosts: "not\nhost keys"}, []string{"REMORA_MIRROR_KNOWN_HOSTS: is not what ssh-keyscan prints: "}},
		"too many refs":                {mirror.Config{URL: "https://git.example.com/a", Refs: strings.Repeat("a ", 300)}, []string{"REMORA_MIRROR_REFS: has 300 entries"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := tc.config.Validate()
			if len(tc.want) == 0 {
				if err != nil {
					t.Errorf("Validate() = %v, want nil", err)
				}
				return
			}
			if err == nil {
				t.Fatal("Validate() = nil, want an error")
			}
			got := strings.Split(err.Error(), "\n")
			if len(got) != len(tc.want) {
				t.Fatalf("Validate() = %q, want %d lines", got, len(tc.want))
			}
			for i := range got {
				if !strings.HasPrefix(got[i], tc.want[i]) || strings.Contains(got[i], "canary") {
					t.Errorf("line %d = %q, want it to start with %q", i+1, got[i], tc.want[i])
				}
			}
			if _, err := mirror.New(tc.config); err == nil {
				t.Error("New took what Validate refuses")
			}
		})
	}
}

func lockedKey(t *testing.T, passphrase string) delivery.Secret {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte(passphrase))
	if err != nil {
		t.Fatal(err)
	}
	return delivery.Secret(pem.EncodeToMemory(block))
}

func TestEventsThatCannotBePushed(t *testing.T) {
	t.Parallel()
	good := delivery.Event{Ref: "main", RefType: delivery.Branch, SHA: strings.Repeat("a", 40), Instance: "https://gitlab.example.com",
		Project: delivery.Project{ID: 7, URL: "https://gitlab.example.com/acme/app"}}
	target, err := mirror.New(mirror.Config{URL: "https://git.example.com/a", Token: "only-a-token"})
	if err != nil {
		t.Fatal(err)
	}
	lines, err := target.Plan(good)
	want := "fetch refs/heads/main from https://gitlab.example.com/acme/app.git unless it is in the cache\n" +
		"push aaaaaaaa to refs/heads/main at https://git.example.com/a as oauth2 (REMORA_MIRROR_TOKEN names no user)"
	if got := strings.Join(lines, "\n"); err != nil || got != want {
		t.Errorf("Plan() = %q, %v; want %q", got, err, want)
	}
	for name, change := range map[string]func(*delivery.Event){
		"no ref":                  func(ev *delivery.Event) { ev.Ref = "" },
		"a ref that git refuses":  func(ev *delivery.Event) { ev.Ref = "../../config" },
		"a ref with a line break": func(ev *delivery.Event) { ev.Ref = "a\nb" },
		"no commit":               func(ev *delivery.Event) { ev.SHA = strings.Repeat("0", 40) },
		"a commit that is none":   func(ev *delivery.Event) { ev.SHA = "main" },
		"no project address":      func(ev *delivery.Event) { ev.Project.URL = "" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ev := good
			change(&ev)
			if _, err := target.Plan(ev); delivery.StateOf(err) != delivery.Failed {
				t.Errorf("Plan() = %v, want a permanent fault", err)
			}
		})
	}
}

func FuzzServersWords(f *testing.F) {
	for _, s := range []string{"one\ntwo\r\n", "10%\r100%\n", "\x1b[31mred\x1b[0m\n", "\xff\xfe\n\x00", strings.Repeat("é", 1000), strings.Repeat("a\n", 100), "=====\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		lines := mirror.Said(text)
		if len(lines) > 40 {
			t.Errorf("%d lines, want at most 40", len(lines))
		}
		for _, l := range lines {
			if len(l) > 300+len("remote: ") || !utf8.ValidString(l) || strings.ContainsAny(l, "\x00\x1b\r\n\u202e\u200b") {
				t.Errorf("line %q is not bounded and clean", l)
			}
		}
	})
}

func FuzzRefsAndAddresses(f *testing.F) {
	f.Add("a*b*", "refs/heads/axb", "git@h:p")
	f.Add("**", "", "https://[::1]:0/")
	f.Add("+!x:delete", "x", "ssh://-@/")
	f.Fuzz(func(t *testing.T, refs, ref, address string) {
		_, _, _, _ = mirror.Grant(refs, ref)
		if mirror.Glob("*"+ref, "x"+ref) != true {
			t.Errorf("*%s does not match x%s", ref, ref)
		}
		text, err := mirror.ParseAddress(address)
		if err == nil && strings.ContainsAny(text, " \n\x00") {
			t.Errorf("%q became %q", address, text)
		}
	})
}
