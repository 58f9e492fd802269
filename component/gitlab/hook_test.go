package gitlab_test

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/remora-ci/remora/component/gitlab"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
	"gitlab.com/remora-ci/remora/component/rest"
)

const signing = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

// hooked is a stage with the group acme, of which the bot is Owner and which the
// project 42 lies in.
func hooked(t *testing.T, version string) (*gitlabtest.Server, gitlabtest.Scene, *gitlab.Client) {
	t.Helper()
	s, sc, client := stage(t)
	s.SetVersion(version)
	g := s.AddGroup(gitlabtest.Group{ID: 7, Path: "acme"})
	s.AddGroupMember(g.ID, sc.Bot.ID, gitlabtest.Owner)
	s.SetAdmin(sc.Bot.ID)
	return s, sc, client
}

// scopes are the three, with the place in the fake.
var scopes = map[string]struct {
	gitlab.HookScope
	of gitlabtest.HookOf
}{
	"project":        {gitlab.HookScope{Project: app}, gitlabtest.HookOf{Project: 42}},
	"group":          {gitlab.HookScope{Group: "7"}, gitlabtest.HookOf{Group: 7}},
	"group by path":  {gitlab.HookScope{Group: "acme"}, gitlabtest.HookOf{Group: 7}},
	"whole instance": {gitlab.HookScope{System: true}, gitlabtest.HookOf{}},
}

func collect[T any](list iter.Seq2[T, error]) ([]T, error) {
	var all []T
	for item, err := range list {
		if err != nil {
			return all, err
		}
		all = append(all, item)
	}
	return all, nil
}

func TestAHookIsMadeChangedAndDeleted(t *testing.T) {
	t.Parallel()
	for name, scope := range scopes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _, client := hooked(t, "19.1.0-ee")
			ctx := t.Context()
			spec := gitlab.HookSpec{
				URL: "https://agent.example.com/hooks/gitlab", Name: "Remora", Description: "kept by the agent",
				Token: "s3cret", SigningToken: signing, Events: []string{"tag_push_events", "push_events"}, VerifyTLS: true,
			}
			made, err := client.CreateHook(ctx, scope.HookScope, spec)
			want := gitlab.Hook{
				ID: made.ID, URL: spec.URL, Name: "Remora", Events: []string{"push_events", "tag_push_events"}, VerifyTLS: true,
				AlertStatus: "executable", TokenPresent: new(true), SigningPresent: new(true),
			}
			if d := cmp.Diff(want, made); d != "" || err != nil || made.ID == 0 {
				t.Fatalf("got %v (-want +got):\n%s", err, d)
			}
			kept := s.Hooks(scope.of)
			if len(kept) != 1 || kept[0].Token != "s3cret" || kept[0].SigningToken != signing || kept[0].Description != "kept by the agent" {
				t.Errorf("got %+v, want the hook with its secrets", kept)
			}
			spec.URL, spec.Events, spec.SigningToken, spec.VerifyTLS = "https://new.example.com/", []string{"merge_requests_events"}, "", false
			changed, err := client.UpdateHook(ctx, scope.HookScope, made.ID, spec)
			want.URL, want.Events, want.VerifyTLS, want.SigningPresent = spec.URL, spec.Events, false, new(false)
			if d := cmp.Diff(want, changed); d != "" || err != nil {
				t.Errorf("got %v (-want +got):\n%s", err, d)
			}
			if kept := s.Hooks(scope.of); kept[0].Token != "s3cret" || kept[0].SigningToken != "" {
				t.Errorf("got %+v, want the secret kept over a new URL, and the signing token gone", kept)
			}
			if list, err := collect(client.Hooks(ctx, scope.HookScope)); err != nil || !slices.EqualFunc(list, []gitlab.Hook{changed}, func(a, b gitlab.Hook) bool { return cmp.Equal(a, b) }) {
				t.Errorf("got %v, %v, want the one hook", list, err)
			}
			for range 2 {
				if err := client.DeleteHook(ctx, scope.HookScope, made.ID); err != nil || len(s.Hooks(scope.of)) != 0 {
					t.Errorf("got %v and %v, want it gone", err, s.Hooks(scope.of))
				}
			}
			var gone *rest.StatusError
			if _, err := client.UpdateHook(ctx, scope.HookScope, made.ID, spec); !errors.As(err, &gone) || gone.Code != 404 || gitlab.NoGroupHooks(err) {
				t.Errorf("got %v, want 404, which is no refusal of group hooks", err)
			}
		})
	}
}

func TestEveryFlagOfAScopeIsSentAndNoOther(t *testing.T) {
	t.Parallel()
	for name, scope := range scopes {
		s, _, client := hooked(t, "19.1.0-ee")
		events := gitlab.HookEvents(scope.HookScope)
		all, err := client.CreateHook(t.Context(), scope.HookScope, gitlab.HookSpec{URL: "https://x.example.com", Events: append(events, "made_up_events")})
		if slices.Sort(events); err != nil || !slices.Equal(all.Events, events) || all.Unknown != nil {
			t.Errorf("%s: got %v without %v, %v, want %v", name, all.Events, all.Unknown, err, events)
		}
		none, err := client.UpdateHook(t.Context(), scope.HookScope, all.ID, gitlab.HookSpec{URL: "https://x.example.com"})
		if err != nil || none.Events != nil {
			t.Errorf("%s: got %v, %v, want no event left on", name, none.Events, err)
		}
		if leaks := s.Leaks(); leaks != nil {
			t.Errorf("%s: got secrets in queries: %v", name, leaks)
		}
	}
}

func TestWhatAnOldGitLabDoesNotKnowIsToldAndNoError(t *testing.T) {
	t.Parallel()
	s, _, client := hooked(t, "16.9.0")
	s.SetEdition(gitlabtest.Community)
	scope := gitlab.HookScope{Project: app}
	h, err := client.CreateHook(t.Context(), scope, gitlab.HookSpec{
		URL: "https://x.example.com", Name: "Remora", Token: "s3cret", SigningToken: signing,
		Events: []string{"push_events", "milestone_events"}, VerifyTLS: true,
	})
	want := gitlab.Hook{
		ID: h.ID, URL: "https://x.example.com", Events: []string{"push_events"}, VerifyTLS: true, AlertStatus: "executable",
		Unknown: []string{"milestone_events", "resource_access_token_events", "resource_deploy_token_events", "vulnerability_events"},
	}
	if d := cmp.Diff(want, h); d != "" || err != nil {
		t.Errorf("got %v (-want +got):\n%s", err, d)
	}
	ctx := t.Context()
	_, calls := collect(client.HookCalls(ctx, scope, h.ID, true))
	for what, err := range map[string]error{
		"test": client.TestHook(ctx, scope, h.ID, "push_events"), "resend": client.ResendHookCall(ctx, scope, h.ID, 1), "calls": calls,
	} {
		var status *rest.StatusError
		if !errors.As(err, &status) || status.Code != 404 {
			t.Errorf("%s: got %v, want 404", what, err)
		}
	}
}

func TestARefusedGroupHook(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*gitlabtest.Server)
		code   int
		none   bool
	}{
		{"the Community Edition has none", func(s *gitlabtest.Server) { s.SetEdition(gitlabtest.Community) }, 404, true},
		{"a licence that says so", func(s *gitlabtest.Server) {
			s.Fail("POST /hooks", gitlabtest.Answer{Code: 402, Body: `{"message":"402 Payment Required"}`})
			s.Fail("GET /hooks", gitlabtest.Answer{Code: 402, Body: `{"message":"402 Payment Required"}`})
		}, 402, true},
		{"a group that is gone", func(s *gitlabtest.Server) { s.DeleteGroup(7) }, 404, false},
		{"a user that is no Owner", func(s *gitlabtest.Server) {
			plain := s.AddUser(gitlabtest.User{}, "")
			s.AddToken(plain.ID, token, gitlabtest.Bot)
			s.AddGroupMember(7, plain.ID, gitlabtest.Maintainer)
		}, 403, false},
		{"a server in trouble", func(s *gitlabtest.Server) {
			s.Fail("* /hooks", slices.Repeat([]gitlabtest.Answer{{Code: 503}}, 5)...)
		}, 503, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, _, client := hooked(t, "19.1.0-ee")
			tt.change(s)
			_, listed := collect(client.Hooks(t.Context(), gitlab.HookScope{Group: "7"}))
			_, created := client.CreateHook(t.Context(), gitlab.HookScope{Group: "7"}, gitlab.HookSpec{URL: "https://x.example.com"})
			for what, err := range map[string]error{"list": listed, "create": created} {
				var status *rest.StatusError
				if !errors.As(err, &status) || status.Code != tt.code || gitlab.NoGroupHooks(err) != tt.none {
					t.Errorf("%s: got %v and %t, want %d and %t", what, err, gitlab.NoGroupHooks(err), tt.code, tt.none)
				}
			}
		})
	}
	if gitlab.NoGroupHooks(nil) || gitlab.NoGroupHooks(context.Canceled) {
		t.Error("got a refusal of group hooks from what is none")
	}
}

func TestHooksAreReadInPagesOf100(t *testing.T) {
	t.Parallel()
	s, _, client := hooked(t, "19.1.0-ee")
	for range 250 {
		s.AddHook(gitlabtest.Hook{Of: gitlabtest.HookOf{Project: 42}, URL: "https://x.example.com"})
	}
	list, err := collect(client.Hooks(t.Context(), gitlab.HookScope{Project: app}))
	if asked := len(s.Requests("GET /hooks")); len(list) != 250 || err != nil || asked != 3 {
		t.Errorf("got %d hooks, %v by %d requests, want 250 by 3", len(list), err, asked)
	}
}

// receiver answers hooks with codes, one after the other, the last for ever.
func receiver(t *testing.T, codes ...int) string {
	t.Helper()
	var n atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(codes[min(int(n.Add(1)), len(codes))-1])
		_, _ = w.Write([]byte("said by the agent"))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestAHookIsTested(t *testing.T) {
	t.Parallel()
	for name, scope := range scopes {
		for code, words := range map[int]string{204: "", 503: "status 422: said by the agent", 302: "status 422"} {
			s, _, client := hooked(t, "19.1.0-ee")
			h := s.AddHook(gitlabtest.Hook{Of: scope.of, URL: receiver(t, code), Failures: 40})
			err := client.TestHook(t.Context(), scope.HookScope, h.ID, "push_events")
			if scope.System {
				words = "" // GitLab does not say
			}
			if (err == nil) != (words == "") || err != nil && !strings.Contains(err.Error(), words) {
				t.Errorf("%s answers %d: got %v, want %q", name, code, err, words)
			}
			if calls := s.HookCalls(h.ID); len(calls) != 1 {
				t.Errorf("%s: got %d calls, want one", name, len(calls))
			}
			if got, want := s.AlertStatus(h.ID), map[bool]string{true: "executable", false: "disabled"}[code < 400 || scope.System]; got != want {
				t.Errorf("%s answers %d: got %s, want %s", name, code, got, want)
			}
		}
	}
}

func TestFailedCallsAreListedAndSentAgain(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"project", "group"} {
		s, _, client := hooked(t, "19.1.0-ee")
		ctx, scope := t.Context(), scopes[name]
		h := s.AddHook(gitlabtest.Hook{Of: scope.of, URL: receiver(t, 200, 503, 404, 201, 502), Events: []string{"push_events"}, Token: "s3cret"})
		for range 3 {
			s.Fire(42, "Push Hook", []byte(`{"object_kind":"push"}`))
		}
		made := s.HookCalls(h.ID)
		want := []gitlab.HookCall{
			{ID: made[2].ID, Status: "404", URL: h.URL, Trigger: "push_hooks", Key: made[2].Key},
			{ID: made[1].ID, Status: "503", URL: h.URL, Trigger: "push_hooks", Key: made[1].Key},
		}
		failed, err := collect(client.HookCalls(ctx, scope.HookScope, h.ID, true))
		if d := cmp.Diff(want, failed); d != "" || err != nil {
			t.Fatalf("%s: got %v (-want +got):\n%s", name, err, d)
		}
		for _, call := range failed { // the second fails again, and GitLab has done what it was asked
			if err := client.ResendHookCall(ctx, scope.HookScope, h.ID, call.ID); err != nil || !call.Failed() {
				t.Errorf("%s: got %v, want call %d sent again", name, err, call.ID)
			}
		}
		all, err := collect(client.HookCalls(ctx, scope.HookScope, h.ID, false))
		if err != nil || len(all) != 5 || all[0].Key != all[3].Key || all[1].Key != all[2].Key || all[1].Failed() || !all[0].Failed() {
			t.Errorf("%s: got %+v, %v, want two calls more, with the keys of the old", name, all, err)
		}
	}
}

func TestCallsOfAHookComeInPagesOf20WithoutTheirPayloads(t *testing.T) {
	t.Parallel()
	s, _, client := hooked(t, "17.3.0-ee")
	h := s.AddHook(gitlabtest.Hook{Of: gitlabtest.HookOf{Project: 42}, URL: "https://x.example.com"})
	for range 45 {
		s.AddHookCall(gitlabtest.HookCall{Hook: h.ID, URL: "https://mona:pw@x.example.com/?key=s3cret", Status: "internal error", Payload: []byte(`{"a":[1,{"b":2}]}`)})
	}
	list, err := collect(client.HookCalls(t.Context(), gitlab.HookScope{Project: app}, h.ID, true))
	if asked := len(s.Requests("GET /events")); len(list) != 45 || err != nil || asked != 3 {
		t.Fatalf("got %d calls, %v by %d requests, want 45 by 3", len(list), err, asked)
	}
	if list[0].ID <= list[1].ID || list[0].URL != "https://x.example.com/" || !list[0].Failed() || list[0].Key != "" {
		t.Errorf("got %+v, want the newest, without secrets and, before 17.4, without a key", list[0])
	}
}

func TestSentAgainIsRefused(t *testing.T) {
	t.Parallel()
	scope := gitlab.HookScope{Project: app}
	for name, tt := range map[string]struct {
		change func(*gitlabtest.Hook)
		code   int
		words  string
	}{
		"after the URL changed":       {func(h *gitlabtest.Hook) { h.URL = "https://elsewhere.example.com" }, 422, "URL has changed"},
		"while the hook is disabled":  {func(h *gitlabtest.Hook) { h.Failures = 40 }, 422, "disabled"},
		"of a hook that is elsewhere": {func(h *gitlabtest.Hook) { h.Of = gitlabtest.HookOf{Group: 7} }, 404, "404"},
		"when nobody answers":         {func(*gitlabtest.Hook) {}, 422, "refused"},
	} {
		s, _, client := hooked(t, "19.1.0-ee")
		h := s.AddHook(gitlabtest.Hook{Of: gitlabtest.HookOf{Project: 42}, URL: "http://127.0.0.1:1"})
		call := s.AddHookCall(gitlabtest.HookCall{Hook: h.ID, URL: h.URL, Status: "503", Trigger: "push_hooks"})
		s.ChangeHook(h.ID, tt.change)
		var status *rest.StatusError
		if err := client.ResendHookCall(t.Context(), scope, h.ID, call.ID); !errors.As(err, &status) || status.Code != tt.code || !strings.Contains(err.Error(), tt.words) {
			t.Errorf("%s: got %v, want %d and %q", name, err, tt.code, tt.words)
		}
	}
}
