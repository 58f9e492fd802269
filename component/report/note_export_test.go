package report

import (
	"context"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab"
)

// NoteWriter is the note half alone.
type NoteWriter struct{ w *noteWriter }

// NewNoteWriter makes one that waits no longer than pace where GitLab would have
// it wait a second.
func NewNoteWriter(c Config, gl *gitlab.Client, ev delivery.Event, o Options, pace time.Duration) NoteWriter {
	o.pace = pace
	return NoteWriter{newNoteWriter(c, gl, ev, o)}
}

func (n NoteWriter) Write(ctx context.Context, outcomes []delivery.Outcome, problems []*delivery.Fault) (action, url string, err error) {
	r, err := n.w.Write(ctx, outcomes, problems)
	return r.Action, r.URL, err
}

func (n NoteWriter) WriteText(ctx context.Context, key, text string, failed bool) (action, url string, err error) {
	r, err := n.w.WriteText(ctx, key, text, failed)
	return r.Action, r.URL, err
}

// MarkerPrefix begins the hidden line.
const MarkerPrefix = markerPrefix

// Inert is somebody's Markdown in which nothing acts.
var Inert = inert

// MarkerRoundTrip parses a line, and the line that it is written as again.
func MarkerRoundTrip(line string) (written string, again, ok bool) {
	m, ok := parseMarker(line)
	if !ok {
		return "", false, false
	}
	written = m.String()
	n, ok2 := parseMarker(written)
	return written, ok2 && n.String() == written && n.key == m.key, true
}

// MarkerOf is the marker of a run.
func MarkerOf(name string, project, pipeline, job int64, at time.Time) string {
	return marker{key: key{kindNote, name, project}, Pipeline: pipeline, Job: job, At: at, Digest: "d"}.String()
}

// Newer says whether the first of two markers was written by a later run.
func Newer(a, b string) bool {
	ma, _ := parseMarker(a)
	mb, _ := parseMarker(b)
	return ma.newer(mb)
}
