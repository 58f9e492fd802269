package mirror

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"

	"gitlab.com/remora-ci/remora/component/delivery"
)

// run is one Apply.
type run struct {
	*Target
	ev      delivery.Event
	ref     string // in full
	allowed grant
	beside  progress
	receipt delivery.Receipt
}

// goal is what the project says.
type goal struct {
	want plumbing.Hash // what the ref shall be: the event's commit, or the tag
	tip  plumbing.Hash // what the ref is in the project now
}

// shown is what the remote says.
type shown struct {
	old  plumbing.Hash // what the ref is; zero if there is none
	tips []plumbing.Hash
}

func (r *run) warn(text string) { r.receipt.Warnings = append(r.receipt.Warnings, text) }

// look asks the remote what it has.
func (r *run) look(ctx context.Context) (shown, error) {
	t, err := r.there.open(ctx, receivePack)
	if err != nil {
		return shown{}, fmt.Errorf("list refs: %w", err)
	}
	defer t.close()
	old, _ := t.ref(r.ref)
	return shown{old: old, tips: t.tips()}, nil
}

// bring brings the ref to the event's commit.
func (r *run) bring(ctx context.Context) error {
	seen, err := r.look(ctx)
	if err != nil {
		return err
	}
	if r.ev.RefType != delivery.Tag && seen.old.String() == r.ev.SHA {
		return r.done("up to date", seen.old)
	}
	from, err := r.source(r.ev)
	if err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		err = r.withStore(ctx, from, seen)
		var broken *brokenError
		if attempt > 1 || ctx.Err() != nil || !errors.As(err, &broken) {
			return err
		}
	}
}

// withStore does what needs the project's commits. The store is given back
// unless something was wrong with it.
func (r *run) withStore(ctx context.Context, from *httpRemote, seen shown) error {
	s, err := r.caches.take(from.at.String())
	if err != nil {
		return delivery.Permanent(&delivery.Fault{Summary: "no room for the cache", Cause: r.scrub.Text(err.Error()), Err: err,
			Remedy: "set REMORA_MIRROR_CACHE to a folder that can be written to"})
	}
	g, err := r.fetch(ctx, from, s, seen)
	if err == nil {
		err = r.settle(ctx, s, g, seen)
	}
	var broken *brokenError
	if errors.As(err, &broken) || ctx.Err() != nil {
		s.discard()
	} else {
		s.giveBack()
	}
	return err
}

// fetch sees to it that the store holds what the project's ref is at.
func (r *run) fetch(ctx context.Context, from *httpRemote, s *store, seen shown) (goal, error) {
	t, err := from.open(ctx, uploadPack)
	if err != nil {
		return goal{}, &projectError{from, err}
	}
	defer t.close()
	tip, ok := t.ref(r.ref)
	if !ok {
		return goal{}, delivery.Skip(r.ev.Ref + " is gone from the project")
	}
	g := goal{want: plumbing.NewHash(r.ev.SHA), tip: tip}
	if r.ev.RefType == delivery.Tag {
		at, peeled := t.refs.Peeled[r.ref]
		if !peeled {
			at = tip
		}
		if at != g.want {
			return goal{}, delivery.Skip("overtaken: tag " + r.ev.Ref + " was moved in the project")
		}
		if g.want = tip; seen.old == tip {
			return g, nil
		}
	}
	if s.has(tip) {
		return g, nil
	}
	haves, err := s.haves()
	if err != nil {
		return goal{}, &brokenError{err}
	}
	if err := fetch(ctx, t, s, tip, haves, 0); err != nil {
		if isConn(err) {
			return goal{}, &projectError{from, fmt.Errorf("fetch: %w", err)}
		}
		return goal{}, &brokenError{fmt.Errorf("fetch: %w", err)}
	}
	if !s.has(tip) {
		return goal{}, &brokenError{fmt.Errorf("fetch: %s did not come", tip)}
	}
	if len(haves) == 0 && s.packs() == 1 {
		s.whole = tip
	}
	if err := s.keep(r.ref, tip); err != nil {
		return goal{}, &brokenError{err}
	}
	return g, nil
}

// settle pushes if what the remote has calls for it.
func (r *run) settle(ctx context.Context, s *store, g goal, seen shown) error {
	if seen.old == g.want {
		return r.done("up to date", plumbing.NewHash(r.ev.SHA))
	}
	if err := r.current(s, g); err != nil {
		return err
	}
	result := "created"
	if !seen.old.IsZero() {
		var err error
		result, err = r.judge(ctx, s, g, seen.old)
		if err != nil {
			return err
		}
		if result == ahead {
			return r.done(ahead, seen.old)
		}
	}
	if usesLFS(s, plumbing.NewHash(r.ev.SHA)) {
		r.warn("the project keeps files in Git LFS: their contents are not mirrored, only the pointers")
	}
	pack, err := s.pack(g.want, seen.tips)
	if err != nil {
		return &brokenError{err}
	}
	defer func() { _ = pack.Close() }()
	cmd := &packp.Command{Name: plumbing.ReferenceName(r.ref), Old: seen.old, New: g.want}
	return r.push(ctx, cmd, pack, result)
}

// current skips a commit that the project's branch has left behind by a rewrite:
// its next event brings the branch to where it is now.
func (r *run) current(s *store, g goal) error {
	if g.tip == g.want {
		return nil
	}
	if s.has(g.want) {
		still, err := s.contains(g.tip, g.want)
		if err != nil {
			return &brokenError{err}
		}
		if still {
			return nil
		}
	}
	return delivery.Skip("overtaken: " + r.ev.Ref + " was rewritten in the project")
}

// The answers of judge beside "created".
const (
	forward = "pushed"
	ahead   = "already ahead"
	rewrite = "overwritten"
)

// judge decides about a ref that the remote has at another commit.
func (r *run) judge(ctx context.Context, s *store, g goal, old plumbing.Hash) (string, error) {
	if r.ev.RefType == delivery.Tag {
		if r.allowed.force {
			return rewrite, nil
		}
		return "", r.foreign("tag "+r.ev.Ref+" points elsewhere there", old)
	}
	if !s.has(old) {
		r.learn(ctx, s, old)
	}
	if !s.has(old) {
		return r.overwrite(old)
	}
	if on, err := s.contains(g.want, old); err != nil || on {
		return forward, broken(err)
	}
	on, err := s.contains(old, g.want)
	switch {
	case err != nil:
		return "", broken(err)
	case on && r.allowed.force && g.tip == g.want:
		return rewrite, nil // the project went back, and the remote may follow
	case on:
		return ahead, nil
	}
	return r.overwrite(old)
}

func (r *run) overwrite(old plumbing.Hash) (string, error) {
	if r.allowed.force {
		return rewrite, nil
	}
	return "", r.foreign("it has commits that this project does not have", old)
}

// learn reads what only the remote has, to tell a remote that is ahead from one
// that went its own way. Without it the remote counts as the latter.
func (r *run) learn(ctx context.Context, s *store, old plumbing.Hash) {
	t, err := r.there.open(ctx, uploadPack)
	if err != nil {
		return
	}
	defer t.close()
	if at, ok := t.ref(r.ref); !ok || at != old {
		return
	}
	haves, err := s.haves()
	if err == nil {
		_ = fetch(ctx, t, s, old, haves, maxForest)
	}
}

// push moves the ref, if it is still where it was seen, and looks at the result.
func (r *run) push(ctx context.Context, cmd *packp.Command, pack *os.File, result string) error {
	t, err := r.there.open(ctx, receivePack)
	if err != nil {
		return fmt.Errorf("push: %w", err)
	}
	defer t.close()
	if now, _ := t.ref(r.ref); now != cmd.Old {
		return &movedError{now}
	}
	r.receipt.Request = r.there.evidence(receivePack)
	refused := push(ctx, t, cmd, pack, &r.beside)
	t.close()
	var no *refusedError
	if refused != nil && !errors.As(refused, &no) {
		return fmt.Errorf("push: %w", refused)
	}
	seen, err := r.look(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("check the push: %w", err)
	case seen.old == cmd.New:
		return r.done(result, cmd.New)
	case refused != nil && seen.old == cmd.Old && no.incomplete():
		return &brokenError{refused}
	case refused != nil && seen.old == cmd.Old:
		return refused
	}
	return &movedError{seen.old}
}

// done fills the receipt. The revision is a commit: of a tag, the one it leads to,
// which its own hash vouches for.
func (r *run) done(result string, at plumbing.Hash) error {
	r.receipt.Result = result
	switch {
	case at.IsZero():
	case r.ev.RefType == delivery.Tag:
		r.receipt.Revision = r.ev.SHA
	default:
		r.receipt.Revision = at.String()
	}
	if r.receipt.Request == "" {
		r.receipt.Request = r.there.evidence(receivePack)
	}
	return nil
}
