package hooks_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/agent/auth"
	"gitlab.com/remora-ci/remora/agent/hooks"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

// remove does all removals, and returns them as apply does.
func (h *house) remove() (out []string) {
	h.Helper()
	k := h.keeper()
	visits, err := k.Removals(h.Context())
	if err != nil {
		h.Fatal(err)
	}
	for _, v := range visits {
		a, err := k.Apply(h.Context(), v)
		if err != nil {
			h.Fatal(err)
		}
		out = append(out, found(v, a.Err))
	}
	return out
}

func TestAScopeWithoutAHookIsForgottenWithoutARequest(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.group("acme")
	h.git.SetEdition(gitlabtest.Community)
	h.same("found", h.apply(), []string{"group acme: skip"})
	h.git.Forget()
	h.remove()
	h.same("written", h.writes(), nil)
	h.same("kept", h.rows(), nil)
}

func TestHooksAreRemovedWithoutSecrets(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := h.group("acme")
	h.apply()
	h.auth, h.config.Kind = auth.Config{}, hooks.Off // no secret of the operator's any more, and none made
	h.same("removed", h.remove(), []string{"group acme: delete"})
	if n := len(h.git.Hooks(of(g))); n != 0 {
		t.Errorf("%d hooks are left", n)
	}
	if p, err := h.keeper().Vault.Peek(t.Context(), false); err != nil || p.Version != "to be made" {
		t.Errorf("secrets were made to remove hooks: %v", err)
	}
}

func TestAHookOfATokenThatIsNotConfiguredAnyMoreIsTold(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	other := h.token("other", "beta/**")
	h.tokenFor = func(path string) string {
		return map[bool]string{true: "other", false: "bot"}[strings.HasPrefix(path, "beta/")]
	}
	h.group("acme")
	beta := h.git.AddGroup(gitlabtest.Group{Path: "beta"})
	h.git.AddGroupMember(beta.ID, other.ID, gitlabtest.Owner)
	h.same("found", h.apply(), []string{"group acme: create", "group beta: create"})

	h.tokens = h.tokens[:1]
	h.tokenFor = func(path string) string { return map[bool]string{false: "bot"}[strings.HasPrefix(path, "beta/")] }
	h.same("nobody is for it", h.walk(true), []string{"group beta: error: no token"})
	h.same("the healer", h.walk(false), nil)
	h.tokenFor = func(string) string { return "bot" }
	h.git.AddGroupMember(beta.ID, h.bot.ID, gitlabtest.Owner)
	h.config.Groups = []hooks.Override{{Token: "bot", Group: "acme"}}
	h.same("another is for it", h.apply(), []string{"group beta: delete"})
	if n := len(h.git.Hooks(of(beta))); n != 0 {
		t.Errorf("%d hooks are left", n)
	}
}

func TestADryWalkReplacesNoSecretsUntilTheyAreNeeded(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.auth = auth.Config{}
	g := h.group("acme")
	h.apply()
	h.clock.add(hooks.Settle + time.Second)
	h.apply()
	old := h.one(of(g)).Token
	k := h.keeper()
	k.Dry, k.Rotate = true, true
	var visits []hooks.Visit
	for v, err := range k.Walk(t.Context(), nil, true) {
		if err != nil {
			t.Fatal(err)
		}
		visits = append(visits, v)
	}
	if len(visits) != 1 || found(visits[0], nil) != "group acme: update" {
		t.Fatalf("got %+v, want an update for new secrets", visits)
	}
	if got := len(taken(t, k.Vault)); got != 1 {
		t.Errorf("%d secrets are taken after a plan, want 1", got)
	}
	if _, err := k.Settling(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := len(taken(t, k.Vault)); got != 2 {
		t.Errorf("%d secrets are taken after it, want 2", got)
	}
	h.clock.add(hooks.Settle + time.Second)
	if a, err := k.Apply(t.Context(), visits[0]); err != nil || a.Err != nil {
		t.Fatalf("got %+v, %v", a, err)
	}
	now := h.one(of(g)).Token
	if now == old || now != taken(t, k.Vault)[0] {
		t.Error("the hook does not have the new secret")
	}
}

func TestSecretsThatAreConfiguredAreNotReplacedInAPlan(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	_, err := h.keeper().Vault.Peek(t.Context(), true)
	if f := delivery.Explain(err); !strings.Contains(f.Remedy, "REMORA_WEBHOOK_SECRET") {
		t.Errorf("got %v, remedy %q", err, f.Remedy)
	}
}

func TestAFaultOfGitLabSaysWhatHelps(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.group("acme")
	h.git.Fail("POST /hooks", gitlabtest.Answer{Code: http.StatusInternalServerError})
	k := h.keeper()
	for v, err := range k.Walk(t.Context(), nil, true) {
		if err != nil {
			t.Fatal(err)
		}
		a, err := k.Apply(t.Context(), v)
		if f := delivery.Explain(a.Err); err != nil || f.Summary != "status 500" || !strings.Contains(f.Remedy, "run it again") {
			t.Errorf("got %+v, %v", f, err)
		}
	}
	if n := len(h.git.Requests("POST /hooks")); n != 1 {
		t.Errorf("%d requests to make a hook, want 1", n)
	}
}
