package hooks_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/remora-ci/remora/agent/hooks"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component/gitlab"
)

// right is a hook as it is wanted, with the changes that are made to it.
func right(change ...func(*gitlab.Hook)) gitlab.Hook {
	h := gitlab.Hook{ID: 7, URL: agentURL, Events: []string{"push_events", "tag_push_events"}, VerifyTLS: true, AlertStatus: "executable", TokenPresent: new(true), SigningPresent: new(true)}
	for _, f := range change {
		f(&h)
	}
	return h
}

func at(id int64, url string) gitlab.Hook {
	return right(func(h *gitlab.Hook) { h.ID, h.URL = id, url })
}

// told is a plan as text: "action id: why; why | diff diff".
func told(changes []hooks.Change) []string {
	var out []string
	for _, c := range changes {
		line := string(c.Action)
		if c.Hook.ID != 0 {
			line += " " + string(gitlab.ProjectID(c.Hook.ID))
		}
		if len(c.Why) > 0 {
			line += ": " + strings.Join(c.Why, "; ") + " | " + strings.Join(c.Diff, " ")
		}
		out = append(out, line)
	}
	return out
}

func TestAPlanSaysWhatHasDriftedAndNothingElse(t *testing.T) {
	t.Parallel()
	kept := store.Hook{Hook: 7, Secret: "v1"}
	pair := hooks.Pair{Token: "t", Signing: "whsec_s", Version: "v1"}
	const old = "https://old.example.com/x"
	tests := map[string]struct {
		actual []gitlab.Hook
		kept   store.Hook
		pair   hooks.Pair
		url    string
		want   []string
	}{
		"all is right":                         {[]gitlab.Hook{right()}, kept, pair, "", []string{"keep 7"}},
		"an old GitLab tells no secrets":       {[]gitlab.Hook{right(func(h *gitlab.Hook) { h.TokenPresent, h.SigningPresent = nil, nil })}, kept, pair, "", []string{"keep 7"}},
		"a system hook has no state":           {[]gitlab.Hook{right(func(h *gitlab.Hook) { h.AlertStatus = "" })}, kept, pair, "", []string{"keep 7"}},
		"there is none":                        {nil, store.Hook{}, pair, "", []string{"create: there is none | + https://agent.example.com/hooks/gitlab + push_events + tag_push_events"}},
		"ours is gone":                         {nil, kept, pair, "", []string{"create 7: it is gone | + https://agent.example.com/hooks/gitlab + push_events + tag_push_events"}},
		"ours is gone, another does the same":  {[]gitlab.Hook{at(9, agentURL)}, kept, pair, "", []string{"update 9: its secrets are not known to be ours | ~ secrets"}},
		"one that somebody made by hand":       {[]gitlab.Hook{right()}, store.Hook{}, pair, "", []string{"update 7: its secrets are not known to be ours | ~ secrets"}},
		"events are missing":                   {[]gitlab.Hook{right(func(h *gitlab.Hook) { h.Events = h.Events[:1] })}, kept, pair, "", []string{"update 7: events are missing | + tag_push_events"}},
		"an event that this GitLab lacks":      {[]gitlab.Hook{right(func(h *gitlab.Hook) { h.Events, h.Unknown = h.Events[:1], h.Events[1:] })}, kept, pair, "", []string{"keep 7"}},
		"events are too many":                  {[]gitlab.Hook{right(func(h *gitlab.Hook) { h.Events = append(h.Events, "job_events") })}, kept, pair, "", []string{"update 7: it has events that nobody needs | - job_events"}},
		"branches are left out":                {[]gitlab.Hook{right(func(h *gitlab.Hook) { h.Branches = "main" })}, kept, pair, "", []string{"update 7: it leaves out branches | - push_events_branch_filter main"}},
		"a payload of somebody's":              {[]gitlab.Hook{right(func(h *gitlab.Hook) { h.Template = true })}, kept, pair, "", []string{"update 7: it sends a payload of its own | - custom_webhook_template"}},
		"the certificate is not checked":       {[]gitlab.Hook{right(func(h *gitlab.Hook) { h.VerifyTLS = false })}, kept, pair, "", []string{"update 7: it does not check the certificate | + enable_ssl_verification"}},
		"it is disabled":                       {[]gitlab.Hook{right(func(h *gitlab.Hook) { h.AlertStatus = "disabled" })}, kept, pair, "", []string{"enable 7: GitLab has disabled it | - disabled"}},
		"it is disabled for a while":           {[]gitlab.Hook{right(func(h *gitlab.Hook) { h.AlertStatus = "temporarily_disabled" })}, kept, pair, "", []string{"enable 7: GitLab has disabled it | - temporarily_disabled"}},
		"it has no secret":                     {[]gitlab.Hook{right(func(h *gitlab.Hook) { h.TokenPresent = new(false) })}, kept, pair, "", []string{"update 7: it has no secret | ~ secrets"}},
		"it has no signing token":              {[]gitlab.Hook{right(func(h *gitlab.Hook) { h.SigningPresent = new(false) })}, kept, pair, "", []string{"update 7: it has no signing token | ~ secrets"}},
		"its secret was replaced":              {[]gitlab.Hook{right()}, store.Hook{Hook: 7, Secret: "v0"}, pair, "", []string{"update 7: its secrets were replaced | ~ secrets"}},
		"no signing token is wanted":           {[]gitlab.Hook{right()}, kept, hooks.Pair{Token: "t", Version: "v1"}, "", []string{"update 7: it has a signing token that is not ours | ~ secrets"}},
		"several things at once":               {[]gitlab.Hook{right(func(h *gitlab.Hook) { h.VerifyTLS, h.AlertStatus = false, "disabled" })}, kept, pair, "", []string{"enable 7: it does not check the certificate; GitLab has disabled it | + enable_ssl_verification - disabled"}},
		"ours was sent elsewhere by hand":      {[]gitlab.Hook{at(7, "https://x.example.com/?key=secret")}, kept, pair, "", []string{"update 7: it sends elsewhere | - https://x.example.com/?… + https://agent.example.com/hooks/gitlab"}},
		"the same twice, ours is kept":         {[]gitlab.Hook{at(9, agentURL), right(), at(3, agentURL)}, kept, pair, "", []string{"keep 7", "delete 3: it sends the same a second time | - https://agent.example.com/hooks/gitlab", "delete 9: it sends the same a second time | - https://agent.example.com/hooks/gitlab"}},
		"the same twice, the oldest is kept":   {[]gitlab.Hook{at(9, agentURL), at(3, agentURL)}, store.Hook{}, pair, "", []string{"update 3: its secrets are not known to be ours | ~ secrets", "delete 9: it sends the same a second time | - https://agent.example.com/hooks/gitlab"}},
		"an old URL of the operator's":         {[]gitlab.Hook{right(), at(9, old)}, kept, pair, "", []string{"keep 7", "delete 9: it sends to an earlier installation | - https://old.example.com/x"}},
		"another path of the same agent":       {[]gitlab.Hook{right(), at(9, "http://agent.example.com/integration/hook/12"), at(10, "https://AGENT.example.com/integration/webhook")}, kept, pair, "", []string{"keep 7", "delete 9: it sends to an earlier installation | - http://agent.example.com/integration/hook/12", "delete 10: it sends to an earlier installation | - https://AGENT.example.com/integration/webhook"}},
		"hooks of others":                      {[]gitlab.Hook{right(), at(9, "https://chat.example.com/hooks/gitlab"), at(10, "https://agent.example.com/other"), at(11, "https://agent.example.com/team/hooks/gitlab")}, kept, pair, "", []string{"keep 7"}},
		"an agent below a path":                {[]gitlab.Hook{at(7, "https://host.example.com/remora/hooks/gitlab"), at(9, "https://host.example.com/remora/integration/hook/4"), at(10, "https://host.example.com/port/integration/hook/4"), at(11, "https://host.example.com/hooks/gitlab")}, kept, pair, "https://host.example.com/remora/hooks/gitlab", []string{"keep 7", "delete 9: it sends to an earlier installation | - https://host.example.com/remora/integration/hook/4"}},
		"an agent at a path that is not known": {[]gitlab.Hook{at(7, "https://host.example.com/in"), at(9, "https://host.example.com/integration/webhook")}, kept, pair, "https://host.example.com/in", []string{"keep 7"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := hooks.Want{URL: agentURL, OldURLs: []string{"https://old.example.com/**"}, Paths: true, Pair: tt.pair,
				Scope: hooks.Scope{Kind: hooks.Group, ID: 1, Path: "acme", Events: []string{"push_events", "tag_push_events"}}}
			if tt.url != "" {
				want.URL = tt.url
			}
			if diff := cmp.Diff(tt.want, told(hooks.Plan(want, tt.actual, tt.kept))); diff != "" {
				t.Errorf("got (-want +got) %s", diff)
			}
		})
	}
}

func TestTheHealerLeavesOtherPathsOfTheHostAlone(t *testing.T) {
	t.Parallel()
	want := hooks.Want{URL: agentURL, OldURLs: []string{"https://old.example.com/**"}, Pair: hooks.Pair{Token: "t", Signing: "whsec_s", Version: "v1"},
		Scope: hooks.Scope{Kind: hooks.Group, ID: 1, Path: "acme", Events: []string{"push_events", "tag_push_events"}}}
	actual := []gitlab.Hook{right(), at(9, "https://agent.example.com/api/webhooks/gitlab"), at(10, "https://old.example.com/integration/webhook")}
	got := told(hooks.Plan(want, actual, store.Hook{Hook: 7, Secret: "v1"}))
	if diff := cmp.Diff([]string{"keep 7", "delete 10: it sends to an earlier installation | - https://old.example.com/integration/webhook"}, got); diff != "" {
		t.Errorf("got (-want +got) %s", diff)
	}
}
