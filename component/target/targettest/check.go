package targettest

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
)

// check holds a target that is a [delivery.Checker] to it: a system that works
// passes and sees only requests that change nothing; one that refuses, answers
// nonsense or is not there fails, with a remedy and in time; and no finding holds
// a secret.
func (s Suite) check(t *testing.T) {
	if s.Handler != nil {
		var asked requests
		safe := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodOptions}, r.Method) {
				t.Errorf("a check sent %s %s, want nothing that changes anything", r.Method, r.URL.Path)
			}
		})
		working := s.Handler(t)
		found := s.findings(t, context.Background(), s.At(t, serve(t, asked.record(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			safe.ServeHTTP(w, r)
			working.ServeHTTP(w, r)
		}))).URL))
		if asked.text() == "" {
			t.Error("a check of a working system asked it nothing")
		}
		if level := worst(found); level == delivery.Fail {
			t.Errorf("a working system fails: %+v", found)
		}
	}
	for name, url := range map[string]string{
		"an address where nobody is": "http://127.0.0.1:1",
		"a gateway without a system": serve(t, status(http.StatusBadGateway, "text/html", "<html>"+s.Canaries[0])).URL,
		"a system that hangs":        serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })).URL,
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			if found := s.findings(t, ctx, s.At(t, url)); worst(found) == delivery.Pass {
				t.Errorf("it passes: %+v", found)
			}
		})
	}
}

// findings checks a target, and what must hold for every check.
func (s Suite) findings(t *testing.T, ctx context.Context, target delivery.Target) []delivery.Finding { //nolint:revive // t first, as in all helpers of tests
	t.Helper()
	c, ok := target.(delivery.Checker)
	if !ok {
		t.Fatal("the target has no Check, and no reason in Without")
	}
	start := time.Now()
	found := c.Check(ctx)
	if deadline, ok := ctx.Deadline(); ok && time.Since(deadline) > prompt {
		t.Errorf("Check took %s, want less than %s", time.Since(start), deadline.Sub(start)+prompt)
	}
	if len(found) == 0 {
		t.Error("Check found nothing, want at least whether the address answers")
	}
	for _, f := range found {
		if f.Subject == "" || f.Text == "" || (f.Remedy == "") != (f.Level == delivery.Pass) {
			t.Errorf("finding %+v, want a subject, a text, and a remedy unless it passed", f)
		}
	}
	text, err := json.Marshal(found)
	if err != nil {
		t.Error(err)
	}
	s.clean(t, "finding", string(text))
	return found
}

func worst(found []delivery.Finding) delivery.Level {
	level := delivery.Pass
	for _, f := range found {
		if f.Level == delivery.Fail || f.Level == delivery.Warn && level == delivery.Pass {
			level = f.Level
		}
	}
	return level
}
