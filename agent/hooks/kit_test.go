package hooks_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"gitlab.com/remora-ci/remora/agent/auth"
	"gitlab.com/remora-ci/remora/agent/hooks"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/store/storetest"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
	"gitlab.com/remora-ci/remora/component/rest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	secret  = "a-secret-of-some-length"
	signing = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
)

// house is a GitLab with an agent's database beside it.
type house struct {
	*testing.T
	git    *gitlabtest.Server
	store  *store.Store
	clock  *clock
	config hooks.Config
	auth   auth.Config
	tokens []hooks.Token
	bot    gitlabtest.User // of the first token
	url    string          // of the instance

	tokenFor func(string) string
	wanted   func(string) bool
}

func newHouse(t *testing.T) *house {
	t.Helper()
	git := gitlabtest.New(t)
	git.SetVersion("19.1.0-ee")
	h := newHouseAt(t, git, git.URL)
	return h
}

func newHouseAt(t *testing.T, git *gitlabtest.Server, url string) *house {
	t.Helper()
	h := &house{T: t, git: git, url: url, clock: newClock()}
	h.git.HookClock(h.clock.now)
	h.store = storetest.Open(t, store.Config{Dir: t.TempDir(), Key: key})
	h.config = hooks.Config{URL: agentURL, Events: []string{"push_events", "tag_push_events"}}
	h.auth = auth.Config{Secrets: secret, SigningTokens: signing}
	h.tokenFor = func(string) string { return "bot" }
	h.wanted = func(string) bool { return true }
	h.bot = h.token("bot", "**")
	return h
}

// token makes a user with a token that is for some projects.
func (h *house) token(name string, globs ...string) gitlabtest.User {
	h.Helper()
	value := "glpat-" + name + "-0123456789"
	user := h.git.AddUser(gitlabtest.User{Username: name}, value)
	out, err := rest.New(rest.Config{MaxBody: 64 << 20, Retries: -1})
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(out.Close)
	client, err := gitlab.New(gitlab.Config{URL: h.url, Token: delivery.Secret(value)}, out)
	if err != nil {
		h.Fatal(err)
	}
	h.tokens = append(h.tokens, hooks.Token{Name: name, Projects: globs, GitLab: client})
	return user
}

// group adds a group that the bot owns.
func (h *house) group(path string) gitlabtest.Group {
	g := h.git.AddGroup(gitlabtest.Group{Path: path})
	h.git.AddGroupMember(g.ID, h.bot.ID, gitlabtest.Owner)
	return g
}

// project adds a project with a commit; the bot's level is that of its groups.
func (h *house) project(path string) gitlabtest.Project {
	p := h.git.AddProject(gitlabtest.Project{Path: path})
	h.git.AddCommit(p.ID, gitlabtest.Commit{SHA: fmt.Sprintf("%040x", p.ID), Branches: []string{"main"}})
	return p
}

func (h *house) keeper() *hooks.Keeper {
	return &hooks.Keeper{
		Store: h.store, Instance: h.url, Config: h.config, Tokens: h.tokens, TokenFor: h.tokenFor, Wanted: h.wanted, Now: h.clock.now,
		Vault: hooks.Vault{Store: h.store, Instance: h.url, Configured: h.auth, Now: h.clock.now},
	}
}

// walk is what is found, as text: "kind path: action id; …", or the error. Scopes
// where all is right are left out.
func (h *house) walk(people bool) (out []string) {
	h.Helper()
	for v, err := range h.keeper().Walk(h.Context(), nil, people) {
		if err != nil {
			h.Fatal(err)
		}
		if line := found(v, v.Err); line != "" {
			out = append(out, line)
		}
	}
	return out
}

// apply does all that is found, as a person does, and returns it as walk does, with
// the errors of what could not be done.
func (h *house) apply() []string {
	h.Helper()
	out, err := h.applyUntil(h.Context())
	if err != nil {
		h.Fatal(err)
	}
	return out
}

func (h *house) applyUntil(ctx context.Context) (out []string, err error) {
	h.Helper()
	k := h.keeper()
	for v, err := range k.Walk(ctx, nil, true) {
		if err != nil {
			return out, err
		}
		a, err := k.Apply(ctx, v)
		if err != nil {
			return out, err
		}
		if line := found(v, a.Err); line != "" {
			out = append(out, line)
		}
	}
	return out, nil
}

func found(v hooks.Visit, failed error) string {
	var did []string
	for _, c := range v.Changes {
		if c.Action != hooks.Keep {
			did = append(did, string(c.Action))
		}
	}
	if failed != nil {
		did = append(did, "error: "+delivery.Explain(failed).Summary)
	}
	if len(did) == 0 {
		return ""
	}
	return v.Scope.Kind + " " + v.Scope.Path + ": " + strings.Join(did, "; ")
}

// rows are the hooks that are kept: "kind path hook state error".
func (h *house) rows() (out []string) {
	h.Helper()
	for _, r := range h.kept() {
		id := "-"
		if r.Hook != 0 {
			id = fmt.Sprint(r.Hook)
		}
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", r.Kind, r.Path, id, r.State)))
	}
	slices.Sort(out)
	return out
}

func (h *house) kept() []store.Hook {
	h.Helper()
	list, err := h.store.Hooks(h.Context(), h.url)
	if err != nil {
		h.Fatal(err)
	}
	return list
}

// one is the only hook of a place.
func (h *house) one(of gitlabtest.HookOf) gitlabtest.Hook {
	h.Helper()
	list := h.git.Hooks(of)
	if len(list) != 1 {
		h.Fatalf("got %d hooks in %+v, want one", len(list), of)
	}
	return list[0]
}

func (h *house) same(what string, got, want []string) {
	h.Helper()
	if !slices.Equal(got, want) {
		h.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// writes are the requests that change something, as "METHOD path".
func (h *house) writes() (out []string) {
	for _, r := range h.git.Requests() {
		if r.Method != http.MethodGet {
			out = append(out, r.Method+" "+r.Path)
		}
	}
	return out
}

func of(g gitlabtest.Group) gitlabtest.HookOf { return gitlabtest.HookOf{Group: g.ID} }

func in(p gitlabtest.Project) gitlabtest.HookOf { return gitlabtest.HookOf{Project: p.ID} }

// receiver is an agent that answers a code, and counts what it gets.
func receiver(t *testing.T, answer func(*http.Request) int) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(answer(r)) }))
	t.Cleanup(s.Close)
	return s.URL + "/hooks/gitlab"
}
