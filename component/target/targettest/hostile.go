package targettest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
)

// answers are what a broken or hostile server sends instead of an answer.
func answers() map[string]http.Handler {
	return map[string]http.Handler{
		"more than 1 MiB":         huge(),
		"a page with 200":         status(http.StatusOK, "text/html; charset=utf-8", "<!doctype html><title>Welcome</title>"),
		"truncated JSON":          status(http.StatusOK, "application/json", `{"data":{"id":"1","stat`),
		"JSON of another shape":   status(http.StatusOK, "application/json", `[[{"data":7}],"\u0000",null]`),
		"text with JSON inside":   status(http.StatusOK, "text/plain", `{"data":{"id":"1","status":"complete"}}`),
		"binary noise":            status(http.StatusOK, "application/octet-stream", "\x00\xff\xfe\x80PNG"),
		"a dropped connection":    drop(),
		"half an answer":          half(),
		"a server error":          status(http.StatusInternalServerError, "", ""),
		"an error that echoes us": echo(),
	}
}

func (s Suite) hostile(t *testing.T) {
	all := answers()
	for name, h := range s.Hostile {
		all[name] = h()
	}
	for name, h := range all {
		if s.Without[Part(name)] != "" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			srv := serve(t, h)
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			s.helps(t, s.deliver(t, ctx, s.At(t, srv.URL), s.Event), host(t, srv.URL))
		})
	}
}

// redirect leads the target to another host, which must see no credentials.
func (s Suite) redirect(t *testing.T) {
	for _, code := range []int{http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			var seen requests
			other := serve(t, seen.record(status(http.StatusOK, "application/json", "{}")))
			srv := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, other.URL+r.URL.Path, code)
			}))
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			s.helps(t, s.deliver(t, ctx, s.At(t, srv.URL), s.Event), host(t, srv.URL))
			s.clean(t, "request to another host", seen.text())
		})
	}
}

// midway answers request number n of a working system with each hostile answer.
func (s Suite) midway(t *testing.T) {
	for n := 1; n <= 6; n++ {
		t.Run(fmt.Sprintf("request %d", n), func(t *testing.T) {
			var all sync.WaitGroup
			for name, h := range answers() {
				srv := serve(t, nth(int64(n), h, s.Handler(t)))
				target := s.At(t, srv.URL)
				all.Go(func() { s.survives(t, target, name) })
			}
			all.Wait()
		})
	}
}

// survives is weaker than hostile: a request that is not needed may fail
// without harm, but whatever comes back must be whole.
func (s Suite) survives(t *testing.T, target delivery.Target, name string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	o := s.deliver(t, ctx, target, s.Event)
	switch {
	case o.State == delivery.Skipped:
		t.Errorf("%s: skipped (%v), want done or an error", name, o.Err)
	case o.Err != nil && ctx.Err() == nil && delivery.Explain(o.Err).Remedy == "":
		t.Errorf("%s: error without a remedy: %v", name, o.Err)
	}
}

func (s Suite) cancelDuring(t *testing.T) {
	hang, arrived := hanging()
	target := s.At(t, serve(t, hang).URL)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	result := make(chan delivery.Outcome, 1)
	go func() { result <- s.deliver(t, ctx, target, s.Event) }()
	<-arrived
	cancel()
	select {
	case o := <-result:
		if o.State != delivery.Retry {
			t.Errorf("state = %q (%v), want retry: a cancel is neither done nor permanent", o.State, o.Err)
		}
	case <-time.After(prompt):
		t.Errorf("Apply had not returned %s after the cancel", prompt)
		<-result
	}
}

func (s Suite) deadlineDuring(t *testing.T) {
	hang, _ := hanging()
	target := s.At(t, serve(t, hang).URL)
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	o := s.deliver(t, ctx, target, s.Event)
	if o.State != delivery.Retry && !o.Overdue() {
		t.Errorf("state = %q (%v), want retry or no result", o.State, o.Err)
	}
}

func serve(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A body left unread would hide from the server that the client is gone.
		body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	return srv
}

func host(t *testing.T, raw string) string {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

// status answers everything with one code and body.
func status(code int, contentType, body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	})
}

func huge() http.Handler {
	chunk := strings.Repeat(`"aaaaaaaaaaaaaa",`, 1<<12)
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "[")
		for range 48 {
			if _, err := io.WriteString(w, chunk); err != nil {
				return
			}
		}
	})
}

func drop() http.Handler {
	return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
}

func half() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, `{"data":`)
		panic(http.ErrAbortHandler)
	})
}

// echo sends back what it was sent, credentials and all.
func echo() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusBadRequest)
		for k, v := range r.Header {
			if k != "User-Agent" && k != "Accept-Encoding" {
				_, _ = fmt.Fprintf(w, "%s ", strings.Join(v, " "))
			}
		}
		_, _ = io.Copy(w, r.Body)
	})
}

// hanging never answers; arrived is closed when the first request is there.
func hanging() (h http.Handler, arrived <-chan struct{}) {
	c := make(chan struct{})
	var once sync.Once
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		once.Do(func() { close(c) })
		<-r.Context().Done()
	}), c
}

// nth answers request number n, counted from 1, with bad, all others with good.
func nth(n int64, bad, good http.Handler) http.Handler {
	var count atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if count.Add(1) == n {
			bad.ServeHTTP(w, r)
			return
		}
		good.ServeHTTP(w, r)
	})
}
