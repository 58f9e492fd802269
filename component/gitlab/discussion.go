package gitlab

import (
	"context"
	"encoding/json"
	"iter"

	gl "gitlab.com/gitlab-org/api/client-go/v2"
)

// Discussion is what is kept of a thread on a merge request.
type Discussion struct {
	ID            string
	Note          Note // its first
	Resolvable    bool
	Resolved      bool // all that can be resolved is
	Replies       int  // notes after the first, without system notes
	OthersReplied bool // one of them is not by the author of the first
}

// Discussions are all threads of a merge request, oldest first; a note that is no
// thread is one that cannot be resolved. Of the bodies only the marker of the
// first note is kept, as in [Client.Notes]:
// https://docs.gitlab.com/api/discussions/#list-project-merge-request-discussion-items.
func (c *Client) Discussions(ctx context.Context, p Project, iid int64, prefix string) iter.Seq2[Discussion, error] {
	return pages(ctx, c, list[Discussion]{
		deed: "list discussions", path: p.path("merge_requests", iid, "discussions"),
		decode: func(dec *json.Decoder) (Discussion, error) { return discussion(dec, prefix) },
	})
}

// discussion reads one thread note by note.
func discussion(dec *json.Decoder, prefix string) (Discussion, error) {
	var d Discussion
	notes, open := 0, 0
	err := object(dec, func(key string) (bool, error) {
		switch key {
		case "id":
			return true, dec.Decode(&d.ID)
		case "notes":
			return true, array(dec, func() error {
				var n answeredNote
				err := dec.Decode(&n)
				if notes++; notes == 1 {
					d.Note = noteOf(prefix)(n)
				} else if !n.System {
					d.Replies++
					d.OthersReplied = d.OthersReplied || n.Author.ID != d.Note.AuthorID
				}
				d.Resolvable = d.Resolvable || n.Resolvable
				if n.Resolvable && !n.Resolved {
					open++
				}
				return err
			})
		}
		return false, nil
	})
	d.Resolved = d.Resolvable && open == 0
	return d, err
}

// CreateDiscussion starts a thread that can be resolved:
// https://docs.gitlab.com/api/discussions/#create-new-merge-request-thread.
func (c *Client) CreateDiscussion(ctx context.Context, p Project, iid int64, body string) (Discussion, error) {
	const deed = "create discussion"
	answer, res, err := c.api.Discussions.CreateMergeRequestDiscussion(string(p), iid, &gl.CreateMergeRequestDiscussionOptions{Body: &body}, gl.WithContext(ctx))
	got, err := result(deed, answer, res, err)
	if err != nil {
		return Discussion{}, err
	}
	if len(got.Notes) == 0 || got.Notes[0] == nil {
		return writtenNothing(deed, res)
	}
	first, err := writtenNote(deed, got.Notes[0], res, nil)
	if err != nil {
		return Discussion{}, err
	}
	return Discussion{ID: got.ID, Note: first, Resolvable: got.Notes[0].Resolvable, Resolved: got.Notes[0].Resolved}, nil
}

// writtenNothing is the error of an answer without notes: that of quick actions
// alone, or a broken one.
func writtenNothing(deed string, res *gl.Response) (Discussion, error) {
	_, err := writtenNote(deed, &gl.Note{}, res, nil)
	return Discussion{}, err
}

// ResolveDiscussion resolves a thread, or opens it again:
// https://docs.gitlab.com/api/discussions/#resolve-a-merge-request-thread.
func (c *Client) ResolveDiscussion(ctx context.Context, p Project, iid int64, discussionID string, resolved bool) error {
	_, res, err := c.api.Discussions.ResolveMergeRequestDiscussion(string(p), iid, discussionID,
		&gl.ResolveMergeRequestDiscussionOptions{Resolved: &resolved}, gl.WithContext(ctx))
	_, err = result("resolve discussion", &struct{}{}, res, err)
	return err
}

// Reply adds a note to a thread:
// https://docs.gitlab.com/api/discussions/#add-note-to-existing-merge-request-thread.
func (c *Client) Reply(ctx context.Context, p Project, iid int64, discussionID, body string) (Note, error) {
	answer, res, err := c.api.Discussions.AddMergeRequestDiscussionNote(string(p), iid, discussionID,
		&gl.AddMergeRequestDiscussionNoteOptions{Body: &body}, gl.WithContext(ctx))
	return writtenNote("reply to discussion", answer, res, err)
}
