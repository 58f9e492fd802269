package route_test

import (
	"strings"
	"testing"

	"gitlab.com/remora-ci/remora/agent/route"
	"gitlab.com/remora-ci/remora/component/report"
)

func contains(s, part string) bool { return strings.Contains(s, part) }

func TestRoutes(t *testing.T) {
	t.Parallel()
	sync := []string{"x"}
	const key = "sync:x:gitlab.example.com/42:"
	tests := []struct {
		name  string
		rules []route.Rule
		body  fields
		want  string
	}{
		{"a group is all below it, whatever the case", []route.Rule{{Projects: []string{"ACME/**"}, Sync: sync}}, push("refs/heads/main", shaA, shaB), key + "refs/heads/main"},
		{"a star is one part", []route.Rule{{Projects: []string{"*/app"}, Sync: sync}}, push("refs/heads/main", shaA, shaB), key + "refs/heads/main"},
		{"a star alone is everything", []route.Rule{{Projects: []string{"*"}, Refs: []string{"*"}, Sync: sync}}, push("refs/heads/a/b", shaA, shaB), key + "refs/heads/a/b"},
		{"an exclusion takes away", []route.Rule{{Projects: []string{"acme/**", "!acme/app"}, Sync: sync}}, push("refs/heads/main", shaA, shaB), "no route matches: project acme/app"},
		{"an exclusion alone leaves the rest", []route.Rule{{Refs: []string{"!renovate/**"}, Sync: sync}}, push("refs/heads/main", shaA, shaB), key + "refs/heads/main"},
		{"another ref", []route.Rule{{Refs: []string{"main"}, Sync: sync}}, push("refs/heads/feature/x", shaA, shaB), "no route matches: ref feature/x"},
		{"refs have case", []route.Rule{{Refs: []string{"Main"}, Sync: sync}}, push("refs/heads/main", shaA, shaB), "no route matches: ref main"},
		{"a full ref is a branch alone", []route.Rule{{Refs: []string{"refs/heads/v*"}, Sync: sync}}, push("refs/tags/v1", shaA, shaB), "no route matches: ref v1"},
		{"a full ref is a tag alone", []route.Rule{{Refs: []string{"refs/tags/v*"}, Sync: sync}}, push("refs/tags/v1", shaA, shaB), key + "refs/tags/v1"},
		{"another project", []route.Rule{{Projects: []string{"other/**"}, Sync: sync}}, push("refs/heads/main", shaA, shaB), "no route matches: project acme/app"},
		{"another kind", []route.Rule{{On: []string{"tag_push"}, Sync: sync}}, push("refs/heads/main", shaA, shaB), "no route matches: event push"},
		{"the route that came closest is named", []route.Rule{{Refs: []string{"main"}, Sync: sync}, {On: []string{"release"}, Sync: sync}, {Projects: []string{"q/**"}, Sync: sync}}, push("refs/heads/x", shaA, shaB), "no route matches: ref x"},
		{"no route at all", nil, push("refs/heads/x", shaA, shaB), "no route matches: there is none"},
		{"a merge request goes by its source branch", []route.Rule{{Refs: []string{"feature"}, Sync: sync}}, mergeRequest(attributes(nil), nil), key + "refs/heads/feature"},
		{"two routes to two targets", []route.Rule{{Sync: sync}, {Sync: []string{"y"}}}, push("refs/heads/main", shaA, shaB), key + "refs/heads/main sync:y:gitlab.example.com/42:refs/heads/main"},
		{"two routes to one target are one work", []route.Rule{{Sync: sync}, {Sync: sync}}, push("refs/heads/main", shaA, shaB), key + "refs/heads/main"},
		{"a pipeline is not among the usual kinds", []route.Rule{{Sync: sync}}, pipeline(nil), "no route matches: event pipeline"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			made, err := route.New(route.Config{Instances: []route.Instance{{URL: gitlabURL}}, Rules: tt.rules})
			if err != nil {
				t.Fatal(err)
			}
			if got := outcome(made.Decide(decode(t, tt.body))); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestTheFirstRouteToATargetCounts(t *testing.T) {
	t.Parallel()
	first := route.Rule{Name: "first", Sync: []string{"x"}, Report: report.Config{Report: report.ReportOff}}
	works, _ := table(t, first, route.Rule{Name: "second", Sync: []string{"x"}}).Decide(decode(t, push("refs/heads/main", shaA, shaB)))
	if len(works) != 1 || works[0].Rule != "first" || works[0].Report.Report != report.ReportOff {
		t.Errorf("got %+v, want one work of the first route", works)
	}
}

func TestForks(t *testing.T) {
	t.Parallel()
	source := with(project(gitlabURL), fields{"id": 77, "path_with_namespace": "someone/app", "web_url": gitlabURL + "/someone/app"})
	body := mergeRequest(attributes(fields{"source_project_id": 77, "source": source, "source_branch": "main"}), nil)
	check(t, body, "no route takes forks: merge request from someone/app")
	// The fork's main is the fork's: it never shares a key with main.
	check(t, body, "sync:mirror:gitlab.example.com/77:refs/heads/main", route.Rule{Forks: route.ForksAll, Projects: []string{"acme/**"}, Sync: []string{"mirror"}})
	check(t, body, "no route matches: project acme/app", route.Rule{Forks: route.ForksAll, Projects: []string{"someone/**"}, Sync: []string{"mirror"}})
}

func TestInstances(t *testing.T) {
	t.Parallel()
	made, err := route.New(route.Config{
		Instances: []route.Instance{{URL: "https://gitlab.example.com"}, {URL: "https://tools.example.com/gitlab/", BotUserID: humanID}, {URL: "http://10.0.0.5:8080"}},
		Rules:     []route.Rule{{Sync: []string{"x"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	at := func(p fields) fields {
		return with(push("refs/heads/main", shaA, shaB), fields{"project": p, "user_id": 5})
	}
	noURL := with(project(gitlabURL), fields{"web_url": nil, "git_http_url": nil})
	tests := []struct {
		name string
		body fields
		want string
	}{
		{"W30 another host", at(project("https://gitlab.example.com.evil.example")), "instance https://gitlab.example.com.evil.example is not configured"},
		{"W30 another port", at(project("https://gitlab.example.com:8443")), "instance https://gitlab.example.com:8443 is not configured"},
		{"W30 a user in front of the host", at(project("https://gitlab.example.com@evil.example")), "instance https://evil.example is not configured"},
		{"W30 a kind that leads to nothing anyway", fields{"object_kind": "build", "project": project("https://evil.example")}, "instance https://evil.example is not configured"},
		{"the same host in capitals", at(project("https://GitLab.Example.com")), "sync:x:gitlab.example.com/42:refs/heads/main"},
		{"the same host with the usual port", at(project("https://gitlab.example.com:443")), "sync:x:gitlab.example.com/42:refs/heads/main"},
		{"the same host without TLS", at(project("http://gitlab.example.com")), "sync:x:gitlab.example.com/42:refs/heads/main"},
		{"below a path", at(project("https://tools.example.com/gitlab")), "sync:x:tools.example.com/gitlab/42:refs/heads/main"},
		{"below another path", at(project("https://tools.example.com/other")), "instance https://tools.example.com/other is not configured"},
		{"on another port", at(project("http://10.0.0.5:8080")), "sync:x:10.0.0.5:8080/42:refs/heads/main"},
		{"the same id elsewhere has another key", at(with(project("https://tools.example.com/gitlab"), fields{"id": 42})), "sync:x:tools.example.com/gitlab/42:refs/heads/main"},
		{"no address, of several", at(noURL), "the event names no instance"},
		{"the bot of one is nobody at another", with(at(project(gitlabURL)), fields{"user_id": humanID}), "sync:x:gitlab.example.com/42:refs/heads/main"},
		{"the bot of one is the bot there", with(at(project("https://tools.example.com/gitlab")), fields{"user_id": humanID}), "the bot's own event"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := outcome(made.Decide(decode(t, tt.body))); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
	t.Run("no address, of one", func(t *testing.T) {
		t.Parallel()
		check(t, at(noURL), mainKeys)
	})
}

func TestNewTellsAllAtOnce(t *testing.T) {
	t.Parallel()
	_, err := route.New(route.Config{
		Instances: []route.Instance{{URL: "gitlab.example.com"}, {URL: "https://user:s3cret@gitlab.example.com"}},
		Rules: []route.Rule{
			{Name: "docs", On: []string{"pish"}, Projects: []string{"[a"}, Refs: []string{"!"}, Paths: []string{"{a"}, Sync: []string{"a b"}, Report: report.Config{Note: "loud"}},
			{},
		},
	})
	if err == nil {
		t.Fatal("got no error")
	}
	for _, want := range []string{
		"instance: want a base URL", `docs: on: "pish" is none of push, tag_push`, `docs: projects: "[a" is no pattern`, `docs: refs: "!" is no pattern`,
		"docs: paths: ", `docs: sync: "a b" is no name of a target`, "docs: report: ", "route 2: sync: names no target",
	} {
		if !contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
	if contains(err.Error(), "s3cret") {
		t.Errorf("error holds the password: %v", err)
	}
	if _, err := route.New(route.Config{}); err == nil {
		t.Error("a table without an instance: got no error")
	}
}
