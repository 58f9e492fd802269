package rest

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"
)

// StatusError is an answer outside 2xx.
type StatusError struct {
	Method string
	URL    string // without query and userinfo, which may hold secrets
	Code   int
	Body   string        // first 500 bytes
	After  time.Duration // how long the server asked to wait; 0 if it did not
}

func (e *StatusError) Error() string {
	text := fmt.Sprintf("%s %s: status %d", e.Method, e.URL, e.Code)
	if e.Body != "" {
		text += ": " + e.Body
	}
	return text
}

// RetryAfter is how long the server asked to wait.
func (e *StatusError) RetryAfter() time.Duration { return e.After }

// ConnError is a call that got no answer.
type ConnError struct {
	Method string
	URL    string // without query and userinfo
	Err    error
}

func (e *ConnError) Error() string { return fmt.Sprintf("%s %s: %v", e.Method, e.URL, e.Err) }
func (e *ConnError) Unwrap() error { return e.Err }

// Sent says whether the request may have arrived, so that it must not be sent
// again blindly.
func (e *ConnError) Sent() bool {
	var redirect *RedirectError
	return !isUnreached(e.Err) && !errors.As(e.Err, &redirect) && !isTLS(e.Err)
}

// ProxyError is a proxy that would not connect us to a host.
type ProxyError struct{ Code int }

func (e *ProxyError) Error() string {
	return fmt.Sprintf("the proxy answered %d to CONNECT", e.Code)
}

// RedirectError is a redirect that was refused: to another origin, or one that
// would have changed the method.
type RedirectError struct{ To string }

func (e *RedirectError) Error() string { return "refused redirect to " + e.To }

// TooLargeError is an answer over the size limit, in bytes.
type TooLargeError struct{ Limit int64 }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("answer is larger than %d MiB", e.Limit>>20)
}

// ContentError is an answer that is not JSON although JSON was expected, such as
// the start page that a web server sends for any path.
type ContentError struct{ Answer *Answer }

func (e *ContentError) Error() string {
	kind := e.Answer.Header.Get("Content-Type")
	if kind == "" {
		kind = "no content type"
	}
	return fmt.Sprintf("%s: answer is not JSON but %s", e.Answer, kind)
}

// Err is the [StatusError] of an answer outside 2xx, else nil: for libraries on
// [Client.HTTP] that judge their answers themselves.
func (a *Answer) Err() error {
	if a.Code < 200 || a.Code > 299 {
		return statusError(a)
	}
	return nil
}

func statusError(a *Answer) *StatusError {
	return &StatusError{Method: a.Method, URL: a.URL, Code: a.Code, Body: excerpt(a), After: RetryAfter(a.Header, time.Now())}
}

// excerpt is the start of a body on one line; of a page, nothing.
func excerpt(a *Answer) string {
	if strings.Contains(a.Header.Get("Content-Type"), "html") {
		return ""
	}
	body := string(a.Body[:min(len(a.Body), 500)])
	body = strings.ToValidUTF8(body, "")
	return strings.Join(strings.Fields(body), " ")
}

// faultOf names the deed in a transport error, and takes out of it the URL that
// the standard library put there with its query.
func faultOf(method, rawURL string, err error) error {
	var in *url.Error
	for errors.As(err, &in) {
		err = in.Err
	}
	return &ConnError{Method: method, URL: Plain(rawURL), Err: err}
}

func isTLS(err error) bool {
	var verify *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	return errors.As(err, &verify) || errors.As(err, &unknown) || errors.As(err, &host) || errors.As(err, &invalid) || errors.As(err, &record)
}

// isUnreached says whether there was no connection, to the host or to the proxy,
// that anything could have been sent on.
func isUnreached(err error) bool {
	var op *net.OpError
	var proxy *ProxyError
	return errors.As(err, &proxy) || errors.As(err, &op) && (op.Op == "dial" || op.Op == "proxyconnect")
}

func isUnknownHost(err error) bool {
	var dns *net.DNSError
	return errors.As(err, &dns) && dns.IsNotFound
}
