package webhook_test

import (
	"fmt"
	"net/http"
	"testing"

	"gitlab.com/remora-ci/remora/agent/webhook"
)

// W17 packit's 13 payloads, each cut to what is read and to what is odd in it: texts
// "None" where null belongs, notes without an action, a pipeline of a fork, addresses
// of two hosts. The values are those that Packit's own tests expect.
//
// https://github.com/packit/packit-service/tree/main/tests/data/webhooks/gitlab
func TestPackitsPayloads(t *testing.T) {
	t.Parallel()
	in := func(id int64, path string) string {
		const gitlab = "https://gitlab.com/"
		return fmt.Sprintf(`"project":{"id":%d,"name":"x","description":"","web_url":"%[3]s%[2]s","avatar_url":null,"git_ssh_url":"git@gitlab.com:%[2]s.git","git_http_url":"%[3]s%[2]s.git","visibility_level":20,"path_with_namespace":"%[2]s","homepage":"%[3]s%[2]s","url":"git@gitlab.com:%[2]s.git","http_url":"%[3]s%[2]s.git"}`, id, path, gitlab)
	}
	side := func(name string, id int64, path string) string {
		return fmt.Sprintf(`"%s":{"id":%d,"path_with_namespace":"%s","web_url":"https://gitlab.com/%[3]s","homepage":"https://gitlab.com/%[3]s"}`, name, id, path)
	}
	const (
		hello   = "testing-packit/hello-there"
		nested  = "testing/packit/hello-there"
		helloID = 18032222
		first   = "1f6a716aa7a618a9ffe56970d77177d99d100022"
		second  = "45e272a57335e4e308f3176df6e9226a9e7805a9"
		note    = `"object_kind":"note","event_type":"note","user":{"username":"a"}`
	)
	teamcity := in(34007140, "fedora/src/python-teamcity-messages")
	for name, tc := range map[string]struct {
		body               string
		kind, project      string
		id                 int64
		ref, sha, instance string
		tag                bool
	}{
		"W17 mr_event": {
			`{"object_kind":"merge_request","event_type":"merge_request",` + in(helloID, hello) + `,"object_attributes":{"assignee_id":"None","head_pipeline_id":"None","iid":1,"last_edited_at":"None","milestone_id":"None","source_branch":"test","source_project_id":18032222,"target_branch":"master","target_project_id":18032222,` + side("source", helloID, hello) + `,` + side("target", helloID, hello) + `,"last_commit":{"id":"` + first + `"},"state":"opened"},"labels":[],"changes":{"total_time_spent":{"previous":"None","current":0}}}`,
			"merge_request", hello, helloID, "test", first, "https://gitlab.com", false,
		},
		"W17 mr_update_event": {
			`{"object_kind":"merge_request","event_type":"merge_request",` + in(helloID, nested) + `,"object_attributes":{"assignee_id":null,"iid":2,"source_branch":"test1","source_project_id":18032222,"target_branch":"master",` + side("source", helloID, nested) + `,` + side("target", helloID, nested) + `,"last_commit":{"id":"` + second + `"},"action":"update","oldrev":"94ccba9f986629e24b432c11d9c7fd20bb2ea51d"}}`,
			"merge_request", nested, helloID, "test1", second, "https://gitlab.com", false,
		},
		"W17 mr_closed, of a fork": {
			`{"object_kind":"merge_request","event_type":"merge_request",` + in(19258958, "packit-service/hello-world") + `,"object_attributes":{"iid":19,"source_branch":"innocent-change","source_project_id":35945041,"target_project_id":19258958,` + side("source", 35945041, "jpopelka/hello-world") + `,` + side("target", 19258958, "packit-service/hello-world") + `,"last_commit":{"id":"769beb0807cf0bafeb3357e787f8c2f8fd3ea42b"},"state":"closed","action":"close"}}`,
			"merge_request", "packit-service/hello-world", 19258958, "innocent-change", "769beb0807cf0bafeb3357e787f8c2f8fd3ea42b", "https://gitlab.com", false,
		},
		"W17 mr_comment, without an action": {
			`{` + note + `,"project_id":18032222,` + in(helloID, hello) + `,"object_attributes":{"commit_sha":null,"note":"must be reopened","noteable_type":"MergeRequest","system":false,"type":null},"merge_request":{"iid":2,"source_branch":"test1","target_branch":"master",` + side("source", helloID, hello) + `,` + side("target", helloID, hello) + `,"last_commit":{"id":"` + second + `"}}}`,
			"note", hello, helloID, "test1", second, "https://gitlab.com", false,
		},
		"W17 commit_comment, which names two hosts": {
			`{` + note + `,"project_id":5,"project":{"id":5,"web_url":"http://gitlab.com/gitlabhq/gitlab-test","git_http_url":"http://example.com/gitlabhq/gitlab-test.git","path_with_namespace":"gitlabhq/gitlab-test","homepage":"http://example.com/gitlabhq/gitlab-test","url":"http://example.com/gitlabhq/gitlab-test.git"},"object_attributes":{"note":"test commit comment","noteable_type":"Commit","commit_id":"cfe32cf61b73a0d5e9f13e774abde7ff789b1660","noteable_id":null,"action":"create"},"commit":{"id":"cfe32cf61b73a0d5e9f13e774abde7ff789b1660"}}`,
			"note", "gitlabhq/gitlab-test", 5, "", "cfe32cf61b73a0d5e9f13e774abde7ff789b1660", "http://gitlab.com", false,
		},
		"W17 issue_comment": {
			`{` + note + `,"project_id":18032222,` + in(helloID, hello) + `,"object_attributes":{"commit_sha":null,"note":"testing comment","noteable_type":"Issue","system":false},"issue":{"iid":1,"state":"opened"}}`,
			"note", hello, helloID, "", "", "https://gitlab.com", false,
		},
		"W17 issue_propose_downstream": {
			`{` + note + `,"project_id":18032222,` + in(helloID, "packit-service/packit") + `,"object_attributes":{"note":"/packit propose-downstream","noteable_type":"Issue","system":false},"issue":{"iid":1,"state":"opened"}}`,
			"note", "packit-service/packit", helloID, "", "", "https://gitlab.com", false,
		},
		"W17 mr_pipeline, of a fork": {
			`{"object_kind":"pipeline","object_attributes":{"id":384095584,"ref":"9-c9s-src-5","tag":false,"sha":"ee58e259da263ecb4c1f0129be7aef8cfd4dedd6","source":"merge_request_event","status":"failed"},"merge_request":{"iid":4,"source_branch":"9-c9s-src-5","source_project_id":28917856,"target_branch":"c9s","target_project_id":23680558},` + in(23680558, "redhat/centos-stream/rpms/luksmeta") + `,"commit":{"id":"ee58e259da263ecb4c1f0129be7aef8cfd4dedd6"},"builds":[{"id":1657491692}]}`,
			"pipeline", "redhat/centos-stream/rpms/luksmeta", 23680558, "9-c9s-src-5", "ee58e259da263ecb4c1f0129be7aef8cfd4dedd6", "https://gitlab.com", false,
		},
		"W17 push_with_one_commit": {
			`{"object_kind":"push","event_name":"push","before":"0e27f070efa4bef2a7c0168f07a0ac36ef90d8cb","after":"cb2859505e101785097e082529dced35bbee0c8f","ref":"refs/heads/test2","checkout_sha":"cb2859505e101785097e082529dced35bbee0c8f","message":null,"project_id":18032222,` + in(helloID, hello) + `,"commits":[{"id":"cb2859505e101785097e082529dced35bbee0c8f"}],"total_commits_count":1,"push_options":{}}`,
			"push", hello, helloID, "test2", "cb2859505e101785097e082529dced35bbee0c8f", "https://gitlab.com", false,
		},
		"W17 push_with_many_commits": {
			`{"object_kind":"push","before":"8c3499490000000000000000000000000000000a","after":"15af92220000000000000000000000000000000b","ref":"refs/heads/c9s","checkout_sha":"15af92220000000000000000000000000000000b","project_id":23680558,` + in(23680558, "redhat/centos-stream/rpms/luksmeta") + `,"commits":[{"id":"1"},{"id":"2"},{"id":"15af92220000000000000000000000000000000b"}],"total_commits_count":3}`,
			"push", "redhat/centos-stream/rpms/luksmeta", 23680558, "c9s", "15af92220000000000000000000000000000000b", "https://gitlab.com", false,
		},
		"W17 push_branch": {
			`{"object_kind":"push","event_name":"push","before":"` + first + `","after":"952cfd32c1a9317f4c460dbe4a6bb3ac406c1002","ref":"refs/heads/test","checkout_sha":"952cfd32c1a9317f4c460dbe4a6bb3ac406c1002","message":null,"project_id":18032222,` + in(helloID, nested) + `,"commits":[{"id":"` + second + `"},{"id":"952cfd32c1a9317f4c460dbe4a6bb3ac406c1002"}],"total_commits_count":9}`,
			"push", nested, helloID, "test", "952cfd32c1a9317f4c460dbe4a6bb3ac406c1002", "https://gitlab.com", false,
		},
		"W17 release": {
			`{"id":6380358,"name":"test","tag":"v1.32","object_kind":"release",` + teamcity + `,"url":"https://gitlab.com/fedora/src/python-teamcity-messages/-/releases/v1.32","action":"create","assets":{"count":4,"links":[]},"commit":{"id":"6147b3de219ecdda30ba727cf74a0414ca1e618a"}}`,
			"release", "fedora/src/python-teamcity-messages", 34007140, "v1.32", "6147b3de219ecdda30ba727cf74a0414ca1e618a", "https://gitlab.com", true,
		},
		"W17 tag_push": {
			`{"object_kind":"tag_push","event_name":"tag_push","before":"` + zeros + `","after":"6147b3de219ecdda30ba727cf74a0414ca1e618a","ref":"refs/tags/v1.32","checkout_sha":"6147b3de219ecdda30ba727cf74a0414ca1e618a","message":"","project_id":34007140,` + teamcity + `,"commits":[{"id":"6147b3de219ecdda30ba727cf74a0414ca1e618a"}]}`,
			"tag_push", "fedora/src/python-teamcity-messages", 34007140, "v1.32", "6147b3de219ecdda30ba727cf74a0414ca1e618a", "https://gitlab.com", true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, err := webhook.Parse(http.Header{}, []byte(tc.body))
			if err != nil {
				t.Fatal(err)
			}
			if e.Kind != tc.kind || e.Project != tc.project || e.ProjectID != tc.id || e.Ref != tc.ref || e.SHA != tc.sha || e.Tag != tc.tag {
				t.Errorf("got %+v, want %s of %s (%d), %q at %q, tag %t", e, tc.kind, tc.project, tc.id, tc.ref, tc.sha, tc.tag)
			}
			if len(e.Instances) != 1 || e.Instances[0] != tc.instance {
				t.Errorf("got instances %q, want %q alone", e.Instances, tc.instance)
			}
			h := newHook(t, webhook.Options{Instances: []string{"https://gitlab.com"}})
			if w := h.do(request(tc.body)); w.Code != http.StatusAccepted || string(h.store.all()[0].Body) != tc.body || h.store.all()[0].Instance != "https://gitlab.com" {
				t.Errorf("got %d, want it stored as it came, as gitlab.com's", w.Code)
			}
		})
	}
}
