package hooks

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"slices"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component/gitlab"
)

const (
	// resends is how many calls GitLab sends again in a minute, for one project or
	// group and user.
	resends = 5

	// manyCalls is how many failed calls of a hook are looked at, the newest.
	manyCalls = 200
)

// lost is the id of the newest call that was dealt with, as it is kept while there
// is more to make up for than calls: GitLab made none, for the hook was not there,
// disabled, or sent elsewhere. What is now is to be read.
func lost(seen int64) int64 {
	if seen < 0 {
		return seen
	}
	return -seen - 1
}

// found takes lost back.
func found(seen int64) (id int64, heads bool) {
	if seen < 0 {
		return -seen - 1, true
	}
	return seen, false
}

// Resent is what became of the calls of a hook that had failed.
type Resent struct {
	Row   store.Hook // as it is kept now
	Sent  int        // calls that GitLab has sent again
	Left  bool       // more are left, for a minute later
	Heads bool       // not all could be sent again: read what is now, then call [Keeper.Settle]
	Err   error      // why not, if it is not that GitLab is too old for it
}

// Due says whether calls of a hook are to be made up for. It is kept, so that an
// agent which stops before it is done leaves them to the next.
func Due(h store.Hook) bool { return h.State == StateBehind }

// Resend has GitLab send again what failed at a hook since the last time, oldest
// first, each call once and five at most. GitLab lists calls from 17.3 on and
// sends them again from 17.4 on; a system hook has no calls.
//
// The second error is that of the store, or of ctx.
func (k *Keeper) Resend(ctx context.Context, h store.Hook) (Resent, error) {
	r := Resent{Row: h}
	gl, s := k.client(h.Token), Scope{Kind: h.Kind, ID: h.Scope, Path: h.Path, Token: h.Token}
	if h.Kind == System || gl == nil {
		r.Heads = true
		return r, nil
	}
	seen, heads := found(h.Seen)
	calls, err := collect(first(manyCalls, gl.HookCalls(ctx, s.gitlab(), h.Hook, true)))
	if err != nil {
		if r.Heads = true; !gone(err) {
			r.Err = Explain(err, s)
		}
		return r, ctx.Err()
	}
	todo, twice := onceEach(calls, seen)
	r.Heads = heads || twice || len(calls) == manyCalls // there may be older ones
	for i, c := range todo {
		if r.Left = i >= resends; r.Left {
			break
		}
		err := gl.ResendHookCall(ctx, s.gitlab(), h.Hook, c.ID)
		switch {
		case ctx.Err() != nil:
			return r, ctx.Err()
		case status(err) == http.StatusTooManyRequests:
			r.Left = true
		case err != nil: // GitLab before 17.4, a URL that has changed since, or no answer again
			if r.Heads = true; !gone(err) {
				r.Err = fmt.Errorf("send call %d again: %w", c.ID, err)
			}
		default:
			r.Sent++
		}
		if r.Left {
			break
		}
		seen = c.ID
	}
	if !r.Left && len(calls) > 0 {
		seen = max(seen, calls[0].ID)
	}
	r.Row.Seen = seen
	if r.Heads {
		r.Row.Seen = lost(seen)
		return r, k.store(ctx, r.Row)
	}
	return r, k.Settle(ctx, &r)
}

// onceEach are the calls after seen, oldest first, of a list that has the newest
// first. One that was sent again has the key of the call before; twice says that
// such a one failed once more. It is not sent a third time.
func onceEach(calls []gitlab.HookCall, seen int64) (todo []gitlab.HookCall, twice bool) {
	known := map[string]bool{}
	for _, c := range slices.Backward(calls) {
		again := c.Key != "" && known[c.Key]
		known[c.Key] = true
		switch {
		case c.ID <= seen:
		case again:
			twice = true
		default:
			todo = append(todo, c)
		}
	}
	return todo, twice
}

// first is a sequence up to n elements.
func first[T any](n int, all iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		left := n
		for v, err := range all {
			if left--; !yield(v, err) || left <= 0 {
				return
			}
		}
	}
}

// Settle notes that the heads were read, or need not be. If no calls are left, all
// is made up for.
func (k *Keeper) Settle(ctx context.Context, r *Resent) error {
	r.Row.Seen, _ = found(r.Row.Seen)
	if !r.Left {
		r.Row.State, r.Row.CheckedAt = StateRight, k.Now()
	}
	return k.store(ctx, r.Row)
}

func (k *Keeper) store(ctx context.Context, h store.Hook) error {
	return k.Store.Write(ctx, func(tx *store.Tx) error { return tx.PutHook(h) })
}

// newest is the id of the newest failed call of a hook; 0 if there is none, or if
// GitLab does not tell.
func (k *Keeper) newest(ctx context.Context, s Scope, hook int64) int64 {
	for c, err := range k.client(s.Token).HookCalls(ctx, s.gitlab(), hook, true) {
		if err != nil {
			return 0
		}
		return c.ID
	}
	return 0
}
