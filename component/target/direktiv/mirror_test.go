package direktiv_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/target/direktiv"
	"gitlab.com/remora-ci/remora/component/target/direktiv/direktivtest"
)

const gitToken = "glpat-canary-0a1b2c"

type spec = direktiv.MirrorSpec

func admin(t *testing.T, base, namespace string) *direktiv.Admin {
	t.Helper()
	a, err := direktiv.NewAdmin(config{URL: base, Namespace: namespace, Token: canary}, client(t))
	if err != nil {
		t.Fatal(err)
	}
	return direktiv.QuickAdmin(a)
}

// private is a Direktiv whose repository wants gitToken as its password.
func private(t *testing.T, g direktivtest.Generation) *direktivtest.Server {
	return serve(t, direktivtest.Options{Generation: g, Key: canary, GitPassword: gitToken, Refs: []string{"main"}})
}

func on[T any](v T) *T { return &v }

func TestAMirrorMadeWithATokenSyncsOnEveryGeneration(t *testing.T) {
	t.Parallel()
	for _, token := range []delivery.Secret{gitToken, "oauth2:" + gitToken} {
		for _, g := range direktivtest.Generations() {
			t.Run(string(g), func(t *testing.T) {
				t.Parallel()
				srv := private(t, g)
				a := admin(t, srv.URL, "shop")
				view, err := a.Create(context.Background(), spec{URL: "https://gitlab.example.com/acme/app.git", Ref: "main", Token: token})
				if err != nil {
					t.Fatal(err)
				}
				if !view.Mirror || view.URL != "https://gitlab.example.com/acme/app.git" || view.Ref != "main" || len(view.Notes) != 1 {
					t.Errorf("view = %+v, want the mirror and a note on the first sync", view)
				}
				if g != direktivtest.V085 && view.Auth != direktiv.AuthToken { // v0.8.5 does not tell
					t.Errorf("auth = %q, want token", view.Auth)
				}
				if _, err := a.Sync(context.Background()); err != nil {
					t.Errorf("sync: %v", err)
				}
				if m := srv.Mirror("shop"); !strings.HasSuffix(m.Passphrase, ":"+gitToken) {
					t.Errorf("passphrase = %q, want user:token", m.Passphrase)
				}
			})
		}
	}
}

func TestAMirrorMadeWithAKeyOrNothingIsSoOnEveryGeneration(t *testing.T) {
	t.Parallel()
	for _, g := range direktivtest.Generations() {
		srv := serve(t, direktivtest.Options{Generation: g})
		view, err := admin(t, srv.URL, "keys").Create(context.Background(), spec{URL: "git@gitlab.example.com:acme/app.git", Ref: "main",
			PublicKey: "ssh-ed25519 AAAA", PrivateKey: "private", Passphrase: "phrase", Insecure: on(true)})
		if err != nil {
			t.Fatalf("%s: %v", g, err)
		}
		m := srv.Mirror("keys")
		if m.PublicKey != "ssh-ed25519 AAAA" || m.PrivateKey != "private" || m.Passphrase != "phrase" || !m.Insecure || m.AuthToken != "" {
			t.Errorf("%s: mirror = %+v, want the key pair, its passphrase and no token", g, m)
		}
		if view.Auth != direktiv.AuthSSH && g != direktivtest.V085 || !view.Insecure {
			t.Errorf("%s: view = %+v, want ssh and insecure", g, view)
		}
		view, err = admin(t, srv.URL, "open").Create(context.Background(), spec{URL: "https://gitlab.example.com/acme/app.git", Ref: "main"})
		if err != nil || view.Auth != direktiv.AuthNone && g != direktivtest.V085 {
			t.Errorf("%s: view = %+v, %v; want no credentials", g, view, err)
		}
	}
}

func TestAnUpdateSendsOnlyWhatChangesAndAlwaysAMirror(t *testing.T) {
	t.Parallel()
	is := direktivtest.Mirror{URL: "https://gitlab.example.com/acme/app.git", GitRef: "main", AuthType: "public"}
	for name, c := range map[string]struct {
		spec spec
		want map[string]any // fields of the mirror; nil: no request
	}{
		"another ref":    {spec{Ref: "stable"}, map[string]any{"gitRef": "stable"}},
		"another URL":    {spec{URL: "https://gitlab.example.com/acme/new.git", Ref: "main"}, map[string]any{"url": "https://gitlab.example.com/acme/new.git"}},
		"insecure":       {spec{Insecure: on(true)}, map[string]any{"insecure": true}},
		"the same again": {spec{URL: is.URL, Ref: "main", Insecure: on(false)}, nil},
		"nothing":        {spec{}, nil},
		"none, as it is": {spec{Auth: "none"}, nil},
		"a token":        {spec{Token: gitToken}, map[string]any{"authType": "token", "authToken": "nouser:" + gitToken, "privateKeyPassphrase": "nouser:" + gitToken, "publicKey": "", "privateKey": ""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := is
			srv := serve(t, direktivtest.Options{Mirror: &m})
			view, err := admin(t, srv.URL, "demo").Update(context.Background(), c.spec)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range srv.Requests() {
				if r.Method != "GET" {
					got = append(got, r.Method+" "+r.Body)
				}
			}
			if c.want == nil {
				if len(got) != 0 || fmt.Sprint(view.Notes) != "[nothing to change]" {
					t.Errorf("sent %q, notes %q; want nothing to change", got, view.Notes)
				}
				return
			}
			want, err := json.Marshal(map[string]any{"mirror": c.want})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"PATCH " + string(want)}, got); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
			if srv.Mirror("demo") == nil || !view.Mirror {
				t.Error("the mirror is gone")
			}
		})
	}
}

func TestAMirrorThatBecomesPrivateIsToldThatItMayHaveToBeMadeAgain(t *testing.T) {
	t.Parallel()
	for _, g := range direktivtest.Generations() {
		srv := private(t, g)
		a := admin(t, srv.URL, "demo")
		view, err := a.Update(context.Background(), spec{Token: gitToken})
		if err != nil {
			t.Fatalf("%s: %v", g, err)
		}
		told := strings.Contains(strings.Join(view.Notes, "\n"), "delete the namespace and use `remora mirror create`")
		if _, err = a.Sync(context.Background()); (err == nil) != (g != direktivtest.Main) {
			t.Errorf("%s: sync: %v; want it to fail on main only, which keeps the first authType", g, err)
		}
		if tells := g != direktivtest.V07 && g != direktivtest.V085; told != tells {
			t.Errorf("%s: notes = %q, want the warning: %v", g, view.Notes, tells)
		}
	}
}

func TestALegacyUpdateKeepsWhatItDoesNotName(t *testing.T) {
	t.Parallel()
	srv := serve(t, direktivtest.Options{Generation: direktivtest.V07, Mirror: &direktivtest.Mirror{
		URL: "https://gitlab.example.com/acme/app.git", GitRef: "main", Passphrase: "nouser:" + gitToken, Cron: "0 * * * *"}})
	view, err := admin(t, srv.URL, "demo").Update(context.Background(), spec{Ref: "stable"})
	if err != nil {
		t.Fatal(err)
	}
	got := srv.Mirror("demo")
	if got.GitRef != "stable" || got.URL != "https://gitlab.example.com/acme/app.git" || got.Passphrase != "nouser:"+gitToken || got.Cron != "0 * * * *" {
		t.Errorf("mirror = %+v, want only the ref changed", got)
	}
	if view.API != "legacy" || view.Cron != "0 * * * *" || view.Auth != direktiv.AuthToken {
		t.Errorf("view = %+v, want the schedule and token of a legacy mirror", view)
	}
	before := srv.Asked("POST ")
	view, err = admin(t, srv.URL, "demo").Update(context.Background(), spec{Ref: "stable"})
	if err != nil || srv.Asked("POST ") != before || !slices.Contains(view.Notes, "nothing to change") {
		t.Errorf("notes %q, %v, %d requests; want nothing sent where nothing changes: it would start a sync", view.Notes, err, srv.Asked("POST ")-before)
	}
	if _, err := admin(t, srv.URL, "demo").Update(context.Background(), spec{Auth: "none", Cron: on("")}); err != nil {
		t.Fatal(err)
	}
	if got := srv.Mirror("demo"); got.Passphrase != "" || got.Cron != "" {
		t.Errorf("mirror = %+v, want credentials and schedule removed", got)
	}
}

func TestASchedule(t *testing.T) {
	t.Parallel()
	cron := spec{URL: "https://gitlab.example.com/acme/app.git", Ref: "main", Cron: on("*/5 * * * *")}
	srv := serve(t, direktivtest.Options{Generation: direktivtest.V07})
	if view, err := admin(t, srv.URL, "shop").Create(context.Background(), cron); err != nil || view.Cron != "*/5 * * * *" {
		t.Errorf("legacy: view = %+v, %v; want the schedule", view, err)
	}
	for _, g := range direktivtest.Generations()[1:] {
		srv := serve(t, direktivtest.Options{Generation: g})
		_, err := admin(t, srv.URL, "shop").Create(context.Background(), cron)
		if err == nil || !strings.Contains(delivery.Explain(err).Remedy, "agent") || srv.Asked("POST ") != 0 {
			t.Errorf("%s: %v, want nothing sent and the agent's schedules named", g, err)
		}
		_, err = admin(t, srv.URL, "demo").Update(context.Background(), cron)
		if err == nil || srv.Asked("PATCH ") != 0 {
			t.Errorf("%s: %v, want nothing sent", g, err)
		}
	}
}

func TestWhatIsNotThereOrAlreadyIsThere(t *testing.T) {
	t.Parallel()
	full := spec{URL: "https://gitlab.example.com/acme/app.git", Ref: "main"}
	srv := serve(t, direktivtest.Options{NoMirror: true})
	ctx := context.Background()
	for name, c := range map[string]struct {
		do   func() error
		want string
	}{
		"create what exists": {func() error { _, err := admin(t, srv.URL, "demo").Create(ctx, full); return err }, "namespace exists"},
		"create what the legacy API has": {func() error {
			old := serve(t, direktivtest.Options{Generation: direktivtest.V07})
			_, err := admin(t, old.URL, "demo").Create(ctx, full)
			return err
		}, "namespace exists"},
		"create with a bad name":      {func() error { _, err := admin(t, srv.URL, "UPPER").Create(ctx, full); return err }, "refused by Direktiv"},
		"update what is not there":    {func() error { _, err := admin(t, srv.URL, "other").Update(ctx, full); return err }, "namespace not found"},
		"update half of what is none": {func() error { _, err := admin(t, srv.URL, "demo").Update(ctx, spec{Ref: "main"}); return err }, "no mirror"},
		"show what is not there":      {func() error { _, err := admin(t, srv.URL, "other").Show(ctx, 1); return err }, "namespace not found"},
		"a token for an SSH mirror": {func() error {
			ssh := serve(t, direktivtest.Options{Mirror: &direktivtest.Mirror{URL: "git@h:a.git", GitRef: "main", PublicKey: "k"}})
			_, err := admin(t, ssh.URL, "demo").Update(ctx, spec{Token: gitToken})
			return err
		}, "URL does not fit"},
		"no Direktiv at all": {func() error {
			_, err := admin(t, serveHandler(t, page(404, "text/plain", "no")), "demo").Show(ctx, 1)
			return err
		}, "no Direktiv API"},
		"no Direktiv at all to create in": {func() error {
			_, err := admin(t, serveHandler(t, page(200, "text/html", startPage)), "demo").Create(ctx, full)
			return err
		}, "no Direktiv API"},
	} {
		err := c.do()
		if err == nil || delivery.Explain(err).Summary != c.want || delivery.Explain(err).Remedy == "" {
			t.Errorf("%s: %v, want %q with a remedy", name, err, c.want)
		}
	}
	view, err := admin(t, srv.URL, "demo").Update(ctx, full)
	if err != nil || !view.Mirror || srv.Mirror("demo").GitRef != "main" {
		t.Errorf("a namespace without a mirror was not made one: %+v, %v", view, err)
	}
}

func TestANamespaceThatMayNotBeSeenIsNotMade(t *testing.T) {
	t.Parallel()
	full := spec{URL: "https://gitlab.example.com/acme/app.git", Ref: "main"}
	for name, c := range map[string]struct {
		code       int
		body, want string
	}{
		"not allowed":  {403, `{"error":{"code":"access_token_denied","message":"no"}}`, "not allowed"},
		"server error": {500, `{"error":{"code":"internal","message":"internal server error"}}`, "server error"},
	} {
		changes := 0
		answer := page(c.code, "application/json", c.body)
		url := serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet {
				changes++
			}
			answer.ServeHTTP(w, r)
		}))
		_, made := admin(t, url, "demo").Create(context.Background(), full)
		_, changed := admin(t, url, "demo").Update(context.Background(), full)
		for _, err := range []error{made, changed} {
			if err == nil || delivery.Explain(err).Summary != c.want {
				t.Errorf("%s: %v, want %q", name, err, c.want)
			}
		}
		if changes != 0 {
			t.Errorf("%s: %d changes were sent, want none", name, changes)
		}
	}
}

func TestShowListsTheLastSyncsNewestFirstWithTheirLogs(t *testing.T) {
	t.Parallel()
	for _, g := range direktivtest.Generations() {
		srv := serve(t, direktivtest.Options{Generation: g})
		srv.Next(direktivtest.Script{}, direktivtest.Script{Failure: "reference not found"}, direktivtest.Script{})
		for range 3 {
			apply(t, target(t, srv.URL, nil))
		}
		view, err := admin(t, srv.URL, "demo").Show(context.Background(), 2)
		if err != nil {
			t.Fatalf("%s: %v", g, err)
		}
		syncs := srv.Syncs("demo")
		if len(view.Syncs) != 2 || view.Syncs[0].ID != syncs[2].ID || view.Syncs[1].Status != "failed" || view.Syncs[1].Started.IsZero() {
			t.Fatalf("%s: syncs = %+v, want the last two, newest first", g, view.Syncs)
		}
		if log := view.Syncs[1].Log; len(log) != 2 || log[1].Level != "ERROR" || !strings.Contains(log[1].Text, "reference not found") {
			t.Errorf("%s: log = %+v, want the cause", g, log)
		}
	}
}

func TestShowHidesCredentialsInTheURLAndOutlivesTheLogStore(t *testing.T) {
	t.Parallel()
	srv := serve(t, direktivtest.Options{Generation: direktivtest.Main, Mirror: &direktivtest.Mirror{URL: "https://bot:" + gitToken + "@gitlab.example.com/acme/app.git", GitRef: "main"}})
	apply(t, target(t, srv.URL, nil))
	apply(t, target(t, srv.URL, nil))
	srv.LogsDown(true)
	view, err := admin(t, srv.URL, "demo").Show(context.Background(), 5)
	if err != nil || view.URL != "https://gitlab.example.com/acme/app.git" {
		t.Errorf("URL = %q, %v; want it without the credentials", view.URL, err)
	}
	if len(view.Syncs) != 2 || len(view.Notes) != 1 || !strings.Contains(view.Notes[0], "log could not be read") {
		t.Errorf("view = %+v, want both syncs and one note", view)
	}
}

func TestASpecTellsEverythingThatIsWrong(t *testing.T) {
	t.Parallel()
	url := "https://gitlab.example.com/acme/app.git"
	for name, c := range map[string]struct {
		spec   spec
		update bool
		want   []string
	}{
		"nothing":                {spec{}, false, []string{"--url: missing", "--ref: missing"}},
		"nothing in an update":   {spec{}, true, nil},
		"a tag":                  {spec{URL: url, Ref: "refs/tags/v1"}, false, []string{"--ref: want the plain name"}},
		"a commit":               {spec{URL: url, Ref: strings.Repeat("0a", 20)}, false, []string{"--ref: want the plain name"}},
		"no branch":              {spec{Ref: "a b"}, true, []string{"--ref: no branch can be called"}},
		"a token in the URL":     {spec{URL: "https://" + gitToken + "@h/a.git", Ref: "main"}, false, []string{"--url: holds a user name"}},
		"a token over http":      {spec{URL: "http://h/a.git", Ref: "main", Token: gitToken}, false, []string{"--url: a token needs an https URL"}},
		"a token over ssh":       {spec{URL: "git@h:a.git", Ref: "main", Token: gitToken}, false, []string{"--url: a token needs an https URL"}},
		"a key over https":       {spec{URL: url, Ref: "main", PublicKey: "p", PrivateKey: gitToken}, false, []string{"--url: an SSH key needs an SSH URL"}},
		"half a key pair":        {spec{URL: "git@h:a.git", Ref: "main", PrivateKey: gitToken}, false, []string{"DIREKTIV_GIT_SSH_KEY and DIREKTIV_GIT_PUBLIC_KEY"}},
		"token and key":          {spec{URL: url, Ref: "main", Token: gitToken, PublicKey: "p", PrivateKey: "x"}, false, []string{"DIREKTIV_GIT_TOKEN: set, and an SSH key too"}},
		"none and a token":       {spec{Auth: "none", Token: gitToken}, true, []string{"--auth: none, but"}},
		"token without one":      {spec{Auth: "token"}, true, []string{"DIREKTIV_GIT_TOKEN: missing"}},
		"an unknown way":         {spec{Auth: "magic"}, true, []string{"--auth: want none, token or ssh"}},
		"a passphrase alone":     {spec{Passphrase: gitToken}, true, []string{"DIREKTIV_GIT_PASSPHRASE: set without"}},
		"a user name in ssh URL": {spec{URL: "ssh://git@h:22/a.git", Ref: "main", PublicKey: "p", PrivateKey: "x"}, false, nil},
	} {
		err := c.spec.Validate(!c.update)
		if (err == nil) != (c.want == nil) {
			t.Errorf("%s: Validate() = %v, want %q", name, err, c.want)
		}
		for _, w := range c.want {
			if !strings.Contains("\n"+err.Error(), "\n"+w) || strings.Contains(err.Error(), gitToken) {
				t.Errorf("%s: Validate() = %v, want a line that begins with %q, and no secret", name, err, w)
			}
		}
	}
}

func TestAServerThatEchoesTheRequestLearnsNothingToUs(t *testing.T) {
	t.Parallel()
	base := serveHandler(t, echo{})
	_, err := admin(t, base, "shop").Create(context.Background(), spec{URL: "https://gitlab.example.com/acme/app.git", Ref: "main", Token: gitToken})
	if err == nil || strings.Contains(fmt.Sprintf("%v %+v", err, *delivery.Explain(err)), gitToken) {
		t.Errorf("error = %v, want one without the token", err)
	}
}
