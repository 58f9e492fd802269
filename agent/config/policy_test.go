package config_test

import (
	"strings"
	"testing"

	"github.com/sethvargo/go-envconfig"

	"gitlab.com/remora-ci/remora/agent/config"
)

// policyHead are the first three lines of every case: the keys of a case begin in
// line 4.
const policyHead = `targets: [{kind: http, url: https://x.example}]
webhook: {secret: '${HOOK}'}
gitlab: [{url: https://gitlab.example.com}]
`

const (
	policyBot    = "tokens: [{name: bot, token: '${T}'}]\n"
	policyURL    = "url: https://remora.example.com\n"
	policyRoute  = "routes: [{sync: http}]\n"
	policyTokens = "tokens: [{name: a, token: '${T}', projects: a/**}, {name: b, token: '${U}', projects: b/**}]\n"
)

// told is what is wrong with a configuration, faults first, without the name of
// the file.
func told(t *testing.T, text string) string {
	t.Helper()
	_, warnings, err := config.Parse("f", []byte(text), envconfig.MapLookuper(map[string]string{
		"T": "glpat-one", "U": "glpat-two", "HOOK": "hook-secret-of-length", "KEY": "Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5LWNhbmE=",
	}))
	var lines []string
	if err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			lines = append(lines, "fault "+strings.TrimPrefix(line, "f:"))
		}
	}
	for _, w := range warnings {
		lines = append(lines, "warning "+strings.TrimPrefix(w.String(), "f:"))
	}
	return strings.Join(lines, "\n")
}

type policyCase struct{ name, text, want string }

func testPolicy(t *testing.T, cases []policyCase) {
	t.Helper()
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := told(t, policyHead+tt.text); got != tt.want {
				t.Errorf("of\n%s\ngot\n%s\nwant\n%s", policyHead+tt.text, got, tt.want)
			}
		})
	}
}

func TestAPolicyThatNobodyCanSatisfyIsToldWhere(t *testing.T) {
	t.Parallel()
	route := func(text string) string { return policyBot + policyURL + "routes:\n- {sync: http, " + text + "}\n" }
	testPolicy(t, []policyCase{
		{"refs that are all taken away", route("refs: [main, 'release/*', '!**']"), `fault 7:42: routes[0].refs[2]: "!**" takes away all that the globs before it name, so nothing is left`},
		{"refs taken away one by one", route("refs: [main, '!main']"), `fault 7:29: routes[0].refs[1]: "!main" takes away all that the globs before it name, so nothing is left`},
		{"what is taken away and named again is there", route("refs: [main, '!**', main]"), ""},
		{"case counts in refs", route("refs: [Main, '!main']"), ""},
		{"case does not count in projects", route("projects: [Acme/App, '!acme/*']"), `fault 7:37: routes[0].projects[1]: "!acme/*" takes away all that the globs before it name, so nothing is left`},
		{"a group within one that is taken away", route("projects: [acme/app/**, '!acme/**']"), `fault 7:40: routes[0].projects[1]: "!acme/**" takes away all that the globs before it name, so nothing is left`},
		{"a group of which a part is taken away", route("projects: [acme/**, '!acme/app/**']"), ""},
		{"nothing but everything taken away", route("projects: '!**'"), `fault 7:26: routes[0].projects: "!**" takes away all that the globs before it name, so nothing is left`},
		{"nothing but a part taken away", route("projects: '!acme/**'"), ""},
		{"pushes of tags", route("on: [push, merge_request], refs: refs/tags/**"), "fault 7:49: routes[0].refs: names tags alone, and push and merge_request are of branches; add tag_push to `on`"},
		{"pushes of tags and more", route("on: [push, merge_request], refs: [refs/tags/**, main]"), ""},
		{"tags of branches", route("on: [tag-push, release], refs: ['!x', refs/heads/**]"), ""},
		{"tags of branches alone", route("on: [tag-push, release], refs: [refs/heads/**]"), "fault 7:47: routes[0].refs: names branches alone, and tag_push and release are of tags; add push to `on`"},
		{"jobs of an agent without address", policyBot + "routes:\n- {sync: http, on: [push, job]}\n", `fault 6:27: routes[0].on[1]: no ID token of a job could ever be good; set url (REMORA_URL), or id_tokens.audience`},
		{"jobs of an agent without address, one text", policyBot + "routes:\n- {sync: http, on: job}\n", `fault 6:20: routes[0].on: no ID token of a job could ever be good; set url (REMORA_URL), or id_tokens.audience`},
		{"jobs with an audience", policyBot + "id_tokens: {audience: x}\nroutes:\n- {sync: http, on: [push, job]}\n", ""},
		{"protected without jobs", route("protected: true"), "warning 7:27: routes[0].protected: no effect: it is about jobs, and `on` does not name job"},
		{"forks without merge requests and jobs", route("on: [push], forks: never"), "warning 7:35: routes[0].forks: no effect: it is about merge requests, and `on` names neither merge_request nor job"},
		{"forks of jobs on protected refs", route("on: [job], forks: true"), `warning 7:34: routes[0].forks: jobs of forks are refused all the same: the ref of a fork is not protected here; protected: false takes them, and all other refs too`},
		{"forks of jobs on any ref", route("on: [job], forks: true, protected: false"), ""},
		{"a pause before jobs", route("on: [job], debounce: 1s"), `warning 7:37: routes[0].debounce: no effect: a job that asks is not kept waiting`},
		{"a word that is no kind", route("on: [psuh]"), `fault 7:21: routes[0].on[0]: "psuh" is none of push, tag_push, merge_request, pipeline, deployment, release, job; did you mean "push"?`},
		{"forks that are neither", route("forks: nevr"), `fault 7:23: routes[0].forks: want false, true, never, not "nevr"; did you mean "never"?`},
		{"a pause too long", route("debounce: 6m"), `fault 7:26: routes[0].debounce: want a duration such as 2s, at most 5m, or 0s for none, not "6m"`},
		{"projects that no token is for", policyTokens + policyURL + "routes:\n- {sync: http, projects: [a/x, B/**, c/**, '!c/d', '{a,c}/**']}\n", `warning 7:38: routes[0].projects[2]: no token is for "c/**": nothing is shown there, and the newest commit of a ref is not known`},
		{"a schedule of projects that no token is for", policyTokens + policyRoute + "schedules:\n- {name: n, every: P1D, projects: [c/d, a/b], sync: http}\n", `warning 7:36: schedules[0].projects[0]: no token is for "c/d": nothing is shown there, and the newest commit of a ref is not known`},
		{"a schedule of nothing", policyBot + policyRoute + "schedules:\n- {name: n, every: P1D, projects: [c/d, '!c/*'], sync: http}\n", `fault 7:41: schedules[0].projects[1]: "!c/*" takes away all that the globs before it name, so nothing is left`},
		{"a route after one that takes all", policyBot + "routes:\n- {sync: http}\n- {sync: http, name: late, refs: main}\n", `warning 7:10: routes[1].sync: never used: the route "route 1" before it leads all of this to "http"`},
		{"a route after one that takes other kinds", policyBot + "routes:\n- {sync: http, on: push}\n- {sync: http, name: late, refs: main}\n", ""},
		{"a route after two that take all its kinds", policyBot + "routes:\n- {sync: http, on: push}\n- {sync: http, on: [tag_push, merge_request]}\n- {sync: http, name: late}\n", `warning 8:10: routes[2].sync: never used: the route "route 1" before it leads all of this to "http"`},
		{"a route for more forks after another", policyBot + "routes:\n- {sync: http}\n- {sync: http, name: late, forks: true}\n", ""},
		{"a route for jobs on any ref after another", policyBot + policyURL + "routes:\n- {sync: http, on: job}\n- {sync: http, name: late, on: job, protected: false}\n", ""},
	})
}

func TestTheAgentsAddress(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"https://remora.example.com/":             "",
		"https://remora.example.com/sub//":        "",
		"http://127.0.0.1:8080":                   "",
		"http://[::1]:8080":                       "",
		"http://LOCALHOST":                        "",
		"http://remora.example.com":               `warning 6:6: url: http lets everybody on the way read the tokens of jobs and the secrets of hooks; use https`,
		"remora.example.com":                      `fault 6:6: url: want the agent's address, such as https://remora.example.com`,
		"ftp://remora.example.com":                `fault 6:6: url: want the agent's address, such as https://remora.example.com`,
		"https://:8080":                           `fault 6:6: url: want the agent's address, such as https://remora.example.com`,
		"https://user:canary@remora.example.com":  `fault 6:6: url: must not hold a user or password`,
		"https://remora.example.com?a=canary":     `fault 6:6: url: must end with the path; take off what follows ? or #`,
		"https://remora.example.com#":             `fault 6:6: url: must end with the path; take off what follows ? or #`,
		"https://remora.example.com/hooks/gitlab": `fault 6:6: url: want the agent's address, such as https://remora.example.com, without /api/v1 and /hooks/gitlab`,
		"https://remora.example.com/api/v1":       `fault 6:6: url: want the agent's address, such as https://remora.example.com, without /api/v1 and /hooks/gitlab`,
	} {
		t.Run(url, func(t *testing.T) {
			t.Parallel()
			got := told(t, policyHead+policyBot+policyRoute+"url: '"+url+"'\n")
			if got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestWhoMayAskAndCommand(t *testing.T) {
	t.Parallel()
	testPolicy(t, []policyCase{
		{"audiences", policyBot + policyURL + policyRoute + "id_tokens:\n  audience: [x, 'a b', x, 'remora:', https://gitlab.example.com/, '']\n", "fault 8:17: id_tokens.audience[1]: want an audience, a text without spaces such as https://remora.example.com\nfault 8:24: id_tokens.audience[2]: \"x\" is named twice\nfault 8:27: id_tokens.audience[3]: remora: alone is the audience of a job that knows no agent; write the agent's URL behind it\nfault 8:67: id_tokens.audience[5]: want an audience, a text without spaces such as https://remora.example.com\nwarning 8:38: id_tokens.audience[4]: \"https://gitlab.example.com/\" is GitLab itself, which tokens for other services have too: whoever gets one of those could ask here"},
		{"commands without a token", policyRoute + "commands: {enabled: true}\n", "fault 5:21: commands.enabled: needs a token: nobody's role could be read, and no command answered; name one in tokens\nwarning 1:1: tokens: missing; without a token nothing is shown in GitLab, and the newest commit of a ref is not known"},
		{"no commands without a token", policyRoute, `warning 1:1: tokens: missing; without a token nothing is shown in GitLab, and the newest commit of a ref is not known`},
		{"a role by its name", policyBot + policyRoute + "commands: {access_level: Maintainer}\n", ""},
		{"a role by its number", policyBot + policyRoute + "commands: {access_level: 50}\n", ""},
		{"a role above owner", policyBot + policyRoute + "commands: {access_level: 60}\n", `fault 6:26: commands.access_level: want one of guest (10), planner (15), reporter (20), developer (30), maintainer (40), owner (50), not "60"`},
		{"no role", policyBot + policyRoute + "commands: {access_level: mainteiner}\n", `fault 6:26: commands.access_level: want one of guest (10), planner (15), reporter (20), developer (30), maintainer (40), owner (50), not "mainteiner"; did you mean "maintainer"?`},
		{"no role's number", policyBot + policyRoute + "commands: {access_level: 31}\n", `fault 6:26: commands.access_level: want one of guest (10), planner (15), reporter (20), developer (30), maintainer (40), owner (50), not "31"`},
		{"a role that may only read", policyBot + policyRoute + "commands: {access_level: reporter}\n", ""},
		{"a prefix of two words", policyBot + policyRoute + "commands: {prefix: hey remora}\n", `fault 6:20: commands.prefix: want a slash and a word of at most 50 letters, digits, - and _, such as /remora`},
		{"a prefix that is a quote", policyBot + policyRoute + "commands: {prefix: '>'}\n", `fault 6:20: commands.prefix: want a slash and a word of at most 50 letters, digits, - and _, such as /remora`},
		{"a prefix that GitLab takes", policyBot + policyRoute + "commands: {prefix: /merge}\n", `fault 6:20: commands.prefix: /merge is a quick action of GitLab, which takes it out of the note; choose another word`},
		{"a prefix of a bot", policyBot + policyRoute + "commands: {prefix: '@remora'}\n", `fault 6:20: commands.prefix: want a slash and a word of at most 50 letters, digits, - and _, such as /remora`},
		{"a token to replace and no key", "tokens:\n- {name: bot, token: '${T}', rotate: true}\n" + policyRoute, "fault 5:38: tokens[0].rotate: the new token would have to be kept in the clear; set database.encryption_key (REMORA_ENCRYPTION_KEY), which `openssl rand -base64 32` makes"},
		{"a token to replace and a key", "database: {encryption_key: '${KEY}'}\ntokens:\n- {name: bot, token: '${T}', rotate: true}\n" + policyRoute, ""},
		{"a token to replace that two entries have", "database: {encryption_key: '${KEY}'}\ntokens:\n- {name: bot, token: '${T}', rotate: true}\n- {name: bat, token: '${T}', projects: a/b}\n" + policyRoute, `fault 7:3: tokens[1].rotate: tokens[0] has the same token: when one is replaced, the other ends; let one entry name all projects`},
	})
}

func TestHooksAsTheyAreWanted(t *testing.T) {
	t.Parallel()
	hooks := func(text string) string { return policyBot + policyURL + policyRoute + "hooks:\n" + text }
	two := policyTokens + policyURL + "routes: [{sync: http, projects: [a/**]}]\nhooks:\n"
	testPolicy(t, []policyCase{
		{"all by default", hooks("  heal: off\n"), ""},
		{"no address", policyBot + policyRoute + "hooks: {kind: project}\n", `fault 6:1: hooks.url: missing; say where GitLab sends: the agent's url at the top (REMORA_URL), or this`},
		{"no token", policyURL + policyRoute + "hooks: {}\n", "fault 6:1: hooks.kind: hooks are kept by a token, and there is none; name one in tokens, or set kind to off\nwarning 1:1: tokens: missing; without a token nothing is shown in GitLab, and the newest commit of a ref is not known"},
		{"off needs nothing", policyRoute + "hooks: {kind: off}\n", `warning 1:1: tokens: missing; without a token nothing is shown in GitLab, and the newest commit of a ref is not known`},
		{"a kind that is none", hooks("  kind: groups\n"), `fault 8:9: hooks.kind: "groups" is none of group, project, system, off; did you mean "group"?`},
		{"an unknown event", hooks("  events: [push, merge_reqests]\n"), `fault 8:18: hooks.events[1]: "merge_reqests" is no event of a webhook; did you mean "merge_requests_events"?`},
		{"an unknown event of a group", hooks("  groups:\n  - {group: a, events: [pusch]}\n"), `fault 9:25: hooks.groups[0].events[0]: "pusch" is no event of a webhook; did you mean "push_events"?`},
		{"an event that system hooks do not have", hooks("  kind: system\n  events: [note]\n"), `fault 9:12: hooks.events[0]: "note" is no event of a system hook; it has push_events, tag_push_events, merge_requests_events, repository_update_events`},
		{"a group named twice", hooks("  groups:\n  - {group: a/b}\n  - {group: /A/B/}\n"), `fault 10:13: hooks.groups[1].group: /A/B/ is named by groups[0] already`},
		{"groups that contain each other", hooks("  groups:\n  - {group: a/b}\n  - {group: a}\n  - {group: a/b/c}\n"), "fault 10:13: hooks.groups[1].group: a contains a/b of groups[0]; its events would come twice\nfault 11:13: hooks.groups[2].group: a/b/c lies in a/b of groups[0]; its events would come twice"},
		{"a group without a name", hooks("  groups:\n  - {token: bot}\n"), `fault 9:5: hooks.groups[0].group: missing: full path of the group`},
		{"a token that is none", hooks("  groups:\n  - {group: a, token: bott}\n"), `fault 9:23: hooks.groups[0].token: "bott" is no token; did you mean "bot"?`},
		{"a token that is not named among two", two + "  groups:\n  - {group: a}\n", `fault 9:5: hooks.groups[0].token: missing; name one of the tokens a, b`},
		{"a group that its token is not for", two + "  groups:\n  - {group: a, token: b}\n", `warning 9:23: hooks.groups[0].token: "b" is for no project of a`},
		{"a group that no route takes", two + "  groups:\n  - {group: b, token: b}\n", `warning 9:13: hooks.groups[0].group: no route takes a project of b, so its events would lead to nothing`},
		{"a system hook of two tokens", two + "  kind: system\n", `fault 8:9: hooks.kind: a system hook is kept by one token, and instance gitlab.example.com has a and b; take one out, or set kind to group`},
		{"healing too often", hooks("  heal: 10s\n"), `fault 8:9: hooks.heal: want PT1M or more, or nothing for never`},
		{"healing whenever", hooks("  heal: sometimes\n"), `fault 8:9: hooks.heal: want a duration such as PT15M, at most 24h, or off, not "sometimes"`},
		{"secrets replaced too often", hooks("  rotate: P1D\n"), `fault 8:11: hooks.rotate: want P2D or more: replaced secrets are taken for a day more`},
		{"secrets replaced too late", hooks("  rotate: P400D\n"), `fault 8:11: hooks.rotate: want a duration such as P90D, at most P366D, or never, not "P400D"`},
		{"secrets replaced in Go's words", hooks("  rotate: 2160h\n"), `fault 8:11: hooks.rotate: want a duration such as P90D, at most P366D, or never, not "2160h"`},
		{"configured secrets are not replaced", hooks("  rotate: P90D\n"), `warning 8:11: hooks.rotate: no effect: the secrets of the hooks are those that webhook names; take them out, and the agent makes its own`},
		{"old addresses of everybody", hooks("  old_urls: ['**']\n"), `fault 8:14: hooks.old_urls[0]: "**" fits the hooks of everybody; write at least the host`},
		{"the address with a password", hooks("  url: https://u:canary@x.example/hooks\n"), `fault 8:8: hooks.url: must not hold a user or password; the hooks have secrets of their own`},
		{"events of routes that nobody sends", policyBot + policyURL + "hooks: {events: [push]}\nroutes:\n- {sync: http, on: [push, pipeline]}\n", `warning 8:27: routes[0].on[1]: no hook sends pipeline; add it to hooks.events`},
		{"events that one group sends", policyBot + policyURL + "hooks: {events: [push], groups: [{group: a, events: pipeline}]}\nroutes:\n- {sync: http, on: [push, pipeline]}\n", ""},
		{"events of routes that system hooks do not send", policyBot + policyURL + "hooks: {kind: system}\nroutes:\n- {sync: http, on: [push, pipeline]}\n", `warning 8:27: routes[0].on[1]: no hook sends pipeline; add it to hooks.events; system hooks send push, tag_push and merge_request alone, so this needs kind group or project`},
		{"commands that nobody sends", policyBot + policyURL + policyRoute + "hooks: {events: [push, tag_push, merge_request]}\ncommands: {enabled: true}\n", `warning 8:1: commands: no hook sends notes; add note to hooks.events`},
	})
}

// The agent makes the secrets of its hooks: none needs to be configured, but a key
// to keep them with.
func TestHooksNeedNoSecretButAKey(t *testing.T) {
	t.Parallel()
	const head = "targets: [{kind: http, url: https://x.example}]\ngitlab: [{url: https://gitlab.example.com}]\n" + policyBot + policyURL + policyRoute
	for _, tt := range []policyCase{
		{"no key", head + "hooks: {}\n", "fault 6:1: hooks: the agent makes the secrets of the hooks and keeps them encrypted; set database.encryption_key (REMORA_ENCRYPTION_KEY), which `openssl rand -base64 32` makes, or give it webhook.secret"},
		{"a key", head + "hooks: {rotate: P90D}\ndatabase: {encryption_key: '${KEY}'}\n", ""},
		{"no hooks", head, "warning 1:1: webhook.secret: missing, so every webhook is refused; `signing_token` or `token_key` would do too"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := told(t, tt.text); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

// Groups of two instances may have one name.
func TestGroupsOfTwoInstancesDoNotMeet(t *testing.T) {
	t.Parallel()
	const head = `targets: [{kind: http, url: https://x.example}]
webhook: {secret: '${HOOK}'}
routes: [{sync: http}]
url: https://remora.example.com
gitlab: [{name: one, url: https://one.example.com}, {name: two, url: https://two.example.com}]
tokens: [{name: a, token: '${T}', gitlab: one}, {name: b, token: '${U}', gitlab: two}]
hooks:
  groups:
  - {group: a, token: a}
`
	if got := told(t, head+"  - {group: a/b, token: b}\n"); got != "" {
		t.Errorf("got %s, want nothing told", got)
	}
	want := "fault 10:13: hooks.groups[1].group: a/b lies in a of groups[0]; its events would come twice"
	if got := told(t, head+"  - {group: a/b, token: a}\n"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
