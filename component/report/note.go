package report

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab"
)

// noteWriter keeps the note of one event on its merge request. What is already
// there decides what is done, so writing twice is harmless.
//
// A note is ours if its author is the bot, by id, and its hidden marker has our
// key: kind, REMORA_NAME and project. If the notes cannot all be read, nothing is
// written. If a later run has written, nothing is either. A merge request
// that has moved on is no reason to be silent: the heading names the commit it
// speaks of, and the run of the newer commit replaces it.
//
// Of two notes that writers made at once the one with the lowest id stays. GitLab
// has no conditional update: of two runs that edit in the same instant the last
// one wins, until the next run.
//
// The modes, REMORA_NOTE:
//
//	update          one note, edited in place. GitLab mails only new notes, so a
//	                change from done to failed is not mailed; on-failure and
//	                thread are for those who want to be told.
//	new             one more note each time that there is something new to say.
//	delete-and-new  the same, and the older ones go.
//	hide-and-new    the same, and the older ones are folded away.
//	on-failure      no note until something fails; then as update. When the result
//	                turns to failed again, the note is made anew, so it is mailed.
//	thread          a thread that must be resolved, when something fails; resolved
//	                when it works, opened again when it fails again, which GitLab
//	                shows but does not mail. A thread that a person opened again
//	                after success is left open.
//
// The same facts as before are not written again: a duration, a link to the run
// and the last line are no facts.
type noteWriter struct {
	c  Config
	gl *gitlab.Client
	ev delivery.Event
	o  Options
}

// What became of the note.
const (
	noteNone      = "none"
	noteCreated   = "created"
	noteUpdated   = "updated"
	noteUnchanged = "unchanged"
	noteResolved  = "resolved"
	noteReopened  = "reopened"
	noteOvertaken = "overtaken" // by a later run, which has written
)

// noteResult says what became of the note, and where it is.
type noteResult struct {
	Action string // one of the constants above
	URL    string // empty without a note
}

func newNoteWriter(c Config, gl *gitlab.Client, ev delivery.Event, o Options) *noteWriter {
	return &noteWriter{c: c.withDefaults(), gl: gl, ev: ev, o: o.withDefaults()}
}

// Write shows outcomes and problems in the note. Its error is a [delivery.Fault]
// to be shown as a problem; when only tidying up failed, the result says what was
// written all the same.
func (w *noteWriter) Write(ctx context.Context, outcomes []delivery.Outcome, problems []*delivery.Fault) (noteResult, error) {
	failed := slices.ContainsFunc(outcomes, delivery.Outcome.Failing)
	d := w.draft(kindNote, w.c.Name, failed)
	d.Digest = digest(facts(w.ev, w.c.Name, outcomes, problems))
	d.text = Render(w.ev, w.c.Name, w.o.Version, outcomes, problems, w.o.Now())
	return w.write(ctx, d)
}

// WriteText shows somebody's Markdown in a note of its own, known by key, under the
// same rules; failed is what on-failure and thread go by. Nothing in the text
// acts.
func (w *noteWriter) WriteText(ctx context.Context, key, text string, failed bool) (noteResult, error) {
	text = inert(text)
	if strings.TrimSpace(text) == "" {
		return noteResult{Action: noteNone}, delivery.Permanent(&delivery.Fault{
			Summary: "empty note", Cause: "the text of the note is empty", Remedy: "write the note's Markdown into the file given with --note-file"})
	}
	if key == "" {
		key = w.c.Name
	}
	d := w.draft(kindText, key, failed)
	d.Digest = digest(text + fmt.Sprint(failed))
	d.text = text + "\n\n" + footer(w.ev, w.o.Version, w.o.Now()) + "\n"
	return w.write(ctx, d)
}

// draft is a note to be written.
type draft struct {
	marker
	text string
}

func (d draft) body() string { return d.marker.String() + "\n" + d.text }

func (w *noteWriter) draft(k kind, name string, failed bool) draft {
	m := marker{key: key{Kind: k, Name: cut(oneLine(name), 200), Project: w.ev.Project.ID}, SHA: delivery.ShortSHA(w.ev.SHA), At: w.ev.At.UTC().Truncate(time.Millisecond), Failed: failed}
	if w.c.Note == NoteThread {
		m.Kind += inThread
	}
	m.Series = w.c.Note == NoteNew
	if p := w.ev.Pipeline; p != nil {
		m.Pipeline = p.ID
	}
	if j := w.ev.Job; j != nil {
		m.Job = j.ID
		if !j.StartedAt.IsZero() {
			m.At = j.StartedAt.UTC()
		}
	}
	return draft{marker: m}
}

func (w *noteWriter) write(ctx context.Context, d draft) (noteResult, error) {
	if w.ev.MergeRequest == nil || w.c.Note == NoteOff {
		return noteResult{Action: noteNone}, nil
	}
	var r noteResult
	var err error
	switch w.c.Note {
	case NoteThread:
		r, err = w.upsert(ctx, d, d.Failed)
	case NoteNew, NoteDeleteAndNew, NoteHideAndNew:
		r, err = w.another(ctx, d)
	case NoteOnFailure:
		r, err = w.onFailure(ctx, d)
	default:
		r, err = w.upsert(ctx, d, true)
	}
	if r.Action == "" {
		r.Action = noteNone
	}
	return r, w.explain(ctx, err)
}

// ownNote is a note of ours, or the first one of a thread of ours.
type ownNote struct {
	id      int64
	replied bool // somebody answered
	thread  string
	closed  bool // the thread is resolved
	marker
}

// own are our notes with the key, lowest id first. An error means that there may
// be more of them.
func (w *noteWriter) own(ctx context.Context, k key) ([]ownNote, error) {
	self, err := w.gl.User(ctx)
	if err != nil {
		return nil, err
	}
	var own []ownNote
	for n, err := range w.candidates(ctx) {
		if err != nil {
			return nil, err
		}
		if m, ok := w.mine(n.Note, self, k); ok {
			own = append(own, ownNote{id: n.Note.ID, replied: n.Replies > 0, thread: n.ID, closed: n.Resolved, marker: m})
		}
	}
	slices.SortFunc(own, func(a, b ownNote) int { return cmp.Compare(a.id, b.id) })
	return own, nil
}

// candidates are the notes, or the threads in the mode of that name, that have a
// marker. A note has no thread; if it was answered it has a type.
func (w *noteWriter) candidates(ctx context.Context) iter.Seq2[gitlab.Discussion, error] {
	project, iid := w.project(), w.ev.MergeRequest.IID
	if w.c.Note == NoteThread {
		return w.gl.Discussions(ctx, project, iid, markerPrefix)
	}
	return func(yield func(gitlab.Discussion, error) bool) {
		for n, err := range w.gl.Notes(ctx, project, iid, markerPrefix) {
			d := gitlab.Discussion{Note: n}
			if n.Type != "" {
				d.Replies = 1
			}
			if !yield(d, err) {
				return
			}
		}
	}
}

func (w *noteWriter) mine(n gitlab.Note, self gitlab.User, k key) (marker, bool) {
	if n.System || n.AuthorID != self.ID {
		return marker{}, false
	}
	m, ok := parseMarker(n.Marker)
	return m, ok && m.key == k
}

func (w *noteWriter) project() gitlab.Project {
	mr := w.ev.MergeRequest
	if mr.ProjectID != 0 {
		return gitlab.ProjectID(mr.ProjectID)
	}
	return gitlab.Project(mr.ProjectPath)
}

func (w *noteWriter) result(action string, id int64) noteResult {
	mr := w.ev.MergeRequest
	page := mr.URL
	if page == "" && mr.ProjectPath != "" && w.ev.Instance != "" {
		page = fmt.Sprintf("%s/%s/-/merge_requests/%d", w.ev.Instance, mr.ProjectPath, mr.IID)
	}
	if page == "" || id == 0 {
		return noteResult{Action: action}
	}
	return noteResult{Action: action, URL: fmt.Sprintf("%s#note_%d", page, id)}
}

// overtaken says whether a later run than m has written one of own.
func overtaken(own []ownNote, m marker) bool {
	return slices.ContainsFunc(own, func(n ownNote) bool { return n.newer(m) })
}

// same says whether a note shows the same facts already.
func (m marker) same(d draft) bool { return m.Digest == d.Digest && m.Failed == d.Failed }
