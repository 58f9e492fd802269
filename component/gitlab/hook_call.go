package gitlab

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"slices"

	gl "gitlab.com/gitlab-org/api/client-go/v2"

	"gitlab.com/remora-ci/remora/component/rest"
)

// path is the API path of the hooks of a scope, or of what lies below them.
func (s HookScope) path(parts ...any) string {
	switch {
	case s.System:
		return joined("hooks", parts...)
	case s.Group != "":
		return joined("groups/"+gl.PathEscape(s.Group)+"/hooks", parts...)
	}
	return s.Project.path("hooks", parts...)
}

// Hooks are the webhooks of a scope, by id, pages of 100. A project wants role
// Maintainer, a group Owner and an edition that has group hooks (see
// [NoGroupHooks]), an instance its administrator.
func (c *Client) Hooks(ctx context.Context, scope HookScope) iter.Seq2[Hook, error] {
	return pages(ctx, c, list[Hook]{
		deed: "list hooks", path: scope.path(),
		decode: plain(func(w wireHook) Hook { return w.hook(scope) }),
	})
}

// CreateHook makes a webhook. It is sent once: after a [rest.ConnError] or a 5xx the
// hook may be there, and [Client.Hooks] tells. 422 says that GitLab does not take the
// URL, or that the scope has as many hooks as it may.
func (c *Client) CreateHook(ctx context.Context, scope HookScope, spec HookSpec) (Hook, error) {
	return c.writeHook(ctx, "create hook", http.MethodPost, scope, scope.path(), spec)
}

// UpdateHook brings a webhook to spec, both secrets included: GitLab drops them
// when the URL changes. A hook that is gone is a [rest.StatusError] with code 404.
func (c *Client) UpdateHook(ctx context.Context, scope HookScope, id int64, spec HookSpec) (Hook, error) {
	return c.writeHook(ctx, "update hook", http.MethodPut, scope, scope.path(id), spec)
}

func (c *Client) writeHook(ctx context.Context, deed, method string, scope HookScope, path string, spec HookSpec) (Hook, error) {
	var got wireHook
	if err := c.call(ctx, deed, method, path, spec.params(scope), &got); err != nil {
		return Hook{}, err
	}
	if got.ID == 0 {
		return Hook{}, failed(deed, nil, errEmpty)
	}
	return got.hook(scope), nil
}

// DeleteHook deletes a webhook. One that is gone already is no error.
func (c *Client) DeleteHook(ctx context.Context, scope HookScope, id int64) error {
	err := c.call(ctx, "delete hook", http.MethodDelete, scope.path(id), nil, nil)
	var status *rest.StatusError
	if errors.As(err, &status) && status.Code == http.StatusNotFound {
		return nil
	}
	return err
}

// TestHook has GitLab call a webhook with an example of an event, in a project
// since 16.11, in a group since 17.1: older GitLab answers 404. trigger is the name
// of its flag ("push_events"), of those that a project has. GitLab calls the hook
// before it answers: 422 says that it got no 2xx, or has no example of that event
// (a project without commits has no push), 429 that this was the sixth test in
// the project or group within a minute. A system hook has no trigger, and
// whatever it answers is no error.
func (c *Client) TestHook(ctx context.Context, scope HookScope, id int64, trigger string) error {
	path := scope.path(id, "test", trigger)
	if scope.System {
		path = scope.path(id)
	}
	return c.call(ctx, "test hook", http.MethodPost, path, nil, nil)
}

// HookCalls are the calls of a webhook that GitLab remembers, newest first, all or
// those that failed, since 17.3 for projects and groups. Older GitLab answers 404.
func (c *Client) HookCalls(ctx context.Context, scope HookScope, id int64, failedOnly bool) iter.Seq2[HookCall, error] {
	q := url.Values{}
	if failedOnly {
		q.Set("status", "client_failure,server_failure") // the second holds what got no answer, too
	}
	return pages(ctx, c, list[HookCall]{
		deed: "list calls of hook", path: scope.path(id, "events"), query: q, size: hookCallsPerPage,
		decode: decodeHookCall,
	})
}

const hookCallsPerPage = 20 // GitLab takes no more here

// ResendHookCall has GitLab send a call again, with its old Key, since 17.4: older
// GitLab answers 404. It waits for the answer, which may be another failure and is
// no error: see the newest of [Client.HookCalls] with that Key. 422 says that no
// answer came, that the URL of the hook has changed since, or that the hook is
// disabled; 429 that this was the sixth in the project or group within a minute.
func (c *Client) ResendHookCall(ctx context.Context, scope HookScope, id, call int64) error {
	return c.call(ctx, "resend call of hook", http.MethodPost, scope.path(id, "events", call, "resend"), nil, nil)
}

// NoGroupHooks says whether an error means for certain that this GitLab has no
// group hooks: the Community Edition has no such route. Without a licence the
// Enterprise Edition takes group hooks and never calls them: see [Client.Plan]. A
// 403 says that the user is no Owner of the group.
func NoGroupHooks(err error) bool {
	var status *rest.StatusError
	if !errors.As(err, &status) {
		return false
	}
	return status.Code == http.StatusPaymentRequired || status.Code == http.StatusNotFound && status.Body == noRoute
}

// noRoute is what GitLab says where it has no such route. Of a group that is
// missing it says "404 Group Not Found", of a hook "404 Not found".
const noRoute = "404 Not Found"

// call makes a call that client-go knows too little of, on its HTTP client.
func (c *Client) call(ctx context.Context, deed, method, path string, body, answer any) error {
	req, err := c.api.NewRequest(method, path, body, []gl.RequestOptionFunc{gl.WithContext(ctx)})
	if err != nil {
		return failed(deed, nil, err)
	}
	_, err = c.api.Do(req, answer)
	return failed(deed, req.Request, err)
}

// params is the webhook as it is sent. What an older GitLab does not know it
// drops, so nothing is left out for it.
func (s HookSpec) params(scope HookScope) map[string]any {
	p := map[string]any{
		"url": s.URL, "name": s.Name, "description": s.Description, "enable_ssl_verification": s.VerifyTLS,
		"token": s.Token.Reveal(), "signing_token": s.SigningToken.Reveal(),
		"push_events_branch_filter": "", "custom_webhook_template": "",
	}
	for _, event := range HookEvents(scope) {
		p[event] = slices.Contains(s.Events, event)
	}
	return p
}

// wireHook is a webhook on the wire. Whether a member is there tells what GitLab
// knows, which client-go cannot say.
type wireHook struct {
	ID             int64  `json:"id"`
	URL            string `json:"url"`
	Name           string `json:"name"`
	VerifyTLS      bool   `json:"enable_ssl_verification"`
	Branches       string `json:"push_events_branch_filter"`
	Template       string `json:"custom_webhook_template"`
	AlertStatus    string `json:"alert_status"`
	TokenPresent   *bool  `json:"token_present"`
	SigningPresent *bool  `json:"signing_token_present"`

	members map[string]json.RawMessage
}

// UnmarshalJSON keeps the names of all members.
func (w *wireHook) UnmarshalJSON(text []byte) error {
	type known wireHook
	if err := json.Unmarshal(text, (*known)(w)); err != nil {
		return err
	}
	return json.Unmarshal(text, &w.members)
}

func (w wireHook) hook(scope HookScope) Hook {
	h := Hook{
		ID: w.ID, URL: w.URL, Name: w.Name, VerifyTLS: w.VerifyTLS, AlertStatus: w.AlertStatus,
		Branches: w.Branches, Template: w.Template != "",
		TokenPresent: w.TokenPresent, SigningPresent: w.SigningPresent,
	}
	for _, event := range slices.Sorted(slices.Values(HookEvents(scope))) {
		switch value, there := w.members[event]; {
		case !there:
			h.Unknown = append(h.Unknown, event)
		case string(value) == "true":
			h.Events = append(h.Events, event)
		}
	}
	return h
}

// decodeHookCall keeps no payload, of which a page may hold many megabytes.
func decodeHookCall(dec *json.Decoder) (HookCall, error) {
	var call HookCall
	err := object(dec, func(key string) (bool, error) {
		switch key {
		case "id":
			return true, dec.Decode(&call.ID)
		case "url":
			return true, dec.Decode(&call.URL)
		case "trigger":
			return true, dec.Decode(&call.Trigger)
		case "response_status":
			var status any
			err := dec.Decode(&status)
			call.Status = flat(status)
			return true, err
		case "request_headers":
			var headers map[string]any
			err := dec.Decode(&headers)
			call.Key, _ = headers["Idempotency-Key"].(string)
			return true, err
		}
		return false, nil
	})
	call.URL = rest.Plain(call.URL)
	return call, err
}
