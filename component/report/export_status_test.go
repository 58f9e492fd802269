package report

import (
	"context"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab"
)

// Clamp and Link are what makes texts and addresses fit for a status.
var (
	Clamp = clamp
	Link  = link
)

// Paced is o with short pauses between tries.
func Paced(o Options, pace time.Duration) Options {
	o.pace = pace
	return o
}

// FinishJournalPaced is FinishJournal with short pauses between tries.
func FinishJournalPaced(ctx context.Context, gl *gitlab.Client, path string, pace time.Duration) (int, error) {
	return finishJournal(ctx, gl, path, pace)
}

// MessageOf is the state and the text of the status of an outcome.
func MessageOf(o delivery.Outcome) (state, text string) {
	m := messageOf(o)
	return string(m.state), m.description
}

// SumOf is the state and the text of the one status of many outcomes.
func SumOf(outcomes []delivery.Outcome) (state, text string) {
	m := sumOf(outcomes)
	return string(m.state), m.description
}

// Room says whether a gauge has room for need requests.
func (g *Gauge) Room(need int) bool { return g.room(need) }
