package hooks_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/remora-ci/remora/agent/auth"
	"gitlab.com/remora-ci/remora/agent/hooks"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

func TestHooksAreMadeWhereTheyAreWantedAndThenAllIsRight(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	acme, inner, foreign := h.group("acme"), h.group("acme/sub"), h.git.AddGroup(gitlabtest.Group{Path: "foreign"})
	h.git.AddGroupMember(foreign.ID, h.bot.ID, gitlabtest.Maintainer)
	h.project("acme/app")
	own, elsewhere := h.project("bot/own"), h.project("someone/app")
	h.git.AddUser(gitlabtest.User{Username: "someone"}, "")
	h.git.AddMember(own.ID, h.bot.ID, gitlabtest.Maintainer)
	h.git.AddMember(elsewhere.ID, h.bot.ID, gitlabtest.Developer)

	h.same("plan", h.walk(true), []string{"group acme: create", "project bot/own: create"})
	h.same("written by a plan", h.writes(), nil)
	h.apply()
	got := h.one(of(acme))
	want := gitlabtest.Hook{ID: got.ID, Of: of(acme), URL: agentURL, Name: "Remora", Description: got.Description, Token: secret, SigningToken: signing, Events: []string{"push_events", "tag_push_events"}, VerifyTLS: true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the group's hook (-want +got) %s", diff)
	}
	if len(h.git.Hooks(of(inner)))+len(h.git.Hooks(of(foreign)))+len(h.git.Hooks(in(elsewhere))) != 0 {
		t.Error("a hook was made where none is wanted")
	}
	h.same("kept", h.rows(), []string{fmt.Sprintf("group acme %d right", got.ID), fmt.Sprintf("project bot/own %d right", h.one(in(own)).ID)})
	h.git.Forget()
	h.same("again", h.apply(), nil)
	h.same("written again", h.writes(), nil)
}

// drifts are what others do to a hook of ours, and what is done about it.
var drifts = map[string]struct {
	change func(h *house, g gitlabtest.Group, id int64)
	want   string
}{
	"it is deleted": {func(h *house, _ gitlabtest.Group, id int64) { h.git.DeleteHook(id) }, "create"},
	"it lacks an event": {func(h *house, _ gitlabtest.Group, id int64) {
		h.git.ChangeHook(id, func(k *gitlabtest.Hook) { k.Events = k.Events[:1] })
	}, "update"},
	"it has an event too many": {func(h *house, _ gitlabtest.Group, id int64) {
		h.git.ChangeHook(id, func(k *gitlabtest.Hook) { k.Events = append(k.Events, "wiki_page_events") })
	}, "update"},
	"it does not check the certificate": {func(h *house, _ gitlabtest.Group, id int64) {
		h.git.ChangeHook(id, func(k *gitlabtest.Hook) { k.VerifyTLS = false })
	}, "update"},
	"it leaves out branches": {func(h *house, _ gitlabtest.Group, id int64) {
		h.git.ChangeHook(id, func(k *gitlabtest.Hook) { k.BranchFilter = "main" })
	}, "update"},
	"it sends another payload": {func(h *house, _ gitlabtest.Group, id int64) {
		h.git.ChangeHook(id, func(k *gitlabtest.Hook) { k.Template = `{"ref":"{{ref}}"}` })
	}, "update"},
	"it lost its secrets": {func(h *house, _ gitlabtest.Group, id int64) {
		h.git.ChangeHook(id, func(k *gitlabtest.Hook) { k.Token, k.SigningToken = "", "" })
	}, "update"},
	"it sends elsewhere": {func(h *house, _ gitlabtest.Group, id int64) {
		h.git.ChangeHook(id, func(k *gitlabtest.Hook) { k.URL, k.Token = "https://x.example.com/", "" })
	}, "update"},
	"it is disabled": {func(h *house, _ gitlabtest.Group, id int64) {
		h.git.ChangeHook(id, func(k *gitlabtest.Hook) { k.Failures = 40 })
	}, "enable"},
	"it is disabled for a while": {func(h *house, _ gitlabtest.Group, id int64) {
		h.git.ChangeHook(id, func(k *gitlabtest.Hook) { k.Failures, k.DisabledUntil = 4, h.clock.now().Add(time.Minute) })
	}, "enable"},
	"it is there twice": {func(h *house, g gitlabtest.Group, _ int64) {
		h.git.AddHook(gitlabtest.Hook{Of: of(g), URL: h.config.URL, VerifyTLS: true})
	}, "delete"},
	"an old one is there, too": {func(h *house, g gitlabtest.Group, _ int64) {
		h.git.AddHook(gitlabtest.Hook{Of: of(g), URL: strings.Replace(h.config.URL, "/hooks/gitlab", "/integration/hook/7", 1)})
		h.git.AddHook(gitlabtest.Hook{Of: of(g), URL: "https://port.example.com/integration/webhook"})
	}, "delete; delete"},
}

func TestDriftOfEveryKindIsPutRight(t *testing.T) {
	t.Parallel()
	for name, tt := range drifts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.config.URL, h.config.OldURLs = receiver(t, func(*http.Request) int { return 202 }), []string{"https://port.example.com/**"}
			g := h.group("acme")
			h.project("acme/app")
			h.apply()
			id := h.one(of(g)).ID
			other := h.git.AddHook(gitlabtest.Hook{Of: of(g), URL: "https://chat.example.com/hooks/gitlab", Token: "theirs", Events: []string{"job_events"}})
			tt.change(h, g, id)

			h.same("found", h.apply(), []string{"group acme: " + tt.want})
			h.same("after", h.walk(true), nil)
			list := h.git.Hooks(of(g))
			at := slices.IndexFunc(list, func(k gitlabtest.Hook) bool { return k.ID == other.ID })
			if len(list) != 2 || at < 0 || cmp.Diff(other, list[at]) != "" {
				t.Fatalf("got %d hooks, the one of others at %d", len(list), at)
			}
			ours := list[1-at]
			if ours.URL != h.config.URL || ours.Token != secret || ours.SigningToken != signing || !ours.VerifyTLS || ours.BranchFilter+ours.Template != "" || ours.Failures != 0 || !slices.Equal(ours.Events, h.config.Events) {
				t.Errorf("ours is %+v", ours)
			}
			if ours.ID != id && tt.want != "create" {
				t.Errorf("hook %d was made in place of %d", ours.ID, id)
			}
		})
	}
}

func TestADisabledHookWhoseTestFailsIsTold(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	code := 202
	h.config.URL = receiver(t, func(*http.Request) int { return code })
	g := h.group("acme")
	h.project("acme/app")
	h.apply()
	id := h.one(of(g)).ID
	h.git.ChangeHook(id, func(k *gitlabtest.Hook) { k.Failures = 40 })
	code = 401
	h.same("found", h.apply(), []string{"group acme: enable; error: hook not answered"})
	h.same("kept", h.rows(), []string{fmt.Sprintf("group acme %d disabled", id)})
	code = 202
	h.same("later", h.apply(), []string{"group acme: enable"})
	h.same("kept later", h.rows(), []string{fmt.Sprintf("group acme %d behind", id)})
}

func TestWithoutGroupHooksTheProjectsHaveThem(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*house, gitlabtest.Group){
		"the free edition has no such route": func(h *house, _ gitlabtest.Group) { h.git.SetEdition(gitlabtest.Community) },
		"a free plan never calls them": func(h *house, g gitlabtest.Group) {
			h.git.ChangeGroup(g.ID, func(g *gitlabtest.Group) { g.Plan = "free" })
		},
	}
	for name, refuse := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			g := h.group("acme")
			app, deep := h.project("acme/app"), h.project("acme/sub/deep/app")
			h.project("acme/unwanted")
			h.wanted = func(path string) bool { return path != "acme/unwanted" }
			refuse(h, g)
			h.same("found", h.apply(), []string{"group acme: skip", "project acme/app: create", "project acme/sub/deep/app: create"})
			h.same("kept", h.rows(), []string{"group acme - unlicensed", fmt.Sprintf("project acme/app %d right", h.one(in(app)).ID), fmt.Sprintf("project acme/sub/deep/app %d right", h.one(in(deep)).ID)})

			h.git.Forget()
			h.same("again", h.walk(false), nil)
			if asked := h.git.Requests(fmt.Sprintf("GET /groups/%d/hooks", g.ID)); len(asked) != 0 {
				t.Errorf("the group was asked %d times", len(asked))
			}
			h.same("a person asks anew", h.walk(true), []string{"group acme: skip"})
			h.git.SetEdition(gitlabtest.Premium)
			h.git.ChangeGroup(g.ID, func(g *gitlabtest.Group) { g.Plan = "premium" })
			h.same("the healer, with a licence", h.walk(false), nil)
			h.clock.add(25 * time.Hour)
			h.same("the healer after a day", h.walk(false), []string{"group acme: create"})
			h.same("a person", h.apply(), []string{"group acme: create", "project acme/app: delete", "project acme/sub/deep/app: delete"})
			h.same("then", h.walk(true), nil)
			if n := len(h.git.Hooks(in(app))); n != 0 {
				t.Errorf("the project still has %d hooks", n)
			}
		})
	}
}

func TestAGroupHookThatIsGoneIsGivenUpByAPersonOnly(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.group("acme")
	h.project("acme/app")
	h.apply()
	h.git.SetEdition(gitlabtest.Community)
	h.same("the healer", h.walk(false), []string{"group acme: error: 404 Not Found"})
	h.same("a person", h.walk(true), []string{"group acme: skip", "project acme/app: create"})
}

func TestOneThatIsForbiddenIsToldAndTheOthersGoOn(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	first := h.group("acme")
	h.group("beta")
	h.git.Fail(fmt.Sprintf("GET /groups/%d/hooks", first.ID), gitlabtest.Answer{Code: 403, Body: `{"message":"403 Forbidden"}`})
	h.same("found", h.apply(), []string{"group acme: error: not allowed", "group beta: create"})
	rows := h.kept()
	if rows[0].State != hooks.StateFailed || !strings.Contains(rows[0].Error, "token bot") || !rows[0].CheckedAt.IsZero() {
		t.Errorf("kept %+v", rows[0])
	}
	h.same("later", h.apply(), []string{"group acme: create"})
}

func TestNothingIsMadeAfterAnErrorThatIsNoAnswer(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		prepare func(h *house, g gitlabtest.Group, id int64)
		want    string
	}{
		"the listing": {func(h *house, g gitlabtest.Group, id int64) {
			h.git.DeleteHook(id)
			h.git.Fail("GET /hooks", gitlabtest.Answer{Code: 500})
		}, "group acme: error: status 500"},
		"the listing, cut off": {func(h *house, g gitlabtest.Group, id int64) {
			h.git.DeleteHook(id)
			h.git.Fail("GET /hooks", gitlabtest.Answer{Code: 200, Body: `[{"id":7,`, Cut: true})
		}, "group acme: error: no connection"},
		"the hook of the stored id": {func(h *house, g gitlabtest.Group, id int64) {
			h.git.Fail("GET /hooks", gitlabtest.Answer{Code: 200, Body: "[]"})
			h.git.Fail("PUT /hooks/", gitlabtest.Answer{Code: 500})
		}, "group acme: create; error: status 500"},
		"the hook of the stored id is forbidden": {func(h *house, g gitlabtest.Group, id int64) {
			h.git.Fail("GET /hooks", gitlabtest.Answer{Code: 200, Body: "[]"})
			h.git.Fail("PUT /hooks/", gitlabtest.Answer{Code: 403})
		}, "group acme: create; error: not allowed"},
		"the hook of the stored id is there all the same": {func(h *house, g gitlabtest.Group, id int64) {
			h.git.Fail("GET /hooks", gitlabtest.Answer{Code: 200, Body: "[]"})
		}, "group acme: create"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			g := h.group("acme")
			h.apply()
			id := h.one(of(g)).ID
			tt.prepare(h, g, id)
			h.git.Forget()
			h.same("found", h.apply(), []string{tt.want})
			if made := h.git.Requests("POST /hooks"); len(made) != 0 {
				t.Errorf("%d hooks were made", len(made))
			}
			h.apply()
			if got := h.one(of(g)).ID; (got == id) == strings.HasPrefix(name, "the listing") {
				t.Errorf("then got hook %d, had %d", got, id)
			}
		})
	}
}

func TestAHookWhoseCreationWasNotAnsweredIsFound(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := h.group("acme")
	h.git.Fail("POST /hooks", gitlabtest.Answer{Drop: true, After: true})
	h.same("found", h.apply(), []string{"group acme: create; error: no connection"})
	h.same("then", h.apply(), []string{"group acme: update"})
	h.same("kept", h.rows(), []string{fmt.Sprintf("group acme %d right", h.one(of(g)).ID)})
}

func TestAnApplyThatWasStoppedGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	for _, stop := range []string{"while a hook is made", "between two hooks"} {
		t.Run(stop, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			var groups []gitlabtest.Group
			for i := range 6 {
				groups = append(groups, h.group(fmt.Sprintf("group-%d", i)))
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			made := 0
			h.git.Before(func(r gitlabtest.Request) {
				if r.Method == http.MethodPost {
					if made++; made == 3 && stop == "while a hook is made" {
						cancel()
					}
				}
				if made == 3 && r.Method == http.MethodGet && strings.HasSuffix(r.Path, "/hooks") {
					cancel()
				}
			})
			if _, err := h.applyUntil(ctx); err == nil {
				t.Fatal("the first apply was not stopped")
			}
			h.git.Before(nil)
			h.apply()
			h.same("then", h.walk(true), nil)
			for _, g := range groups {
				h.one(of(g))
			}
		})
	}
}

func TestWhatIsWantedNoMoreIsDeletedByAPersonOnly(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	acme, beta := h.group("acme"), h.group("beta")
	h.apply()
	h.config.Groups = []hooks.Override{{Token: "bot", Group: "acme"}}
	h.same("the healer", h.walk(false), nil)
	h.git.Fail("GET /groups", gitlabtest.Answer{Code: 500})
	h.same("groups that cannot be listed", h.walk(true), []string{"group all groups of token bot: error: status 500"})
	h.same("a person", h.apply(), []string{"group beta: delete"})
	h.same("kept", h.rows(), []string{fmt.Sprintf("group acme %d right", h.one(of(acme)).ID)})
	if n := len(h.git.Hooks(of(beta))); n != 0 {
		t.Errorf("%d hooks are left", n)
	}
}

func TestOnlyOursAreRemoved(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := h.group("acme")
	h.apply()
	theirs := h.git.AddHook(gitlabtest.Hook{Of: of(g), URL: "https://chat.example.com/"})
	k := h.keeper()
	visits, err := k.Removals(t.Context())
	if err != nil || len(visits) != 1 {
		t.Fatalf("got %d, %v", len(visits), err)
	}
	if a, err := k.Apply(t.Context(), visits[0]); err != nil || a.Err != nil || a.Done != 1 {
		t.Errorf("got %+v, %v", a, err)
	}
	if got := h.one(of(g)); got.ID != theirs.ID {
		t.Errorf("hook %d is left", got.ID)
	}
	h.same("kept", h.rows(), nil)
}

func TestNewSecretsAreToldWhenEveryAgentTakesThem(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.auth = auth.Config{}
	g := h.group("acme")
	h.same("at once", h.apply(), []string{"group acme: create; error: secrets are told to GitLab in 15s, when every agent takes them"})
	h.clock.add(hooks.Settle + time.Second)
	h.same("later", h.apply(), []string{"group acme: create"})
	old := h.one(of(g))
	vault := h.keeper().Vault
	if err := vault.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.clock.add(hooks.Settle + time.Second)
	h.same("after a rotation", h.apply(), []string{"group acme: update"})
	now := h.one(of(g))
	tokens, _, err := vault.Accepted(t.Context())
	if err != nil || len(tokens) != 2 || now.ID != old.ID || now.Token != tokens[0].Reveal() || old.Token != tokens[1].Reveal() || now.SigningToken == old.SigningToken {
		t.Errorf("got %d tokens that are taken, %v; the hook's are not the first of them", len(tokens), err)
	}
	h.same("then", h.apply(), nil)
}
