package hooks_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/agent/auth"
	"gitlab.com/remora-ci/remora/agent/hooks"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

func TestEachGroupIsKeptByTheTokenThatIsForIt(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	other := h.token("other", "acme/**")
	acme, beta, inner := h.group("acme"), h.group("beta"), h.git.AddGroup(gitlabtest.Group{Path: "beta/core"})
	gamma, single := h.git.AddGroup(gitlabtest.Group{Path: "gamma"}), h.git.AddGroup(gitlabtest.Group{Path: "acme-labs"})
	for _, g := range []gitlabtest.Group{acme, inner, gamma, single} {
		h.git.AddGroupMember(g.ID, other.ID, gitlabtest.Owner)
	}
	h.tokenFor = func(path string) string {
		if strings.HasPrefix(path, "acme/") {
			return "other"
		}
		return "bot"
	}
	// other owns beta/core and gamma, but is not for their projects
	h.same("found", h.apply(), []string{"group acme: create", "group beta: create"})
	var kept []string
	for _, r := range h.kept() {
		kept = append(kept, r.Path+" "+r.Token)
	}
	slices.Sort(kept)
	h.same("kept by", kept, []string{"acme other", "beta bot"})
	if len(h.git.Hooks(of(acme))) != 1 || len(h.git.Hooks(of(beta))) != 1 {
		t.Error("a group has its hook twice")
	}
}

func TestChosenGroupsAndNoOthersHaveHooks(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.token("idle", "**")
	acme, beta, core := h.group("acme"), h.group("beta"), h.group("beta/core")
	own := h.project("bot/own")
	h.git.AddMember(own.ID, h.bot.ID, gitlabtest.Owner)
	h.config.Groups = []hooks.Override{{Token: "bot", Group: "acme", Events: []string{"push", "merge_requests"}}, {Token: "bot", Group: "Beta/Core"}, {Token: "bot", Group: "gone"}}
	h.same("found", h.apply(), []string{"group acme: create", "group Beta/Core: create", "group gone: error: no such group"})
	h.same("events that were chosen", h.one(of(acme)).Events, []string{"merge_requests_events", "push_events"})
	h.same("events of all", h.one(of(core)).Events, h.config.Events)
	if n := len(h.git.Hooks(of(beta))) + len(h.git.Hooks(in(own))); n != 0 {
		t.Errorf("%d hooks were made that nobody chose", n)
	}
	h.git.ChangeGroup(acme.ID, func(g *gitlabtest.Group) { g.Path = "acme-renamed" })
	h.same("after one was renamed", h.apply(), []string{"group gone: error: no such group"})
	h.same("again", h.apply(), []string{"group gone: error: no such group"})
	h.one(of(acme))
}

func TestARenamedGroupKeepsItsHook(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := h.group("acme")
	h.apply()
	id := h.one(of(g)).ID
	h.git.ChangeGroup(g.ID, func(g *gitlabtest.Group) { g.Path = "acme-renamed" })
	h.git.Forget()
	h.same("found", h.apply(), nil)
	h.same("written", h.writes(), nil)
	h.same("kept", h.rows(), []string{fmt.Sprintf("group acme-renamed %d right", id)})
}

func TestEachProjectHasAHookOfItsOwn(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.config.Kind = hooks.Project
	h.group("acme")
	app, old := h.project("acme/app"), h.project("acme/old")
	h.project("acme/skipped")
	h.git.Archive(old.ID)
	weak := h.project("beta/app")
	h.git.AddMember(weak.ID, h.bot.ID, gitlabtest.Developer)
	h.wanted = func(path string) bool { return path != "acme/skipped" }
	h.same("found", h.apply(), []string{"project acme/app: create"})
	h.same("kept", h.rows(), []string{fmt.Sprintf("project acme/app %d right", h.one(in(app)).ID)})
}

func TestAnInstanceHasOneSystemHook(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.config.Kind = hooks.System
	h.config.Events = []string{"push_events", "note_events"}
	h.same("without the right", h.apply(), []string{"system " + h.url + ": error: not allowed"})
	h.git.SetAdmin(h.bot.ID)
	h.same("with it", h.apply(), []string{"system " + h.url + ": create"})
	h.same("events", h.one(gitlabtest.HookOf{}).Events, []string{"push_events"})
	h.same("again", h.apply(), nil)
}

func TestAnInstanceMayLieBelowAPath(t *testing.T) {
	t.Parallel()
	git := gitlabtest.NewHandler("")
	git.SetVersion("19.1.0-ee")
	server := httptest.NewServer(http.StripPrefix("/gitlab", git.Handler()))
	t.Cleanup(server.Close)
	git.URL = server.URL + "/gitlab"
	h := newHouseAt(t, git, git.URL)
	h.auth = auth.Config{}
	g := h.group("acme")
	h.same("plan", h.walk(true), []string{"group acme: create"})
	if _, err := h.keeper().Settling(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.clock.add(hooks.Settle + time.Second)
	h.same("found", h.apply(), []string{"group acme: create"})
	tokens, signs, err := h.keeper().Vault.Accepted(t.Context())
	if k := h.one(of(g)); err != nil || k.Token != tokens[0].Reveal() || k.SigningToken != signs[0].Reveal() {
		t.Errorf("the hook has other secrets than the agent takes, or %v", err)
	}
}
