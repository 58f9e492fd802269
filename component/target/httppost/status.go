package httppost

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
)

// statusURL is the address to poll; nil if there is none.
func (r *run) statusURL(ctx context.Context, ev delivery.Event, answer, location any) (*url.URL, error) {
	if r.status == nil {
		return nil, nil
	}
	event, err := asInput(ev)
	if err != nil {
		return nil, delivery.Permanent(err)
	}
	v, ok, err := r.status.run(ctx, map[string]any{"event": event, "answer": answer, "location": location})
	switch {
	case err != nil:
		return nil, r.expressionFault(ctx, r.status, err, r.receipt.Request)
	case !ok:
		return nil, nil
	}
	text, isText := v.(string)
	if !isText {
		return nil, r.noStatusURL("gives no address but "+kindOf(v), answer)
	}
	u, err := resolve(r.url, text)
	if err != nil {
		return nil, r.noStatusURL("gives "+err.Error(), answer)
	}
	if shown := rest.Plain(u.String()); r.scrub.Text(shown) != shown {
		return nil, r.noStatusURL("gives an address whose path holds one of our secrets", nil)
	}
	return u, nil
}

func (r *run) noStatusURL(cause string, answer any) error {
	cause = "the call was accepted, but REMORA_HTTP_STATUS_URL " + cause
	if said := r.detail(answer); said != "" {
		cause += "; the answer says: " + said
	}
	return delivery.Permanent(&delivery.Fault{
		Summary: "no status address", Cause: cause, Request: r.receipt.Request,
		Remedy: "set REMORA_HTTP_STATUS_URL to a jq expression that finds the address in the answer, or to one that gives nothing (empty) if there is nothing to wait for",
	})
}

func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "true or false"
	case map[string]any:
		return "an object"
	case []any:
		return "an array"
	}
	return "a number"
}

// await polls u until the state is final; asked is the wait that the trigger's
// answer asked for.
func (r *run) await(ctx context.Context, u *url.URL, asked time.Duration) error {
	home := sameOrigin(u, r.url)
	h := r.headers(home)
	h.Del("Content-Type")
	call := rest.Call{Method: http.MethodGet, URL: u.String(), Header: h}
	trail, triggered := r.receipt.Request, time.Now()
	last := "never had a state"
	for pause := r.pace.first; ; pause = min(pause*3/2, r.pace.last) {
		if delivery.Wait(ctx, max(pause, asked)) != nil {
			return r.cut(ctx, "the run that was started "+last)
		}
		asked = 0
		a, err := r.send(ctx, call)
		if err != nil {
			if ctx.Err() != nil {
				continue
			}
			if !passing(err) && !(isNotFound(err) && time.Since(triggered) < r.pace.grace) {
				return r.pollFault(err, home)
			}
			last = "could not be asked: " + err.Error()
			if status, ok := asStatus(err); ok {
				asked = status.After
			}
			continue
		}
		r.receipt.Request = trail + ", " + a.String()
		state, done, err := r.read(ctx, a)
		if done || err != nil {
			return err
		}
		last = stillIn(state)
		asked = rest.RetryAfter(a.Header, time.Now())
	}
}

func stillIn(state string) string {
	if state == "" {
		return "never had a state"
	}
	return "was still " + strconv.Quote(state)
}

// read judges one polled answer; done says that the run ended well.
func (r *run) read(ctx context.Context, a *rest.Answer) (state string, done bool, err error) {
	answer, err := valueOf(a)
	if err != nil {
		return "", false, r.explain(err, polling)
	}
	state, err = r.stateOf(ctx, a, answer)
	if err != nil {
		return "", false, err
	}
	r.fill(&r.receipt, answer)
	switch r.states.of(state) {
	case bad:
		return state, false, r.failed(a, state, answer)
	case good:
		r.receipt.Result = r.brief(state, 60)
		return state, true, nil
	}
	return r.brief(state, 60), false, nil
}

// stateOf is the state in an answer, empty if there is none yet.
func (t *Target) stateOf(ctx context.Context, a *rest.Answer, answer any) (string, error) {
	if t.state == nil {
		return t.states.plainState(answer), nil
	}
	v, _, err := t.state.run(ctx, answer)
	if err != nil {
		return "", t.expressionFault(ctx, t.state, err, a.String())
	}
	switch s := v.(type) {
	case nil:
		return "", nil
	case string:
		return s, nil
	case bool:
		return strconv.FormatBool(s), nil
	case map[string]any, []any:
		return "", t.expressionFault(ctx, t.state, errors.New("gives "+kindOf(v)+", not a text"), a.String())
	}
	raw, err := encode(v)
	if err != nil {
		return "", t.expressionFault(ctx, t.state, err, a.String())
	}
	return string(raw), nil
}

// failed is the error of a run that ended badly.
func (r *run) failed(a *rest.Answer, state string, answer any) error {
	state = r.brief(state, 60)
	f := &delivery.Fault{
		Summary: r.brief(state, 40), Request: a.String(),
		Cause:  fmt.Sprintf("the system says that the run ended in state %q", state),
		Remedy: "look at the run in the system itself; if this state is no failure, set REMORA_HTTP_SUCCESS and REMORA_HTTP_FAILURE",
	}
	if said := r.detail(answer); said != "" {
		f.Cause += ": " + said
	}
	if r.receipt.URL != "" {
		f.Remedy = "look at " + r.receipt.URL + "; if this state is no failure, set REMORA_HTTP_SUCCESS and REMORA_HTTP_FAILURE"
	}
	return delivery.Permanent(f)
}
