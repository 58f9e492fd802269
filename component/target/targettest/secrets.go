package targettest

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"gitlab.com/remora-ci/remora/component/delivery"
)

// Leak finds a canary in text, as it is or URL-escaped, in base64 or in hex. It
// says which one and in which form.
func Leak(canaries []string, text string) (found string, ok bool) {
	for _, c := range canaries {
		raw := []byte(c)
		for form, f := range map[string]string{
			"plain": c, "query-escaped": url.QueryEscape(c), "path-escaped": url.PathEscape(c), "hex": hex.EncodeToString(raw),
			"base64": strings.TrimRight(base64.StdEncoding.EncodeToString(raw), "="),
		} {
			if strings.Contains(text, f) {
				return fmt.Sprintf("%q (%s)", c, form), true
			}
		}
	}
	return "", false
}

func (s Suite) clean(t *testing.T, where, text string) {
	t.Helper()
	if found, ok := Leak(s.Canaries, text); ok {
		t.Errorf("%s holds the secret %s: %s", where, found, text)
	}
}

// cleanOutcome looks in everything an outcome can show, and in every error that
// its error wraps.
func (s Suite) cleanOutcome(t *testing.T, o delivery.Outcome) {
	t.Helper()
	receipt, err := json.Marshal(o.Receipt)
	if err != nil {
		t.Errorf("receipt as JSON: %v", err)
	}
	s.clean(t, "receipt", string(receipt))
	if o.Err == nil {
		return
	}
	s.clean(t, "error", fmt.Sprintf("%v %+v", o.Err, o.Err))
	s.clean(t, "explanation", fmt.Sprintf("%+v", *delivery.Explain(o.Err)))
	for err := o.Err; err != nil; err = errors.Unwrap(err) {
		s.clean(t, "wrapped error", fmt.Sprintf("%v %+v", err, err))
	}
}

// counter counts requests.
type counter struct{ n atomic.Int64 }

func (c *counter) count() int64 { return c.n.Load() }

func (c *counter) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.n.Add(1)
		next.ServeHTTP(w, r)
	})
}

// requests keeps what it is sent, as text.
type requests struct {
	mu  sync.Mutex
	all strings.Builder
}

func (q *requests) text() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.all.String()
}

func (q *requests) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		q.mu.Lock()
		_, _ = fmt.Fprintf(&q.all, "%s %s %v %s\n", r.Method, r.URL, r.Header, body)
		q.mu.Unlock()
		next.ServeHTTP(w, r)
	})
}
