package gitlab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	gl "gitlab.com/gitlab-org/api/client-go/v2"

	"gitlab.com/remora-ci/remora/component/rest"
)

// ErrNoRef says that the project is there and the branch or tag is not.
var ErrNoRef = errors.New("there is no such ref")

// Head is the commit that a branch or tag points to now, by its short name; of an
// annotated tag, the commit and not the tag's own id. [ErrNoRef] says that it is
// gone; any other error, that it is not known.
//
// https://docs.gitlab.com/api/branches/#get-single-repository-branch,
// https://docs.gitlab.com/api/tags/#get-a-single-repository-tag
func (c *Client) Head(ctx context.Context, p Project, ref string, tag bool) (sha string, err error) {
	const deed = "read head of ref"
	var commit *gl.Commit
	if tag {
		answer, res, callErr := c.api.Tags.GetTag(string(p), ref, gl.WithContext(ctx))
		var got gl.Tag
		got, err = result(deed, answer, res, callErr)
		commit = got.Commit
	} else {
		answer, res, callErr := c.api.Branches.GetBranch(string(p), ref, gl.WithContext(ctx))
		var got gl.Branch
		got, err = result(deed, answer, res, callErr)
		commit = got.Commit
	}
	var status *rest.StatusError
	switch {
	case errors.As(err, &status) && status.Code == http.StatusNotFound && (strings.Contains(status.Body, "Branch") || strings.Contains(status.Body, "Tag")):
		return "", fmt.Errorf("%w: %w", ErrNoRef, err)
	case err != nil:
		return "", err
	case commit == nil || commit.ID == "":
		return "", failed(deed, nil, errEmpty)
	}
	return commit.ID, nil
}
