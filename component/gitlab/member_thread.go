package gitlab

import (
	"context"

	gl "gitlab.com/gitlab-org/api/client-go/v2"
)

// Thread reads the notes of one thread, oldest first, each with the first line of
// its body that starts with prefix, as in [Client.Notes]:
// https://docs.gitlab.com/api/discussions/#get-single-merge-request-discussion-item.
func (c *Client) Thread(ctx context.Context, p Project, iid int64, discussionID, prefix string) (Discussion, []Note, error) {
	answer, res, err := c.api.Discussions.GetMergeRequestDiscussion(string(p), iid, discussionID, gl.WithContext(ctx))
	got, err := result("read discussion", answer, res, err)
	if err != nil {
		return Discussion{}, nil, err
	}
	d, open := Discussion{ID: got.ID}, 0
	var notes []Note
	for _, n := range got.Notes {
		if n == nil {
			continue
		}
		notes = append(notes, Note{ID: n.ID, AuthorID: n.Author.ID, System: n.System, Type: string(n.Type), Marker: marker(n.Body, prefix)})
		d.Resolvable = d.Resolvable || n.Resolvable
		if n.Resolvable && !n.Resolved {
			open++
		}
	}
	d.Resolved = d.Resolvable && open == 0
	if len(notes) > 0 {
		d.Note, d.Replies = notes[0], len(notes)-1
	}
	return d, notes, nil
}

// DiscussionOf is the id of the thread that a note is in, a note alone being one of
// its own; empty if the merge request has no such note:
// https://docs.gitlab.com/api/discussions/#list-project-merge-request-discussion-items.
func (c *Client) DiscussionOf(ctx context.Context, p Project, iid, note int64) (string, error) {
	type thread struct {
		ID    string `json:"id"`
		Notes []struct {
			ID int64 `json:"id"`
		} `json:"notes"`
	}
	for d, err := range pages(ctx, c, list[thread]{
		deed: "find discussion of note", path: p.path("merge_requests", iid, "discussions"),
		decode: plain(func(d thread) thread { return d }),
	}) {
		if err != nil {
			return "", err
		}
		for _, n := range d.Notes {
			if n.ID == note {
				return d.ID, nil
			}
		}
	}
	return "", nil
}

// MustResolveThreads says whether a thread that is not resolved keeps the merge
// requests of a project from being merged:
// https://docs.gitlab.com/user/project/merge_requests/#prevent-merge-unless-all-threads-are-resolved.
func (c *Client) MustResolveThreads(ctx context.Context, p Project) (bool, error) {
	answer, res, err := c.api.Projects.GetProject(string(p), nil, gl.WithContext(ctx))
	got, err := result("read settings of project", answer, res, err)
	return got.OnlyAllowMergeIfAllDiscussionsAreResolved, err
}
