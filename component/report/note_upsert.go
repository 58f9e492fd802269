package report

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
)

// rounds bounds how often the notes are read again because they changed under us.
const rounds = 4

var errUnsettled = errors.New("write note: others change the notes of this merge request all the time")

// upsert brings the one note to what d says; without create only if there is one.
func (w *noteWriter) upsert(ctx context.Context, d draft, create bool) (noteResult, error) {
	made := int64(0)
	for range rounds {
		all, err := w.own(ctx, d.key)
		if err != nil {
			return w.result("", made), err
		}
		own := current(all)
		switch {
		case overtaken(all, d.marker):
			return w.yield(ctx, own, made)
		case len(own) == 0 && !create:
			return w.result(noteNone, 0), nil
		case len(own) == 0:
			if made, err = w.create(ctx, d); err != nil {
				return w.result("", 0), err
			}
			continue // see whether another did the same
		}
		r, err := w.settle(ctx, own, d, made)
		if isGone(err) {
			continue
		}
		return r, err
	}
	return w.result("", made), errUnsettled
}

// current are the notes that are kept up to date: neither folded away nor one of a
// series.
func current(own []ownNote) []ownNote {
	return slices.DeleteFunc(slices.Clone(own), func(n ownNote) bool { return n.Hidden || n.Series })
}

// settle writes d into the note with the lowest id and takes away the others.
func (w *noteWriter) settle(ctx context.Context, own []ownNote, d draft, made int64) (noteResult, error) {
	first, action := own[0], noteCreated
	if first.id != made {
		var err error
		if action, err = w.edit(ctx, first, d); err != nil {
			return w.result("", 0), err
		}
	}
	return w.result(action, first.id), w.removeAll(ctx, own[1:])
}

// edit brings a note of ours to what d says, if it does not say so already.
func (w *noteWriter) edit(ctx context.Context, n ownNote, d draft) (action string, err error) {
	switch {
	case n.thread != "" && d.Failed:
		return w.fail(ctx, n, d)
	case n.thread != "":
		return w.succeed(ctx, n, d)
	case n.same(d):
		return noteUnchanged, nil
	}
	return noteUpdated, w.update(ctx, n.id, d.body())
}

// yield leaves the word to the later run that has written. A note that we made
// in the meantime goes, unless it is the one that stays.
func (w *noteWriter) yield(ctx context.Context, own []ownNote, made int64) (noteResult, error) {
	if len(own) == 0 {
		return w.result(noteOvertaken, 0), nil
	}
	r := w.result(noteOvertaken, own[0].id)
	for _, n := range own[1:] {
		if n.id == made {
			return r, w.remove(ctx, n)
		}
	}
	return r, nil
}

// create writes a note, or begins a thread, and answers its id.
func (w *noteWriter) create(ctx context.Context, d draft) (int64, error) {
	return w.once(ctx, func() (int64, error) {
		project, iid := w.project(), w.ev.MergeRequest.IID
		if w.c.Note == NoteThread {
			t, err := w.gl.CreateDiscussion(ctx, project, iid, d.body())
			return t.Note.ID, err
		}
		n, err := w.gl.CreateNote(ctx, project, iid, d.body())
		return n.ID, err
	}, func() (int64, error) {
		own, err := w.own(ctx, d.key)
		if err != nil {
			return 0, err
		}
		for _, n := range slices.Backward(own) {
			if n.String() == d.String() {
				return n.id, nil
			}
		}
		return 0, nil
	})
}

// once makes a thing that must not be made twice: when the answer to make was
// lost, find looks for what it made (0: nothing) before it is tried again.
func (w *noteWriter) once(ctx context.Context, make, find func() (int64, error)) (int64, error) {
	for try := 0; ; try++ {
		var id int64
		err := w.paced(ctx, func() (err error) { id, err = make(); return err })
		if err == nil || !isLost(err) || try == 2 {
			return id, err
		}
		if waited := delivery.Wait(ctx, w.o.pace<<try); waited != nil {
			return 0, err
		}
		if id, found := find(); found != nil || id != 0 {
			return id, found
		}
	}
}

// isLost says whether a request may have been obeyed although no good answer
// came.
func isLost(err error) bool {
	var status *rest.StatusError
	var conn *rest.ConnError
	switch {
	case errors.As(err, &status):
		return status.Code != http.StatusTooManyRequests && rest.Temporary(status.Code)
	case errors.As(err, &conn):
		return conn.Sent()
	}
	return false
}

// paced makes a call again, twice at most, while GitLab says that there were too
// many. Limits on notes are counted by the minute and come without the time to
// wait. A longer wait than a minute is not for us.
func (w *noteWriter) paced(ctx context.Context, call func() error) error {
	for try := 0; ; try++ {
		err := call()
		var status *rest.StatusError
		if !errors.As(err, &status) || status.Code != http.StatusTooManyRequests || try == 2 {
			return err
		}
		wait := 20 * w.o.pace
		if asked := status.RetryAfter(); asked > 0 {
			wait = asked
		}
		if wait > 60*w.o.pace || delivery.Wait(ctx, wait) != nil {
			return err
		}
	}
}

func (w *noteWriter) update(ctx context.Context, id int64, body string) error {
	return w.paced(ctx, func() error {
		_, err := w.gl.UpdateNote(ctx, w.project(), w.ev.MergeRequest.IID, id, body)
		return err
	})
}

// mostRemoved bounds how many notes one run takes away: each is an event to all
// who watch.
const mostRemoved = 20

func (w *noteWriter) removeAll(ctx context.Context, notes []ownNote) error {
	var errs []error
	for _, n := range notes[max(0, len(notes)-mostRemoved):] {
		errs = append(errs, w.remove(ctx, n))
	}
	return errors.Join(errs...)
}

// remove takes a note of ours away. If somebody answered to it, it is folded, and
// its thread resolved, for the answer would stand alone.
func (w *noteWriter) remove(ctx context.Context, n ownNote) error {
	if n.replied {
		if n.thread != "" && !n.closed {
			if err := w.resolve(ctx, n, true); err != nil && !isGone(err) {
				return err
			}
		}
		return w.hide(ctx, n)
	}
	err := w.paced(ctx, func() error {
		return w.gl.DeleteNote(ctx, w.project(), w.ev.MergeRequest.IID, n.id)
	})
	if isGone(err) {
		return nil
	}
	return err
}

// isGone says whether what was to be changed is no longer there.
func isGone(err error) bool {
	var status *rest.StatusError
	return errors.As(err, &status) && status.Code == http.StatusNotFound
}
