// Package report shows the outcomes of a delivery in GitLab: one commit status
// for each target and one note on the merge request.
//
// Statuses. One goroutine sends them, so those of one commit never overlap. What
// was sent is remembered: nothing is sent twice, nothing goes back, a final
// state is sent once. The pipeline that the first answer names is kept for
// that project and commit, and never used for another. What was opened and not
// ended stands in a journal, so that it can be ended after a crash.
//
// A report that cannot be written is a [Result].Problems entry with its remedy.
// It never fails a delivery and never repeats one.
package report

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Config says what is reported and how. The zero value is the default of each
// field.
type Config struct {
	Report   string `env:"REMORA_REPORT, default=auto" usage:"what to report: auto (statuses, and a note when there is a merge request), status, note, off"`
	Name     string `env:"REMORA_NAME, default=sync" usage:"prefix of the status names and key of the note, so that several of them can stand side by side"`
	Note     string `env:"REMORA_NOTE, default=update" usage:"how the note is kept: update, new, delete-and-new, hide-and-new, on-failure, thread, off"`
	StatusOn string `env:"REMORA_STATUS_ON, default=pipeline" usage:"commit that gets the statuses when the pipeline runs on a merged result: pipeline, source, both"`
}

// Values of Config.Report.
const (
	ReportAuto   = "auto"
	ReportStatus = "status"
	ReportNote   = "note"
	ReportOff    = "off"
)

// Values of Config.Note.
const (
	NoteUpdate       = "update"
	NoteNew          = "new"
	NoteDeleteAndNew = "delete-and-new"
	NoteHideAndNew   = "hide-and-new"
	NoteOnFailure    = "on-failure"
	NoteThread       = "thread"
	NoteOff          = "off"
)

// Values of Config.StatusOn.
const (
	OnPipeline = "pipeline"
	OnSource   = "source"
	OnBoth     = "both"
)

// Options are what the caller adds to a Config.
type Options struct {
	Journal string           // file that lists the statuses still open; "" keeps none
	Version string           // of Remora, for the last line of a note
	Now     func() time.Time // default time.Now
	Gauge   *Gauge           // how many requests are left; nil for plenty

	pace time.Duration // shortest pause between two tries; default one second
}

// safeName is what can stand in a status name and in an HTML comment.
var safeName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]{0,49}$`)

// Validate reports every value that is not known, one line each.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	oneOf := func(variable, value string, allowed ...string) {
		if !slices.Contains(allowed, value) {
			errs = append(errs, fmt.Errorf("%s: %q is not one of %s", variable, value, strings.Join(allowed, ", ")))
		}
	}
	oneOf("REMORA_REPORT", c.Report, ReportAuto, ReportStatus, ReportNote, ReportOff)
	oneOf("REMORA_NOTE", c.Note, NoteUpdate, NoteNew, NoteDeleteAndNew, NoteHideAndNew, NoteOnFailure, NoteThread, NoteOff)
	oneOf("REMORA_STATUS_ON", c.StatusOn, OnPipeline, OnSource, OnBoth)
	if !safeName.MatchString(c.Name) || strings.Contains(c.Name, "--") {
		errs = append(errs, fmt.Errorf("REMORA_NAME: %q is not a name of at most 50 letters, digits and . _ / - that begins with a letter or digit and holds no --", c.Name))
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	for _, f := range []struct {
		field *string
		value string
	}{{&c.Report, ReportAuto}, {&c.Name, "sync"}, {&c.Note, NoteUpdate}, {&c.StatusOn, OnPipeline}} {
		if *f.field == "" {
			*f.field = f.value
		}
	}
	return c
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.pace == 0 {
		o.pace = time.Second
	}
	return o
}
