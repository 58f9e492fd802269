package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/sethvargo/go-envconfig"

	"gitlab.com/remora-ci/remora/agent/auth"
	"gitlab.com/remora-ci/remora/agent/command"
	"gitlab.com/remora-ci/remora/agent/config"
	"gitlab.com/remora-ci/remora/agent/hooks"
	"gitlab.com/remora-ci/remora/agent/route"
	"gitlab.com/remora-ci/remora/agent/schedule"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/report"
	"gitlab.com/remora-ci/remora/component/target"
	"gitlab.com/remora-ci/remora/component/target/direktiv"
	"gitlab.com/remora-ci/remora/component/target/httppost"
	"gitlab.com/remora-ci/remora/component/target/mirror"
)

// same compares secrets by what they are, not by how they look.
var same = cmp.Options{
	cmpopts.IgnoreUnexported(config.Config{}),
	cmpopts.EquateEmpty(),
	cmp.Transformer("Reveal", func(s delivery.Secret) string { return s.Reveal() }),
}

func TestTheSampleIsReadWhole(t *testing.T) {
	t.Parallel()
	got, warnings, err := load(t, "testdata/remora.yaml", sampleEnv())
	if err != nil || len(warnings) > 0 {
		t.Fatalf("got error %v, warnings %v, want none", err, warnings)
	}
	want := &config.Config{
		File: "testdata/remora.yaml", Listen: "127.0.0.1:8080", Log: "info", Shutdown: 25 * time.Second,
		Limits: config.Limits{PerProject: 10, Workers: 64, MaxAttempts: 20, Lease: time.Minute, Memory: 64 << 20},
		Instances: []config.Instance{
			{Name: "main", URL: "https://gitlab.example.com"}, {Name: "lab", URL: "https://lab.example.com/gitlab"},
		},
		Tokens: []config.Token{
			{Name: "everything", Instance: "main", Value: "glpat-bot-canary", Projects: []string{"**"}, Rotate: true},
			{Name: "acme", Instance: "main", Value: "glpat-acme-canary-1", Projects: []string{"acme/**"}},
			{Name: "lab", Instance: "lab", Value: "glpat-lab-canary", Projects: []string{"**"}},
		},
		Targets: sampleTargets(), Routes: sampleRoutes(),
		Schedules: []config.Schedule{
			{Instance: "main", Config: schedule.Config{Name: "nightly", Cron: "30 2 * * *", Zone: "Europe/Berlin", Projects: []string{"acme/app"}, Refs: []string{"main"}, Sync: []string{"flows"}}},
			{Instance: "lab", Config: schedule.Config{Name: "copies", Every: "PT6H", OnStart: true, Projects: []string{"**"}, Sync: []string{"copy"}}},
		},
		Auth: auth.Config{
			Secrets: "hook-canary-secret-new\nhook-canary-secret-old", AdminToken: "admin-canary-token-long",
			Allow: "10.0.0.0/8,192.0.2.7", TrustedProxies: "10.1.0.0/16",
		},
		Store: store.Config{URL: "postgres://remora:db-canary-password@db.example.com:5432/remora", Key: "Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5LWNhbmE=", Retention: "P30D"},
		URL:   "https://remora.example.com", Audiences: []string{"https://sync.example.com"},
		Commands: command.Config{Enabled: true, Prefix: "/remora", AccessLevel: 30},
		Hooks: hooks.Config{Kind: "group", URL: "https://remora.example.com/hooks/gitlab", OldURLs: []string{"https://port.example.com/**"}, Heal: 15 * time.Minute,
			Groups: []hooks.Override{{Token: "acme", Group: "acme"}, {Token: "lab", Group: "lab", Events: []string{"push", "tag_push"}}}},
	}
	if diff := cmp.Diff(want, got, same); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"copy"}, got.Deletes()); diff != "" {
		t.Errorf("targets that delete: want -, got +:\n%s", diff)
	}
	if _, err := route.New(route.Config{Instances: []route.Instance{{URL: got.InstanceURLs()[0]}}, Rules: got.Rules(), Deletes: got.Deletes()}); err != nil {
		t.Errorf("package route takes the routes: %v", err)
	}
}

func sampleTargets() []config.Target {
	return []config.Target{
		{Name: "flows", Kind: "direktiv", Config: target.Config{Direktiv: direktiv.Config{
			URL: "https://direktiv.example.com", Namespace: "demo", Token: "direktiv-canary-p", Auth: "auto", FailOnWarn: "true"}}},
		{Name: "flows-staging", Kind: "direktiv", Config: target.Config{Direktiv: direktiv.Config{
			URL: "https://direktiv-staging.example.com", Namespace: "demo", Token: "direktiv-canary-s", Auth: "auto", AnyRef: "true"}}},
		{Name: "builds", Kind: "http", Config: target.Config{HTTP: httppost.Config{
			URL: "https://builds.example.com/api/trigger", Method: "POST", Headers: "X-Environment: production\nX-Api-Key: builds-canary-key",
			Body: "{ref: .ref, commit: .sha}", StatusURL: ".answer.links.self", Success: "passed,green"}}},
		{Name: "copy", Kind: "mirror", Config: target.Config{Mirror: mirror.Config{
			URL: "https://git.example.com/acme/copy.git", Token: "mirror-canary-123", Refs: "main release/* v*"}}},
	}
}

func sampleRoutes() []config.Route {
	shown := report.Config{Report: "auto", Name: "production", Note: "update", StatusOn: "pipeline"}
	staging, off := shown, shown
	staging.Name, staging.Note = "staging", "on-failure"
	off.Name, off.Report = "sync", "off"
	return []config.Route{
		{Timeout: 10 * time.Minute, Wait: true, Optional: []string{"builds"}, Rule: route.Rule{
			Name: "production", On: []string{"push", "merge_request"}, Projects: []string{"acme/**", "!acme/attic/**"}, Refs: []string{"main", "release/*"},
			Paths: []string{"flows/**", "!**/*.md"}, Sync: []string{"flows", "builds"}, Report: shown}},
		{Timeout: 5 * time.Minute, Wait: true, Debounce: 2 * time.Second, Rule: route.Rule{
			Name: "staging", Projects: []string{"acme/**"}, Refs: []string{"feature/**"}, Sync: []string{"flows-staging"}, Report: staging}},
		{Timeout: 5 * time.Minute, Wait: true, Rule: route.Rule{
			Name: "jobs", On: []string{"job"}, Projects: []string{"acme/**", "lab/**"}, Refs: []string{"main", "release/*"}, Forks: route.ForksNever, Sync: []string{"flows"}, Report: off}},
		{Timeout: 5 * time.Minute, Wait: true, Rule: route.Rule{
			Name: "copies", On: []string{"push", "tag_push"}, Sync: []string{"copy"}, Report: off}},
	}
}

func TestTargetsOfTheSampleCanBeMade(t *testing.T) {
	t.Parallel()
	c, _, err := load(t, "testdata/remora.yaml", sampleEnv())
	if err != nil {
		t.Fatal(err)
	}
	for _, tg := range c.Targets {
		if err := tg.Config.Validate(); err != nil {
			t.Errorf("%s: %v", tg.Name, err)
		}
	}
}

func TestSecretsAreKnownAndNotShown(t *testing.T) {
	t.Parallel()
	c, _, err := load(t, "testdata/remora.yaml", sampleEnv())
	if err != nil {
		t.Fatal(err)
	}
	scrub := delivery.NewScrubber(c.Secrets()...)
	for name, value := range sampleEnv() {
		if text := scrub.Text("say " + value); strings.Contains(text, value) {
			t.Errorf("%s is not among the secrets", name)
		}
	}
	for _, s := range c.Settings() {
		text, ok := s.Value.(string)
		if list, is := s.Value.([]string); is {
			text, ok = strings.Join(list, " "), true
		}
		if !ok || strings.Contains(text, "canary") {
			t.Errorf("%s shows a secret: %v", s.Key, s.Value)
		}
		if s.Key == "routes[0].name" && text != "production" {
			t.Errorf("%s = %q: an ordinary word in a header is no secret elsewhere", s.Key, text)
		}
	}
}

func TestSettingsSayWhereTheyComeFrom(t *testing.T) {
	t.Parallel()
	env := sampleEnv()
	env["REMORA_LISTEN"] = ":9000"
	c, _, err := load(t, "testdata/remora.yaml", env)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, s := range c.Settings() {
		got[s.Key] = s.Origin.String()
	}
	for key, want := range map[string]string{
		"gitlab[0].url": "testdata/remora.yaml:16:10", "listen": "REMORA_LISTEN",
		"targets[0].auth": "default", "tokens[1].token": "testdata/remora.yaml:34:17",
	} {
		if got[key] != want {
			t.Errorf("%s comes from %q, want %q", key, got[key], want)
		}
	}
}

func TestPathsAreTakenFromTheFolderOfTheFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("token", "from-a-file\n")
	write("remora.yaml", "data_dir: state\ntargets: [{kind: http, url: https://x.example, token_file: token}]\nroutes: [{sync: http}]\nwebhook: {secret_file: '${CREDENTIALS_DIRECTORY}/hook'}\n")
	write("hook", "a-hook-secret-of-length\nand-a-second-of-length\n")
	c, _, err := load(t, filepath.Join(dir, "remora.yaml"), map[string]string{"CREDENTIALS_DIRECTORY": dir})
	if err != nil {
		t.Fatal(err)
	}
	got := []string{c.Store.Dir, c.Targets[0].Config.HTTP.Token.Reveal(), c.Auth.Secrets.Reveal()}
	want := []string{filepath.Join(dir, "state"), "from-a-file", "a-hook-secret-of-length\nand-a-second-of-length"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

func TestAFileThatCannotBeRead(t *testing.T) {
	t.Parallel()
	big := filepath.Join(t.TempDir(), "big.yaml")
	if err := os.WriteFile(big, make([]byte, 1<<20+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		"testdata/none.yaml": "testdata/none.yaml: no such file or directory",
		"testdata":           "testdata: is a directory",
		big:                  big + ": larger than 1 MiB",
	} {
		if _, _, err := load(t, file, nil); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestOnlyTheStore(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "remora.yaml")
	text := "targets: [{kind: http, url: '${GONE}'}]\nadmin_token: ${GONE}\nretention: P7D\ndatabase:\n  url_file: url\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := config.LoadStore(t.Context(), file, envconfig.MapLookuper(nil))
	if want := file + ":5:13: database.url: url_file: " + filepath.Join(filepath.Dir(file), "url") + ": no such file or directory"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	got, err := config.LoadStore(t.Context(), "", envconfig.MapLookuper(map[string]string{"REMORA_DATA_DIR": "/x"}))
	if diff := cmp.Diff(store.Config{Dir: "/x", Retention: "P30D"}, got, same); err != nil || diff != "" {
		t.Errorf("error %v; want -, got +:\n%s", err, diff)
	}
}

func TestTheStoreNeedsNoKeyAndHasItsAddressFromAFile(t *testing.T) {
	t.Parallel()
	address := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(address, []byte("postgres://db.example.com/remora\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := config.LoadStore(t.Context(), "", envconfig.MapLookuper(map[string]string{
		"REMORA_DATABASE_URL_FILE": address, "REMORA_ENCRYPTION_KEY_FILE": "/nowhere", "REMORA_RETENTION": "",
	}))
	if diff := cmp.Diff(store.Config{URL: "postgres://db.example.com/remora", Retention: "P30D"}, got, same); err != nil || diff != "" {
		t.Errorf("error %v; want -, got +:\n%s", err, diff)
	}
}

func TestPasswordsOfTheDatabaseAreNotShown(t *testing.T) {
	t.Parallel()
	const head = "targets: [{kind: http, url: https://x.example}]\nroutes: [{sync: http}]\ndatabase: {url: "
	for _, address := range []string{
		"postgres://u:canary-1@db/x", "postgres://u@db/x?password=canary-1", "postgres://u:canary-1@db/x?sslmode=require&sslpassword=canary-2", "postgres:///x?host=/run&SSLPassword=canary-1",
	} {
		c, warnings, err := parse(head+"'"+address+"'}\n", nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range c.Settings() {
			if strings.Contains(fmt.Sprint(s.Value), "canary") {
				t.Errorf("%s is shown: %v", s.Key, s.Value)
			}
		}
		if !strings.Contains(lines(warnings), "database.url: a secret in the file itself") {
			t.Errorf("%s: no warning: %s", address, lines(warnings))
		}
		for _, want := range []string{"canary-1", "canary-2"} {
			if strings.Contains(address, want) && !slices.ContainsFunc(c.Secrets(), func(s delivery.Secret) bool { return s.Reveal() == want }) {
				t.Errorf("%s is not known as a secret", want)
			}
		}
	}
}

func TestTheFolderInForceIsShown(t *testing.T) {
	t.Parallel()
	c, _, err := parse("targets: [{kind: http, url: https://x.example}]\nroutes: [{sync: http}]\n", nil)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(c.Settings(), func(s config.Setting) bool { return s.Key == "data_dir" })
	if i < 0 || !strings.HasSuffix(fmt.Sprint(c.Settings()[i].Value), "remora") || c.Settings()[i].Origin.String() != "default" || c.Store.Dir != "" {
		t.Errorf("got %v, want the default folder shown, and left to the store", c.Settings())
	}
}
