package rest_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
)

const canary = "canary-secret"

// client makes a client whose pauses are short.
func client(t *testing.T, c rest.Config) *rest.Client {
	t.Helper()
	out, err := rest.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(out.HTTP().CloseIdleConnections)
	return out
}

// serve answers the n-th request, from 1, by handle.
func serve(t *testing.T, handle func(n int32, w http.ResponseWriter, r *http.Request)) (url string, count *atomic.Int32) {
	t.Helper()
	count = new(atomic.Int32)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handle(count.Add(1), w, r) }))
	t.Cleanup(s.Close)
	return s.URL, count
}

func status(code int, header ...string) func(int32, http.ResponseWriter, *http.Request) {
	return func(n int32, w http.ResponseWriter, _ *http.Request) {
		if n > 1 {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, "{}")
			return
		}
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
	}
}

func drop(n int32, w http.ResponseWriter, _ *http.Request) {
	if n > 1 {
		return
	}
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_ = conn.Close()
	}
}

func TestWhatIsRepeated(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, method string
		handle       func(int32, http.ResponseWriter, *http.Request)
		want         int32
	}{
		{"a GET after 502 is", "GET", status(502), 2},
		{"a GET after 500 is", "GET", status(500), 2},
		{"a PUT after 503 is", "PUT", status(503), 2},
		{"a GET after a lost connection is", "GET", drop, 2},
		{"a POST after 502 is not", "POST", status(502), 1},
		{"a POST after a lost connection is not", "POST", drop, 1},
		{"a POST after 429 is, for nothing was done", "POST", status(429), 2},
		{"a GET after 404 is not", "GET", status(404), 1},
		{"a GET after 401 is not", "GET", status(401), 1},
		{"Retry-After in seconds is waited for", "GET", status(429, "Retry-After", "1"), 2},
		{"a Retry-After longer than allowed is left to the caller", "GET", status(503, "Retry-After", "3600"), 1},
		{"a Retry-After date longer than allowed too", "GET", status(429, "Retry-After", "Fri, 31 Dec 2199 23:59:59 GMT"), 1},
		{"an unreadable Retry-After is not obeyed", "GET", status(429, "Retry-After", "soon"), 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			url, count := serve(t, tt.handle)
			_, err := client(t, rest.Config{}).Do(t.Context(), rest.Call{Method: tt.method, URL: url, Body: map[string]int{"a": 1}})
			if got := count.Load(); got != tt.want {
				t.Errorf("sent %d times, want %d (%v)", got, tt.want, err)
			}
			if (err == nil) != (tt.want > 1) {
				t.Errorf("error %v after %d requests", err, count.Load())
			}
		})
	}
}

func TestRetryAfterIsToldToTheCaller(t *testing.T) {
	t.Parallel()
	url, _ := serve(t, status(503, "Retry-After", "3600"))
	_, err := client(t, rest.Config{}).Do(t.Context(), rest.Call{Method: "GET", URL: url})
	var s *rest.StatusError
	if !errors.As(err, &s) || s.RetryAfter() != time.Hour {
		t.Errorf("got %v, want a status error that asks for an hour", err)
	}
}

func TestErrorsHoldNoSecret(t *testing.T) {
	t.Parallel()
	const dead = "http://127.0.0.1:1" // a port that nobody gets
	refusing, _ := serve(t, status(403))
	for _, base := range []string{dead, refusing, "http://user:" + canary + "@" + strings.TrimPrefix(dead, "http://"), "http://[" + canary, "http://" + canary + "%zz/"} {
		_, err := client(t, rest.Config{Retries: -1}).Do(t.Context(), rest.Call{Method: "POST", URL: base + "/p?token=" + canary, Header: http.Header{"Authorization": {canary}}})
		if err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("error is %v", err)
		}
	}
}

func TestRedirects(t *testing.T) { // not parallel: it listens to the standard logger
	var said strings.Builder
	log.SetOutput(&said)
	defer log.SetOutput(os.Stderr)
	var stolen atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stolen.Add(1) }))
	t.Cleanup(other.Close)
	url, _ := serve(t, func(_ int32, w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, other.URL+"/?token="+canary, http.StatusTemporaryRedirect)
		case "/moved":
			http.Redirect(w, r, "/here", http.StatusMovedPermanently)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		default:
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(r.Method)
		}
	})
	for _, tt := range []struct {
		method, path string
		ok           bool
	}{{"GET", "/moved", true}, {"POST", "/moved", false}, {"GET", "/away", false}, {"POST", "/away", false}, {"GET", "/loop", false}} {
		a, err := client(t, rest.Config{Retries: -1}).Do(t.Context(), rest.Call{Method: tt.method, URL: url + tt.path})
		if (err == nil) != tt.ok {
			t.Errorf("%s %s: answer %v, error %v", tt.method, tt.path, a, err)
		}
		if err != nil && strings.Contains(err.Error(), canary) {
			t.Errorf("%s %s: the error tells the query: %v", tt.method, tt.path, err)
		}
	}
	if said.Len() > 0 {
		t.Errorf("net/http complained: %s", said.String())
	}
	if n := stolen.Load(); n != 0 {
		t.Errorf("the other host got %d requests", n)
	}
}

func TestBodiesAreBounded(t *testing.T) {
	t.Parallel()
	url, count := serve(t, func(_ int32, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		n := map[string]int{"/fits": 1000, "/over": 1001}[r.URL.Path]
		_, _ = io.WriteString(w, strings.Repeat("1", n))
	})
	out := client(t, rest.Config{MaxBody: 1000})
	a, err := out.Do(t.Context(), rest.Call{Method: "GET", URL: url + "/fits"})
	if err != nil || len(a.Body) != 1000 {
		t.Errorf("a body at the limit: %v", err)
	}
	var large *rest.TooLargeError
	if _, err = out.Do(t.Context(), rest.Call{Method: "GET", URL: url + "/over"}); !errors.As(err, &large) {
		t.Errorf("a body over the limit: %v", err)
	}
	if got := count.Load(); got != 2 {
		t.Errorf("%d requests, want 2", got)
	}
}

func TestAnswerJSON(t *testing.T) {
	t.Parallel()
	url, _ := serve(t, func(_ int32, w http.ResponseWriter, r *http.Request) {
		kind, body, _ := strings.Cut(strings.TrimPrefix(r.URL.RawQuery, "="), "|")
		w.Header().Set("Content-Type", kind)
		_, _ = io.WriteString(w, body)
	})
	for query, ok := range map[string]bool{
		`application/json|{"a":1}`: true, `application/problem+json;charset=utf-8|{}`: true, `text/html|<html>`: false, `application/json|{"a":`: false, `|{}`: false, `application/json|`: false,
	} {
		a, err := client(t, rest.Config{}).Do(t.Context(), rest.Call{Method: "GET", URL: url + "/?" + query})
		if err != nil {
			t.Fatal(err)
		}
		var v any
		if err = a.JSON(&v); (err == nil) != ok {
			t.Errorf("%s: error %v", query, err)
		}
	}
}

func TestAuditSeesEveryAttempt(t *testing.T) {
	t.Parallel()
	url, _ := serve(t, status(502, "RateLimit-Remaining", "7"))
	var seen []string
	out := client(t, rest.Config{Audit: func(a rest.Attempt) {
		seen = append(seen, fmt.Sprint(a.Method, " ", strings.TrimPrefix(a.URL, url), " ", a.Code, " ", a.Remaining))
	}})
	if _, err := out.Do(t.Context(), rest.Call{Method: "GET", URL: url + "/x?token=" + canary}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(seen, ","); got != "GET /x 502 7,GET /x 200 " {
		t.Errorf("audit saw %q", got)
	}
}

func TestAuditSeesWhatAnAnswerSaysOfItsLimit(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		header      []string
		reset       int64
		least, most time.Duration
	}{
		{nil, 0, 0, 0},
		{[]string{"RateLimit-Reset", "4102444800"}, 4102444800, 0, 0},
		{[]string{"RateLimit-Reset", "4102444800", "RateLimit-Remaining", "0"}, 4102444800, 24 * time.Hour, 1 << 62},
		{[]string{"Retry-After", "7"}, 0, 7 * time.Second, 7 * time.Second},
		{[]string{"RateLimit-Reset", "soon", "Retry-After", "soon"}, 0, 0, 0},
	} {
		url, _ := serve(t, status(400, tt.header...))
		var seen rest.Attempt
		out := client(t, rest.Config{Retries: -1, Audit: func(a rest.Attempt) { seen = a }})
		_, _ = out.Do(t.Context(), rest.Call{Method: "GET", URL: url})
		if want := tt.reset; seen.After < tt.least || seen.After > tt.most || seen.Reset.IsZero() != (want == 0) || want != 0 && seen.Reset.Unix() != want {
			t.Errorf("%v: got %v and %v, want %v to %v, and %d", tt.header, seen.After, seen.Reset, tt.least, tt.most, want)
		}
	}
}

func TestLimitIsAskedBeforeEveryAttempt(t *testing.T) {
	t.Parallel()
	url, count := serve(t, status(502))
	stop := errors.New("no budget")
	asked := 0
	out := client(t, rest.Config{Limit: func(context.Context) error {
		if asked++; asked > 1 {
			return stop
		}
		return nil
	}})
	_, err := out.Do(t.Context(), rest.Call{Method: "GET", URL: url})
	if !errors.Is(err, stop) || count.Load() != 1 {
		t.Errorf("error %v after %d requests", err, count.Load())
	}
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(s.Close)
	s.Config.ErrorLog = nil
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := client(t, rest.Config{CAFile: ca}).Do(t.Context(), rest.Call{Method: "GET", URL: s.URL}); err != nil {
		t.Errorf("with the CA file: %v", err)
	}
	_, err := client(t, rest.Config{}).Do(t.Context(), rest.Call{Method: "GET", URL: s.URL})
	fault := rest.Fault(err, rest.Names{URL: "X_URL", Token: "X_TOKEN"})
	if f := delivery.Explain(fault); f.Summary != "certificate refused" || delivery.StateOf(fault) != delivery.Failed {
		t.Errorf("without it: %+v (%s)", f, delivery.StateOf(fault))
	}
	for name, content := range map[string]string{"missing": "", "no certificate": "hello"} {
		file := filepath.Join(t.TempDir(), "ca.pem")
		if content != "" {
			_ = os.WriteFile(file, []byte(content), 0o600)
		}
		if _, err := rest.New(rest.Config{CAFile: file}); err == nil {
			t.Errorf("%s CA file: no error", name)
		}
	}
}

func TestFault(t *testing.T) {
	t.Parallel()
	url, _ := serve(t, func(_ int32, w http.ResponseWriter, r *http.Request) {
		code := map[string]int{"/401": 401, "/403": 403, "/404": 404, "/429": 429, "/400": 400, "/503": 503}[r.URL.Path]
		w.WriteHeader(code)
	})
	const dead = "http://127.0.0.1:1" // a port that nobody gets
	for _, tt := range []struct {
		url, summary, remedy string
		state                delivery.State
	}{
		{url + "/401", "token refused", "X_TOKEN", delivery.Failed},
		{url + "/403", "not allowed", "X_TOKEN", delivery.Failed},
		{url + "/404", "not found", "X_URL", delivery.Failed},
		{url + "/400", "status 400", "", delivery.Failed},
		{url + "/429", "rate limited", "", delivery.Retry},
		{url + "/503", "status 503", "", delivery.Retry},
		{dead, "no connection", "X_URL", delivery.Retry},
	} {
		_, err := client(t, rest.Config{Retries: -1}).Do(t.Context(), rest.Call{Method: "GET", URL: tt.url})
		err = rest.Fault(err, rest.Names{URL: "X_URL", Token: "X_TOKEN"})
		f := delivery.Explain(err)
		if f.Summary != tt.summary || !strings.Contains(f.Remedy, tt.remedy) || f.Request == "" || delivery.StateOf(err) != tt.state {
			t.Errorf("%s: %s %+v", tt.url, delivery.StateOf(err), f)
		}
	}
}

func TestFaultOfUnknownHost(t *testing.T) {
	t.Parallel()
	err := rest.Fault(&rest.ConnError{Method: "GET", URL: "http://h/", Err: &net.DNSError{Err: "no such host", Name: "h", IsNotFound: true}}, rest.Names{URL: "X_URL"})
	if f := delivery.Explain(err); f.Summary != "unknown host" || !strings.Contains(f.Remedy, "X_URL") || delivery.StateOf(err) != delivery.Failed {
		t.Errorf("%s %+v", delivery.StateOf(err), f)
	}
}

func TestHangingServer(t *testing.T) {
	t.Parallel()
	url, _ := serve(t, func(_ int32, _ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	_, err := client(t, rest.Config{Timeout: 50 * time.Millisecond, Retries: -1}).Do(t.Context(), rest.Call{Method: "POST", URL: url})
	var conn *rest.ConnError
	if !errors.As(err, &conn) || !conn.Sent() {
		t.Errorf("got %v, want a call that may have arrived", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = client(t, rest.Config{}).Do(ctx, rest.Call{Method: "GET", URL: url}); !errors.Is(err, context.Canceled) {
		t.Errorf("a canceled call gives %v", err)
	}
}

func FuzzPlain(f *testing.F) {
	for _, s := range []string{"https://u:p@h/p?q=1#f", "http://[::1", "//x@y", "a:b:c", "http://h/%zz"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if got := rest.Plain(raw); strings.ContainsAny(got, "?#") && !strings.Contains(got, "%") {
			t.Errorf("Plain(%q) = %q", raw, got)
		}
	})
}
