package report

import "context"

// inThread is added to the kind of what is written as a thread: threads and notes
// do not see each other when the mode is changed.
const inThread = "-thread"

// A thread is a note that can be resolved. On success it is resolved before its
// text is changed, on failure its text is changed before it is opened again:
// whatever happens between the two, the next run finds what to do.

// fail shows a failure in a thread that exists, and opens it again if it was
// resolved; once for each run, so that a person may resolve it after that.
func (w *noteWriter) fail(ctx context.Context, n ownNote, d draft) (string, error) {
	reopen := n.closed && (!n.Failed || d.newer(n.marker))
	if n.same(d) && !reopen {
		return noteUnchanged, nil
	}
	if err := w.update(ctx, n.id, d.body()); err != nil {
		return "", err
	}
	if !reopen {
		return noteUpdated, nil
	}
	return noteReopened, w.resolve(ctx, n, false)
}

// succeed resolves a thread. One that is open although we had resolved it was
// opened by a person, who will close it.
func (w *noteWriter) succeed(ctx context.Context, n ownNote, d draft) (string, error) {
	action := noteUnchanged
	if n.Failed && !n.closed {
		if err := w.resolve(ctx, n, true); err != nil {
			return "", err
		}
		action = noteResolved
	}
	if n.same(d) {
		return action, nil
	}
	if action == noteUnchanged {
		action = noteUpdated
	}
	return action, w.update(ctx, n.id, d.body())
}

func (w *noteWriter) resolve(ctx context.Context, n ownNote, resolved bool) error {
	return w.paced(ctx, func() error {
		return w.gl.ResolveDiscussion(ctx, w.project(), w.ev.MergeRequest.IID, n.thread, resolved)
	})
}
