package httppost

import (
	"net/http"
	"net/url"
	"time"
)

// Hurry makes t poll every few milliseconds.
func Hurry(t *Target, grace time.Duration) *Target {
	t.pace = pace{first: time.Millisecond, last: 5 * time.Millisecond, grace: grace}
	return t
}

// ParseHeaders and Resolve read what comes from outside.
func ParseHeaders(text string) (http.Header, []error) { return parseHeaders(text) }

func Resolve(base *url.URL, text string) (*url.URL, error) { return resolve(base, text) }

func SameOrigin(a, b *url.URL) bool { return sameOrigin(a, b) }
