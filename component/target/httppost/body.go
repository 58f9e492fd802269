package httppost

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
)

// call is the request that triggers the system for ev.
func (t *Target) call(ctx context.Context, ev delivery.Event) (rest.Call, error) {
	body, err := t.render(ctx, ev)
	if err != nil {
		return rest.Call{}, err
	}
	h := t.headers(true)
	if t.method != http.MethodGet && !has(h, idempotencyKey) {
		h.Set(idempotencyKey, key(t.method, t.url, ev))
	}
	call := rest.Call{Method: t.method, URL: t.url.String(), Header: unreplayable(h)}
	if body != nil {
		call.Body = body
	}
	return call, nil
}

// render makes the body. It is nil for a GET and for an expression that gives null.
func (t *Target) render(ctx context.Context, ev delivery.Event) ([]byte, error) {
	if t.method == http.MethodGet {
		return nil, nil
	}
	if t.body == nil {
		return json.Marshal(ev)
	}
	input, err := asInput(ev)
	if err != nil {
		return nil, delivery.Permanent(err)
	}
	v, ok, err := t.body.run(ctx, input)
	switch {
	case err != nil:
		return nil, t.expressionFault(ctx, t.body, err, t.method+" "+rest.Plain(t.url.String())+" (not sent)")
	case !ok:
		return nil, delivery.Skip("REMORA_HTTP_BODY gives nothing for this event")
	case v == nil:
		return nil, nil
	}
	if text, isText := v.(string); isText && !t.sendsJSON() {
		return []byte(text), nil
	}
	raw, err := encode(v)
	if err != nil {
		return nil, t.expressionFault(ctx, t.body, err, t.method+" "+rest.Plain(t.url.String())+" (not sent)")
	}
	return raw, nil
}

// sendsJSON says whether a text goes out as JSON: not if the operator gave the
// body another content type, such as a form.
func (t *Target) sendsJSON() bool {
	kind := fold(t.header.Get("Content-Type"))
	return kind == "" || strings.Contains(kind, "json")
}

const idempotencyKey = "Idempotency-Key"

// unreplayable writes the keys of idempotency in small letters. The standard
// library takes a request with such a header, in its usual spelling, for one that
// it may send again by itself when a kept-alive connection breaks.
func unreplayable(h http.Header) http.Header {
	for _, name := range []string{idempotencyKey, "X-" + idempotencyKey} {
		if v, ok := h[name]; ok {
			delete(h, name)
			h[strings.ToLower(name)] = v
		}
	}
	return h
}

func has(h http.Header, name string) bool { return h.Get(name) != "" }

// key is the same for the same event and target. What an event gains later, such
// as a title, does not change it; a job that is run again does.
func key(method string, u *url.URL, ev delivery.Event) string {
	facts := []any{
		method, rest.Plain(u.String()), ev.Instance, ev.Project.ID, ev.FullRef(), ev.SHA, ev.Before, ev.Deleted,
		ev.Cause, ev.At.UTC().Format(time.RFC3339Nano),
	}
	if ev.Pipeline != nil {
		facts = append(facts, ev.Pipeline.ID)
	}
	if ev.Job != nil {
		facts = append(facts, ev.Job.ID)
	}
	text, _ := json.Marshal(facts) // texts and numbers only: there is no error
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

const maxPlan = 4 << 10 // characters of a body that a plan shows

// Plan says what Apply would send. It sends nothing; header values and query
// values are left out.
func (t *Target) Plan(ev delivery.Event) ([]string, error) {
	body, err := t.render(context.Background(), ev)
	if reason, ok := delivery.SkipReason(err); ok {
		return []string{"nothing: " + reason}, nil
	}
	if err != nil {
		return nil, err
	}
	address := rest.Plain(t.url.String())
	if names := sorted(t.url.Query()); len(names) > 0 {
		address += "?" + strings.Join(names, "=…&") + "=…"
	}
	lines := []string{t.method + " " + address}
	if names := sorted(t.headers(true)); len(names) > 0 {
		lines = append(lines, "headers: "+strings.Join(names, ", "))
	}
	if body != nil {
		lines = append(lines, "body: "+t.brief(string(body), maxPlan))
	}
	switch {
	case t.status != nil && t.noWait:
		lines = append(lines, "then: nothing, the result is not awaited")
	case t.status != nil:
		lines = append(lines, "then: poll the address that REMORA_HTTP_STATUS_URL gives")
	}
	return lines, nil
}

func sorted(m map[string][]string) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
