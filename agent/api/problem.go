package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component/trigger"
)

const (
	problemType = "application/problem+json"
	comeBack    = "5" // seconds, with 429 and 503

	// statusGone is for the log and the metrics: the caller hung up.
	statusGone = 499

	maxFaults    = 5   // of a request that are told
	maxFaultText = 200 // bytes of each
)

// problem is a refusal or a fault on its way out: https://www.rfc-editor.org/rfc/rfc9457.
type problem struct {
	status        int
	title, detail string
	remedy        string
	reason        string // for the log
	header        http.Header
	gone          bool
}

func (p *problem) Error() string { return p.title + ": " + p.detail }

// GetStatus is for huma.
func (p *problem) GetStatus() int { return p.status }

// GetHeaders is for huma.
func (p *problem) GetHeaders() http.Header { return p.header }

// ContentType is for huma.
func (p *problem) ContentType(string) string { return problemType }

// MarshalJSON writes what the caller may read.
func (p *problem) MarshalJSON() ([]byte, error) {
	return json.Marshal(trigger.Problem{Title: p.title, Status: p.status, Detail: p.detail, Remedy: p.remedy})
}

// problemOf is what a caller is told of an error. What is not a refusal stays here.
func problemOf(ctx context.Context, err error) *problem {
	var p *problem
	var r *Refused
	switch {
	case errors.As(err, &p):
	case errors.As(err, &r) && r.Status >= http.StatusBadRequest:
		p = &problem{status: r.Status, title: r.Title, detail: r.Detail, remedy: r.Remedy, reason: r.Log}
		if p.reason == "" {
			p.reason = r.Error()
		}
	case ctx.Err() != nil:
		p = &problem{status: statusGone, title: "gone", reason: "the caller hung up", gone: true}
	case errors.Is(err, store.ErrNotFound):
		p = &problem{status: http.StatusNotFound, title: "not found", detail: "There is nothing with this id.", reason: err.Error()}
	default:
		p = &problem{status: http.StatusServiceUnavailable, title: "not now", detail: "The agent cannot do this now; try again later.", reason: err.Error()}
	}
	if p.header == nil {
		p.header = http.Header{}
	}
	if p.status == http.StatusServiceUnavailable || p.status == http.StatusTooManyRequests {
		p.header.Set("Retry-After", comeBack)
	}
	return p
}

// fail is err as a handler returns it; the log has it in full.
func fail(ctx context.Context, err error) error {
	p, c := problemOf(ctx, err), callOf(ctx)
	c.reason, c.quiet = p.reason, p.gone
	return p
}

// refuse answers with a problem.
func (c *call) refuse(w http.ResponseWriter, err error) {
	p := problemOf(context.Background(), err)
	c.reason, c.quiet = p.reason, p.gone
	h := w.Header()
	for name, values := range p.header {
		h[name] = values
	}
	h.Set("Content-Type", problemType)
	w.WriteHeader(p.status)
	_ = json.NewEncoder(w).Encode(p) // a caller that is gone needs no answer
}

// panicked ends a call whose handler broke down: the others go on.
func (c *call) panicked(a *answer, broken any) {
	reason := fmt.Sprintf("handler stopped unexpectedly: %v\n%s", broken, debug.Stack())
	if a.status == 0 {
		c.refuse(a, &problem{status: http.StatusInternalServerError, title: "unexpected", detail: "The agent could not do this; its log says why.", reason: reason})
		return
	}
	c.reason, a.status = reason, http.StatusInternalServerError // for the log: the caller has another
}

func noPath(path string) error {
	return &problem{status: http.StatusNotFound, title: "not found", detail: "There is nothing at this path; see " + Prefix + "openapi.yaml.", reason: fmt.Sprintf("no operation at path %.200q", path)}
}

func noMethod(method, path, allow string) error {
	return &problem{status: http.StatusMethodNotAllowed, title: "wrong method", detail: "Use " + allow + ".", reason: fmt.Sprintf("method %.20q at path %.200q", method, path)}
}

// shape makes problems of ours of what huma says about requests that are not
// valid: without the values, which may be anything.
func (s *server) shape(ctx huma.Context, _ string, v any) (any, error) {
	m, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	c := callOf(ctx.Context())
	p := &problem{status: m.Status, title: "not valid"}
	faults := make([]string, 0, maxFaults)
	for _, e := range m.Errors {
		if len(faults) == maxFaults {
			faults = append(faults, "and more")
			break
		}
		text := e.Message
		if e.Location != "" {
			text = e.Location + ": " + text
		}
		faults = append(faults, strings.ToValidUTF8(text[:min(len(text), maxFaultText)], ""))
	}
	switch c.reason = m.Detail + ": " + strings.Join(faults, "; "); {
	case m.Status >= http.StatusInternalServerError:
		p.title, p.detail = "unexpected", "The agent could not do this; its log says why."
	case len(faults) > 0:
		p.detail = strings.Join(faults, "; ")
	default:
		p.detail = m.Detail
	}
	return p, nil
}
