package gitlab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	gl "gitlab.com/gitlab-org/api/client-go/v2"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
)

// ErrNotPersonal says that GitLab tells nothing of the token: it is an OAuth or
// job token, not a personal, project or group access token.
var ErrNotPersonal = errors.New("GitLab tells no facts of this kind of token")

// Token is what GitLab says of the token that asks.
type Token struct {
	ID        int64
	Name      string
	UserID    int64
	Scopes    []string
	Granular  bool // fine-grained: Scopes may be empty, for it has permissions instead
	Active    bool
	CreatedAt time.Time
	ExpiresAt time.Time // midnight UTC at the start of the day; zero: never, or not told

	Now       time.Time // GitLab's clock, when it answered; zero if it was not sent
	Limit     int       // requests of one window of the rate limit; 0: no limit was told
	Remaining int       // of them
}

// wireToken is the answer on the wire. Client-go does not know granular_scopes.
type wireToken struct {
	ID             int64           `json:"id"`
	Name           string          `json:"name"`
	UserID         int64           `json:"user_id"`
	Scopes         []string        `json:"scopes"`
	GranularScopes json.RawMessage `json:"granular_scopes"`
	Active         bool            `json:"active"`
	CreatedAt      time.Time       `json:"created_at"`
	ExpiresAt      string          `json:"expires_at"` // a day
	Token          string          `json:"token"`
}

func (w wireToken) token() Token {
	t := Token{ID: w.ID, Name: w.Name, UserID: w.UserID, Scopes: w.Scopes, Active: w.Active, CreatedAt: w.CreatedAt}
	t.Granular = slices.Contains(w.Scopes, "granular") || !slices.Contains([]string{"", "null", "[]", "{}"}, string(w.GranularScopes))
	t.ExpiresAt, _ = time.Parse(time.DateOnly, w.ExpiresAt) // null, or a form that nobody knows: not told
	return t
}

// Token asks for the facts of the client's own token, which any scope may:
// https://docs.gitlab.com/api/personal_access_tokens/#self-inform. The error is
// [ErrNotPersonal] for a token of another kind, and a [rest.StatusError] with code
// 401 and GitLab's reason for one that is expired, revoked or unknown.
func (c *Client) Token(ctx context.Context) (Token, error) {
	const deed = "read facts of own token"
	res, err := c.get(ctx, "personal_access_tokens/self", nil, nil)
	var status *rest.StatusError
	if errors.As(err, &status) && (status.Code == http.StatusBadRequest || status.Code == http.StatusNotFound || status.Code == http.StatusMethodNotAllowed) {
		return Token{}, fmt.Errorf("%s: %w: %w", deed, ErrNotPersonal, status)
	}
	if err != nil {
		return Token{}, failed(deed, nil, err)
	}
	defer func() { _ = res.Body.Close() }()
	var wire wireToken
	if err := json.NewDecoder(res.Body).Decode(&wire); err != nil {
		return Token{}, failed(deed, res.Request, err)
	}
	if wire.ID == 0 {
		return Token{}, failed(deed, res.Request, errEmpty)
	}
	t := wire.token()
	t.Now, _ = http.ParseTime(res.Header.Get("Date"))
	t.Limit, _ = strconv.Atoi(res.Header.Get("RateLimit-Limit"))
	t.Remaining, _ = strconv.Atoi(res.Header.Get("RateLimit-Remaining"))
	return t, nil
}

// RotateToken replaces the client's own token by a new one with the same scopes,
// which is good until the day of until, and gives its value. The old one, and this
// client with it, is refused from then on:
// https://docs.gitlab.com/api/personal_access_tokens/#self-rotate.
//
// It is sent once. Rotating with a token that was rotated already revokes the new
// one too, so a caller who got no answer must find out by [Client.Token] whether
// the old one lives before anything is sent again: see [NotRotated].
func (c *Client) RotateToken(ctx context.Context, until time.Time) (Token, delivery.Secret, error) {
	const deed = "rotate own token"
	day := gl.ISOTime(until.UTC())
	made, res, err := c.api.PersonalAccessTokens.RotatePersonalAccessTokenSelf(&gl.RotatePersonalAccessTokenOptions{ExpiresAt: &day}, gl.WithContext(ctx))
	got, err := result(deed, made, res, err)
	if err != nil {
		return Token{}, "", err
	}
	if strings.TrimSpace(got.Token) == "" {
		return Token{}, "", failed(deed, res.Request, errEmpty)
	}
	t := Token{ID: got.ID, Name: got.Name, UserID: got.UserID, Scopes: got.Scopes, Active: got.Active, ExpiresAt: until.UTC().Truncate(24 * time.Hour)}
	if got.ExpiresAt != nil {
		t.ExpiresAt = time.Time(*got.ExpiresAt).UTC()
	}
	if got.CreatedAt != nil {
		t.CreatedAt = *got.CreatedAt
	}
	return t, delivery.Secret(got.Token), nil
}

// NotRotated says whether an error of [Client.RotateToken] means for certain that
// the old token is as good as it was: it was not sent, or refused. After any other
// error it may be rotated, and the new value lost.
func NotRotated(err error) bool {
	var status *rest.StatusError
	var conn *rest.ConnError
	switch {
	case errors.As(err, &status):
		switch status.Code {
		case http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusUnprocessableEntity, http.StatusTooManyRequests:
			return true
		}
		return false
	case errors.As(err, &conn):
		return !conn.Sent()
	}
	return false
}

// Version is the version of GitLab, such as 18.5.0-ee; any token may ask:
// https://docs.gitlab.com/api/metadata/.
func (c *Client) Version(ctx context.Context) (string, error) {
	const deed = "read version of GitLab"
	m, res, err := c.api.Metadata.GetMetadata(gl.WithContext(ctx))
	got, err := result(deed, m, res, err)
	if err == nil && got.Version == "" {
		err = failed(deed, res.Request, errEmpty)
	}
	return got.Version, err
}

// Role is the role that the token's user has in a project, as GitLab's number: 10
// Guest, 20 Reporter, 30 Developer, 40 Maintainer, 50 Owner. It is that of a member
// of the project or of a group around it; 0 where there is none, or where it comes
// from a group that was invited, which GitLab does not tell here:
// https://docs.gitlab.com/api/projects/#get-a-single-project.
func (c *Client) Role(ctx context.Context, p Project) (int, error) {
	answer, res, err := c.api.Projects.GetProject(string(p), nil, gl.WithContext(ctx))
	got, err := result("read own role", answer, res, err)
	if err != nil || got.Permissions == nil {
		return 0, err
	}
	role := gl.AccessLevelValue(0)
	if a := got.Permissions.ProjectAccess; a != nil {
		role = a.AccessLevel
	}
	if a := got.Permissions.GroupAccess; a != nil {
		role = max(role, a.AccessLevel)
	}
	return int(role), nil
}
