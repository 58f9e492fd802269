package rest

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// mayRepeat decides whether an attempt may be followed by another.
func (c Config) mayRepeat(ctx context.Context, res *http.Response, err error) (bool, error) {
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if c.Retries < 0 {
		return false, nil
	}
	if err != nil {
		return repeatable(err), nil
	}
	if asked := RetryAfter(res.Header, time.Now()); asked > c.MaxWait {
		return false, nil
	}
	if res.StatusCode == http.StatusTooManyRequests {
		return true, nil
	}
	return idempotent(res.Request.Method) && Temporary(res.StatusCode), nil
}

func idempotent(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}

// Temporary says whether a status code speaks of a fault that may pass.
func Temporary(code int) bool {
	switch code {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return code > 505
}

// backoff is twice as long each time, with jitter, and never shorter than the
// server asked for; mayRepeat has seen to it that it asked for no more than limit.
func backoff(shortest, limit time.Duration, attempt int, res *http.Response) time.Duration {
	d := limit
	if attempt < 8 {
		d = min(shortest<<attempt, limit)
	}
	d = d/2 + rand.N(d/2+1)
	if res != nil {
		d = max(d, RetryAfter(res.Header, time.Now()))
	}
	return d
}

// RetryAfter is how long an answer asks to wait: Retry-After (seconds, of which a
// day counts at most, or a date), else RateLimit-Reset (unix seconds) of one with
// no requests left. It is 0 where nothing is asked for.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	if v := h.Get("Retry-After"); v != "" {
		if s, err := strconv.Atoi(v); err == nil {
			return max(time.Duration(min(s, 86400))*time.Second, 0)
		}
		if t, err := http.ParseTime(v); err == nil {
			return max(t.Sub(now), 0)
		}
		return 0
	}
	if reset, err := strconv.ParseInt(h.Get("RateLimit-Reset"), 10, 64); err == nil && h.Get("RateLimit-Remaining") == "0" {
		return max(time.Unix(reset, 0).Sub(now), 0)
	}
	return 0
}

// repeatable says whether an attempt without an answer may be made again: never
// when we refused the answer or the certificate is wrong; a POST only when it
// cannot have arrived.
func repeatable(err error) bool {
	var redirect *RedirectError
	var large *TooLargeError
	var proxy *ProxyError
	if errors.As(err, &redirect) || errors.As(err, &large) || isTLS(err) || isUnknownHost(err) {
		return false
	}
	if errors.As(err, &proxy) {
		return Temporary(proxy.Code)
	}
	if isUnreached(err) {
		return true
	}
	var failed *url.Error
	return errors.As(err, &failed) && idempotent(strings.ToUpper(failed.Op))
}
