package route_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/remora-ci/remora/agent/route"
	"gitlab.com/remora-ci/remora/component/delivery"
)

// obeying is a table that takes commands.
func obeying(t testing.TB, prefix string, rules ...route.Rule) *route.Table {
	t.Helper()
	if len(rules) == 0 {
		rules = []route.Rule{{Name: "all", Sync: []string{"mirror"}}}
	}
	made, err := route.New(route.Config{
		Instances: []route.Instance{{URL: gitlabURL, BotUserID: botID}}, Rules: rules, Commands: true, CommandPrefix: prefix,
	})
	if err != nil {
		t.Fatalf("new table: %v", err)
	}
	return made
}

func TestCommands(t *testing.T) {
	t.Parallel()
	const noCommand = "note is not a command"
	sync := func(other fields) fields { return noteOn("/remora sync", other) }
	on := func(kind string) fields {
		return with(sync(fields{"noteable_type": kind}), fields{"merge_request": nil})
	}
	state := func(name string) fields {
		return with(sync(nil), fields{"merge_request": fields{"iid": 7, "source_branch": "feature", "state": name}})
	}
	tests := []struct {
		name string
		body fields
		want string // the reason; empty for a command
	}{
		{"a command", sync(nil), ""},
		{"W31 without an action it counts as created", sync(fields{"action": nil}), ""},
		{"what is no command of ours is told to its author by the agent", noteOn("/remora explode", nil), ""},
		{"W28 a line end of two", noteOn("/remora status\r\nthanks", nil), ""},
		{"on an open merge request", state("opened"), ""},
		{"without the kind of what it is on", sync(fields{"noteable_type": nil}), ""},
		{"W32 an odd type beside does no harm", with(sync(fields{"discussion_id": 7, "position": "None"}), fields{"repository": "None"}), ""},
		{"W24 by the bot", with(sync(nil), fields{"user": fields{"id": botID}}), "the bot's own event"},
		{"W24 by GitLab", sync(fields{"system": true}), "a note of GitLab itself"},
		{"W24 edited", sync(fields{"action": "update"}), "an edited note"},
		{"W28 in a quote", noteOn("> /remora sync", nil), noCommand},
		{"W28 in a fence", noteOn("```\n/remora sync\n```", nil), noCommand},
		{"W28 on the second line", noteOn("hello\n/remora sync", nil), noCommand},
		{"W28 a longer word", noteOn("/remorasync", nil), noCommand},
		{"talk", noteOn("looks good", nil), noCommand},
		{"on an issue", on("Issue"), "a command on an issue, and only merge requests take commands"},
		{"on a commit", on("Commit"), "a command on a commit, and only merge requests take commands"},
		{"on a snippet", on("Snippet"), "a command on a snippet, and only merge requests take commands"},
		{"on what GitLab may invent", on("Telepathy"), "a command on something else, and only merge requests take commands"},
		{"on an issue, whatever else the body says", sync(fields{"noteable_type": "Issue"}), "a command on an issue, and only merge requests take commands"},
		{"on a merge request that is not told", with(sync(nil), fields{"merge_request": nil}), "a command on something else, and only merge requests take commands"},
		{"on a closed merge request", state("closed"), ""},
		{"on a merged merge request", state("merged"), ""},
		{"on one that is being merged", state("locked"), ""},
		{"talk on an issue is talk", with(noteOn("hi", fields{"noteable_type": "Issue"}), fields{"merge_request": nil}), noCommand},
		{"by nobody", with(sync(fields{"author_id": nil}), fields{"user": nil}), "the event does not say who wrote the note"},
		{"without its id", sync(fields{"id": nil}), "the event names no note"},
		{"without a project", with(sync(nil), fields{"project": nil}), "the event names no project"},
		{"W30 of another instance", with(sync(nil), fields{"project": project("https://evil.example")}), "instance https://evil.example is not configured"},
		{"what is no note", push("refs/heads/main", shaA, shaB), "only a note can be a command"},
	}
	made := obeying(t, "")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			instance, got := made.Command(decode(t, tt.body))
			if got != tt.want || got == "" && instance != gitlabURL {
				t.Errorf("got %q on %q, want %q", got, instance, tt.want)
			}
		})
	}
	if works, reason := made.Decide(decode(t, sync(nil))); len(works) > 0 || reason != "a command, which moves no ref by itself" {
		t.Errorf("decided on a command: got %d works, %q", len(works), reason)
	}
	if _, got := table(t).Command(decode(t, sync(nil))); got != "commands are not enabled" {
		t.Errorf("got %q where commands are not enabled", got)
	}
}

func TestTheConfiguredPrefixCounts(t *testing.T) {
	t.Parallel()
	made := obeying(t, "/remora-stg")
	for text, want := range map[string]string{"/remora-stg sync": "", "/remora-stg": "", "/remora sync": "note is not a command", "/remora-stg2 sync": "note is not a command"} {
		if _, got := made.Command(decode(t, noteOn(text, nil))); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestANoteTellsWhatACommandNeeds(t *testing.T) {
	t.Parallel()
	body := noteOn("/remora allow", fields{"discussion_id": "d1"})
	body["user"] = fields{"id": humanID, "username": "mona"}
	body["merge_request"] = attributes(fields{"action": nil, "source_project_id": 77, "source": with(project(gitlabURL), fields{"id": 77, "path_with_namespace": "mona/app"})})
	f := decode(t, body)
	mr := &delivery.MergeRequest{IID: 7, ProjectID: 42, ProjectPath: "acme/app", SourceProjectID: 77, SourceBranch: "feature", TargetBranch: "main"}
	if diff := cmp.Diff(mr, f.MergeRequest); diff != "" {
		t.Errorf("merge request (-want +got):\n%s", diff)
	}
	if f.NoteID != 5 || f.Discussion != "d1" || f.UserID != humanID || f.UserName != "mona" || f.Source.Path != "mona/app" || f.Source.ID != 77 ||
		f.Status != "opened" || len(f.Changes) != 1 || f.Changes[0].SHA != shaB || f.Changes[0].Ref != "refs/heads/feature" {
		t.Errorf("got %+v", f)
	}
}

// forked is the merge request of a fork, as a fact.
func forked(t *testing.T, allowed bool) route.Fact {
	f := decode(t, mergeRequest(attributes(fields{"source_project_id": 77, "source": with(project(gitlabURL), fields{"id": 77, "path_with_namespace": "mona/app"})}), nil))
	f.Allowed = allowed
	return f
}

func TestForksAreTakenAsTheirRouteSays(t *testing.T) {
	t.Parallel()
	const (
		key  = "sync:mirror:gitlab.example.com/77:refs/heads/feature"
		wait = "commits of the fork mona/app wait to be allowed, each by its own /remora allow in the merge request"
		none = "no route takes forks: merge request from mona/app"
	)
	rule := func(forks string) route.Rule {
		return route.Rule{Name: "r", Forks: forks, Sync: []string{"mirror"}}
	}
	elsewhere := route.Rule{Name: "e", Projects: []string{"other/**"}, Sync: []string{"mirror"}}
	tests := []struct {
		name    string
		forks   []route.Rule
		allowed bool
		want    string
		only    bool // nothing but the allowed commit may be delivered
	}{
		{"nobody allowed it", []route.Rule{rule("")}, false, wait, false},
		{"somebody allowed it", []route.Rule{rule("")}, true, key, true},
		{"all are taken", []route.Rule{rule("true")}, false, key, false},
		{"none is taken", []route.Rule{rule("never")}, false, none, false},
		{"none is taken, also if it is allowed", []route.Rule{rule("never")}, true, none, false},
		{"to wait is closer than never", []route.Rule{rule("never"), rule("")}, false, wait, false},
		{"to wait is closer than another project", []route.Rule{rule(""), elsewhere}, false, wait, false},
		{"one of two takes all", []route.Rule{rule(""), rule("true")}, false, key, false},
		{"another project's is none of this", []route.Rule{elsewhere}, true, "no route matches: project acme/app", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			works, reason := obeying(t, "", tt.forks...).Decide(forked(t, tt.allowed))
			if got := outcome(works, reason); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
			for _, w := range works {
				if w.OnlyAllowed != tt.only {
					t.Errorf("only allowed commits: got %v, want %v", w.OnlyAllowed, tt.only)
				}
			}
		})
	}
	t.Run("where commands are not enabled nobody is told to use them", func(t *testing.T) {
		t.Parallel()
		if _, reason := table(t, rule("")).Decide(forked(t, false)); reason != none {
			t.Errorf("got %q, want %q", reason, none)
		}
	})
	t.Run("a branch of the project itself needs nobody", func(t *testing.T) {
		t.Parallel()
		works, _ := obeying(t, "", rule("")).Decide(decode(t, mergeRequest(attributes(nil), nil)))
		if len(works) != 1 || works[0].OnlyAllowed {
			t.Errorf("got %+v", works)
		}
	})
}

func TestJobs(t *testing.T) {
	t.Parallel()
	const (
		key  = "sync:mirror:gitlab.example.com/42:refs/heads/main"
		open = "no route takes jobs of a ref that is not protected: ref main"
	)
	jobs := func(change func(*route.Rule)) route.Rule {
		r := route.Rule{Name: "jobs", On: []string{"job"}, Sync: []string{"mirror"}}
		change(&r)
		return r
	}
	plain := jobs(func(*route.Rule) {})
	fact := func(change func(*route.Fact)) route.Fact {
		f := route.Fact{
			Kind: route.Job, Instance: gitlabURL, Protected: true, Project: delivery.Project{ID: 42, Path: "acme/app"},
			Changes: []route.Change{{Ref: "refs/heads/main", SHA: shaA}}, Pipeline: &delivery.Pipeline{ID: 1001},
		}
		change(&f)
		return f
	}
	fork := func(f *route.Fact) {
		f.MergeRequest = &delivery.MergeRequest{IID: 7, ProjectID: 42, SourceProjectID: 77}
		f.Source, f.Changes[0].Ref = delivery.Project{ID: 77, Path: "mona/app"}, "refs/heads/feature"
	}
	tests := []struct {
		name string
		fact route.Fact
		rule route.Rule
		want string
	}{
		{"on a protected ref", fact(func(*route.Fact) {}), plain, key},
		{"on a ref that is not", fact(func(f *route.Fact) { f.Protected = false }), plain, open},
		{"on a ref that need not be", fact(func(f *route.Fact) { f.Protected = false }), jobs(func(r *route.Rule) { r.Open = true }), key},
		{"on a tag", fact(func(f *route.Fact) { f.Changes[0].Ref = "refs/tags/v1" }), plain, "sync:mirror:gitlab.example.com/42:refs/tags/v1"},
		{"of a project that no route names", fact(func(*route.Fact) {}), jobs(func(r *route.Rule) { r.Projects = []string{"other/**"} }), "no route matches: project acme/app"},
		{"of a ref that no route names", fact(func(f *route.Fact) { f.Protected = false }), jobs(func(r *route.Rule) { r.Refs = []string{"release/*"} }), "no route matches: ref main"},
		{"where no route takes jobs", fact(func(*route.Fact) {}), route.Rule{Sync: []string{"mirror"}}, "no route takes jobs: none has on: [job]"},
		{"of a fork that nobody allowed", fact(fork), plain, "commits of the fork mona/app wait to be allowed, each by its own /remora allow in the merge request"},
		{"of a fork that somebody allowed", fact(func(f *route.Fact) { fork(f); f.Allowed = true }), plain, "sync:mirror:gitlab.example.com/77:refs/heads/feature"},
		{"of a fork, allowed, on a ref that is not protected", fact(func(f *route.Fact) { fork(f); f.Allowed, f.Protected = true, false }), plain,
			"no route takes jobs of a ref that is not protected: ref feature"},
		{"of a fork where all are taken", fact(fork), jobs(func(r *route.Rule) { r.Forks = route.ForksAll }), "sync:mirror:gitlab.example.com/77:refs/heads/feature"},
		{"of a fork where none is taken", fact(func(f *route.Fact) { fork(f); f.Allowed = true }), jobs(func(r *route.Rule) { r.Forks = route.ForksNever }), "no route takes forks: merge request from mona/app"},
		{"of a fork that is gone", fact(func(f *route.Fact) { fork(f); f.Source.Path = "" }), plain, "the source project of the merge request is gone"},
		{"without a ref", fact(func(f *route.Fact) { f.Changes = nil }), plain, "no ref has changed"},
		{"of another instance", fact(func(f *route.Fact) { f.Instance = "https://evil.example" }), plain, "instance https://evil.example is not configured"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := outcome(obeying(t, "", tt.rule).Decide(tt.fact)); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}
