package report

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
)

// tooMany is how GitLab says that a merge request has all the notes it may have.
var tooMany = regexp.MustCompile(`(?i)maximum number of (?:comments|notes)|(?:comments|notes) limit`)

// explain turns an error of GitLab into one that a person can act on.
func (w *noteWriter) explain(ctx context.Context, err error) error {
	var status *rest.StatusError
	if !errors.As(err, &status) {
		return rest.Fault(err, rest.Names{URL: "REMORA_GITLAB_URL", Token: "REMORA_GITLAB_TOKEN"})
	}
	f := &delivery.Fault{Err: err, Request: fmt.Sprintf("%s %s (%d)", status.Method, status.URL, status.Code)}
	mr := fmt.Sprintf("merge request %d", w.ev.MergeRequest.IID)
	switch {
	case status.Code == http.StatusForbidden:
		f.Summary, f.Cause, f.Remedy = w.refusal(ctx, mr)
	case status.Code == http.StatusNotFound:
		f.Summary = "no way to the merge request"
		f.Cause = mr + " is not there, or the bot may not see it"
		f.Remedy = "give the bot of REMORA_GITLAB_TOKEN the role Developer in the project of the merge request, or set REMORA_NOTE=off"
	case tooMany.MatchString(status.Body):
		f.Summary = "note limit reached"
		f.Cause = mr + " has as many notes as GitLab allows; the commit status has the result"
		f.Remedy = "delete notes that nobody needs, and keep REMORA_NOTE=update, which edits one note"
	case status.Code == http.StatusTooManyRequests:
		f.Summary = "too many notes"
		f.Cause = "GitLab limits how many notes a user may write in a minute; the commit status has the result"
		f.Remedy = "run the job again later, or ask for a higher limit of note creation"
		return f
	default:
		return rest.Fault(err, rest.Names{URL: "REMORA_GITLAB_URL", Token: "REMORA_GITLAB_TOKEN"})
	}
	return delivery.Permanent(f)
}

// refusal is why a bot that was let in may not write, as far as the merge request
// tells.
func (w *noteWriter) refusal(ctx context.Context, name string) (summary, cause, remedy string) {
	const role = "give the bot of REMORA_GITLAB_TOKEN (scope api) the role Developer in that project, or set REMORA_NOTE=off"
	mr, err := w.gl.MergeRequest(ctx, w.project(), w.ev.MergeRequest.IID)
	if err == nil && mr.DiscussionLocked {
		return "discussion locked", "the discussion of " + name + " is locked, and the bot is no member who may write there", "unlock it; or " + role
	}
	if err == nil && mr.State != "opened" {
		name += ", which is " + mr.State
	}
	return "note refused", "the bot may not write on " + name + ": it lacks the role or the scope, or the project is archived", role
}
