package rest

import (
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// wire makes one attempt: limit, header, audit, size bound.
type wire struct {
	config Config
	next   http.RoundTripper
}

func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	if w.config.Limit != nil {
		if err := w.config.Limit(req.Context()); err != nil {
			return nil, err
		}
	}
	req = req.Clone(req.Context())
	req.Header.Set("User-Agent", w.config.UserAgent)
	start := time.Now()
	res, err := w.next.RoundTrip(req)
	if w.config.Audit != nil {
		a := Attempt{Method: req.Method, URL: Plain(req.URL.String()), Took: time.Since(start), Err: err}
		if res != nil {
			a.Code, a.Remaining, a.After = res.StatusCode, res.Header.Get("RateLimit-Remaining"), RetryAfter(res.Header, start)
			if at, err := strconv.ParseInt(res.Header.Get("RateLimit-Reset"), 10, 64); err == nil {
				a.Reset = time.Unix(at, 0)
			}
		}
		w.config.Audit(a)
	}
	if err != nil {
		return nil, err
	}
	res.Body = &bounded{body: res.Body, left: w.config.MaxBody, limit: w.config.MaxBody}
	return res, nil
}

// oneOf drops the answer that comes beside an error, such as a redirect that was
// refused: net/http complains on standard error about a transport that gives both.
type oneOf struct{ next http.RoundTripper }

func (o oneOf) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := o.next.RoundTrip(req)
	if err != nil && res != nil {
		_ = res.Body.Close()
		res = nil
	}
	return res, err
}

// bounded is a body that fails, rather than ends, when it is longer than allowed.
type bounded struct {
	body        io.ReadCloser
	left, limit int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, &TooLargeError{Limit: b.limit}
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.body.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n - 1, &TooLargeError{Limit: b.limit}
	}
	return n, err
}

func (b *bounded) Close() error { return b.body.Close() }

// refuse lets only a redirect within the origin pass, and only if the method
// stays what it was: a POST that becomes a GET would look like success.
func refuse(req *http.Request, via []*http.Request) error {
	first := via[0]
	if req.URL.Scheme != first.URL.Scheme || req.URL.Host != first.URL.Host || req.Method != first.Method {
		return &RedirectError{To: Plain(req.URL.String())}
	}
	if len(via) >= 5 {
		return fmt.Errorf("stopped after %d redirects", len(via))
	}
	return nil
}

// ProxyAnswer judges what a proxy says to CONNECT, for [http.Transport]: the
// standard library's own error says neither that it was the proxy nor the code.
func ProxyAnswer(_ context.Context, _ *url.URL, _ *http.Request, res *http.Response) error {
	if res.StatusCode == http.StatusOK {
		return nil
	}
	return &ProxyError{Code: res.StatusCode}
}

// Plain is a URL without userinfo, query and fragment, which may hold secrets.
// What is no URL becomes a word that says so.
func Plain(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "(malformed URL)"
	}
	u.User, u.RawQuery, u.Fragment, u.RawFragment, u.ForceQuery = nil, "", "", "", false
	return u.String()
}

func isJSON(contentType string) bool {
	t, _, err := mime.ParseMediaType(contentType)
	return err == nil && (t == "application/json" || strings.HasSuffix(t, "+json"))
}
