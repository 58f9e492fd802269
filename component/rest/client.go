// Package rest is the only way out by HTTP: every call has a time limit, a size
// limit, a bounded number of retries, and errors that hold no secret.
//
// What may be sent twice is decided by the method: GET, HEAD, PUT and DELETE are
// repeated after connection faults and on 429, 500, 502, 503 and 504. POST and PATCH
// only on 429, which says that nothing was done; after any other fault the
// caller must look before it sends again. Retry-After and RateLimit-Reset are
// obeyed up to [Config].MaxWait; a longer wait is left to the caller, who finds
// it in [StatusError].
//
// A redirect to another origin is refused, so credentials never leave home.
package rest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// Config bounds what a client may do. The zero value is safe to use.
type Config struct {
	CAFile    string        // PEM file of more authorities to trust
	UserAgent string        // default "remora"
	Timeout   time.Duration // of one attempt, body included; default 30 s
	MaxBody   int64         // bytes of one answer; default 1 MiB
	Retries   int           // attempts after the first; default 3, negative: none
	MaxWait   time.Duration // longest pause before a retry; default 30 s

	// Audit, if set, is told of every attempt, from the goroutine that makes it.
	Audit func(Attempt)
	// Limit, if set, is waited for before every attempt.
	Limit func(context.Context) error
}

// Attempt is one request on the wire. URL has neither query nor userinfo.
type Attempt struct {
	Method, URL string
	Code        int // 0 if there was no answer
	Took        time.Duration
	Remaining   string        // RateLimit-Remaining, if sent
	Reset       time.Time     // RateLimit-Reset, if sent
	After       time.Duration // what the answer asks to wait: see [RetryAfter]
	Err         error
}

// Client makes HTTP calls within the bounds of its Config. It is safe for use
// by several goroutines.
type Client struct {
	http    *http.Client
	live    *http.Client // for [Client.Stream]: one attempt, and no time limit of its own
	maxBody int64
	idle    func()
}

// New makes a client; the error is that of reading CAFile.
func New(c Config) (*Client, error) {
	c = c.withDefaults()
	roots, err := Authorities(c.CAFile)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    10 * time.Second,
		ResponseHeaderTimeout:  c.Timeout,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConnsPerHost:    16,
		MaxResponseHeaderBytes: 64 << 10,
		ForceAttemptHTTP2:      true,
		OnProxyConnectResponse: ProxyAnswer,
	}
	wire := &wire{config: c, next: transport}
	retrying := &retryablehttp.Client{
		HTTPClient:   &http.Client{Transport: wire, Timeout: c.Timeout, CheckRedirect: refuse},
		RetryMax:     max(c.Retries, 0),
		RetryWaitMin: 200 * time.Millisecond,
		RetryWaitMax: c.MaxWait,
		CheckRetry:   c.mayRepeat,
		Backoff:      backoff,
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
	return &Client{
		http:    &http.Client{Transport: oneOf{&retryablehttp.RoundTripper{Client: retrying}}, CheckRedirect: refuse},
		live:    &http.Client{Transport: wire, CheckRedirect: refuse},
		maxBody: c.MaxBody,
		idle:    transport.CloseIdleConnections,
	}, nil
}

// Close lets go of connections that nothing uses. Calls in hand go on, and theirs
// end by themselves after 90 s without use; the client stays good.
func (c *Client) Close() { c.idle() }

func (c Config) withDefaults() Config {
	if c.UserAgent == "" {
		c.UserAgent = "remora"
	}
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	if c.MaxBody == 0 {
		c.MaxBody = 1 << 20
	}
	if c.Retries == 0 {
		c.Retries = 3
	}
	if c.MaxWait == 0 {
		c.MaxWait = 30 * time.Second
	}
	return c
}

// Authorities are the system's and those in the PEM file; nil, which means the
// system's own, without a file. The error names the file.
func Authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read CA file: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read CA file: %s: no PEM certificate in it", file)
	}
	return pool, nil
}

// HTTP is the client as the standard library knows it, for libraries that make
// their own requests. The same bounds, retries and audit act on it.
func (c *Client) HTTP() *http.Client { return c.http }

// Call is a request to make.
type Call struct {
	Method string
	URL    string
	Header http.Header
	Body   any // nil, []byte to send as it is, or a value to send as JSON
}

// Answer is what came back, whatever its code.
type Answer struct {
	Method, URL string // as asked, without query and userinfo
	Code        int
	Header      http.Header
	Body        []byte
}

// String is the answer as evidence: "POST https://host/path (404)".
func (a *Answer) String() string { return fmt.Sprintf("%s %s (%d)", a.Method, a.URL, a.Code) }

// Do makes a call and reads the whole answer. The answer is nil if none came;
// outside 2xx it comes with a [StatusError].
func (c *Client) Do(ctx context.Context, call Call) (*Answer, error) {
	req, err := newRequest(ctx, call)
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, faultOf(call.Method, call.URL, err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, faultOf(call.Method, call.URL, fmt.Errorf("read answer: %w", err))
	}
	a := &Answer{Method: call.Method, URL: Plain(call.URL), Code: res.StatusCode, Header: res.Header, Body: body}
	if a.Code < 200 || a.Code > 299 {
		return a, statusError(a)
	}
	return a, nil
}

func newRequest(ctx context.Context, call Call) (*http.Request, error) {
	var body io.Reader
	raw, isRaw := call.Body.([]byte)
	if call.Body != nil && !isRaw {
		encoded, err := json.Marshal(call.Body)
		if err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
		raw = encoded
	}
	if raw != nil {
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, call.Method, call.URL, body)
	if err != nil {
		return nil, faultOf(call.Method, call.URL, err)
	}
	if call.Header != nil {
		req.Header = call.Header.Clone()
	}
	if raw != nil && req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if req.Header.Get("Accept") == "" {
		req.Header.Set("Accept", "application/json")
	}
	return req, nil
}

// JSON decodes the answer into v. An answer of another content type is a
// [ContentError], one that is no JSON names the request too.
func (a *Answer) JSON(v any) error {
	if !isJSON(a.Header.Get("Content-Type")) {
		return &ContentError{Answer: a}
	}
	if err := json.Unmarshal(a.Body, v); err != nil {
		return fmt.Errorf("%s: broken JSON: %w", a, err)
	}
	return nil
}
