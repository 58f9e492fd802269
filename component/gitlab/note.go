package gitlab

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"

	gl "gitlab.com/gitlab-org/api/client-go/v2"

	"gitlab.com/remora-ci/remora/component/rest"
)

// Note is what is kept of a note on a merge request.
type Note struct {
	ID       int64
	AuthorID int64
	System   bool      // written by GitLab itself
	Marker   string    // its first line with the asked prefix, or empty
	Type     string    // empty, DiscussionNote, DiffNote, …
	Created  time.Time // by GitLab's clock; of a note that was read by itself
}

// mostMarker bounds the marker line: bytes.
const mostMarker = 4096

// noteOf keeps little of a note. The official client's type would do but for
// its many fields, each of which could fail to parse.
func noteOf(prefix string) func(answeredNote) Note {
	return func(n answeredNote) Note {
		return Note{ID: n.ID, AuthorID: n.Author.ID, System: n.System, Type: n.Type, Marker: marker(n.Body, prefix)}
	}
}

type answeredNote struct {
	ID     int64  `json:"id"`
	Type   string `json:"type"`
	Body   string `json:"body"`
	System bool   `json:"system"`
	Author struct {
		ID int64 `json:"id"`
	} `json:"author"`
	Resolvable bool `json:"resolvable"`
	Resolved   bool `json:"resolved"`
}

// marker is the first line of body that starts with prefix. It is a copy: the
// body must not live on through it.
func marker(body, prefix string) string {
	if prefix == "" {
		return ""
	}
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, prefix) {
			line = strings.TrimRight(line, "\r\n")
			return strings.Clone(line[:min(len(line), mostMarker)])
		}
	}
	return ""
}

// Notes are all notes of a merge request, oldest first, each with the first line
// of its body that starts with prefix; the rest of the body is dropped:
// https://docs.gitlab.com/api/notes/#list-all-merge-request-notes.
func (c *Client) Notes(ctx context.Context, p Project, iid int64, prefix string) iter.Seq2[Note, error] {
	return pages(ctx, c, list[Note]{
		deed: "list notes", path: p.path("merge_requests", iid, "notes"),
		query:  url.Values{"order_by": {"created_at"}, "sort": {"asc"}},
		decode: plain(noteOf(prefix)),
	})
}

// CreateNote writes a note: https://docs.gitlab.com/api/notes/#create-new-merge-request-note.
// A body of nothing but quick actions makes no note: that is a
// [rest.StatusError] with a code in 2xx.
func (c *Client) CreateNote(ctx context.Context, p Project, iid int64, body string) (Note, error) {
	answer, res, err := c.api.Notes.CreateMergeRequestNote(string(p), iid, &gl.CreateMergeRequestNoteOptions{Body: &body}, gl.WithContext(ctx))
	return writtenNote("create note", answer, res, err)
}

// UpdateNote replaces the body of a note: https://docs.gitlab.com/api/notes/#modify-existing-merge-request-note.
func (c *Client) UpdateNote(ctx context.Context, p Project, iid, note int64, body string) (Note, error) {
	answer, res, err := c.api.Notes.UpdateMergeRequestNote(string(p), iid, note, &gl.UpdateMergeRequestNoteOptions{Body: &body}, gl.WithContext(ctx))
	return writtenNote("update note", answer, res, err)
}

// DeleteNote deletes a note: https://docs.gitlab.com/api/notes/#delete-a-merge-request-note.
func (c *Client) DeleteNote(ctx context.Context, p Project, iid, note int64) error {
	_, err := c.api.Notes.DeleteMergeRequestNote(string(p), iid, note, gl.WithContext(ctx))
	return failed("delete note", nil, err)
}

// ReadNote is one note as it is now, with its whole Markdown:
// https://docs.gitlab.com/api/notes/#get-single-merge-request-note.
func (c *Client) ReadNote(ctx context.Context, p Project, iid, note int64) (n Note, body string, err error) {
	const deed = "read note"
	answer, res, err := c.api.Notes.GetMergeRequestNote(string(p), iid, note, gl.WithContext(ctx))
	got, err := result(deed, answer, res, err)
	switch {
	case err != nil:
		return Note{}, "", err
	case got.ID != note:
		return Note{}, "", failed(deed, res.Request, fmt.Errorf("the answer is about note %d, not %d", got.ID, note))
	case got.CreatedAt != nil:
		n.Created = *got.CreatedAt
	}
	n.ID, n.AuthorID, n.System, n.Type = got.ID, got.Author.ID, got.System, string(got.Type)
	return n, got.Body, nil
}

// Award puts an emoji, such as "eyes", on a note. One that is there already, which
// GitLab answers with a 404, is fine:
// https://docs.gitlab.com/api/emoji_reactions/#add-reactions-to-comments.
func (c *Client) Award(ctx context.Context, p Project, iid, note int64, name string) error {
	_, _, err := c.api.AwardEmoji.CreateMergeRequestAwardEmojiOnNote(string(p), iid, note, &gl.CreateAwardEmojiOptions{Name: name}, gl.WithContext(ctx))
	var refused *rest.StatusError
	if errors.As(err, &refused) && refused.Code == http.StatusNotFound && strings.Contains(refused.Body, "already been taken") {
		return nil
	}
	return failed("award emoji", nil, err)
}

// writtenNote is a note that was created or changed. The marker is left out: the
// writer knows it.
func writtenNote(deed string, answer *gl.Note, res *gl.Response, err error) (Note, error) {
	got, err := result(deed, answer, res, err)
	if err != nil {
		return Note{}, err
	}
	if res.StatusCode == http.StatusAccepted || got.ID == 0 {
		return Note{}, failed(deed, nil, &rest.StatusError{
			Method: res.Request.Method, URL: rest.Plain(res.Request.URL.String()), Code: res.StatusCode,
			Body: "no note was written; is there nothing but quick actions in the text?",
		})
	}
	return Note{ID: got.ID, AuthorID: got.Author.ID, System: got.System, Type: string(got.Type)}, nil
}
