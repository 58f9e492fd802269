package route_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"gitlab.com/remora-ci/remora/agent/route"
)

// fields are a JSON object.
type fields = map[string]any

var (
	shaA = strings.Repeat("a1", 20)
	shaB = strings.Repeat("b2", 20)
	shaC = strings.Repeat("c3", 20)
	none = strings.Repeat("0", 40)
)

// null is JSON's own, where nil takes a field out.
var null = json.RawMessage("null")

const (
	gitlabURL = "https://gitlab.example.com"
	botID     = 900
	humanID   = 31
)

// with is a copy of base with some fields other; one that is nil is taken out.
func with(base fields, other fields) fields {
	out := maps.Clone(base)
	for k, v := range other {
		if v == nil {
			delete(out, k)
			continue
		}
		out[k] = v
	}
	return out
}

func project(host string) fields {
	return fields{
		"id": 42, "name": "App", "path_with_namespace": "acme/app", "default_branch": "main",
		"web_url": host + "/acme/app", "git_http_url": host + "/acme/app.git",
	}
}

func push(ref, before, after string) fields {
	return fields{
		"object_kind": "push", "event_name": "push", "ref": ref, "before": before, "after": after, "checkout_sha": after,
		"user_id": humanID, "project_id": 42, "project": project(gitlabURL),
		"commits": []fields{{"id": after, "modified": []string{"docs/a.md"}}}, "total_commits_count": 1,
	}
}

// attributes are object_attributes of an open merge request of one project.
func attributes(other fields) fields {
	return with(fields{
		"id": 7001, "iid": 7, "state": "opened", "action": "open", "title": "Add a thing", "draft": false,
		"source_branch": "feature", "target_branch": "main", "source_project_id": 42, "target_project_id": 42,
		"source": project(gitlabURL), "target": project(gitlabURL),
		"last_commit": fields{"id": shaB, "message": "work"}, "head_pipeline_id": nil,
	}, other)
}

func mergeRequest(attributes, changes fields) fields {
	return fields{
		"object_kind": "merge_request", "event_type": "merge_request", "user": fields{"id": humanID, "username": "someone"},
		"project": project(gitlabURL), "object_attributes": attributes, "changes": changes,
	}
}

// update is a merge request's update by which nothing but changes has changed.
func update(changes fields) fields {
	return mergeRequest(attributes(fields{"action": "update"}), changes)
}

func noteOn(text string, other fields) fields {
	return fields{
		"object_kind": "note", "event_type": "note", "user": fields{"id": humanID}, "project_id": 42, "project": project(gitlabURL),
		"object_attributes": with(fields{"id": 5, "note": text, "action": "create", "system": false, "author_id": humanID, "noteable_type": "MergeRequest"}, other),
		"merge_request":     fields{"iid": 7, "source_branch": "feature"},
	}
}

func pipeline(other fields) fields {
	return fields{
		"object_kind": "pipeline", "user": fields{"id": humanID}, "project": project(gitlabURL), "merge_request": null,
		"object_attributes": with(fields{"id": 1001, "ref": "main", "tag": false, "sha": shaB, "before_sha": shaA, "source": "push", "status": "success"}, other),
	}
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	body, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func decode(t testing.TB, v any) route.Fact {
	t.Helper()
	f, err := route.Decode("", encode(t, v))
	if err != nil {
		t.Fatalf("decode: %v", err)
	}
	return f
}

// table has one instance, and one route to two targets, of which mirror deletes.
func table(t testing.TB, rules ...route.Rule) *route.Table {
	t.Helper()
	if len(rules) == 0 {
		rules = []route.Rule{{Name: "all", Sync: []string{"direktiv", "mirror"}}}
	}
	made, err := route.New(route.Config{
		Instances: []route.Instance{{URL: gitlabURL + "/", BotUserID: botID}}, Rules: rules, Deletes: []string{"mirror"},
	})
	if err != nil {
		t.Fatalf("new table: %v", err)
	}
	return made
}
