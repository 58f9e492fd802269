package report

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// another writes one more note if there is something new to say, then does with
// the older ones what the mode asks for.
func (w *noteWriter) another(ctx context.Context, d draft) (noteResult, error) {
	own, err := w.own(ctx, d.key)
	if err != nil {
		return noteResult{}, err
	}
	if overtaken(own, d.marker) {
		return w.yield(ctx, own, 0)
	}
	if last, ok := latest(own); ok {
		switch {
		case last.same(d):
			return w.result(noteUnchanged, last.id), w.tidy(ctx, own, d, last.id)
		case !d.newer(last.marker): // the same run has more to say
			err := w.update(ctx, last.id, d.body())
			if !isGone(err) {
				return w.result(noteUpdated, last.id), err
			}
		}
	}
	made, err := w.create(ctx, d)
	if err != nil {
		return noteResult{}, err
	}
	r := w.result(noteCreated, made)
	if w.c.Note == NoteNew {
		return r, nil
	}
	if own, err = w.own(ctx, d.key); err != nil {
		return r, err
	}
	if last, _ := latest(own); last.newer(d.marker) {
		r = w.result(noteOvertaken, last.id)
	}
	return r, w.tidy(ctx, own, d, made)
}

// latest is the note of the latest run that is not folded away.
func latest(own []ownNote) (ownNote, bool) {
	var last ownNote
	for _, n := range own {
		if !n.Hidden && (last.id == 0 || !last.newer(n.marker)) {
			last = n
		}
	}
	return last, last.id != 0
}

// tidy takes away or folds what is older than the note kept. If a later run has
// written meanwhile, that is our own.
func (w *noteWriter) tidy(ctx context.Context, own []ownNote, d draft, kept int64) error {
	if w.c.Note == NoteNew {
		return nil
	}
	late := overtaken(own, d.marker)
	var older []ownNote
	for _, n := range own {
		if !n.Hidden && !n.newer(d.marker) && (n.id != kept || late) {
			older = append(older, n)
		}
	}
	if w.c.Note == NoteDeleteAndNew {
		return w.removeAll(ctx, older)
	}
	var errs []error
	for _, n := range older[max(0, len(older)-mostRemoved):] {
		errs = append(errs, w.hide(ctx, n))
	}
	return errors.Join(errs...)
}

// hide folds a note of ours: what it said is kept behind the word outdated.
func (w *noteWriter) hide(ctx context.Context, n ownNote) error {
	_, said, err := w.gl.ReadNote(ctx, w.project(), w.ev.MergeRequest.IID, n.id)
	if err == nil {
		err = w.update(ctx, n.id, outdated(n.marker, said))
	}
	if isGone(err) {
		return nil
	}
	return err
}

// outdated is a note whose text is folded away. The text was written by us, but
// others may edit our notes, so it is made inert again.
func outdated(m marker, said string) string {
	m.Hidden = true
	_, text, _ := strings.Cut(said, "\n")
	summary := "Outdated: a newer note follows"
	if m.Pipeline != 0 {
		summary += fmt.Sprintf(" (this one is of pipeline %d)", m.Pipeline)
	}
	return m.String() + "\n" + folded(summary, inert(text)) + "\n"
}

// onFailure keeps one note from the first failure on. It is made anew when the
// result turns to failed, because GitLab mails only new notes.
func (w *noteWriter) onFailure(ctx context.Context, d draft) (noteResult, error) {
	if !d.Failed {
		return w.upsert(ctx, d, false)
	}
	all, err := w.own(ctx, d.key)
	if err != nil {
		return noteResult{}, err
	}
	last, ok := latest(current(all))
	if ok && !last.Failed && !overtaken(all, d.marker) {
		if err := w.removeAll(ctx, current(all)); err != nil {
			return noteResult{}, err
		}
	}
	return w.upsert(ctx, d, true)
}
