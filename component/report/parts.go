package report

import "gitlab.com/remora-ci/remora/component/delivery"

// Table is the table of a note: of each outcome its target, what became of it, how
// long that took, and the revision. It ends without a line end.
func Table(outcomes []delivery.Outcome) string { return table(outcomes) }

// Inline is text from outside for a paragraph of a note: inert, bounded, on one
// line that must not be the first of a paragraph. Pairs of backticks in it mark code.
func Inline(text string) string { return inline(text) }

// Code is text from outside as code for a line of a note, bounded; a dash if there
// is none.
func Code(text string) string { return code(cut(oneLine(text), maxCode)) }

const maxCode = 200 // runes
