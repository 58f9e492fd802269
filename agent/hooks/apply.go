package hooks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab"
)

// Applied is what became of a visit.
type Applied struct {
	Row  store.Hook // as it is kept now
	Done int        // changes that were made in GitLab
	Err  error      // why not all were made
}

// Apply does what a visit found to be done, and stores what became of it. The
// second error is that of the store, or of ctx; all else is in Applied.
func (k *Keeper) Apply(ctx context.Context, v Visit) (Applied, error) {
	a := Applied{Row: k.row(v)}
	err := v.Err
	for _, c := range v.Changes {
		if err != nil {
			break
		}
		if c.TellsSecrets() {
			var wait time.Duration
			if wait, err = k.Settling(ctx); err == nil && wait > 0 {
				err = fmt.Errorf("secrets are told to GitLab in %s, when every agent takes them", wait.Round(time.Second))
			}
		}
		if err == nil {
			err = k.change(ctx, c, &a)
		}
	}
	if err != nil && ctx.Err() != nil {
		return a, ctx.Err()
	}
	if err != nil {
		a.Err = Explain(err, v.Scope)
		if a.Row.State != StateDisabled {
			a.Row.State = StateFailed
		}
		a.Row.Error = delivery.Explain(a.Err).Cause
		a.Row.CheckedAt = v.Kept.CheckedAt
		if k.behind(v.Kept) {
			a.Row.CheckedAt = time.Time{} // it still is when the fault is over
		}
	}
	return a, k.keep(ctx, v, a.Row)
}

// row is what is kept of a visit in which nothing goes wrong.
func (k *Keeper) row(v Visit) store.Hook {
	r := v.Kept
	r.Instance, r.Kind, r.Scope, r.Path, r.Token = k.Instance, v.Scope.Kind, v.Scope.ID, v.Scope.Path, v.Scope.Token
	r.State, r.Error, r.CheckedAt = StateRight, "", k.Now()
	if k.behind(v.Kept) {
		r.State = StateBehind
	}
	return r
}

// behind says whether calls of a hook may have failed since it was looked at.
func (k *Keeper) behind(h store.Hook) bool {
	return Due(h) || h.State == StateDisabled || h.Hook != 0 && (h.CheckedAt.IsZero() || h.CheckedAt.Before(k.Away))
}

// keep stores a row; of a hook that was deleted because nobody wants it, nothing.
func (k *Keeper) keep(ctx context.Context, v Visit, r store.Hook) error {
	if v.Scope.ID == 0 && v.Scope.Kind != System {
		return nil // it could not even be found
	}
	// What is done in GitLab is to be remembered, also at the end of ctx.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return k.Store.Write(ctx, func(tx *store.Tx) error {
		if r.State == "" {
			return tx.DeleteHook(r.Instance, r.Kind, r.Scope)
		}
		return tx.PutHook(r)
	})
}

// change does one change and notes it in a.
func (k *Keeper) change(ctx context.Context, c Change, a *Applied) error {
	switch c.Action {
	case Keep:
		a.Row.Hook, a.Row.URL, a.Row.Events = c.Hook.ID, c.Hook.URL, c.Hook.Events
		return nil
	case Skip:
		a.Row.State, a.Row.Hook, a.Row.Secret = StateUnlicensed, 0, ""
		return nil
	case Delete:
		return k.remove(ctx, c, a)
	}
	id, err := k.put(ctx, c)
	if err != nil {
		return err
	}
	known := a.Row.Hook == id
	if !known {
		a.Row.Seen = 0
	}
	if !known && id == c.Hook.ID { // what failed while it was not ours is not ours to send again
		a.Row.Seen = k.newest(ctx, c.Scope, id)
	}
	if c.Action == Enable || c.Hook.ID != 0 && (id != c.Hook.ID || c.Hook.URL != k.Config.URL) {
		a.Row.State, a.Row.Seen = StateBehind, lost(a.Row.Seen)
	}
	a.Done++
	a.Row.Hook, a.Row.URL, a.Row.Events, a.Row.Secret = id, k.Config.URL, c.Scope.Events, k.pair.Version
	if c.Action != Enable {
		return nil
	}
	if err := k.client(c.Scope.Token).TestHook(ctx, c.Scope.gitlab(), id, trigger(c.Scope)); err != nil {
		a.Row.State = StateDisabled
		return explainTest(err, k.Config.URL)
	}
	return nil
}

// put brings a hook to what is wanted by its id, and makes one only where there is
// none with that id.
func (k *Keeper) put(ctx context.Context, c Change) (id int64, err error) {
	gl, at := k.client(c.Scope.Token), c.Scope.gitlab()
	spec := gitlab.HookSpec{
		URL: k.Config.URL, Name: "Remora", Description: "Kept by an agent: see remora hooks",
		Events: c.Scope.Events, VerifyTLS: true, Token: k.pair.Token, SigningToken: k.pair.Signing,
	}
	if c.Hook.ID != 0 {
		got, err := gl.UpdateHook(ctx, at, c.Hook.ID, spec)
		if err == nil || !gone(err) {
			return got.ID, err
		}
	}
	got, err := gl.CreateHook(ctx, at, spec)
	return got.ID, err
}

// tokenOf is the token that keeps a hook, or, where it is not configured any more,
// the one that is for it now.
func (k *Keeper) tokenOf(h store.Hook) string {
	switch {
	case k.client(h.Token) != nil:
		return h.Token
	case h.Kind == Project:
		return k.TokenFor(h.Path)
	case h.Kind == Group:
		return k.TokenFor(h.Path + "/any")
	case len(k.Tokens) > 0:
		return k.Tokens[0].Name
	}
	return ""
}

// remove deletes a hook, if there is one. One that is gone already is as good.
func (k *Keeper) remove(ctx context.Context, c Change, a *Applied) error {
	if c.Hook.ID != 0 {
		if err := k.client(c.Scope.Token).DeleteHook(ctx, c.Scope.gitlab(), c.Hook.ID); err != nil {
			return err
		}
		a.Done++
	}
	if a.Row.Hook == c.Hook.ID {
		a.Row.State = ""
	}
	return nil
}

// trigger is the event that a hook is tested with.
func trigger(s Scope) string {
	const push = "push_events"
	if len(s.Events) == 0 || slices.Contains(s.Events, push) {
		return push
	}
	return s.Events[0]
}

// Removals are the deletion of everything that is kept of the instance, and of
// nothing else. Of a scope without a hook there is only to be forgotten what was kept.
func (k *Keeper) Removals(ctx context.Context) ([]Visit, error) {
	rows, err := k.Store.Hooks(ctx, k.Instance)
	if err != nil {
		return nil, err
	}
	var list []Visit
	for _, h := range rows {
		list = append(list, k.removal(h, "everything of ours is removed"))
	}
	return list, nil
}

// removal is the deletion of what is kept.
func (k *Keeper) removal(h store.Hook, why string) Visit {
	s := Scope{Kind: h.Kind, ID: h.Scope, Path: h.Path, Token: k.tokenOf(h)}
	v := Visit{Scope: s, Kept: h}
	if h.Hook != 0 && k.client(s.Token) == nil {
		v.Err = delivery.Permanent(&delivery.Fault{
			Summary: "no token", Cause: "token " + h.Token + " is not configured any more, and no other one is for " + h.Path,
			Remedy: "name it in the configuration again; when the hook is deleted it may go",
		})
		return v
	}
	v.Changes = []Change{{Scope: s, Action: Delete, Hook: gitlab.Hook{ID: h.Hook, URL: h.URL}, Why: []string{why}, Diff: []string{"- " + shown(h.URL)}}}
	return v
}

// Test has GitLab call a kept hook, and waits for the answer.
func (k *Keeper) Test(ctx context.Context, h store.Hook) error {
	s := Scope{Kind: h.Kind, ID: h.Scope, Path: h.Path, Token: h.Token, Events: h.Events}
	gl := k.client(h.Token)
	if gl == nil {
		return errors.New("token " + h.Token + " is not configured any more")
	}
	if err := gl.TestHook(ctx, s.gitlab(), h.Hook, trigger(s)); err != nil {
		return Explain(explainTest(err, h.URL), s)
	}
	return nil
}
