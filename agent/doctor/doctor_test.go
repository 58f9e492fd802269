package doctor_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gitlab.com/remora-ci/remora/agent/config"
	"gitlab.com/remora-ci/remora/agent/doctor"
	"gitlab.com/remora-ci/remora/agent/hooks"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/store/storetest"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

var update = flag.Bool("update", false, "write the golden file")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	nobody       = "http://127.0.0.1:1"
	hookSecret   = "canary-hook-secret-0123456789"
	targetToken  = "canary-target-token-0123456789"
	databasePass = "canary-database-0123456789"
)

var vaultKey = delivery.Secret(base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef")))

type vars map[string]string

func (v vars) Lookup(name string) (string, bool) { text, ok := v[name]; return text, ok }

// clinic is an installation that is well, until a test changes it.
type clinic struct {
	*testing.T
	git    *gitlabtest.Server
	scene  gitlabtest.Scene
	place  *httptest.Server
	url    string // of GitLab
	target string // address of the target
	yaml   string // more of the configuration
	change func(*config.Config)
	o      doctor.Options
	db     store.Config
}

func newClinic(t *testing.T) *clinic {
	t.Helper()
	c := &clinic{T: t, git: gitlabtest.New(t), db: storetest.SQLite(t), o: doctor.Options{Version: "1.0.0", Each: 5 * time.Second}}
	c.scene = c.git.Populate()
	c.git.Describe(c.scene.Token, gitlabtest.Facts{CreatedAt: day(-100), ExpiresAt: day(200)})
	c.place = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }))
	t.Cleanup(c.place.Close)
	c.url, c.target = c.git.URL, c.place.URL+"/trigger"
	return c
}

func day(days int) time.Time {
	return time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, days)
}

// examine looks at the installation, and checks what must hold for every look.
func (c *clinic) examine() []delivery.Finding {
	c.Helper()
	text := fmt.Sprintf(`
gitlab: [{name: here, url: %q}]
tokens: [{name: bot, token: %q}]
targets: [{name: site, kind: http, url: %q, token: %q}]
routes: [{name: all, sync: [site]}]
webhook: {secret: %q}
%s`, c.url, c.scene.Token, c.target, targetToken, hookSecret, c.yaml)
	parsed, _, err := config.Parse("remora.yaml", []byte(text), vars{})
	if err != nil {
		c.Fatal(err)
	}
	parsed.Store = c.db
	if c.change != nil {
		c.change(parsed)
	}
	start := time.Now()
	found := doctor.Examine(c.Context(), parsed, c.o)
	if took := time.Since(start); took > 4*c.o.Each {
		c.Errorf("it took %s, want less than %s", took, 4*c.o.Each)
	}
	all, err := json.Marshal(found)
	if err != nil {
		c.Fatal(err)
	}
	for _, secret := range []string{c.scene.Token, hookSecret, targetToken, databasePass, vaultKey.Reveal()} {
		if strings.Contains(string(all), secret) {
			c.Errorf("the secret %s is in %s", secret, all)
		}
	}
	for _, f := range found {
		if f.Subject == "" || f.Text == "" || (f.Remedy == "") != (f.Level == delivery.Pass) {
			c.Errorf("finding %+v, want subject, text, and a remedy unless it passed", f)
		}
	}
	return found
}

func lines(found []delivery.Finding) string {
	var b strings.Builder
	for _, f := range found {
		fmt.Fprintf(&b, "%s %s: %s | %s\n", f.Level, f.Subject, f.Text, f.Remedy)
	}
	return b.String()
}

// write changes the database as an agent would have.
func (c *clinic) write(f func(*store.Tx) error) {
	c.Helper()
	db := c.db
	db.Key = vaultKey
	s, err := store.Open(context.Background(), db)
	if err != nil {
		c.Fatal(err)
	}
	if err := s.Write(context.Background(), f); err != nil {
		c.Fatal(err)
	}
	if err := s.Close(); err != nil {
		c.Fatal(err)
	}
}

// The words and the order are what people and scripts read.
func TestAnInstallationThatIsWell(t *testing.T) {
	t.Parallel()
	c := newClinic(t)
	c.write(func(*store.Tx) error { return nil })
	// How full the disk of this machine is does not matter here.
	found := slices.DeleteFunc(c.examine(), func(f delivery.Finding) bool { return f.Subject == "disk" })
	if got := doctor.Worst(found); got != delivery.Pass {
		t.Errorf("worst is %s", got)
	}
	text, err := json.MarshalIndent(found, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []struct{ find, put string }{
		{`http://127\.0\.0\.1:\d+`, "http://HOST"}, {`expires in \d+ days, on [0-9-]+`, "expires in N days, on DAY"},
		{`SQLite in [^:]+: tables of version \d+`, "SQLite in FILE: tables of version N"},
	} {
		text = regexp.MustCompile(r.find).ReplaceAll(text, []byte(r.put))
	}
	golden := filepath.Join("testdata", "well.json")
	if *update {
		if err := os.WriteFile(golden, append(text, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != string(text)+"\n" {
		t.Errorf("got\n%s\nwant\n%s\nrun with -update if that is meant", text, want)
	}
	for _, r := range c.git.Requests() {
		if r.Method != http.MethodGet {
			t.Errorf("it sent %s %s", r.Method, r.Path)
		}
	}
}

func TestWhatIsWrongIsTold(t *testing.T) {
	t.Parallel()
	const hour = time.Hour
	for _, tt := range []struct {
		name    string
		prepare func(*clinic)
		want    []string
	}{
		{"the clock is half a minute off", func(c *clinic) { c.o.Now = func() time.Time { return time.Now().Add(45 * time.Second) } }, []string{"warn clock: ours is 4", "ahead of GitLab's", "NTP"}},
		{"the clock is ten minutes behind", func(c *clinic) { c.o.Now = func() time.Time { return time.Now().Add(-10 * time.Minute) } }, []string{"fail clock: ours is ", "behind GitLab's"}},
		{"the token is expired", func(c *clinic) { c.git.Describe(c.scene.Token, gitlabtest.Facts{ExpiresAt: day(-1)}) }, []string{"fail token bot: GitLab refuses it: invalid_token: Token is expired.", "make a new token"}},
		{"the token is revoked", func(c *clinic) { c.git.Revoke(c.scene.Token) }, []string{"fail token bot: GitLab refuses it: invalid_token: Token was revoked."}},
		{"the token ends soon", func(c *clinic) {
			c.git.Describe(c.scene.Token, gitlabtest.Facts{CreatedAt: day(-100), ExpiresAt: day(12)})
		}, []string{"warn token bot: it expires in 11 days, on " + day(12).Format(time.DateOnly), "rotate: true"}},
		{"the token never ends", func(c *clinic) { c.git.Describe(c.scene.Token, gitlabtest.Facts{}) }, []string{"pass token bot: it does not expire"}},
		{"the token ends soon and is rotated", func(c *clinic) {
			c.git.Describe(c.scene.Token, gitlabtest.Facts{CreatedAt: day(-100), ExpiresAt: day(12)})
			c.db.Key = vaultKey
			c.change = func(c *config.Config) { c.Tokens[0].Rotate = true }
		}, []string{"pass token bot: it expires in 11 days", "the agent rotates it before"}},
		{"a token is to be rotated without a key", func(c *clinic) { c.change = func(c *config.Config) { c.Tokens[0].Rotate = true } },
			[]string{"fail encryption key: there is none, and it is needed: rotated tokens are stored", "fail token bot: it is to be rotated, and there is no key"}},
		{"the token may only read", func(c *clinic) {
			c.git.AddToken(c.scene.Bot.ID, c.scene.Token, gitlabtest.ReadAPI)
			c.git.Describe(c.scene.Token, gitlabtest.Facts{})
		}, []string{"fail token bot: it may only read: its scopes are read_api", "scope api"}},
		{"the token has another scope", func(c *clinic) {
			c.git.Describe(c.scene.Token, gitlabtest.Facts{Scopes: []string{"read_repository", "write_repository"}})
		}, []string{"fail token bot: its scopes do not reach: read_repository, write_repository"}},
		{"the token is fine-grained", func(c *clinic) { c.git.Describe(c.scene.Token, gitlabtest.Facts{Granular: true}) }, []string{"warn token bot: it is fine-grained", "create and read commit statuses"}},
		{"the token is of OAuth", func(c *clinic) { c.git.Describe(c.scene.Token, gitlabtest.Facts{OAuth: true}) }, []string{"warn token bot: it is an OAuth or job token", "pass token bot: it is Developer in acme/app"}},
		{"the bot is a guest", func(c *clinic) { c.git.AddMember(42, c.scene.Bot.ID, gitlabtest.Guest) }, []string{"fail token bot: it is only Guest in acme/app, which may not write statuses", "Developer"}},
		{"the bot is in no project", func(c *clinic) { c.git.AddMember(42, c.scene.Bot.ID, 0) }, []string{"warn token bot: it is a member of no project that it is configured for", "invite"}},
		{"the bot is a project's", func(c *clinic) {
			u := c.git.AddUser(gitlabtest.User{Username: "project_42_bot_0a1b", Bot: true}, c.scene.Token)
			c.git.AddMember(42, u.ID, gitlabtest.Developer)
		}, []string{"pass token bot: it is the bot of project 42, project_42_bot_0a1b"}},
		{"the rate limit is all but used up", func(c *clinic) { c.git.LimitCalls(8, time.Minute) }, []string{"are left in this window of the rate limit"}},
		{"it is not GitLab that answers", func(c *clinic) { c.url = c.place.URL }, []string{"fail GitLab http://127.0.0.1", "what answers there is not GitLab's API"}},
		{"the target is not there", func(c *clinic) { c.target = nobody + "/trigger" }, []string{"fail target site, address: no connection"}},
		{"there is no database yet", func(c *clinic) { c.db = store.Config{Dir: filepath.Join(c.TempDir(), "none")} }, []string{"warn database: SQLite: there is no file", "start the agent"}},
		{"the database is away", func(c *clinic) {
			c.db = store.Config{URL: "postgres://remora:" + databasePass + "@127.0.0.1:1/remora"}
		}, []string{"fail database: database cannot be reached"}},
		{"there is no webhook secret", func(c *clinic) { c.change = func(c *config.Config) { c.Auth.Secrets = "" } }, []string{"fail webhook secret: there is none, so every webhook is refused"}},
		{"deliveries were given up", func(c *clinic) {
			c.write(func(tx *store.Tx) error {
				_, err := tx.AddDelivery(store.Delivery{Key: "sync:site:h/1:refs/heads/main", State: store.Dead})
				return err
			})
		}, []string{"warn deliveries: 1 were given up", "remora deliveries retry"}},
		{"a schedule is overdue", func(c *clinic) {
			c.yaml = "schedules: [{name: hourly, every: PT1H, projects: ['acme/**'], sync: [site]}]"
			c.write(func(tx *store.Tx) error { _, err := tx.Fire("hourly", time.Now().Add(-5*hour)); return err })
		}, []string{"warn schedule hourly: it was due ", "see that the agent runs"}},
		{"a schedule has not fired", func(c *clinic) {
			c.yaml = "schedules: [{name: hourly, every: PT1H, projects: ['acme/**'], sync: [site]}]"
			c.write(func(*store.Tx) error { return nil })
		}, []string{"pass schedule hourly: it has not fired yet"}},
		{"the agent does not answer", func(c *clinic) { c.change = func(c *config.Config) { c.URL = nobody } }, []string{"fail agent " + nobody + ": no connection", "REMORA_URL"}},
		{"something else answers in the agent's place", func(c *clinic) {
			at := c.place.URL
			c.change = func(c *config.Config) { c.URL = at }
		}, []string{"fail agent ", "what answers there is no agent"}},
		{"the token was lost in a rotation", func(c *clinic) {
			c.write(func(tx *store.Tx) error {
				return tx.PutTokenState(store.TokenState{Name: "bot", State: store.TokenLost, Fingerprint: config.Fingerprint(delivery.Secret(c.scene.Token)), Error: "the answer never came"})
			})
		}, []string{"fail token bot: it was rotated and the new one never arrived: the answer never came", "make a new token"}},
		{"another token was lost before", func(c *clinic) {
			c.write(func(tx *store.Tx) error {
				return tx.PutTokenState(store.TokenState{Name: "bot", State: store.TokenLost, Fingerprint: "another", Error: "x"})
			})
		}, []string{"pass token bot: its scope is api"}},
		{"the configuration warns", func(c *clinic) {
			c.o.Warnings = []config.Warning{{Fault: config.Fault{Key: "log", Text: "is loud"}}}
		}, []string{"warn configuration: is loud", "remora config print"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newClinic(t)
			tt.prepare(c)
			got := lines(c.examine())
			for _, want := range tt.want {
				if !strings.Contains(got, want) {
					t.Errorf("got\n%swant %q in it", got, want)
				}
			}
		})
	}
}

func TestHooksAreToldAsTheyWereFound(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		kind string
		hook store.Hook
		want string
	}{
		{"a hook that is well", hooks.Project, store.Hook{Hook: 7, State: hooks.StateRight, CheckedAt: time.Now()}, "pass hook project acme/app: it was last looked at just now"},
		{"one that GitLab switched off", hooks.Project, store.Hook{Hook: 7, State: hooks.StateDisabled, Error: "the test failed", CheckedAt: time.Now()}, "fail hook project acme/app: GitLab has switched it off after failures: the test failed"},
		{"one that calls are missing of", hooks.Project, store.Hook{Hook: 7, State: hooks.StateBehind, CheckedAt: time.Now()}, "warn hook project acme/app: calls that failed"},
		{"a group without a license", hooks.Group, store.Hook{State: hooks.StateUnlicensed, CheckedAt: time.Now()}, "pass hook group acme/app: this GitLab has no group hooks"},
		{"one that could not be put right", hooks.Project, store.Hook{Hook: 7, Error: "status 403", CheckedAt: time.Now()}, "fail hook project acme/app: status 403"},
		{"one that is not there", hooks.Project, store.Hook{CheckedAt: time.Now()}, "warn hook project acme/app: it is not in GitLab"},
		{"one that nobody looks after", hooks.Project, store.Hook{Hook: 7, CheckedAt: time.Now().Add(-72 * time.Hour)}, "warn hook project acme/app: it was last looked at 3 days ago"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newClinic(t)
			tt.hook.Instance, tt.hook.Kind, tt.hook.Scope, tt.hook.Path, tt.hook.Token = c.url, tt.kind, 42, "acme/app", "bot"
			c.write(func(tx *store.Tx) error { return tx.PutHook(tt.hook) })
			c.change = func(c *config.Config) {
				c.Hooks = hooks.Config{Kind: hooks.Project, URL: "https://remora.example/hooks/gitlab", Heal: time.Hour}
			}
			got := lines(c.examine())
			for _, want := range []string{tt.want, "fail token bot: it is only Developer in acme/app, and needs to be Maintainer to keep project hooks", "fail agent: its own address is not known"} {
				if !strings.Contains(got, want) {
					t.Errorf("got\n%swant %q in it", got, want)
				}
			}
		})
	}
}

// Whatever does not answer, the examination ends in its time and tells it all.
func TestNothingAnswers(t *testing.T) {
	t.Parallel()
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(silent.Close)
	for name, at := range map[string]string{"nobody is there": nobody, "all hang": silent.URL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClinic(t)
			c.o.Each = 700 * time.Millisecond
			c.url, c.target = at, at+"/trigger"
			c.db = store.Config{URL: "postgres://remora:" + databasePass + "@" + strings.TrimPrefix(at, "http://") + "/remora"}
			c.change = func(c *config.Config) { c.URL = at }
			found := c.examine()
			failed := map[string]bool{}
			for _, f := range found {
				if f.Level == delivery.Fail {
					failed[f.Subject] = true
				}
			}
			for _, want := range []string{"database", "GitLab " + at, "token bot", "target site, address", "agent " + at} {
				if !failed[want] {
					t.Errorf("%s does not fail; there is\n%s", want, lines(found))
				}
			}
		})
	}
}

// Who has set nothing but variables is told of variables.
func TestRemediesNameWhatWasSet(t *testing.T) {
	t.Parallel()
	for file, want := range map[string][]string{
		"":            {"set REMORA_GITLAB_TOKEN to it", "the address in REMORA_GITLAB_URL can be reached from here"},
		"remora.yaml": {"set the token bot to it", "the address in the url of GitLab here can be reached from here"},
	} {
		c := newClinic(t)
		c.change = func(made *config.Config) { made.File = file }
		c.git.Revoke(c.scene.Token)
		got := lines(c.examine())
		c.url = nobody
		if got += lines(c.examine()); !strings.Contains(got, want[0]) || !strings.Contains(got, want[1]) {
			t.Errorf("file %q: got\n%s\nwant %q", file, got, want)
		}
	}
}

func TestTheWorstComesFirst(t *testing.T) {
	t.Parallel()
	in := []delivery.Finding{{Subject: "a", Level: delivery.Pass}, {Subject: "b", Level: delivery.Warn}, {Subject: "c", Level: delivery.Fail}, {Subject: "d", Level: delivery.Warn}}
	var got []string
	for _, f := range doctor.Sorted(in) {
		got = append(got, f.Subject)
	}
	if strings.Join(got, "") != "cbda" || in[0].Subject != "a" || doctor.Worst(in) != delivery.Fail || doctor.Worst(nil) != delivery.Pass {
		t.Errorf("got %v, worst %s", got, doctor.Worst(in))
	}
}
