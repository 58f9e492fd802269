package httppost_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/target/httppost"
)

func TestTheTriggerIsSentAsConfigured(t *testing.T) {
	t.Parallel()
	s := newSystem(t, []string{"success"}, nil)
	c := polled(s.URL)
	c.Body = `{ref, id: .project.id, sha: .sha[:8], env: (env | length), home: $ENV.HOME}`
	receipt, err := target(t, c).Apply(t.Context(), event())
	if err != nil {
		t.Fatal(err)
	}
	got := s.all()[0]
	if got.Method != http.MethodPost || got.Path != "/trigger" {
		t.Errorf("request = %s %s, want POST /trigger", got.Method, got.Path)
	}
	for name, want := range map[string]string{"Authorization": "Bearer " + token, "X-Api-Key": apiKey, "Content-Type": "application/json"} {
		if got.Header.Get(name) != want {
			t.Errorf("%s = %q, want %q", name, got.Header.Get(name), want)
		}
	}
	if want := `{"env":0,"home":null,"id":1152921504606846977,"ref":"main","sha":"c0ffee12"}`; got.Body != want {
		t.Errorf("body = %s, want %s", got.Body, want)
	}
	want := delivery.Receipt{
		ID: "1", URL: s.URL + "/ui/runs/1", Result: "success",
		Request: "POST " + s.URL + "/trigger (202), GET " + s.URL + "/runs/1 (200)",
	}
	if diff := cmp.Diff(want, receipt); diff != "" {
		t.Errorf("receipt (-want +got):\n%s", diff)
	}
}

func TestWithoutAnExpressionTheBodyIsTheEvent(t *testing.T) {
	t.Parallel()
	s := newSystem(t, nil, nil)
	if _, err := target(t, httppost.Config{URL: s.URL + "/trigger"}).Apply(t.Context(), event()); err != nil {
		t.Fatal(err)
	}
	body := decoded(t, s.all()[0].Body)
	if body["ref"] != "main" || body["cause"] != "ci" || body["sha"] != event().SHA {
		t.Errorf("body = %v, want the event", body)
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config httppost.Config
		want   string
	}{
		"a text is JSON":                     {httppost.Config{Body: `"a" + .ref`}, `"amain"`},
		"a text of another type goes as is":  {httppost.Config{Body: `"ref=\(.ref|@uri)"`, Headers: "Content-Type: application/x-www-form-urlencoded"}, `ref=main`},
		"a text of a JSON type is JSON":      {httppost.Config{Body: `.ref`, Headers: "Content-Type: application/vnd.x+json"}, `"main"`},
		"null is no body":                    {httppost.Config{Body: `null`}, ``},
		"a PUT has a body":                   {httppost.Config{Body: `[1]`, Method: "put"}, `[1]`},
		"a GET has none":                     {httppost.Config{Method: "GET"}, ``},
		"the time is known":                  {httppost.Config{Body: `now > 0`}, `true`},
		"a number keeps all of its digits":   {httppost.Config{Body: `.project.id`}, `1152921504606846977`},
		"a missing field is null, not a bug": {httppost.Config{Body: `{mr: .merge_request.iid}`}, `{"mr":null}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t, nil, nil)
			c.config.URL = s.URL + "/trigger"
			if _, err := target(t, c.config).Apply(t.Context(), event()); err != nil {
				t.Fatal(err)
			}
			if got := s.all()[0].Body; got != c.want {
				t.Errorf("body = %q, want %q", got, c.want)
			}
		})
	}
}

func TestABodyExpressionThatFailsSendsNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ body, want string }{
		"a wrong type":         {`.ref.name`, "expected an object"},
		"an error of its own":  {`error("no such thing")`, "no such thing"},
		"two values":           {`.ref, .sha`, "more than one value"},
		"too much":             {`"x" * 2000000`, "more than 1 MiB"},
		"a halt":               {`halt`, "halt"},
		"a loop without end":   {`def f: f; f`, "took longer than 2s"},
		"its value is guarded": {`error("` + token + `")`, "[secret]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t, nil, nil)
			_, err := target(t, httppost.Config{URL: s.URL, Token: token, Body: c.body}).Apply(t.Context(), event())
			f := fault(t, err)
			if delivery.StateOf(err) != delivery.Failed || !strings.Contains(f.Cause, c.want) || !strings.Contains(f.Remedy, "REMORA_HTTP_BODY") {
				t.Errorf("error = %+v, want a permanent one with %q and REMORA_HTTP_BODY", f, c.want)
			}
			if n := len(s.all()); n != 0 {
				t.Errorf("%d requests were made, want none", n)
			}
		})
	}
}

func TestWhatIsSentAgain(t *testing.T) {
	t.Parallel()
	busy := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	for name, c := range map[string]struct {
		method  string
		answer  http.HandlerFunc
		state   delivery.State
		summary string
	}{
		"a POST after 429 is sent again":               {"POST", answer(429, "", ""), delivery.Retry, "rate limited"},
		"a POST after 503 with Retry-After":            {"POST", busy, delivery.Retry, "status 503"},
		"a POST after a bare 503 is not":               {"POST", answer(503, "", ""), delivery.Failed, "status 503"},
		"a POST after 500 is not":                      {"POST", answer(500, "", ""), delivery.Failed, "status 500"},
		"a POST after 502 is not":                      {"POST", answer(502, "", ""), delivery.Failed, "status 502"},
		"a PATCH after 504 is not":                     {"PATCH", answer(504, "", ""), delivery.Failed, "status 504"},
		"a POST whose answer was lost is not":          {"POST", drop, delivery.Failed, "answer lost"},
		"a PUT after 502 is sent again":                {"PUT", answer(502, "", ""), delivery.Retry, "status 502"},
		"a PUT whose answer was lost is sent again":    {"PUT", drop, delivery.Retry, "no connection"},
		"a DELETE after a bare 503 is sent again":      {"DELETE", answer(503, "", ""), delivery.Retry, "status 503"},
		"a refused token is not tried again":           {"PUT", answer(401, "", ""), delivery.Failed, "token refused"},
		"a body that is not wanted is not tried again": {"PUT", answer(422, "", ""), delivery.Failed, "status 422"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t, nil, map[string]http.HandlerFunc{"/trigger": c.answer})
			_, err := target(t, httppost.Config{URL: s.URL + "/trigger", Method: c.method}).Apply(t.Context(), event())
			f := fault(t, err)
			if got := delivery.StateOf(err); got != c.state || f.Summary != c.summary || f.Remedy == "" {
				t.Errorf("state = %s, fault = %+v; want %s, %q and a remedy", got, f, c.state, c.summary)
			}
			if n := s.count("/trigger"); n != 1 {
				t.Errorf("%d calls, want 1", n)
			}
		})
	}
}

func TestWhoDeliversAtLeastOnceTriesAgain(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]http.HandlerFunc{"502": answer(502, "", ""), "a bare 503": answer(503, "", ""), "a lost answer": drop} {
		s := newSystem(t, nil, map[string]http.HandlerFunc{"/trigger": h})
		_, err := target(t, httppost.Config{URL: s.URL + "/trigger", Insist: true}).Apply(t.Context(), event())
		if got := delivery.StateOf(err); got != delivery.Retry || s.count("/trigger") != 1 {
			t.Errorf("after %s: %s (%v) and %d calls, want retry and 1", name, got, err, s.count("/trigger"))
		}
	}
}

func TestTheWaitThatA503AsksForIsKnownToWhoeverTriesAgain(t *testing.T) {
	t.Parallel()
	s := newSystem(t, nil, map[string]http.HandlerFunc{"/trigger": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusServiceUnavailable)
	}})
	_, err := target(t, httppost.Config{URL: s.URL + "/trigger"}).Apply(t.Context(), event())
	var asked interface{ RetryAfter() time.Duration }
	if !errors.As(err, &asked) || asked.RetryAfter() != 7*time.Second {
		t.Errorf("error = %v, want it to ask for 7s", err)
	}
}

func TestNoConnectionIsTriedAgain(t *testing.T) {
	t.Parallel()
	// A port that nobody gets: that of a closed server may be another test's next.
	_, err := target(t, httppost.Config{URL: "http://127.0.0.1:1/trigger"}).Apply(t.Context(), event())
	if f := fault(t, err); delivery.StateOf(err) != delivery.Retry || !strings.Contains(f.Remedy, "REMORA_HTTP_URL") {
		t.Errorf("state = %s, fault = %+v; want retry and REMORA_HTTP_URL", delivery.StateOf(err), f)
	}
}

// A kept-alive connection that breaks must not make the standard library repeat
// the POST because it carries an idempotency key.
func TestAPostOnAConnectionThatBreaksIsSentOnce(t *testing.T) {
	t.Parallel()
	for name, headers := range map[string]delivery.Secret{"our key": "", "a key of the operator": "Idempotency-Key: abc\nx-idempotency-key: def"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			calls := 0 // guarded by the system's lock
			s := newSystem(t, nil, map[string]http.HandlerFunc{"/trigger": func(w http.ResponseWriter, r *http.Request) {
				if calls++; calls > 1 {
					drop(w, r)
				}
				w.WriteHeader(http.StatusNoContent)
			}})
			to := target(t, httppost.Config{URL: s.URL + "/trigger", Headers: headers})
			if _, err := to.Apply(t.Context(), event()); err != nil {
				t.Fatal(err)
			}
			_, err := to.Apply(t.Context(), event())
			if f := fault(t, err); f.Summary != "answer lost" || delivery.StateOf(err) != delivery.Failed {
				t.Errorf("error = %v, want a permanent lost answer", err)
			}
			if n := s.count("/trigger"); n != 2 {
				t.Errorf("%d calls, want 2: one that worked and one that was lost", n)
			}
		})
	}
}

func TestTheIdempotencyKeyIsTheEvents(t *testing.T) {
	t.Parallel()
	s := newSystem(t, nil, nil)
	to := target(t, httppost.Config{URL: s.URL + "/trigger"})
	again, enriched, other := event(), event(), event()
	enriched.MergeRequest = &delivery.MergeRequest{IID: 7}
	other.Job = &delivery.Job{ID: 5}
	for _, ev := range []delivery.Event{event(), again, enriched, other} {
		if _, err := to.Apply(t.Context(), ev); err != nil {
			t.Fatal(err)
		}
	}
	keys := make([]string, 0, 4)
	for _, r := range s.all() {
		keys = append(keys, r.Header.Get("Idempotency-Key"))
	}
	if keys[0] == "" || keys[1] != keys[0] || keys[2] != keys[0] || keys[3] == keys[0] {
		t.Errorf("keys = %q, want the first three equal and the job that runs again different", keys)
	}
}

func TestACanceledCallIsNeitherDoneNorFailed(t *testing.T) {
	t.Parallel()
	s := newSystem(t, []string{"running"}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	s.Config.Handler = func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r)
			if r.URL.Path == "/runs/1" {
				cancel()
			}
		})
	}(s.Config.Handler)
	o := delivery.Deliver(ctx, event(), target(t, polled(s.URL)), 1)
	if o.State != delivery.Retry || !o.Canceled() {
		t.Errorf("outcome = %+v, want canceled", o)
	}
}
