package gitlab_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab"
	"gitlab.com/remora-ci/remora/component/rest"
)

const token = "glpat-canary-0123456789"

func connect(t *testing.T, url string, c rest.Config) *gitlab.Client {
	t.Helper()
	out, err := rest.New(c)
	if err != nil {
		t.Fatal(err)
	}
	client, err := gitlab.New(gitlab.Config{URL: url, Token: delivery.Secret(token)}, out)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestAnswersThatAreNoAnswers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		answer func(w http.ResponseWriter)
		code   int    // of a StatusError
		want   string // in the error
	}{
		{"the words of a 404 are kept", send(404, "application/json", `{"message":"404 References for commit Not Found"}`), 404, "status 404: 404 References for commit Not Found"},
		{"a refused transition can be parsed", send(400, "application/json", `{"message":"Cannot transition status via :run from :running (Reason(s): Status cannot transition via \"run\")"}`), 400, "status 400: Cannot transition status via :run from :running"},
		{"fields of a validation are named", send(400, "application/json", `{"message":{"target_url":["is blocked: Only allowed schemes are http, https"]}}`), 400, "target_url: is blocked: Only allowed"},
		{"an expired token is told with its reason", send(401, "application/json", `{"error":"invalid_token","error_description":"Token is expired."}`), 401, "invalid_token: Token is expired."},
		{"plain words of a limiter are kept", send(429, "text/plain", "Retry later\n"), 429, "Retry later"},
		{"a page with status 200 is no API", send(200, "text/html", "<html>"), 0, "answer is not JSON but text/html"},
		{"the page of a gateway is not quoted", send(502, "text/html", "<html>secret"), 502, "status 502"},
		{"truncated JSON", send(201, "application/json", `{"id":1,"na`), 0, "read answer: unexpected EOF"},
		{"null instead of an object", send(201, "application/json", `null`), 0, "the answer is empty"},
		{"an answer over the limit", send(201, "application/json", `{"id":1,"name":"`+strings.Repeat("x", 2<<20)+`"}`), 0, "answer is larger than 1 MiB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { tt.answer(w) }))
			defer s.Close()
			_, err := connect(t, s.URL, rest.Config{Retries: -1}).SetStatus(t.Context(), "group/app", "c0ffee", gitlab.Status{State: "running"})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %q in it", err, tt.want)
			}
			if !strings.HasPrefix(err.Error(), "set status: POST "+s.URL+"/api/v4/projects/group%2Fapp/statuses/c0ffee") {
				t.Errorf("got %v, want the deed and the request first", err)
			}
			if strings.Contains(err.Error(), token) || strings.Contains(err.Error(), "<html>") {
				t.Errorf("got %v, want neither token nor page", err)
			}
			var status *rest.StatusError
			var conn *rest.ConnError
			var content *rest.ContentError
			switch {
			case errors.As(err, &status):
				if status.Code != tt.code {
					t.Errorf("got code %d, want %d", status.Code, tt.code)
				}
			case tt.code != 0 || !errors.As(err, &conn) && !errors.As(err, &content):
				t.Errorf("got %T, want an error of rest", err)
			}
		})
	}
}

func send(code int, kind, body string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body))
	}
}

func TestACanceledCallSaysSo(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}))
	defer s.Close()
	_, err := connect(t, s.URL, rest.Config{}).Commit(ctx, gitlab.ProjectID(7), "c0ffee")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context canceled", err)
	}
}
