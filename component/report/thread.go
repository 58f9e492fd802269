package report

import (
	"cmp"
	"context"
	"slices"

	"gitlab.com/remora-ci/remora/component/gitlab"
)

// inThread is added to the kind of what is written as a thread: threads and notes
// do not see each other when the mode is changed.
const inThread = "-thread"

// ownThread is a thread that a note of ours began.
type ownThread struct {
	discussion gitlab.Discussion
	marker
}

// thread brings the one thread to what d says.
//
// On success it is resolved before its text is changed, on failure its text is
// changed before it is opened again: whatever happens between the two, the next
// run finds what to do.
func (w *noteWriter) thread(ctx context.Context, d draft) (noteResult, error) {
	made := int64(0)
	for range rounds {
		all, err := w.ownThreads(ctx, d.key)
		if err != nil {
			return w.result("", made), err
		}
		own := slices.DeleteFunc(slices.Clone(all), func(t ownThread) bool { return t.Hidden })
		switch {
		case slices.ContainsFunc(all, func(t ownThread) bool { return t.newer(d.marker) }):
			return w.yieldThread(ctx, own, made)
		case len(own) == 0 && !d.Failed:
			return w.result(noteNone, 0), nil
		case len(own) == 0:
			if made, err = w.createThread(ctx, d); err != nil {
				return w.result("", 0), err
			}
			continue // see whether another did the same
		}
		r, err := w.settleThread(ctx, own, d, made)
		if isGone(err) {
			continue
		}
		return r, err
	}
	return w.result("", made), errUnsettled
}

func (w *noteWriter) settleThread(ctx context.Context, own []ownThread, d draft, made int64) (noteResult, error) {
	first := own[0]
	id := first.discussion.Note.ID
	action := noteCreated
	if id != made {
		var err error
		if d.Failed {
			action, err = w.fail(ctx, first, d)
		} else {
			action, err = w.succeed(ctx, first, d)
		}
		if err != nil {
			return w.result("", 0), err
		}
	}
	r := w.result(action, id)
	for _, t := range own[1:] {
		if err := w.removeThread(ctx, t); err != nil {
			return r, err
		}
	}
	return r, nil
}

// fail shows a failure in a thread that exists, and opens it again if it was
// resolved; once for each run, so that a person may resolve it after that.
func (w *noteWriter) fail(ctx context.Context, t ownThread, d draft) (string, error) {
	reopen := t.discussion.Resolved && (!t.Failed || d.newer(t.marker))
	if t.same(d) && !reopen {
		return noteUnchanged, nil
	}
	if err := w.update(ctx, t.discussion.Note.ID, d.body()); err != nil {
		return "", err
	}
	if !reopen {
		return noteUpdated, nil
	}
	return noteReopened, w.resolve(ctx, t, false)
}

// succeed resolves a thread. One that is open although we had resolved it was
// opened by a person, who will close it.
func (w *noteWriter) succeed(ctx context.Context, t ownThread, d draft) (string, error) {
	action := noteUnchanged
	if t.Failed && !t.discussion.Resolved {
		if err := w.resolve(ctx, t, true); err != nil {
			return "", err
		}
		action = noteResolved
	}
	if t.same(d) {
		return action, nil
	}
	if action == noteUnchanged {
		action = noteUpdated
	}
	return action, w.update(ctx, t.discussion.Note.ID, d.body())
}

func (w *noteWriter) resolve(ctx context.Context, t ownThread, resolved bool) error {
	return w.paced(ctx, func() error {
		return w.gl.ResolveDiscussion(ctx, w.project(), w.ev.MergeRequest.IID, t.discussion.ID, resolved)
	})
}

// ownThreads are our threads with the key, oldest first.
func (w *noteWriter) ownThreads(ctx context.Context, k key) ([]ownThread, error) {
	self, err := w.gl.User(ctx)
	if err != nil {
		return nil, err
	}
	var own []ownThread
	for d, err := range w.gl.Discussions(ctx, w.project(), w.ev.MergeRequest.IID, markerPrefix) {
		if err != nil {
			return nil, err
		}
		if m, ok := w.mine(d.Note, self, k); ok {
			own = append(own, ownThread{discussion: d, marker: m})
		}
	}
	slices.SortFunc(own, func(a, b ownThread) int { return cmp.Compare(a.discussion.Note.ID, b.discussion.Note.ID) })
	return own, nil
}

func (w *noteWriter) createThread(ctx context.Context, d draft) (int64, error) {
	return w.once(ctx, func() (int64, error) {
		t, err := w.gl.CreateDiscussion(ctx, w.project(), w.ev.MergeRequest.IID, d.body())
		return t.Note.ID, err
	}, func() (int64, error) {
		own, err := w.ownThreads(ctx, d.key)
		if err != nil {
			return 0, err
		}
		for _, t := range slices.Backward(own) {
			if t.String() == d.String() {
				return t.discussion.Note.ID, nil
			}
		}
		return 0, nil
	})
}

// yieldThread is [noteWriter.yield] for threads.
func (w *noteWriter) yieldThread(ctx context.Context, own []ownThread, made int64) (noteResult, error) {
	if len(own) == 0 {
		return w.result(noteOvertaken, 0), nil
	}
	r := w.result(noteOvertaken, own[0].discussion.Note.ID)
	for _, t := range own[1:] {
		if t.discussion.Note.ID == made {
			return r, w.removeThread(ctx, t)
		}
	}
	return r, nil
}

// removeThread takes away one of two threads. If somebody answered in it, it is
// resolved and folded instead.
func (w *noteWriter) removeThread(ctx context.Context, t ownThread) error {
	n := ownNote{id: t.discussion.Note.ID, replied: t.discussion.Replies > 0, marker: t.marker}
	if n.replied && !t.discussion.Resolved {
		if err := w.resolve(ctx, t, true); err != nil && !isGone(err) {
			return err
		}
	}
	return w.remove(ctx, n)
}
