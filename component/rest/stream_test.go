package rest_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/component/rest"
)

// drip sends lines as they come from next, until that is closed.
func drip(next <-chan string) func(int32, http.ResponseWriter, *http.Request) {
	return func(_ int32, w http.ResponseWriter, r *http.Request) {
		out := http.NewResponseController(w)
		_ = out.Flush()
		for {
			select {
			case line, ok := <-next:
				if !ok {
					return
				}
				_, _ = io.WriteString(w, line+"\n")
				_ = out.Flush()
			case <-r.Context().Done():
				return
			}
		}
	}
}

func TestAStreamIsReadAsItComesAndOutlivesTheTimeout(t *testing.T) {
	t.Parallel()
	next := make(chan string)
	url, _ := serve(t, drip(next))
	const timeout, idle = 50 * time.Millisecond, 500 * time.Millisecond // of ordinary calls; between two lines
	var mu sync.Mutex
	var seen []rest.Attempt
	c := client(t, rest.Config{Timeout: timeout, Audit: func(a rest.Attempt) { mu.Lock(); defer mu.Unlock(); seen = append(seen, a) }})
	start := time.Now()
	s, err := c.Stream(t.Context(), rest.Call{Method: "GET", URL: url + "/x?token=" + canary}, idle)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	lines := bufio.NewScanner(s)
	for n := 0; time.Since(start) < 2*idle; n++ {
		next <- "beat"
		if !lines.Scan() || lines.Text() != "beat" {
			t.Fatalf("line %d after %v: %q, %v", n, time.Since(start), lines.Text(), lines.Err())
		}
	}
	close(next)
	if lines.Scan() || lines.Err() != nil {
		t.Errorf("the end is %q, %v", lines.Text(), lines.Err())
	}
	mu.Lock()
	defer mu.Unlock()
	if len(seen) != 1 || seen[0].Code != 200 || seen[0].URL != url+"/x" {
		t.Errorf("audit %+v, want the one attempt without its query", seen)
	}
}

func TestAStreamEnds(t *testing.T) {
	t.Parallel()
	silent := func(_ int32, _ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	for name, tt := range map[string]struct {
		handle func(int32, http.ResponseWriter, *http.Request)
		config rest.Config
		want   func(error) bool
	}{
		"when nothing comes, not even a header": {silent, rest.Config{}, isIdle},
		"when nothing more comes":               {drip(nil), rest.Config{}, isIdle},
		"when it is too large": {func(_ int32, w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, strings.Repeat("x", 5000))
		}, rest.Config{MaxBody: 1000}, func(err error) bool {
			var large *rest.TooLargeError
			return errors.As(err, &large)
		}},
		"when the connection breaks": {func(_ int32, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "half")
		}, rest.Config{}, func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }},
		"at another code than 2xx": {status(503, "Retry-After", "7"), rest.Config{}, func(err error) bool {
			var s *rest.StatusError
			return errors.As(err, &s) && s.Code == 503 && s.After == 7*time.Second
		}},
		"at a redirect elsewhere": {func(_ int32, w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/?token="+canary, http.StatusFound)
		}, rest.Config{}, func(err error) bool {
			var to *rest.RedirectError
			return errors.As(err, &to)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, count := serve(t, tt.handle)
			s, err := client(t, tt.config).Stream(t.Context(), rest.Call{Method: "GET", URL: url + "/?token=" + canary}, 100*time.Millisecond)
			if err == nil {
				_, err = io.ReadAll(s)
				_ = s.Close()
			}
			if err == nil || !tt.want(err) || strings.Contains(err.Error(), canary) {
				t.Errorf("got %v", err)
			}
			if got := count.Load(); got != 1 {
				t.Errorf("got %d attempts, want one", got)
			}
		})
	}
}

func isIdle(err error) bool {
	var idle *rest.IdleError
	var timeout net.Error
	return errors.As(err, &idle) && errors.As(err, &timeout) && timeout.Timeout()
}

func TestAStreamEndsWithItsContext(t *testing.T) {
	t.Parallel()
	url, _ := serve(t, drip(nil))
	ctx, cancel := context.WithCancel(t.Context())
	s, err := client(t, rest.Config{}).Stream(ctx, rest.Call{Method: "GET", URL: url}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	cancel()
	if _, err := io.ReadAll(s); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
