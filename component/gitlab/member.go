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

// AccessLevel is the role of a user in a project, own or inherited, by GitLab's
// number of it: 30 is Developer, 40 Maintainer. It is 0 for who is no member, and
// for a user who is blocked:
// https://docs.gitlab.com/api/project_members/#retrieve-a-member-of-a-project-including-inherited-and-invited-members.
func (c *Client) AccessLevel(ctx context.Context, p Project, user int64) (int, error) {
	const deed = "read role of user"
	answer, res, err := c.api.ProjectMembers.GetInheritedProjectMember(string(p), user, gl.WithContext(ctx))
	got, err := result(deed, answer, res, err)
	var refused *rest.StatusError
	switch {
	case errors.As(err, &refused) && refused.Code == http.StatusNotFound && !strings.Contains(refused.Body, "Project"):
		return 0, nil
	case err != nil:
		return 0, err
	case got.ID != user:
		return 0, failed(deed, res.Request, fmt.Errorf("the answer is about user %d, not %d", got.ID, user))
	case got.State != "" && got.State != "active":
		return 0, nil
	}
	return int(got.AccessLevel), nil
}
