package httppost_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/target/httppost"
)

func TestHowARunEnds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		states []string
		config httppost.Config
		state  delivery.State
		want   string // result or summary
	}{
		"success after some waiting":           {[]string{"queued", "running", "SUCCESS"}, httppost.Config{}, delivery.Done, "SUCCESS"},
		"failure":                              {[]string{"running", "Failed"}, httppost.Config{}, delivery.Failed, "Failed"},
		"a state of the operator's own":        {[]string{"cooking", "Ready"}, httppost.Config{Success: "ready, served"}, delivery.Done, "Ready"},
		"a failure of the operator's own":      {[]string{"burnt"}, httppost.Config{Failure: "burnt"}, delivery.Failed, "burnt"},
		"own failures replace the default":     {[]string{"failed", "success"}, httppost.Config{Failure: "burnt"}, delivery.Done, "success"},
		"a default failure can be a success":   {[]string{"canceled"}, httppost.Config{Success: "canceled"}, delivery.Done, "canceled"},
		"a default success can be a failure":   {[]string{"completed"}, httppost.Config{Failure: "completed"}, delivery.Failed, "completed"},
		"an expression reads the state":        {[]string{"x:1", "x:2"}, httppost.Config{State: `.status | split(":")[1]`, Success: "2"}, delivery.Done, "2"},
		"an expression may give true or false": {[]string{"no", "yes"}, httppost.Config{State: `.status == "yes"`, Success: "true"}, delivery.Done, "true"},
		"an expression may give a number":      {[]string{"no"}, httppost.Config{State: `.id`, Success: "1"}, delivery.Done, "1"},
		"a state expression that fails":        {[]string{"no"}, httppost.Config{State: `.status.phase`}, delivery.Failed, "expression failed"},
		"a state that is an object":            {[]string{"no"}, httppost.Config{State: `.`}, delivery.Failed, "expression failed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t, c.states, nil)
			c.config.URL, c.config.StatusURL = s.URL+"/trigger", ".location"
			o := delivery.Deliver(t.Context(), event(), target(t, c.config), 1)
			if o.State != c.state || o.Summary() != c.want {
				t.Errorf("state = %s, summary = %q (%v); want %s, %q", o.State, o.Summary(), o.Err, c.state, c.want)
			}
			if o.Err != nil && delivery.Explain(o.Err).Remedy == "" {
				t.Errorf("no remedy in %v", o.Err)
			}
		})
	}
}

func TestAFailureTellsWhatTheSystemSays(t *testing.T) {
	t.Parallel()
	s := newSystem(t, []string{"failed"}, nil)
	_, err := target(t, polled(s.URL)).Apply(t.Context(), event())
	f := fault(t, err)
	if !strings.Contains(f.Cause, "said by the system") || !strings.Contains(f.Remedy, s.URL+"/ui/runs/1") || !strings.Contains(f.Request, "GET "+s.URL+"/runs/1 (200)") {
		t.Errorf("fault = %+v, want the system's message, its page and the request", f)
	}
}

func TestAStateThatNobodyKnowsIsWaitedOnUntilTheDeadline(t *testing.T) {
	t.Parallel()
	s := newSystem(t, []string{"running", "pondering"}, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	o := delivery.Sync(ctx, event(), []delivery.Target{target(t, polled(s.URL))}, nil)[0]
	f := fault(t, o.Err)
	if !o.Overdue() || !strings.HasPrefix(f.Summary, "no result after") || !strings.Contains(f.Cause, `"pondering"`) || !strings.Contains(f.Remedy, "REMORA_HTTP_SUCCESS") {
		t.Errorf("outcome = %+v, want no result, the last state and a remedy", o)
	}
	if n := s.count("/trigger"); n != 1 {
		t.Errorf("%d triggers, want 1", n)
	}
}

func TestADeadlineWithinAnExpressionAfterTheTriggerIsFinal(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]httppost.Config{
		"the status address": {StatusURL: "def f: f; f"},
		"the polled state":   {StatusURL: ".location", State: "def f: f; f"},
		"the answer's state": {State: "def f: f; f"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t, []string{"running"}, nil)
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			c.URL = s.URL + "/trigger"
			o := delivery.Deliver(ctx, event(), target(t, c), 1)
			if o.State != delivery.Failed || !o.Overdue() {
				t.Errorf("outcome = %+v, want no result, for it must not be triggered again", o)
			}
		})
	}
}

func TestADeadlineWhileThePostIsUnansweredIsFinal(t *testing.T) {
	t.Parallel()
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	for name, c := range map[string]struct {
		method string
		state  delivery.State
	}{
		"a POST may have arrived": {http.MethodPost, delivery.Failed},
		"a PUT may be made again": {http.MethodPut, delivery.Retry},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t, nil, map[string]http.HandlerFunc{"/trigger": hang})
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			o := delivery.Deliver(ctx, event(), target(t, httppost.Config{URL: s.URL + "/trigger", Method: c.method}), 1)
			if o.State != c.state {
				t.Errorf("state = %s (%v), want %s", o.State, o.Err, c.state)
			}
		})
	}
}

// polls answers the status address with each of answers in turn, the last for ever.
func polls(answers ...http.HandlerFunc) map[string]http.HandlerFunc {
	n := -1 // guarded by the system's lock
	return map[string]http.HandlerFunc{"/runs/1": func(w http.ResponseWriter, r *http.Request) {
		n = min(n+1, len(answers)-1)
		answers[n](w, r)
	}}
}

func TestWhatPollingBears(t *testing.T) {
	t.Parallel()
	ok := answer(200, "application/json", `{"status":"success"}`)
	for name, c := range map[string]struct {
		answers map[string]http.HandlerFunc
		grace   time.Duration
		state   delivery.State
		want    string
	}{
		"a server error passes":            {polls(answer(502, "", ""), answer(500, "", ""), ok), 0, delivery.Done, "success"},
		"a lost connection passes":         {polls(drop, drop, ok), 0, delivery.Done, "success"},
		"202 without a body is not yet":    {polls(answer(202, "", ""), ok), 0, delivery.Done, "success"},
		"no state yet":                     {polls(answer(200, "application/json", `{"status":null}`), ok), 0, delivery.Done, "success"},
		"404 just after the trigger":       {polls(answer(404, "", ""), ok), time.Minute, delivery.Done, "success"},
		"404 later is the end":             {polls(answer(404, "", ""), ok), 0, delivery.Failed, "not found"},
		"a state as bare text":             {polls(answer(200, "text/plain", "running\n"), answer(200, "text/plain", "Success\n")), 0, delivery.Done, "Success"},
		"bare text that is called HTML":    {polls(answer(200, "text/html", "ok")), 0, delivery.Done, "ok"},
		"JSON that is called text":         {polls(answer(200, "text/plain", `{"status":"failed"}`)), 0, delivery.Failed, "failed"},
		"a page is the end":                {polls(answer(200, "text/html; charset=utf-8", "\n<!DOCTYPE html><title>ok</title>")), 0, delivery.Failed, "not an API"},
		"broken JSON is the end":           {polls(answer(200, "application/json", `{"status":"suc`)), 0, delivery.Failed, "broken answer"},
		"two JSON values are broken":       {polls(answer(200, "application/json", `{"status":"success"} {}`)), 0, delivery.Failed, "broken answer"},
		"a refused token is the end":       {polls(answer(403, "", "")), 0, delivery.Failed, "not allowed"},
		"completed is not yet a success":   {polls(answer(200, "application/json", `{"status":"completed","conclusion":"failure"}`)), 0, delivery.Failed, "failure"},
		"nor with a result of its own":     {polls(answer(200, "application/json", `{"status":"completed","result":"failed"}`)), 0, delivery.Failed, "failed"},
		"a result of another kind":         {polls(answer(200, "application/json", `{"status":"done","result":"42 files"}`)), 0, delivery.Done, "done"},
		"a state that is no text is none":  {polls(answer(200, "application/json", `{"status":{"phase":1}}`), ok), 0, delivery.Done, "success"},
		"an array by default has no state": {polls(answer(200, "application/json", `["success"]`), ok), 0, delivery.Done, "success"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t, []string{"x"}, c.answers)
			o := delivery.Deliver(t.Context(), event(), httppost.Hurry(target(t, polled(s.URL)), c.grace), 1)
			if o.State != c.state || o.Summary() != c.want {
				t.Errorf("state = %s, summary = %q (%v); want %s, %q", o.State, o.Summary(), o.Err, c.state, c.want)
			}
			if n := s.count("/trigger"); n != 1 {
				t.Errorf("%d triggers, want 1", n)
			}
		})
	}
}

func TestRetryAfterIsObeyed(t *testing.T) {
	t.Parallel()
	later := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "60")
			send(w, code, body)
		}
	}
	for name, c := range map[string]struct {
		answers map[string]http.HandlerFunc
		polls   int
	}{
		"of the trigger":          {map[string]http.HandlerFunc{"/trigger": later(202, `{"status_url":"/runs/1"}`)}, 0},
		"of a poll":               {polls(later(200, `{"status":"running"}`)), 1},
		"of a poll that was busy": {polls(later(503, `{}`)), 1},
		"a date": {polls(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
			send(w, 200, `{"status":"running"}`)
		}), 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t, []string{"success"}, c.answers)
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			o := delivery.Deliver(ctx, event(), target(t, polled(s.URL)), 1)
			if n := s.count("/runs/1"); n != c.polls || !o.Overdue() {
				t.Errorf("%d polls, outcome %+v; want %d and no result", n, o, c.polls)
			}
		})
	}
}

func TestAStatusAddressThatHoldsASecretIsNotUsed(t *testing.T) {
	t.Parallel()
	s := newSystem(t, nil, map[string]http.HandlerFunc{"/trigger": func(w http.ResponseWriter, r *http.Request) {
		send(w, 200, fmt.Sprintf(`{"status_url":"/runs/%s"}`, r.Header.Get("X-Api-Key")))
	}})
	_, err := target(t, polled(s.URL)).Apply(t.Context(), event())
	if f := fault(t, err); f.Summary != "no status address" || strings.Contains(err.Error()+f.Request, apiKey) || len(s.all()) != 1 {
		t.Errorf("fault = %+v after %d requests, want no poll and no secret", f, len(s.all()))
	}
}

func TestSecretsStayAtHome(t *testing.T) {
	t.Parallel()
	var got http.Header
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(elsewhere.Close)
	s := newSystem(t, nil, map[string]http.HandlerFunc{"/trigger": func(w http.ResponseWriter, _ *http.Request) {
		send(w, http.StatusOK, fmt.Sprintf(`{"status_url":%q,"web_url":"https://elsewhere.example.com/1"}`, elsewhere.URL+"/1?sig=x"))
	}})
	receipt, err := target(t, polled(s.URL)).Apply(t.Context(), event())
	f := fault(t, err)
	if f.Summary != "not let in" || !strings.Contains(f.Remedy, "REMORA_HTTP_STATUS_URL") {
		t.Errorf("fault = %+v, want it to say why no token was sent", f)
	}
	if strings.Contains(err.Error(), "sig=x") || strings.Contains(f.Request, "sig=x") {
		t.Errorf("fault = %+v, want no query in it", f)
	}
	for _, name := range []string{"Authorization", "X-Api-Key", "Idempotency-Key"} {
		if got.Get(name) != "" {
			t.Errorf("%s was sent to another host", name)
		}
	}
	if receipt.URL != "" {
		t.Errorf("URL = %q, want none: it leads to another host", receipt.URL)
	}
}

func TestPollsAtHomeCarryTheSecretsAndNoBody(t *testing.T) {
	t.Parallel()
	s := newSystem(t, []string{"success"}, nil)
	c := polled(s.URL)
	c.Headers += "\nContent-Type: application/json"
	if _, err := target(t, c).Apply(t.Context(), event()); err != nil {
		t.Fatal(err)
	}
	poll := s.all()[1]
	if poll.Header.Get("Authorization") != "Bearer "+token || poll.Header.Get("X-Api-Key") != apiKey {
		t.Errorf("headers = %v, want the secrets", poll.Header)
	}
	if poll.Method != http.MethodGet || poll.Body != "" || poll.Header.Get("Content-Type") != "" || poll.Header.Get("Idempotency-Key") != "" {
		t.Errorf("poll = %+v, want a bare GET", poll)
	}
}

func TestTheStatusAddress(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		expression string
		want       string // summary of the outcome
	}{
		"from the event and the answer": {`"/runs/\(.answer.id)?ref=\(.event.ref)"`, "success"},
		"from Location, as a whole":     {`.location | select(startswith("http"))`, "success"},
		"null is an error":              {`.answer.nothing`, "no status address"},
		"empty text is an error":        {`""`, "no status address"},
		"another scheme is an error":    {`"ftp://example.com/"`, "no status address"},
		"no value: nothing to wait for": {`empty`, "accepted, status 202"},
		"an error":                      {`.answer.id.x`, "expression failed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t, []string{"success"}, nil)
			o := delivery.Deliver(t.Context(), event(), target(t, httppost.Config{URL: s.URL + "/trigger", StatusURL: c.expression}), 1)
			if o.Summary() != c.want {
				t.Errorf("summary = %q (%v), want %q", o.Summary(), o.Err, c.want)
			}
			if o.Err != nil && !strings.Contains(delivery.Explain(o.Err).Remedy, "REMORA_HTTP_STATUS_URL") {
				t.Errorf("fault = %+v, want REMORA_HTTP_STATUS_URL in its remedy", delivery.Explain(o.Err))
			}
		})
	}
}

func TestWithoutAStatusAddressTheAnswerIsTheResult(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		state  string // expression
		want   string
		result delivery.State
	}{
		"nothing in it":             {answer(204, "", ""), "", "accepted, status 204", delivery.Done},
		"a state that is not final": {answer(201, "application/json", `{"status":"queued"}`), "", "accepted, status 201", delivery.Done},
		"a good state":              {answer(200, "application/json", `{"status":"success"}`), "", "success", delivery.Done},
		"a bad state with 200":      {answer(200, "application/json", `{"state":"error","message":"no"}`), "", "error", delivery.Failed},
		"a state by expression":     {answer(200, "application/json", `{"r":{"s":"failed"}}`), ".r.s", "failed", delivery.Failed},
		"text":                      {answer(200, "text/plain", "Workflow was started"), "", "accepted, status 200", delivery.Done},
		"a page":                    {answer(200, "text/html", "<html>sign in</html>"), "", "not an API", delivery.Failed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t, nil, map[string]http.HandlerFunc{"/trigger": c.answer})
			o := delivery.Deliver(t.Context(), event(), target(t, httppost.Config{URL: s.URL + "/trigger", State: c.state}), 1)
			if o.State != c.result || o.Summary() != c.want || o.Receipt.Started {
				t.Errorf("outcome = %+v, summary %q; want %s, %q", o, o.Summary(), c.result, c.want)
			}
		})
	}
}

func TestNotWaitingStartsAndGoes(t *testing.T) {
	t.Parallel()
	s := newSystem(t, []string{"running"}, nil)
	c := polled(s.URL)
	c.NoWait = true
	o := delivery.Deliver(t.Context(), event(), target(t, c), 1)
	if !o.Receipt.Started || o.State != delivery.Done || o.Receipt.ID != "1" {
		t.Errorf("outcome = %+v, want started, with its id", o)
	}
	if n := s.count("/runs/1"); n != 0 {
		t.Errorf("%d polls, want none", n)
	}
}
