package mirror

import (
	"context"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"

	"gitlab.com/remora-ci/remora/component/delivery"
)

// remove deletes the ref at the remote, unless the project has it again, or the
// remote has it at a commit that the project's had not got to.
func (r *run) remove(ctx context.Context) error {
	from, err := r.source(r.ev)
	if err != nil {
		return err
	}
	t, err := from.open(ctx, uploadPack)
	if err != nil {
		return &projectError{from, err}
	}
	_, again := t.ref(r.ref)
	t.close()
	if again {
		return delivery.Skip("overtaken: the project has " + r.ev.Ref + " again")
	}
	seen, err := r.look(ctx)
	switch {
	case err != nil:
		return err
	case seen.old.IsZero():
		return r.done("already deleted", plumbing.ZeroHash)
	case !r.allowed.force && !delivery.ZeroSHA(r.ev.Before) && !r.leftAt(seen.old):
		return r.foreign(fmt.Sprintf("the project's was at %s when it was deleted", delivery.ShortSHA(r.ev.Before)), seen.old)
	}
	return r.push(ctx, &packp.Command{Name: plumbing.ReferenceName(r.ref), Old: seen.old}, nil, "deleted")
}

// leftAt says whether the remote's ref is one that the project's was. An
// annotated tag cannot be told from its commit here, and moves too rarely to care.
func (r *run) leftAt(old plumbing.Hash) bool {
	return r.ev.RefType == delivery.Tag || old.String() == r.ev.Before
}
