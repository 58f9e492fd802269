package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"gitlab.com/remora-ci/remora/agent/command"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab"
	"gitlab.com/remora-ci/remora/component/rest"
)

// errNoNote says that there is nothing to answer to.
var errNoNote = delivery.Permanent(errors.New("the note is gone"))

// reply writes the answer in the thread of the note, unless it stands there, and
// gives its address. What stands there is read first: a run that was killed may have
// written it, and so may a call whose answer was lost.
func (r *commandRun) reply(ctx context.Context) (url string, err error) {
	if r.order.Answer == "" {
		return "", nil
	}
	p, iid := gitlabProject(r.row.work.Event.Project), r.row.MergeRequest
	if r.order.Discussion == "" {
		if r.order.Discussion, err = r.gl.DiscussionOf(ctx, p, iid, r.order.Note); err != nil {
			return "", err
		}
	}
	if r.order.Discussion == "" {
		return "", errNoNote
	}
	marker := command.Marker(r.order.Note)
	_, notes, err := r.gl.Thread(ctx, p, iid, r.order.Discussion, marker)
	if isMissing(err) {
		return "", errNoNote
	}
	if err != nil {
		return "", err
	}
	var ours int64
	for _, n := range notes {
		if n.AuthorID == r.self && n.Marker == marker {
			ours = n.ID
		}
	}
	if ours == 0 {
		written, err := r.gl.Reply(ctx, p, iid, r.order.Discussion, command.Body(r.order.Note, r.order.Answer))
		if err != nil {
			return "", err
		}
		ours = written.ID
	}
	if err := r.settle(ctx, p, notes); err != nil {
		r.log.Warn().Err(err).Msg("thread not resolved") // a person can do that
	}
	return fmt.Sprintf("%s#note_%d", r.row.work.Event.MergeRequest.URL, ours), nil
}

// settle resolves the thread that the answer made of a single comment, where open
// threads keep a merge request from being merged. One that people talk in is theirs.
func (r *commandRun) settle(ctx context.Context, p gitlab.Project, notes []gitlab.Note) error {
	for i, n := range notes {
		if i == 0 && n.ID != r.order.Note || i > 0 && n.AuthorID != r.self {
			return nil
		}
	}
	if must, err := r.gl.MustResolveThreads(ctx, p); err != nil || !must {
		return err
	}
	return r.gl.ResolveDiscussion(ctx, p, r.row.MergeRequest, r.order.Discussion, true)
}

// isMissing says whether GitLab answered that what was asked for is not there.
func isMissing(err error) bool {
	var refused *rest.StatusError
	return errors.As(err, &refused) && refused.Code == http.StatusNotFound
}
