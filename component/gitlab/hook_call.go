package gitlab

import (
	"context"
	"errors"
	"iter"
)

var errNotYet = errors.New("not yet")

// Hooks are the webhooks of a scope, by id, pages of 100. A project wants role
// Maintainer, a group Owner and a licence that has group hooks (see
// [NoGroupHooks]), an instance its administrator.
func (c *Client) Hooks(ctx context.Context, scope HookScope) iter.Seq2[Hook, error] {
	return func(yield func(Hook, error) bool) { yield(Hook{}, errNotYet) }
}

// CreateHook makes a webhook. It is sent once: after a [rest.ConnError] or a 5xx the
// hook may be there, and [Client.Hooks] tells.
func (c *Client) CreateHook(ctx context.Context, scope HookScope, spec HookSpec) (Hook, error) {
	return Hook{}, errNotYet
}

// UpdateHook brings a webhook to spec, both secrets included: GitLab drops them
// when the URL changes. A hook that is gone is a [rest.StatusError] with code 404.
func (c *Client) UpdateHook(ctx context.Context, scope HookScope, id int64, spec HookSpec) (Hook, error) {
	return Hook{}, errNotYet
}

// DeleteHook deletes a webhook. One that is gone already is no error.
func (c *Client) DeleteHook(ctx context.Context, scope HookScope, id int64) error {
	return errNotYet
}

// TestHook has GitLab call a webhook with an example of an event, since 16.11 for
// projects and groups. trigger is the name of its flag ("push_events"); a system
// hook has none. GitLab calls the hook before it answers: 422 says that the call
// failed, 429 that this was the sixth within a minute.
func (c *Client) TestHook(ctx context.Context, scope HookScope, id int64, trigger string) error {
	return errNotYet
}

// HookCalls are the calls of a webhook that GitLab remembers, newest first, all or
// those that failed, since 17.3 for projects and groups. Older GitLab answers 404.
func (c *Client) HookCalls(ctx context.Context, scope HookScope, id int64, failedOnly bool) iter.Seq2[HookCall, error] {
	return func(yield func(HookCall, error) bool) { yield(HookCall{}, errNotYet) }
}

// ResendHookCall has GitLab send a call again, with its old id, since 17.4. 422 says
// that the URL of the hook has changed since, 429 that this was the sixth within a
// minute.
func (c *Client) ResendHookCall(ctx context.Context, scope HookScope, id, call int64) error {
	return errNotYet
}

// NoGroupHooks says whether the error of a call for a group hook means that the
// licence of GitLab has none, and not that the group or the right is missing.
func NoGroupHooks(err error) bool { return false }
