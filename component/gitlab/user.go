package gitlab

import (
	"context"

	gl "gitlab.com/gitlab-org/api/client-go/v2"
)

// User is the user that a token belongs to.
type User struct {
	ID       int64
	Username string
}

// self remembers the answer to "who am I". turn holds one place: who has it
// asks, the others wait for the answer.
type self struct {
	turn chan struct{}
	user *User
}

// User is the user of the token: https://docs.gitlab.com/api/users/. GitLab is
// asked until it has answered once; callers at the same time share one question.
func (c *Client) User(ctx context.Context) (User, error) {
	const deed = "read own user"
	select {
	case c.self.turn <- struct{}{}:
		defer func() { <-c.self.turn }()
	case <-ctx.Done():
		return User{}, failed(deed, nil, ctx.Err())
	}
	if c.self.user != nil {
		return *c.self.user, nil
	}
	u, res, err := c.api.Users.CurrentUser(gl.WithContext(ctx))
	got, err := result(deed, u, res, err)
	if err != nil {
		return User{}, err
	}
	if got.ID == 0 {
		return User{}, failed(deed, res.Request, errEmpty)
	}
	c.self.user = &User{ID: got.ID, Username: got.Username}
	return *c.self.user, nil
}
