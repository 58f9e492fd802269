package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/rs/zerolog"

	"gitlab.com/remora-ci/remora/agent/auth"
	"gitlab.com/remora-ci/remora/agent/store"
)

// What became of a call.
const (
	OutcomeStored    = "stored"
	OutcomeDuplicate = "duplicate" // it was stored before
	OutcomeRefused   = "refused"
	OutcomeNoPath    = "no-path"
	OutcomeNoMethod  = "no-method"
	OutcomeOversize  = "oversize"
	OutcomeMalformed = "malformed" // no JSON object
	OutcomeBroken    = "broken"    // the body ended early
	OutcomeSlow      = "slow"      // the body took too long
	OutcomeNoRoom    = "no-room"
	OutcomeNoStore   = "no-store"
	OutcomeGone      = "gone" // the caller hung up, or we shut down
)

// answer is how a call ends.
type answer struct {
	status  int
	public  string // what the caller is told; "" with an event
	outcome string
	message string // of the log line
	level   zerolog.Level
	err     error // for the log
	header  [2]string
	close   bool // the body was not read: the connection cannot be used again

	event     *store.Event
	id        int64
	duplicate bool
}

func kept(id int64, duplicate bool, e store.Event) answer {
	a := answer{status: http.StatusAccepted, outcome: OutcomeStored, message: "webhook stored", level: zerolog.DebugLevel, event: &e, id: id, duplicate: duplicate}
	if duplicate {
		a.status, a.outcome, a.message = http.StatusOK, OutcomeDuplicate, "webhook known"
	}
	if e.Reason != "" {
		a.level = zerolog.WarnLevel
	}
	return a
}

// refused is the answer to a call that [auth] turned away.
func refused(err error) answer {
	a := answer{status: http.StatusUnauthorized, public: "Not allowed.", outcome: OutcomeRefused, message: "webhook refused", level: zerolog.WarnLevel, err: err}
	var r *auth.Refusal
	if errors.As(err, &r) {
		a.public = r.Public
		if r.Code == auth.CodeAddress {
			a.status = http.StatusForbidden
		}
	}
	if a.status == http.StatusUnauthorized {
		a.header = [2]string{"WWW-Authenticate", `Webhook realm="remora"`}
	}
	return a
}

func noPath(path string) answer {
	return answer{status: http.StatusNotFound, public: "There is no hook at this path; use /hooks/gitlab.", outcome: OutcomeNoPath,
		message: "webhook refused", level: zerolog.WarnLevel, err: fmt.Errorf("no hook at path %.200q", path)}
}

func noMethod(method string) answer {
	return answer{status: http.StatusMethodNotAllowed, public: "Use POST.", outcome: OutcomeNoMethod,
		message: "webhook refused", level: zerolog.WarnLevel, err: fmt.Errorf("method %.20q", method), header: [2]string{"Allow", http.MethodPost}}
}

func oversize(limit int64) answer {
	return answer{status: http.StatusRequestEntityTooLarge, public: fmt.Sprintf("The body has more than %d bytes.", limit), outcome: OutcomeOversize,
		message: "webhook refused", level: zerolog.WarnLevel, err: fmt.Errorf("the body has more than %d bytes", limit), close: true}
}

func malformed(err error) answer {
	return answer{status: http.StatusBadRequest, public: "The body is not a JSON object.", outcome: OutcomeMalformed,
		message: "webhook refused", level: zerolog.WarnLevel, err: err}
}

func broken(err error) answer {
	return answer{status: http.StatusBadRequest, public: "The body ended early.", outcome: OutcomeBroken,
		message: "webhook refused", level: zerolog.WarnLevel, err: fmt.Errorf("read the body: %w", err), close: true}
}

func slow(err error) answer {
	return answer{status: http.StatusRequestTimeout, public: "The body took too long.", outcome: OutcomeSlow,
		message: "webhook refused", level: zerolog.WarnLevel, err: fmt.Errorf("read the body: %w", err), close: true}
}

// gone is an answer all the same: a handler that returns without one says 200,
// and when it is we who end, the caller is still there.
func gone(err error) answer {
	return answer{status: http.StatusServiceUnavailable, public: "The call was ended before its body was there.", outcome: OutcomeGone, header: [2]string{"Retry-After", comeBack}, message: "webhook refused", level: zerolog.WarnLevel, err: fmt.Errorf("before the body was there: %w", err), close: true}
}

// comeBack is a number of seconds. GitLab does not heed it; proxies and the
// healer of hooks do.
const comeBack = "10"

func noRoom(ctx context.Context, err error) answer {
	if ctx.Err() != nil {
		return gone(ctx.Err())
	}
	return answer{status: http.StatusServiceUnavailable, public: "Too much at once, come back later.", outcome: OutcomeNoRoom,
		message: "webhook refused", level: zerolog.ErrorLevel, err: err, header: [2]string{"Retry-After", comeBack}, close: true}
}

func noStore(err error) answer {
	return answer{status: http.StatusServiceUnavailable, public: "The event could not be stored, come back later.", outcome: OutcomeNoStore,
		message: "webhook not stored", level: zerolog.ErrorLevel, err: err, header: [2]string{"Retry-After", comeBack}}
}

// write sends the answer as one small JSON object.
func (a answer) write(w http.ResponseWriter, method string) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	if a.header[0] != "" {
		h.Set(a.header[0], a.header[1])
	}
	if a.close {
		h.Set("Connection", "close")
	}
	w.WriteHeader(a.status)
	if method == http.MethodHead {
		return
	}
	line := make([]byte, 0, 128)
	if a.event != nil {
		line = append(line, `{"event":`...)
		line = strconv.AppendInt(line, a.id, 10)
		line = append(line, `,"duplicate":`...)
		line = strconv.AppendBool(line, a.duplicate)
	} else {
		line = append(line, `{"error":`...)
		line = strconv.AppendQuote(line, a.public) // our own sentences: plain ASCII
	}
	_, _ = w.Write(append(line, "}\n"...)) // a caller that is gone needs no answer
}

// traceParent is the header of that name, if it has its form.
//
// https://www.w3.org/TR/trace-context/#traceparent-header
func traceParent(r *http.Request) string {
	text := r.Header.Get("Traceparent")
	if len(text) != 55 || text[2] != '-' || text[35] != '-' || text[52] != '-' {
		return ""
	}
	for _, c := range []byte(text) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') && c != '-' {
			return ""
		}
	}
	return text
}

// kindLabel keeps labels of metrics few, whatever the bodies say.
func kindLabel(kind string) string {
	switch kind {
	case "push", "tag_push", "merge_request", "note", "pipeline", "build", "deployment", "release", "issue", "work_item",
		"wiki_page", "feature_flag", "milestone", "emoji", "access_token", "deploy_token", "vulnerability", "repository_update", Unknown:
		return kind
	}
	return "other"
}
