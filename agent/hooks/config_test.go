package hooks_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/remora-ci/remora/agent/hooks"
)

const agentURL = "https://agent.example.com/hooks/gitlab"

// lines are those of an error.
func lines(err error) []string {
	if err == nil {
		return nil
	}
	return strings.Split(err.Error(), "\n")
}

func TestAConfigurationThatCannotWorkIsRefusedAtItsKey(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		config hooks.Config
		want   []string
	}{
		"nothing at all is fine":     {hooks.Config{}, nil},
		"the sample of the manual":   {hooks.Config{URL: agentURL, Groups: []hooks.Override{{Token: "bot", Group: "acme", Events: []string{"push", "merge_requests"}}, {Token: "bot", Group: "beta/core"}}}, nil},
		"every way to write a flag":  {hooks.Config{Events: []string{"push_events", "tag_push", "merge_request", "notes", "release"}}, nil},
		"an unknown kind":            {hooks.Config{Kind: "groups"}, []string{`kind: "groups" is none of group, project, system, off; did you mean "group"?`}},
		"an unknown event":           {hooks.Config{Events: []string{"push", "merge-requests_events"}}, []string{`events[1]: "merge-requests_events" is no event of a webhook; did you mean "merge_requests_events"?`}},
		"an event from nowhere":      {hooks.Config{Events: []string{"moon_phase"}}, []string{`events[0]: "moon_phase" is no event of a webhook`}},
		"an event named twice":       {hooks.Config{Events: []string{"push", "push_events"}}, []string{`events[1]: "push_events" is named twice`}},
		"a group's event in project": {hooks.Config{Kind: "project", Events: []string{"member"}}, []string{`events[0]: "member" is no event of a project hook; it has push_events, tag_push_events, merge_requests_events, note_events, confidential_note_events, issues_events, confidential_issues_events, job_events, pipeline_events, deployment_events, releases_events, milestone_events, emoji_events, feature_flag_events, wiki_page_events, vulnerability_events, resource_access_token_events, resource_deploy_token_events`}},
		"a note in a system hook":    {hooks.Config{Kind: "system", Events: []string{"repository_update", "note"}}, []string{`events[1]: "note" is no event of a system hook; it has push_events, tag_push_events, merge_requests_events, repository_update_events`}},
		"a group named twice":        {hooks.Config{Groups: []hooks.Override{{Group: "acme"}, {Group: "/Acme/"}}}, []string{"groups[1].group: /Acme/ is named by groups[0] already"}},
		"a group in another":         {hooks.Config{Groups: []hooks.Override{{Token: "a", Group: "acme"}, {Token: "b", Group: "acme/sub"}}}, []string{"groups[1].group: acme/sub lies in acme of groups[0]; its events would come twice"}},
		"a group around another":     {hooks.Config{Groups: []hooks.Override{{Token: "a", Group: "acme/sub"}, {Token: "b", Group: "acme"}}}, []string{"groups[1].group: acme contains acme/sub of groups[0]; its events would come twice"}},
		"a name that begins alike":   {hooks.Config{Groups: []hooks.Override{{Group: "acme"}, {Group: "acme-labs"}}}, nil},
		"no group":                   {hooks.Config{Groups: []hooks.Override{{Token: "a"}}}, []string{"groups[0].group: missing; write the full path of the group"}},
		"an event of a group":        {hooks.Config{Groups: []hooks.Override{{Group: "acme", Events: []string{"pusch"}}}}, []string{`groups[0].events[0]: "pusch" is no event of a webhook; did you mean "push_events"?`}},
		"groups of a system hook":    {hooks.Config{Kind: "system", Groups: []hooks.Override{{Group: "acme"}}}, []string{"groups[0].group: a system hook is for the whole instance; take the groups out, or set kind to group"}},
		"a URL without a scheme":     {hooks.Config{URL: "agent.example.com/hooks/gitlab"}, []string{"url: must start with https:// or http:// and name a host"}},
		"a URL with a password":      {hooks.Config{URL: "https://me:pw@agent.example.com/"}, []string{"url: must not hold a user or password; the hooks have secrets of their own"}},
		"a URL with a query":         {hooks.Config{URL: agentURL + "?a=b"}, []string{"url: must end with the path; take off what follows ? or #"}},
		"an old URL that fits all":   {hooks.Config{OldURLs: []string{"**", "https://old.example.com/["}}, []string{`old_urls[0]: "**" fits the hooks of everybody; write at least the host`, `old_urls[1]: "https://old.example.com/[" is no glob; a [, { or \ in it is not closed`}},
		"old URLs of any host":       {hooks.Config{OldURLs: []string{"http://**", "https://*/integration/**", "https://*.example.com/**"}}, []string{`old_urls[0]: "http://**" fits the hooks of everybody; write at least the host`, `old_urls[1]: "https://*/integration/**" fits the hooks of everybody; write at least the host`}},
		"an old URL without scheme":  {hooks.Config{OldURLs: []string{"old.example.com/**"}}, []string{`old_urls[0]: "old.example.com/**" fits no URL; begin it with https://`}},
		"an old URL that fits ours":  {hooks.Config{URL: agentURL, OldURLs: []string{"https://agent.example.com/**"}}, []string{`old_urls[0]: "https://agent.example.com/**" fits the url that is wanted`}},
		"healing without a pause":    {hooks.Config{Heal: time.Second}, []string{"heal: want PT1M or more, or nothing for never"}},
		"secrets replaced too often": {hooks.Config{Rotate: time.Hour}, []string{"rotate: want P2D or more: replaced secrets are taken for a day more"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, lines(tt.config.Validate())); diff != "" {
				t.Errorf("got (-want +got) %s", diff)
			}
		})
	}
}

func TestHooksNeedTokensThatCanKeepThem(t *testing.T) {
	t.Parallel()
	bot, other, lab := hooks.TokenName{Name: "bot", Instance: "main"}, hooks.TokenName{Name: "other", Instance: "main"}, hooks.TokenName{Name: "lab", Instance: "lab"}
	tests := map[string]struct {
		config hooks.Config
		tokens []hooks.TokenName
		want   []string
	}{
		"one token":                       {hooks.Config{URL: agentURL}, []hooks.TokenName{bot}, nil},
		"no token":                        {hooks.Config{URL: agentURL}, nil, []string{"kind: hooks are kept by a token, and there is none; name one in tokens, or set kind to off"}},
		"no token and no hooks":           {hooks.Config{URL: agentURL, Kind: "off"}, nil, nil},
		"no token and no URL":             {hooks.Config{}, nil, nil},
		"a system hook of two tokens":     {hooks.Config{URL: agentURL, Kind: "system"}, []hooks.TokenName{bot, lab, other}, []string{"kind: a system hook is kept by one token, and instance main has bot and other; take one out, or set kind to group"}},
		"a system hook of each instance":  {hooks.Config{URL: agentURL, Kind: "system"}, []hooks.TokenName{bot, lab}, nil},
		"a chosen group without a token":  {hooks.Config{URL: agentURL, Groups: []hooks.Override{{Group: "acme"}}}, []hooks.TokenName{bot}, []string{`groups[0].token: "" is no token`}},
		"a chosen group of a wrong token": {hooks.Config{URL: agentURL, Groups: []hooks.Override{{Group: "acme", Token: "othr"}}}, []hooks.TokenName{bot, other}, []string{`groups[0].token: "othr" is no token; did you mean "other"?`}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, lines(tt.config.CheckTokens(tt.tokens))); diff != "" {
				t.Errorf("got (-want +got) %s", diff)
			}
		})
	}
}

func TestTheEventsAreThoseThatTheRoutesNeed(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		kinds    []string
		commands bool
		want     []string
	}{
		"the usual kinds": {[]string{"push", "tag_push", "merge_request"}, false, []string{"merge_requests_events", "push_events", "tag_push_events"}},
		"commands":        {[]string{"push", "push"}, true, []string{"note_events", "push_events"}},
		"later kinds":     {[]string{"pipeline", "deployment", "release"}, false, []string{"deployment_events", "pipeline_events", "releases_events"}},
		"jobs ask alone":  {[]string{"job"}, false, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := hooks.EventsFor(tt.kinds, tt.commands)
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			for _, e := range got {
				if hooks.Event(e) != e {
					t.Errorf("%q is no event", e)
				}
			}
		})
	}
}
