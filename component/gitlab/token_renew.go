package gitlab

import (
	"context"
	"net/http"
	"strings"

	"gitlab.com/remora-ci/remora/component/delivery"
)

// Renew gives the token to use in place of one that GitLab has refused; the same,
// or none, if there is no other.
type Renew func(ctx context.Context, refused delivery.Secret) delivery.Secret

// Renewing has a request that GitLab refuses for its token sent once more with the
// one that renew gives: another agent may have rotated it a moment ago. A refusal
// says that nothing was done, so this holds for writes too; rotating itself is never
// repeated. Set it before the first call.
func (c *Client) Renewing(renew Renew) {
	if j, ok := c.http.Transport.(*judge); ok {
		j.renew = renew
	}
}

// renewed is the answer to a request with a token that took the place of the one
// that was refused; nil if there is none. It closes the refusal then.
func (j *judge) renewed(req *http.Request, refusal *http.Response) (*http.Response, error) {
	if refusal.StatusCode != http.StatusUnauthorized || j.renew == nil || strings.HasSuffix(req.URL.Path, "/rotate") {
		return nil, nil
	}
	if req.Body != nil && req.Body != http.NoBody && req.GetBody == nil {
		return nil, nil
	}
	next := j.renew(req.Context(), j.token)
	if next.Empty() || next == j.token {
		return nil, nil
	}
	again := req.Clone(req.Context())
	if req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return nil, err
		}
		again.Body = body
	}
	_ = refusal.Body.Close()
	again.Header.Set("PRIVATE-TOKEN", strings.TrimSpace(next.Reveal()))
	return j.next.RoundTrip(again)
}
