package gitlab

import (
	"context"
	"time"

	gl "gitlab.com/gitlab-org/api/client-go/v2"
)

// MergeRequest is a merge request of the project ProjectID, where it is shown.
type MergeRequest struct {
	IID              int64
	ProjectID        int64
	SourceProjectID  int64 // differs in a fork; 0 when the fork is gone
	SourceBranch     string
	TargetBranch     string
	SHA              string // head of the source branch
	State            string // opened, closed, locked, merged
	URL              string
	HeadPipeline     *Pipeline // nil without one
	DiscussionLocked bool
	DiffBaseSHA      string
}

func mergeRequestOf(m gl.BasicMergeRequest) MergeRequest {
	return MergeRequest{
		IID: m.IID, ProjectID: m.ProjectID, SourceProjectID: m.SourceProjectID,
		SourceBranch: m.SourceBranch, TargetBranch: m.TargetBranch,
		SHA: m.SHA, State: m.State, URL: m.WebURL, DiscussionLocked: m.DiscussionLocked,
	}
}

// MergeRequest reads a merge request:
// https://docs.gitlab.com/api/merge_requests/#get-single-mr.
func (c *Client) MergeRequest(ctx context.Context, p Project, iid int64) (MergeRequest, error) {
	answer, res, err := c.api.MergeRequests.GetMergeRequest(string(p), iid, nil, gl.WithContext(ctx))
	got, err := result("read merge request", answer, res, err)
	if err != nil {
		return MergeRequest{}, err
	}
	out := mergeRequestOf(got.BasicMergeRequest)
	out.DiffBaseSHA = got.DiffRefs.BaseSha
	if h := got.HeadPipeline; h != nil {
		out.HeadPipeline = &Pipeline{ID: h.ID, SHA: h.SHA, Ref: h.Ref, Source: string(h.Source), Status: h.Status, URL: h.WebURL}
	}
	return out, nil
}

// HeadSince is the head of a merge request's newest version, and when GitLab made the
// first of the versions that have had it since; no head if there is no version. A
// push makes one, a moment later, and so does another target branch:
// https://docs.gitlab.com/api/merge_requests/#get-merge-request-diff-versions.
func (c *Client) HeadSince(ctx context.Context, p Project, iid int64) (sha string, since time.Time, err error) {
	type version struct {
		Head    string    `json:"head_commit_sha"`
		Created time.Time `json:"created_at"`
	}
	for v, err := range pages(ctx, c, list[version]{ // newest first
		deed: "list versions of merge request", path: p.path("merge_requests", iid, "versions"),
		decode: plain(func(v version) version { return v }),
	}) {
		switch {
		case err != nil:
			return "", time.Time{}, err
		case sha != "" && v.Head != sha:
			return sha, since, nil
		}
		sha, since = v.Head, v.Created
	}
	return sha, since, nil
}

// MergeRequestPipelines are the pipelines of a merge request, newest first:
// https://docs.gitlab.com/api/merge_requests/#list-merge-request-pipelines.
func (c *Client) MergeRequestPipelines(ctx context.Context, p Project, iid int64) ([]Pipeline, error) {
	var all []Pipeline
	for pipeline, err := range pages(ctx, c, list[Pipeline]{
		deed: "list pipelines of merge request", path: p.path("merge_requests", iid, "pipelines"), decode: plain(pipelineOf),
	}) {
		if err != nil {
			return nil, err
		}
		all = append(all, pipeline)
	}
	return all, nil
}
