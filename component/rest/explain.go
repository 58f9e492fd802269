package rest

import (
	"errors"
	"fmt"
	"net"
	"net/http"

	"gitlab.com/remora-ci/remora/component/delivery"
)

// Names are the settings a remedy speaks of: "DIREKTIV_URL", "DIREKTIV_TOKEN".
type Names struct{ URL, Token string }

// Fault explains an error of this package to a person and decides whether trying
// again can help: TLS and unknown-host faults, refused redirects, pages instead
// of JSON and most 4xx are [delivery.Permanent]. Any other error comes back as it
// is. A caller that knows better asks for the typed error first.
func Fault(err error, names Names) error {
	var status *StatusError
	var conn *ConnError
	var content *ContentError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &status):
		return statusFault(status, err, names)
	case errors.As(err, &conn):
		return connFault(conn, err, names)
	case errors.As(err, &content):
		return delivery.Permanent(&delivery.Fault{
			Summary: "not an API",
			Cause:   content.Error() + "; this address serves something else than the API",
			Remedy:  "set " + names.URL + " to the base address of the API",
			Request: content.Answer.String(), Err: err,
		})
	}
	return err
}

func statusFault(s *StatusError, err error, names Names) error {
	f := &delivery.Fault{
		Summary: fmt.Sprintf("status %d", s.Code), Cause: s.Error(), Err: err,
		Request: fmt.Sprintf("%s %s (%d)", s.Method, s.URL, s.Code),
	}
	switch s.Code {
	case http.StatusUnauthorized:
		f.Summary, f.Remedy = "token refused", "set "+names.Token+" to a valid token; a protected variable is empty on unprotected refs"
	case http.StatusForbidden:
		f.Summary, f.Remedy = "not allowed", "give the token in "+names.Token+" the permission that this request needs"
	case http.StatusNotFound:
		f.Summary, f.Remedy = "not found", "check the address in "+names.URL
	case http.StatusTooManyRequests:
		f.Summary, f.Remedy = "rate limited", "wait, or ask for a higher limit"
	}
	if Temporary(s.Code) {
		return f
	}
	return delivery.Permanent(f)
}

func connFault(c *ConnError, err error, names Names) error {
	f := &delivery.Fault{Summary: "no connection", Cause: c.Error(), Request: c.Method + " " + c.URL + " (no answer)", Err: err,
		Remedy: "check that the address in " + names.URL + " can be reached from here; a proxy is set with HTTPS_PROXY"}
	var redirect *RedirectError
	var large *TooLargeError
	var proxy *ProxyError
	var timeout net.Error
	switch {
	case errors.As(c.Err, &redirect):
		f.Summary, f.Remedy = "redirected", "change "+names.URL+" so that the request goes straight to "+redirect.To
	case errors.As(c.Err, &proxy):
		f.Summary = "refused by the proxy"
		f.Remedy = "check HTTPS_PROXY, with user and password if the proxy wants them (407), or name the host in NO_PROXY"
		if Temporary(proxy.Code) {
			return f
		}
	case errors.As(c.Err, &large):
		f.Summary, f.Remedy = "answer too large", "check that "+names.URL+" is the address of the API"
	case isTLS(c.Err):
		f.Summary, f.Remedy = "certificate refused", "set CI_SERVER_TLS_CA_FILE or SSL_CERT_FILE to the authority that signed the server's certificate, and check the scheme and host in "+names.URL
	case isUnknownHost(c.Err):
		f.Summary, f.Remedy = "unknown host", "check the host name in "+names.URL
	case errors.As(c.Err, &timeout) && timeout.Timeout():
		f.Summary = "no answer in time"
		return f
	default:
		return f
	}
	return delivery.Permanent(f)
}
