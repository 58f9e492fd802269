package rest_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
)

// through gives the error of a call to a host that only a proxy leads to.
func through(t *testing.T, proxy, target string) *rest.ConnError {
	t.Helper()
	way, err := url.Parse(proxy)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{Proxy: http.ProxyURL(way), OnProxyConnectResponse: rest.ProxyAnswer}
	defer transport.CloseIdleConnections()
	res, err := (&http.Client{Transport: transport}).Post(target, "text/plain", strings.NewReader("x"))
	if err == nil {
		_ = res.Body.Close()
		t.Fatal("got an answer")
	}
	return &rest.ConnError{Method: http.MethodPost, URL: target, Err: err}
}

func TestWhatNoProxyPassedOnWasNotSent(t *testing.T) {
	t.Parallel()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = gone.Close()
	refuse := func(code int) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			_, _ = io.WriteString(w, "no")
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	for name, c := range map[string]struct {
		proxy, target, summary string
		state                  delivery.State
	}{
		"a proxy that is not there, for https":  {"http://user:" + canary + "@" + gone.Addr().String(), "https://target.example/x", "no connection", delivery.Retry},
		"a proxy that is not there, for http":   {"http://user:" + canary + "@" + gone.Addr().String(), "http://target.example/x", "no connection", delivery.Retry},
		"a proxy that wants to know who we are": {refuse(407), "https://target.example/x", "refused by the proxy", delivery.Failed},
		"a proxy that is overloaded":            {refuse(503), "https://target.example/x", "refused by the proxy", delivery.Retry},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := through(t, c.proxy, c.target)
			if conn.Sent() {
				t.Errorf("%v counts as sent", conn)
			}
			err := rest.Fault(conn, rest.Names{URL: "X_URL", Token: "X_TOKEN"})
			var f *delivery.Fault
			if !errors.As(err, &f) || f.Summary != c.summary || !strings.Contains(f.Remedy, "HTTPS_PROXY") {
				t.Errorf("fault %+v, want %q and a remedy that names HTTPS_PROXY", f, c.summary)
			}
			if got := delivery.StateOf(err); got != c.state {
				t.Errorf("state %s, want %s", got, c.state)
			}
			if strings.Contains(err.Error(), canary) {
				t.Errorf("the proxy's password is in %v", err)
			}
		})
	}
}
