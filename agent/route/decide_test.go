package route_test

import (
	"testing"

	"gitlab.com/remora-ci/remora/agent/route"
)

const (
	branchKeys = "sync:direktiv:gitlab.example.com/42:refs/heads/feature sync:mirror:gitlab.example.com/42:refs/heads/feature"
	mainKeys   = "sync:direktiv:gitlab.example.com/42:refs/heads/main sync:mirror:gitlab.example.com/42:refs/heads/main"
	tagKeys    = "sync:direktiv:gitlab.example.com/42:refs/tags/v1.0 sync:mirror:gitlab.example.com/42:refs/tags/v1.0"

	noCommits = "merge request update without new commits"
)

// outcome is the keys of the works, or the reason.
func outcome(works []route.Work, reason string) string {
	got := reason
	for _, w := range works {
		if got != "" {
			got += " "
		}
		got += w.Key
	}
	return got
}

func check(t *testing.T, body any, want string, rules ...route.Rule) []route.Work {
	t.Helper()
	works, reason := table(t, rules...).Decide(decode(t, body))
	if got := outcome(works, reason); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if (len(works) == 0) == (reason == "") {
		t.Errorf("got %d works and reason %q, want one or the other", len(works), reason)
	}
	return works
}

func TestMergeRequests(t *testing.T) {
	t.Parallel()
	was := func(previous, current any) fields { return fields{"previous": previous, "current": current} }
	tests := []struct {
		name string
		body fields
		want string
	}{
		{"W1 an update of the assignee is ignored", update(fields{"assignees": was([]fields{}, []fields{{"id": 3}})}), noCommits},
		{"W2 an update of the description is ignored", update(fields{"description": was("a", "b")}), noCommits},
		{"W3 an update of the labels is ignored", update(fields{"labels": was([]fields{}, []fields{{"title": "bug"}})}), noCommits},
		{"W4 an update of the milestone is ignored", update(fields{"milestone_id": was(nil, 4)}), noCommits},
		{"W5 an update of the reviewers is ignored", update(fields{"reviewers": was([]fields{}, []fields{{"id": 3}})}), noCommits},
		{"W6 an update of the title is ignored", update(fields{"title": was("Add a", "Add a thing")}), noCommits},
		{"W7 an update of several fields is ignored", update(fields{"title": was("Add a", "Add a thing"), "labels": was(nil, nil)}), noCommits},
		{"W8 an update that makes it a draft is ignored", mergeRequest(attributes(fields{"action": "update", "draft": true}), fields{"draft": was(false, true)}), noCommits},
		{"W9 an update of the target branch is ignored", update(fields{"target_branch": was("main", "next")}), noCommits},
		{"W10 new commits are delivered", mergeRequest(attributes(fields{"action": "update", "oldrev": shaA}), fields{}), branchKeys},
		{"W11 ready is delivered", update(fields{"draft": was(true, false)}), branchKeys},
		{"W11 ready, as older releases tell it", update(fields{"work_in_progress": was(true, false)}), branchKeys},
		{"W11 ready, told by the title alone", update(fields{"title": was("Draft: Add a thing", "Add a thing")}), branchKeys},
		{"W12 an update without changes is ignored", update(nil), noCommits},
		{"W13 approved is ignored", mergeRequest(attributes(fields{"action": "approved"}), nil), "merge request approved"},
		{"W14 unapproved is ignored", mergeRequest(attributes(fields{"action": "unapproved"}), nil), "merge request unapproved"},
		{"W15 an unknown action is ignored", mergeRequest(attributes(fields{"action": "frobnicate"}), nil), "merge request frobnicate"},
		{"W16 open is delivered", mergeRequest(attributes(nil), nil), branchKeys},
		{"W16 reopen is delivered", mergeRequest(attributes(fields{"action": "reopen"}), nil), branchKeys},
		{"W16 close is ignored", mergeRequest(attributes(fields{"action": "close", "state": "closed"}), nil), "merge request closed"},
		{"W16 merge is ignored", mergeRequest(attributes(fields{"action": "merge", "state": "merged"}), nil), "merge request merged"},
		{"W16 new commits of a closed one are ignored", mergeRequest(attributes(fields{"action": "update", "oldrev": shaA, "state": "closed"}), nil), "merge request closed"},
		{"W16 without an action an open one is delivered", mergeRequest(attributes(fields{"action": nil}), nil), branchKeys},
		{"W27 a source that is gone has nothing to deliver", mergeRequest(attributes(fields{"source": null, "source_project_id": null}), nil), "the source project of the merge request is gone"},
		{"W27 a fork that is gone has nothing to deliver", mergeRequest(attributes(fields{"source": null, "source_project_id": 77}), nil), "the source project of the merge request is gone"},
		{"W27 a source that is null is no panic", mergeRequest(with(attributes(nil), fields{"source": null, "last_commit": null, "user": null}), nil), branchKeys},
		{"W32 an odd type beside does no harm", mergeRequest(attributes(fields{"assignee_id": "None", "milestone_id": "None", "iid": "7", "draft": "None"}), nil), branchKeys},
		{"W32 attributes of the wrong type are a merge request without a source", with(mergeRequest(nil, nil), fields{"object_attributes": "None"}), "the source project of the merge request is gone"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			check(t, tt.body, tt.want)
		})
	}
}

func TestPushes(t *testing.T) {
	t.Parallel()
	tag := push("refs/tags/v1.0", none, shaA)
	tag["object_kind"], tag["event_name"] = "tag_push", "tag_push"
	many := make([]fields, 20)
	for i := range many {
		many[i] = fields{"id": shaC, "modified": []string{"README.md"}}
	}
	update := func(changes ...fields) fields {
		return fields{"event_name": "repository_update", "user_id": humanID, "project_id": 42, "project": project(gitlabURL), "changes": changes}
	}
	moved := func(ref string) fields { return fields{"ref": ref, "before": shaA, "after": shaB} }
	tests := []struct {
		name string
		body fields
		want string
	}{
		{"a push is delivered", push("refs/heads/main", shaA, shaB), mainKeys},
		{"W25 a new branch without commits is delivered", with(push("refs/heads/feature", none, shaA), fields{"commits": []fields{}, "total_commits_count": 0}), branchKeys},
		{"W25 a deleted branch goes to those who delete", with(push("refs/heads/feature", shaA, none), fields{"checkout_sha": null}), "sync:mirror:gitlab.example.com/42:refs/heads/feature"},
		{"W25 a deleted tag goes to those who delete", with(tag, fields{"before": shaA, "after": none, "checkout_sha": null}), "sync:mirror:gitlab.example.com/42:refs/tags/v1.0"},
		{"W26 twenty of many commits decide nothing", with(push("refs/heads/main", shaA, shaB), fields{"commits": many, "total_commits_count": 214}), mainKeys},
		{"a tag has a key of its own", tag, tagKeys},
		{"a branch of a tag's name too", push("refs/heads/v1.0", shaA, shaB), "sync:direktiv:gitlab.example.com/42:refs/heads/v1.0 sync:mirror:gitlab.example.com/42:refs/heads/v1.0"},
		{"W24 the bot's own push is ignored", with(push("refs/heads/main", shaA, shaB), fields{"user_id": botID}), "the bot's own event"},
		{"a system hook's push has only an event name", with(push("refs/heads/main", shaA, shaB), fields{"object_kind": nil}), mainKeys},
		{"a ref that is neither branch nor tag", push("refs/merge-requests/7/head", shaA, shaB), "ref refs/merge-requests/7/head is neither branch nor tag"},
		{"no ref at all", with(push("", shaA, shaB), fields{"ref": nil}), "ref without a name is neither branch nor tag"},
		{"a ref that git would not have", push("refs/heads/a:b", shaA, shaB), "ref refs/heads/a:b is neither branch nor tag"},
		{"no project at all", with(push("refs/heads/main", shaA, shaB), fields{"project": nil}), "the event names no project"},
		{"a repository's update is a push of each ref", update(moved("refs/heads/main"), moved("refs/keep-around/x"), moved("refs/heads/main")), mainKeys},
		{"a repository's update of nothing", update(), "no ref has changed"},
		{"an id as text is an id", with(push("refs/heads/main", shaA, shaB), fields{"project": with(project(gitlabURL), fields{"id": "42"})}), mainKeys},
		{"without an id the path names the project", with(push("refs/heads/main", shaA, shaB), fields{"project_id": nil, "project": with(project(gitlabURL), fields{"id": nil, "path_with_namespace": "Acme/App"})}),
			"sync:direktiv:gitlab.example.com/acme/app:refs/heads/main sync:mirror:gitlab.example.com/acme/app:refs/heads/main"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			check(t, tt.body, tt.want)
		})
	}
	t.Run("W25 a deleted branch that no target deletes", func(t *testing.T) {
		t.Parallel()
		check(t, push("refs/heads/feature", shaA, none), "branch deleted and no target deletes", route.Rule{Sync: []string{"direktiv"}})
	})
	t.Run("W26 paths only travel", func(t *testing.T) {
		t.Parallel()
		works := check(t, push("refs/heads/main", shaA, shaB), "sync:direktiv:gitlab.example.com/42:refs/heads/main",
			route.Rule{Sync: []string{"direktiv"}, Paths: []string{"src/**", "!src/old/**"}})
		if len(works) == 1 && works[0].Paths != "src/**\n!src/old/**" {
			t.Errorf("got paths %q, want both lines", works[0].Paths)
		}
	})
}

func TestNotes(t *testing.T) {
	t.Parallel()
	const noCommand, command = "note is not a command", "commands are not enabled"
	tests := []struct {
		name string
		body fields
		want string
	}{
		{"W24 the bot's own note", with(noteOn("/remora sync", nil), fields{"user": fields{"id": botID}}), "the bot's own event"},
		{"W24 the bot's own note, known by its author", with(noteOn("/remora sync", fields{"author_id": botID}), fields{"user": nil}), "the bot's own event"},
		{"W24 a system note", noteOn("added 1 commit", fields{"system": true}), "a note of GitLab itself"},
		{"W24 an edited note", noteOn("/remora sync", fields{"action": "update"}), "an edited note"},
		{"W28 a command on the first line", noteOn("/remora sync", nil), command},
		{"W28 a command with nothing behind it", noteOn("/remora", nil), command},
		{"W28 a command with a line end of two", noteOn("/remora sync\r\nplease", nil), command},
		{"W28 a command in a quote", noteOn("> /remora sync", nil), noCommand},
		{"W28 a command in a fence", noteOn("```\n/remora sync\n```", nil), noCommand},
		{"W28 a command on the second line", noteOn("hello\n/remora sync", nil), noCommand},
		{"W28 a longer word", noteOn("/remorasync", nil), noCommand},
		{"W31 without an action it counts as created", noteOn("/remora sync", fields{"action": nil}), command},
		{"a note is not a command", noteOn("looks good", nil), noCommand},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			check(t, tt.body, tt.want)
		})
	}
}

func TestOtherKinds(t *testing.T) {
	t.Parallel()
	every := route.Rule{Name: "every", On: []string{"push", "tag-push", "merge_request", "Pipeline", "deployment", "release"}, Sync: []string{"direktiv"}}
	const mainKey = "sync:direktiv:gitlab.example.com/42:refs/heads/main"
	deployment := fields{
		"object_kind": "deployment", "status": "success", "deployment_id": 15, "environment": "production", "project": project(gitlabURL),
		"short_sha": shaB[:8], "commit_url": gitlabURL + "/acme/app/-/commit/" + shaB, "ref": "main", "user": fields{"id": humanID},
	}
	release := fields{"object_kind": "release", "action": "create", "tag": "v1.0", "commit": fields{"id": shaB}, "project": project(gitlabURL)}
	type test struct {
		name string
		body fields
		want string
	}
	tests := []test{
		{"a pipeline's success is delivered", pipeline(nil), mainKey},
		{"a tag's pipeline is the tag's", pipeline(fields{"tag": true, "ref": "v1.0"}), "sync:direktiv:gitlab.example.com/42:refs/tags/v1.0"},
		{"a running pipeline is not", pipeline(fields{"status": "running"}), "pipeline running"},
		{"nor one made of our own statuses", pipeline(fields{"source": "external"}), "a pipeline of nothing but commit statuses"},
		{"nor a child's", pipeline(fields{"source": "parent_pipeline"}), "a child pipeline, whose parent's end is what counts"},
		{"nor the bot's own", with(pipeline(nil), fields{"user": fields{"id": botID}}), "the bot's own event"},
		{"nor one without an id", pipeline(fields{"id": nil}), "the event names no pipeline"},
		{"a merge request's pipeline is its branch's", with(pipeline(fields{"source": "merge_request_event", "ref": "refs/merge-requests/7/head"}), fields{"merge_request": fields{"iid": 7, "source_branch": "feature", "source_project_id": 42, "target_project_id": 42}}),
			"sync:direktiv:gitlab.example.com/42:refs/heads/feature"},
		{"a fork's pipeline is not", with(pipeline(fields{"source": "merge_request_event"}), fields{"merge_request": fields{"iid": 7, "source_branch": "feature", "source_project_id": 77, "target_project_id": 42}}),
			"the pipeline of a fork's merge request, whose own event is what is delivered"},
		{"a deployment's success is delivered", deployment, mainKey},
		{"a failed deployment is not", with(deployment, fields{"status": "failed"}), "deployment failed"},
		{"a new release is delivered", release, "sync:direktiv:gitlab.example.com/42:refs/tags/v1.0"},
		{"a changed release is not", with(release, fields{"action": "update"}), "release update"},
		{"a job is not", fields{"object_kind": "build", "ref": "main", "project": project(gitlabURL)}, "nothing is done for build events"},
		{"W22 an unknown kind is not", fields{"object_kind": "telepathy"}, "nothing is done for telepathy events"},
		{"no kind is not", fields{"hello": "world"}, "the event names no kind"},
	}
	for _, kind := range []string{"issue", "work_item", "wiki_page", "feature_flag", "milestone", "emoji", "access_token", "deploy_token", "vulnerability"} {
		tests = append(tests, test{"W22 " + kind, fields{"object_kind": kind, "project": project(gitlabURL)}, "nothing is done for " + kind + " events"})
	}
	for _, name := range []string{"project_create", "project_rename", "user_add_to_group", "subgroup_create", "user_create", "key_destroy"} {
		tests = append(tests, test{"W22 a system hook's " + name, fields{"event_name": name}, "nothing is done for " + name + " events"})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			check(t, tt.body, tt.want, every)
		})
	}
}
