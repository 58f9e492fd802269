package agent

import (
	"context"
	"strings"

	"gitlab.com/remora-ci/remora/component/gitlab"
)

// maxOrder bounds what is kept of the line of a command, in bytes: more than a
// command may have.
const maxOrder = 2000

// firstLine is what is kept of a note.
func firstLine(note string) string {
	line, _, _ := strings.Cut(note, "\n")
	return strings.ToValidUTF8(line[:min(len(line), maxOrder)], "")
}

// unwritten says why the note of a command does not stand for it; empty if it does.
// The webhook's body is written by whoever has the secret, and a project token is
// had by people of the project: GitLab is asked who wrote the note, and what. An
// edited one may hold somebody else's words, so it is not obeyed either way.
func (r *commandRun) unwritten(ctx context.Context, p gitlab.Project) (why string, err error) {
	n, body, err := r.gl.ReadNote(ctx, p, r.row.MergeRequest, r.order.Note)
	switch {
	case isMissing(err):
		return errNoNote.Error(), nil
	case err != nil:
		return "", err
	case n.System, n.AuthorID != r.order.Author:
		return "the note was written by somebody else than the webhook says", nil
	case firstLine(body) != r.order.Line:
		return "the note has another first line than the webhook says", nil
	}
	r.written = n.Created
	return "", nil
}

// movedSince says whether the head of the merge request became what it is after the
// note was written: GitLab makes the body of a webhook a moment later, which may be
// the moment of a push.
func (r *commandRun) movedSince(ctx context.Context, mr gitlab.MergeRequest) (bool, error) {
	if r.order.Head != mr.SHA {
		return true, nil
	}
	sha, since, err := r.gl.HeadSince(ctx, gitlab.ProjectID(mr.ProjectID), mr.IID)
	return sha != mr.SHA || !since.Before(r.written), err
}
