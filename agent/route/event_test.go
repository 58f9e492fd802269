package route_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/remora-ci/remora/agent/route"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/report"
)

func TestEvent(t *testing.T) {
	t.Parallel()
	app := delivery.Project{ID: 42, Path: "acme/app", URL: gitlabURL + "/acme/app", DefaultBranch: "main"}
	tag := push("refs/tags/v1.0", none, shaA)
	tag["object_kind"], tag["checkout_sha"] = "tag_push", shaC
	own := &delivery.MergeRequest{
		IID: 7, ProjectID: 42, ProjectPath: "acme/app", SourceProjectID: 42, SourceBranch: "feature", TargetBranch: "main",
		URL: gitlabURL + "/acme/app/-/merge_requests/7",
	}
	fork := *own
	fork.SourceProjectID = 77
	forked := with(project(gitlabURL), fields{"id": 77, "path_with_namespace": "someone/app", "web_url": gitlabURL + "/someone/app"})
	tests := []struct {
		name string
		body fields
		want delivery.Event
	}{
		{"of a push", push("refs/heads/main", shaA, shaB), delivery.Event{Project: app, Ref: "main", RefType: delivery.Branch, SHA: shaB, Before: shaA}},
		{"of a new branch", push("refs/heads/main", none, shaB), delivery.Event{Project: app, Ref: "main", RefType: delivery.Branch, SHA: shaB}},
		{"of a deleted branch", push("refs/heads/old", shaA, none), delivery.Event{Project: app, Ref: "old", RefType: delivery.Branch, Before: shaA, Deleted: true}},
		{"of an annotated tag is its commit's", tag, delivery.Event{Project: app, Ref: "v1.0", RefType: delivery.Tag, SHA: shaC}},
		{"of a push whose head is no commit's id is not a deletion", with(push("refs/heads/main", shaA, "HEAD"), fields{"checkout_sha": 7}), delivery.Event{Project: app, Ref: "main", RefType: delivery.Branch, Before: shaA}},
		{"of a push without a head is not a deletion", with(push("refs/heads/main", shaA, shaB), fields{"after": nil, "checkout_sha": nil}), delivery.Event{Project: app, Ref: "main", RefType: delivery.Branch, Before: shaA}},
		{"of a push with only the commit to check out", with(push("refs/heads/main", shaA, shaB), fields{"after": nil}), delivery.Event{Project: app, Ref: "main", RefType: delivery.Branch, SHA: shaB, Before: shaA}},
		{"of an opened merge request has its head pipeline", mergeRequest(attributes(fields{"head_pipeline_id": 1001}), nil),
			delivery.Event{Project: app, Ref: "feature", RefType: delivery.Branch, SHA: shaB, MergeRequest: own, Pipeline: &delivery.Pipeline{ID: 1001, URL: gitlabURL + "/acme/app/-/pipelines/1001"}}},
		{"of new commits has not that of the old ones", mergeRequest(attributes(fields{"action": "update", "oldrev": shaA, "head_pipeline_id": 1001}), nil),
			delivery.Event{Project: app, Ref: "feature", RefType: delivery.Branch, SHA: shaB, Before: shaA, MergeRequest: own}},
		{"of a fork is in the fork", mergeRequest(attributes(fields{"source_project_id": 77, "source": forked}), nil),
			delivery.Event{Project: delivery.Project{ID: 77, Path: "someone/app", URL: gitlabURL + "/someone/app", DefaultBranch: "main"}, Ref: "feature", RefType: delivery.Branch, SHA: shaB, MergeRequest: &fork}},
		{"of a pipeline", pipeline(nil), delivery.Event{Project: app, Ref: "main", RefType: delivery.Branch, SHA: shaB, Before: shaA, Pipeline: &delivery.Pipeline{ID: 1001, SHA: shaB, Source: "push", URL: gitlabURL + "/acme/app/-/pipelines/1001"}}},
		{"of a merge request's pipeline leaves its head to be read", with(pipeline(fields{"source": "merge_request_event", "ref": "feature"}), fields{"merge_request": fields{"iid": 7, "source_branch": "feature", "target_branch": "main", "source_project_id": 42, "target_project_id": 42}}),
			delivery.Event{Project: app, Ref: "feature", RefType: delivery.Branch, MergeRequest: own, Pipeline: &delivery.Pipeline{ID: 1001, SHA: shaB, Source: "merge_request_event", URL: gitlabURL + "/acme/app/-/pipelines/1001"}}},
	}
	at := time.Date(2026, 11, 20, 14, 3, 0, 0, time.UTC)
	rule := route.Rule{Name: "r", On: []string{"push", "tag_push", "merge_request", "pipeline"}, Forks: route.ForksAll, Sync: []string{"mirror"}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := decode(t, tt.body)
			f.At = at
			works, reason := table(t, rule).Decide(f)
			if len(works) != 1 {
				t.Fatalf("got %d works, reason %q, want one", len(works), reason)
			}
			tt.want.Cause, tt.want.Instance, tt.want.At = delivery.CauseWebhook, gitlabURL, at
			if diff := cmp.Diff(tt.want, works[0].Event); diff != "" {
				t.Errorf("event (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWorkIsStoredAsItIs(t *testing.T) {
	t.Parallel()
	rule := route.Rule{Name: "docs", On: []string{"pipeline"}, Paths: []string{"docs/**"}, Sync: []string{"mirror"}, Report: report.Config{Note: report.NoteOff}}
	works, _ := table(t, rule).Decide(decode(t, pipeline(nil)))
	if len(works) != 1 {
		t.Fatalf("got %d works, want one", len(works))
	}
	w := works[0]
	if w.Rule != "docs" || w.Project != "acme/app" || w.Paths != "docs/**" || w.Report.Note != report.NoteOff {
		t.Errorf("got %+v, want what the route says", w)
	}
	once := &route.Once{Name: "pipeline sync:mirror:gitlab.example.com/42:refs/heads/main", Slot: time.UnixMicro(1001).UTC()}
	if diff := cmp.Diff(once, w.Once); diff != "" {
		t.Errorf("our own statuses end the pipeline again (-want +got):\n%s", diff)
	}
	stored, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	var again route.Work
	if err := json.Unmarshal(stored, &again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(w, again); diff != "" {
		t.Errorf("stored and read (-want +got):\n%s", diff)
	}
}

func TestURLsOfABodyNeverTravel(t *testing.T) {
	t.Parallel()
	body := mergeRequest(attributes(fields{"head_pipeline_id": 5, "url": "https://evil.example/x"}), nil)
	body["project"] = with(project(gitlabURL), fields{"git_http_url": "https://evil.example/acme/app.git"})
	works, reason := table(t).Decide(decode(t, body))
	if len(works) == 0 {
		t.Fatalf("no work: %s", reason)
	}
	if stored := string(encode(t, works)); contains(stored, "evil.example") {
		t.Errorf("work holds the body's own address: %s", stored)
	}
}
