package httppost

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
)

// The settings that remedies name, for the two kinds of call.
var (
	trigger = rest.Names{URL: "REMORA_HTTP_URL", Token: "REMORA_HTTP_TOKEN"}
	polling = rest.Names{URL: "REMORA_HTTP_STATUS_URL", Token: "REMORA_HTTP_TOKEN"}
)

func asStatus(err error) (*rest.StatusError, bool) {
	var s *rest.StatusError
	ok := errors.As(err, &s)
	return s, ok
}

func isNotFound(err error) bool {
	s, ok := asStatus(err)
	return ok && s.Code == http.StatusNotFound
}

// passing says whether a poll that failed may succeed later.
func passing(err error) bool { return delivery.StateOf(rest.Fault(err, polling)) == delivery.Retry }

// explain makes a fault of an error, never without a remedy.
func (t *Target) explain(err error, names rest.Names) error {
	var broken *brokenError
	if errors.As(err, &broken) {
		return delivery.Permanent(&delivery.Fault{
			Summary: "broken answer", Cause: broken.Error(), Request: broken.answer.String(),
			Remedy: "check that " + names.URL + " leads to the system's API, and the log of the system",
		})
	}
	err = rest.Fault(err, names)
	var f *delivery.Fault
	if errors.As(err, &f) && f.Remedy == "" {
		f.Remedy = "look at the log of the system that " + names.URL + " leads to"
	}
	return err
}

// expressionFault is the error of an expression that did not work on a value.
func (t *Target) expressionFault(ctx context.Context, e *expression, err error, request string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return delivery.Permanent(&delivery.Fault{
		Summary: "expression failed", Cause: "the jq expression in " + e.name + ": " + t.brief(err.Error(), 300),
		Remedy: "set " + e.name + " to an expression that fits what it is given", Request: request,
	})
}

// triggerFault explains a trigger that did not work, and decides whether it may
// be made again.
func (r *run) triggerFault(ctx context.Context, err error) error {
	var conn *rest.ConnError
	sent := errors.As(err, &conn) && conn.Sent()
	if ctx.Err() != nil {
		if sent && !r.repeatable() && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return r.cut(ctx, "the call was not answered, and may or may not have arrived: "+err.Error())
		}
		return r.explain(err, trigger)
	}
	err = r.explain(err, trigger)
	if sent && delivery.StateOf(err) == delivery.Retry && !r.repeatable() {
		return delivery.Permanent(&delivery.Fault{
			Summary: "answer lost", Request: conn.Method + " " + conn.URL + " (no answer)", Err: conn,
			Cause:  "the call may or may not have arrived, so it was not made again",
			Remedy: "look in the system whether it runs, and run this job again if not; a system that may be triggered twice can be given REMORA_HTTP_METHOD=PUT, which is repeated",
		})
	}
	if status, ok := asStatus(err); ok {
		return r.statusFault(status, err)
	}
	return err
}

// statusFault adds to an explained status what only a trigger knows.
func (r *run) statusFault(s *rest.StatusError, err error) error {
	f := delivery.Explain(err)
	switch s.Code {
	case http.StatusMethodNotAllowed:
		f.Remedy = "set REMORA_HTTP_METHOD to the method that this address wants"
	case http.StatusBadRequest, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		f.Remedy = "set REMORA_HTTP_BODY, and the Content-Type in REMORA_HTTP_HEADERS, to what the system wants"
	}
	if !rest.Temporary(s.Code) || r.repeatable() || refusedUnread(s) {
		return err
	}
	f.Cause += "; it is not known whether the call was acted on, so it was not made again"
	f.Remedy = "look in the system whether it runs, and run this job again if not; a system that may be triggered twice can be given REMORA_HTTP_METHOD=PUT, which is repeated"
	return delivery.Permanent(err)
}

// repeatable says whether the call may be made again although the first may have
// arrived.
func (r *run) repeatable() bool {
	return r.insist || r.method == http.MethodGet || r.method == http.MethodPut || r.method == http.MethodDelete
}

// refusedUnread says whether the status means that the call was not acted on. A
// bare 503 also comes from proxies that lost the system midway.
func refusedUnread(s *rest.StatusError) bool {
	switch s.Code {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	case http.StatusServiceUnavailable:
		return s.After > 0
	}
	return false
}

// pollFault explains a poll that failed for good.
func (r *run) pollFault(err error, home bool) error {
	err = r.explain(err, polling)
	status, ok := asStatus(err)
	if !ok || home || status.Code != http.StatusUnauthorized && status.Code != http.StatusForbidden {
		return err
	}
	f := delivery.Explain(err)
	f.Summary = "not let in"
	f.Remedy = "set REMORA_HTTP_STATUS_URL to an address of the same scheme, host and port as REMORA_HTTP_URL: REMORA_HTTP_TOKEN and REMORA_HTTP_HEADERS are sent nowhere else"
	return err
}

// cut is the error of a run that ctx ended. After a deadline it is final: the
// system was called, and whoever tries again would call it twice.
func (r *run) cut(ctx context.Context, cause string) error {
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%s: %w", cause, ctx.Err())
	}
	remedy := "give it longer with REMORA_TIMEOUT, or look at the system itself; if it ended, set REMORA_HTTP_STATE, REMORA_HTTP_SUCCESS and REMORA_HTTP_FAILURE so that its last state is known"
	return &delivery.Fault{
		Summary: "no result after " + time.Since(r.start).Round(time.Second).String(),
		Cause:   cause, Remedy: remedy, Request: r.receipt.Request, Err: delivery.ErrNoResult,
	}
}
