package direktiv

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
)

// glitches is how many strange answers in a row end the wait: one may be a
// proxy's page during a restart, but the sync itself goes on.
const glitches = 3

// follow waits for the end of a sync, at first every few milliseconds: a small
// one takes 20 to 60. A status that nobody knows is no end. It returns the sync
// as it ended, or why it could not be seen to end. alive, if not nil, may end the
// wait for a sync that is not ours.
func (r *run) follow(ctx context.Context, p process, alive func(process, time.Time) error) (process, error) {
	pause, strange := r.pace.first, 0
	var last error
	for {
		list, now, err := r.api.list(ctx)
		seen, ok := find(list, p.id)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			last = r.call.explain(answerOf(err), err)
			if delivery.StateOf(last) == delivery.Failed {
				strange++
			}
			if strange >= glitches || refused(answerOf(err)) {
				return p, last
			}
		case !ok:
			if strange++; strange >= glitches {
				return p, r.gone(p)
			}
		case seen.ended():
			return seen, nil
		default:
			p, strange, last = seen, 0, nil
			if alive != nil {
				if err := alive(p, now); err != nil {
					return p, err
				}
			}
		}
		if err := delivery.Wait(ctx, pause); err != nil {
			return p, r.overdue(p, last, err)
		}
		pause = min(pause*3/2, r.pace.last)
	}
}

func (r *run) gone(p process) error {
	return &delivery.Fault{Summary: "sync disappeared", Cause: "sync " + p.id + " is no longer in Direktiv's list; was the namespace created again meanwhile?",
		Remedy: "look at the mirror with `remora mirror show`, then run the job again", Request: r.evidence()}
}

// overdue is what is known when there is no more time.
func (r *run) overdue(p process, last, err error) error {
	f := &delivery.Fault{Summary: "sync has not ended", Cause: "sync " + p.id + " was still " + clip(p.status), Request: r.evidence(), Err: err,
		Remedy: "give it longer with REMORA_TIMEOUT, or look at the mirror with `remora mirror show`"}
	if !p.running() && !p.ended() {
		f.Summary = "unknown status " + clip(p.status)
		f.Cause = fmt.Sprintf("sync %s had the status %s, which this version of Remora does not know", p.id, clip(p.status))
		f.Remedy = "look at the mirror with `remora mirror show`; if the sync did end, a newer version of Remora may know the status"
	}
	if last != nil {
		f.Cause += "; the last look at it failed: " + last.Error()
	}
	return f
}

// clip is a word of the server's, short and in quotes if it is no plain word.
func clip(s string) string {
	if len(s) > 30 {
		s = s[:30]
	}
	if q := strconv.Quote(s); q != `"`+s+`"` || s == "" {
		return q
	}
	return s
}

// answerOf is the answer inside an error, as far as it is known.
func answerOf(err error) *rest.Answer {
	var status *rest.StatusError
	var content *rest.ContentError
	var b *broken
	switch {
	case errors.As(err, &b):
		return b.answer
	case errors.As(err, &content):
		return content.Answer
	case errors.As(err, &status):
		header := http.Header{}
		if len(status.Body) > 0 && status.Body[0] == '{' {
			header.Set("Content-Type", "application/json")
		}
		return &rest.Answer{Method: status.Method, URL: status.URL, Code: status.Code, Header: header, Body: []byte(status.Body)}
	}
	return nil
}

// finish reads the log of a sync that has ended and judges it.
func (r *run) finish(ctx context.Context, p process) error {
	if p.status == complete {
		return r.succeed(ctx, p)
	}
	lines, why := r.readLog(ctx, p.id, r.pace.failure, hasError)
	r.keep(p, lines)
	return r.failure(p, lines, why)
}

// succeed shows the warnings of a complete sync: Direktiv calls a sync complete
// also when it could not load a workflow, and says so only in the log.
//
// Without DIREKTIV_FAIL_ON_WARN any line will do as a sign that the log has
// arrived, and two seconds are all it is worth; they are spent, because on a
// real server the lines come seconds after the end. With it, the log decides:
// it must have been quiet for a moment, and is given as long as after a failure.
func (r *run) succeed(ctx context.Context, p process) error {
	budget, enough := r.pace.success, hasLines
	if r.config.failOnWarn() {
		budget, enough = r.pace.failure, settled(r.pace.quiet)
	}
	lines, why := r.readLog(ctx, p.id, budget, enough)
	r.keep(p, lines)
	n := 0
	for _, l := range lines {
		if l.isWarning() {
			n++
		}
	}
	r.receipt.Result = "synced"
	switch {
	case n == 1:
		r.receipt.Result += ", 1 warning"
	case n > 1:
		r.receipt.Result += fmt.Sprintf(", %d warnings", n)
	case len(lines) == 0 && r.config.failOnWarn():
		r.warn("DIREKTIV_FAIL_ON_WARN could not be checked: " + why)
	}
	if n == 0 || !r.config.failOnWarn() {
		return nil
	}
	return delivery.Permanent(&delivery.Fault{
		Summary: r.receipt.Result,
		Cause:   "Direktiv completed the sync with warnings, the first: " + firstWarning(lines),
		Remedy:  "mend the file that it names, or unset DIREKTIV_FAIL_ON_WARN to let such syncs pass",
		Request: r.receipt.Request,
	})
}

func firstWarning(lines []line) string {
	for _, l := range lines {
		if l.isWarning() {
			return l.text
		}
	}
	return ""
}

// readLog asks for the log of a sync until enough of it has arrived or the
// budget is spent. Without lines, why says what became of the log.
func (r *run) readLog(ctx context.Context, id string, budget time.Duration, enough func([]line) bool) (lines []line, why string) {
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	why = "its log had not arrived after " + budget.String()
	for pause := 2 * r.pace.first; ; pause = min(pause*2, r.pace.last/2) {
		got, err := r.api.logs(ctx, id)
		if len(got) >= len(lines) {
			lines = got // also the newest pages of a log that could not be read to its start
		}
		if err != nil && ctx.Err() == nil {
			return lines, "its log could not be read: " + err.Error()
		}
		if err == nil && enough(lines) || delivery.Wait(ctx, pause) != nil {
			return lines, why
		}
	}
}
