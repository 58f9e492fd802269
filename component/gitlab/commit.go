package gitlab

import (
	"context"
	"net/url"

	gl "gitlab.com/gitlab-org/api/client-go/v2"
)

// Commit is a commit and the pipeline that ran last for it.
type Commit struct {
	SHA          string
	ParentIDs    []string
	LastPipeline *Pipeline // nil without one
}

// Pipeline is a CI pipeline. That of merged results has a SHA of its own.
type Pipeline struct {
	ID     int64
	SHA    string
	Ref    string
	Source string // push, merge_request_event, external, …
	Status string
	URL    string
}

func pipelineOf(p gl.PipelineInfo) Pipeline {
	return Pipeline{ID: p.ID, SHA: p.SHA, Ref: p.Ref, Source: p.Source, Status: p.Status, URL: p.WebURL}
}

// Commit reads a commit by its id, branch or tag:
// https://docs.gitlab.com/api/commits/#get-a-single-commit.
func (c *Client) Commit(ctx context.Context, p Project, sha string) (Commit, error) {
	stats := false
	answer, res, err := c.api.Commits.GetCommit(string(p), sha, &gl.GetCommitOptions{Stats: &stats}, gl.WithContext(ctx))
	got, err := result("read commit", answer, res, err)
	if err != nil {
		return Commit{}, err
	}
	out := Commit{SHA: got.ID, ParentIDs: got.ParentIDs}
	if got.LastPipeline != nil {
		last := pipelineOf(*got.LastPipeline)
		out.LastPipeline = &last
	}
	return out, nil
}

// MergeBase is the best common ancestor of two or more refs:
// https://docs.gitlab.com/api/repositories/#merge-base.
func (c *Client) MergeBase(ctx context.Context, p Project, refs ...string) (string, error) {
	answer, res, err := c.api.Repositories.MergeBase(string(p), &gl.MergeBaseOptions{Ref: &refs}, gl.WithContext(ctx))
	got, err := result("find merge base", answer, res, err)
	if err == nil && got.ID == "" {
		err = failed("find merge base", res.Request, errEmpty)
	}
	return got.ID, err
}

// CommitMergeRequests are the open merge requests that hold the commit; they
// come without HeadPipeline and DiffBaseSHA:
// https://docs.gitlab.com/api/commits/#list-merge-requests-associated-with-a-commit.
func (c *Client) CommitMergeRequests(ctx context.Context, p Project, sha string) ([]MergeRequest, error) {
	var open []MergeRequest
	for m, err := range pages(ctx, c, list[MergeRequest]{
		deed: "list merge requests of commit", path: p.path("repository/commits", sha, "merge_requests"),
		query: url.Values{"state": {"opened"}}, decode: plain(mergeRequestOf),
	}) {
		if err != nil {
			return nil, err
		}
		if m.State == "opened" { // before GitLab 18.2 the query is ignored
			open = append(open, m)
		}
	}
	return open, nil
}
