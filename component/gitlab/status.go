package gitlab

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	gl "gitlab.com/gitlab-org/api/client-go/v2"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
)

// Status is a commit status, as sent and as answered.
type Status struct {
	ID          int64  // as answered
	Name        string // empty: GitLab says "default"
	State       string // pending, running, success, failed, canceled, skipped
	Ref         string
	Description string
	TargetURL   string
	PipelineID  int64 // 0: GitLab chooses
	AuthorID    int64 // as answered
}

const (
	lockTries = 6
	lockPause = 5 * time.Second // the longest
)

// SetStatus posts a status of the commit sha and returns it as GitLab keeps it,
// with the pipeline that it is in:
// https://docs.gitlab.com/api/commits/#set-commit-pipeline-status.
//
// 409, another post to the same commit, is sent again, six times in all, while
// ctx allows. Nothing else is, and after a [rest.ConnError] or a 5xx the status
// may have been set: look with [Client.Statuses].
func (c *Client) SetStatus(ctx context.Context, p Project, sha string, s Status) (Status, error) {
	opt := &gl.SetCommitStatusOptions{
		State: gl.BuildStateValue(s.State),
		Ref:   filled(s.Ref), Name: filled(s.Name),
		TargetURL: filled(s.TargetURL), Description: filled(s.Description),
	}
	if s.PipelineID != 0 {
		opt.PipelineID = &s.PipelineID
	}
	for try := 1; ; try++ {
		answer, res, err := c.api.Commits.SetCommitStatus(string(p), sha, opt, gl.WithContext(ctx))
		got, err := result("set status", answer, res, err)
		if err == nil {
			return statusOf(got), nil
		}
		var refused *rest.StatusError
		if !errors.As(err, &refused) || refused.Code != http.StatusConflict || try == lockTries {
			return Status{}, err
		}
		d := min(c.pause<<(try-1), lockPause)
		if delivery.Wait(ctx, d/2+rand.N(d)) != nil {
			return Status{}, fmt.Errorf("%w (%w)", err, ctx.Err())
		}
	}
}

// filled is nil for an empty text, so that it is not sent.
func filled(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func statusOf(s gl.CommitStatus) Status {
	return Status{
		ID: s.ID, Name: s.Name, State: s.Status, Ref: s.Ref, Description: s.Description,
		TargetURL: s.TargetURL, PipelineID: s.PipelineID, AuthorID: s.Author.ID,
	}
}

// Statuses are the current statuses of the commit with that name, or all for an
// empty name, in every pipeline and of every author; newest first since GitLab
// 17.9: https://docs.gitlab.com/api/commits/#list-commit-statuses.
func (c *Client) Statuses(ctx context.Context, p Project, sha, name string) iter.Seq2[Status, error] {
	q := url.Values{"order_by": {"id"}, "sort": {"desc"}}
	if name != "" {
		q.Set("name", name)
	}
	return pages(ctx, c, list[Status]{
		deed: "list statuses", path: p.path("repository/commits", sha, "statuses"), query: q,
		decode: plain(statusOf),
	})
}
