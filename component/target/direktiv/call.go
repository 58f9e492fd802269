package direktiv

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
)

// caller makes requests to one Direktiv with the token in the right header.
//
// With DIREKTIV_AUTH=auto the token goes out in three headers at once, which
// every open release accepts; that costs no request. Only when it is refused is
// the status page asked, and on an Enterprise Edition the request is repeated
// with a bearer token alone.
type caller struct {
	base  string
	token delivery.Secret
	auth  string
	out   *rest.Client
	scrub *delivery.Scrubber

	asking     chan struct{} // holds one token: whoever has it may ask and set asked
	asked      bool
	enterprise atomic.Bool
}

func newCaller(c Config, out *rest.Client, more ...delivery.Secret) *caller {
	auth := c.Auth
	if auth == "" {
		auth = authAuto
	}
	asking := make(chan struct{}, 1)
	asking <- struct{}{}
	return &caller{base: c.base(), token: c.Token, auth: auth, out: out,
		scrub: delivery.NewScrubber(append(more, c.Token)...), asking: asking}
}

func (c *caller) url(path string) string { return c.base + path }

// do makes a request. The answer comes also with an error if there was one.
func (c *caller) do(ctx context.Context, method, path string, body any) (*rest.Answer, error) {
	known := c.enterprise.Load()
	a, err := c.send(ctx, method, path, body)
	if refused(a) && !known && c.isEnterprise(ctx) {
		return c.send(ctx, method, path, body)
	}
	return a, err
}

func (c *caller) send(ctx context.Context, method, path string, body any) (*rest.Answer, error) {
	return c.out.Do(ctx, rest.Call{Method: method, URL: c.url(path), Body: body, Header: c.header(path)})
}

func refused(a *rest.Answer) bool {
	return a != nil && (a.Code == http.StatusUnauthorized || a.Code == http.StatusForbidden)
}

// header holds the token. The legacy API up to v0.6 knows it as apikey.
func (c *caller) header(path string) http.Header {
	h := http.Header{}
	if c.token.Empty() {
		return h
	}
	token := strings.TrimSpace(c.token.Reveal()) // a line break at the end is often pasted along
	auto := c.auth == authAuto
	if c.auth == authBearer || auto {
		h.Set("Authorization", "Bearer "+token)
	}
	if auto && c.enterprise.Load() {
		return h
	}
	if c.auth == authToken || auto {
		h.Set("Direktiv-Token", token)
	}
	if c.auth == authAPIKey || auto {
		h.Set("Direktiv-Api-Key", token)
	}
	if c.auth == authOldKey || (auto && !strings.HasPrefix(path, "/api/v2/")) {
		h.Set("Apikey", token)
	}
	return h
}

// isEnterprise says whether a refused request should be sent again with a bearer
// token alone. The status page needs no key, so it is asked without, and once:
// deliveries that are refused at the same time wait for the same answer.
func (c *caller) isEnterprise(ctx context.Context) bool {
	if c.auth != authAuto || c.token.Empty() {
		return false
	}
	select {
	case <-ctx.Done():
		return false
	case <-c.asking:
		defer func() { c.asking <- struct{}{} }()
	}
	if c.asked {
		return c.enterprise.Load()
	}
	a, err := c.out.Do(ctx, rest.Call{Method: http.MethodGet, URL: c.url("/api/v2/status")})
	if a == nil {
		return false // no answer: the next refusal asks again
	}
	c.asked = true
	var status object[struct {
		IsEnterprise bool `json:"isEnterprise"`
	}]
	if err != nil || a.JSON(&status) != nil {
		return false
	}
	c.enterprise.Store(status.Data.IsEnterprise)
	return status.Data.IsEnterprise
}

// refusal is the error that Direktiv put into an answer: v2 nests it and its
// code is a word, the legacy API does not and its code is a number.
type refusal struct {
	Code       string
	Message    string
	Validation map[string]string
}

func refusalOf(a *rest.Answer) (refusal, bool) {
	var v2 struct {
		Error struct {
			Code       string            `json:"code"`
			Message    string            `json:"message"`
			Validation map[string]string `json:"validation"`
		} `json:"error"`
	}
	if a.JSON(&v2) == nil && v2.Error.Code != "" {
		return refusal(v2.Error), true
	}
	var old struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}
	if a.JSON(&old) == nil && old.Code != 0 {
		return refusal{Message: old.Message}, true
	}
	return refusal{}, false
}

// notHere says whether a request met no such route: another generation of the
// API, or no Direktiv at all. A resource that is missing is not that.
func notHere(a *rest.Answer, err error) bool {
	var content *rest.ContentError
	if errors.As(err, &content) {
		return true
	}
	if a == nil || (a.Code != http.StatusNotFound && a.Code != http.StatusMethodNotAllowed) {
		return false
	}
	r, ok := refusalOf(a)
	if a.Code == http.StatusMethodNotAllowed {
		return !ok
	}
	return !ok || r.Code == "request_path_not_found"
}

// broken is an answer that is JSON but not what was asked for.
type broken struct {
	answer *rest.Answer
	err    error
}

func (b *broken) Error() string { return b.answer.String() + ": " + b.err.Error() }
func (b *broken) Unwrap() error { return b.err }

// read decodes an answer. Errors are [rest.ContentError] and broken.
func read(a *rest.Answer, v any) error {
	err := a.JSON(v)
	var content *rest.ContentError
	if err == nil || errors.As(err, &content) {
		return err
	}
	inner := err
	if u := errors.Unwrap(err); u != nil {
		inner = u
	}
	return &broken{a, inner}
}

// object is data of the v2 API.
type object[T any] struct {
	Data T `json:"data"`
}

// isNull says whether a field is null or absent.
func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }
