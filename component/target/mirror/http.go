package mirror

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
)

// httpRemote speaks smart HTTP: https://git-scm.com/docs/gitprotocol-http
type httpRemote struct {
	client *http.Client
	at     address
	user   string
	token  delivery.Secret // goes to the address's own origin only
}

// newHTTPClient makes the client that all HTTP remotes of a target share. The
// body of an answer has no time limit of its own: a pack may take as long as it
// keeps moving.
func newHTTPClient(caFile string, after time.Duration) (*http.Client, error) {
	roots, err := rest.Authorities(caFile)
	if err != nil {
		return nil, fmt.Errorf("CI_SERVER_TLS_CA_FILE: %w", err)
	}
	return &http.Client{
		CheckRedirect: sameOrigin,
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            dial(after, newDialer()),
			TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    15 * time.Second,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
			ForceAttemptHTTP2:      true,
			OnProxyConnectResponse: rest.ProxyAnswer,
		},
	}, nil
}

// sameOrigin lets only a GET be redirected, and only within its origin, so that
// neither token nor pack goes to a host that nobody named.
func sameOrigin(req *http.Request, via []*http.Request) error {
	first := via[0]
	if req.URL.Scheme != first.URL.Scheme || req.URL.Host != first.URL.Host || first.Method != http.MethodGet {
		return &rest.RedirectError{To: strings.TrimSuffix(rest.Plain(req.URL.String()), "/info/refs")}
	}
	if len(via) >= 5 {
		return fmt.Errorf("stopped after %d redirects", len(via))
	}
	return nil
}

func (r *httpRemote) evidence(service string) string {
	return "POST " + r.at.String() + "/" + service
}

func (r *httpRemote) open(ctx context.Context, service string) (*talk, error) {
	base := strings.TrimSuffix(r.at.String(), "/")
	res, err := r.send(ctx, http.MethodGet, base+"/info/refs?service="+service, nil, 0, http.Header{"Accept": {"*/*"}})
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	if want := "application/x-" + service + "-advertisement"; res.Header.Get("Content-Type") != want {
		return nil, &notGitError{request: "GET " + base + "/info/refs", kind: res.Header.Get("Content-Type")}
	}
	refs, err := readRefs(res.Body)
	if err != nil {
		return nil, connError(ctx, http.MethodGet, base+"/info/refs", err)
	}
	// A redirect within the origin, such as to the path with .git, holds for the
	// request that follows, which may not be redirected itself.
	at := *res.Request.URL
	at.RawQuery = ""
	if path, ok := strings.CutSuffix(at.Path, "/info/refs"); ok {
		at.Path, at.RawPath = path, ""
	}
	return &talk{line: &httpLine{remote: r, base: at.String(), service: service}, refs: refs}, nil
}

// send makes one request; an answer outside 2xx is a [rest.StatusError].
func (r *httpRemote) send(ctx context.Context, method, to string, body io.Reader, size int64, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, to, body)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", errors.New("malformed address"))
	}
	req.Header, req.ContentLength = header, size
	// Some servers tell Git from a browser by the start of this.
	req.Header.Set("User-Agent", "git/remora")
	if !r.token.Empty() {
		req.SetBasicAuth(r.user, r.token.Reveal())
	}
	res, err := r.client.Do(req)
	if err != nil {
		return nil, connError(ctx, method, to, err)
	}
	if res.StatusCode >= 200 && res.StatusCode <= 299 {
		return res, nil
	}
	defer func() { _ = res.Body.Close() }()
	text, _ := io.ReadAll(io.LimitReader(res.Body, 4096))
	status := &rest.StatusError{Method: method, URL: rest.Plain(to), Code: res.StatusCode, After: rest.RetryAfter(res.Header, time.Now())}
	if !strings.Contains(res.Header.Get("Content-Type"), "html") {
		status.Body = clean(string(text), 500)
	}
	return nil, status
}

// connError names the request, and says why it really ended.
func connError(ctx context.Context, method, to string, err error) error {
	var in *url.Error
	for errors.As(err, &in) {
		err = in.Err
	}
	if ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		err = fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return &rest.ConnError{Method: method, URL: rest.Plain(to), Err: err}
}

// httpLine is a conversation in which every request stands alone.
type httpLine struct {
	remote        *httpRemote
	base, service string
}

func (l *httpLine) exchange(ctx context.Context, body io.Reader, size int64) (io.ReadCloser, error) {
	res, err := l.remote.send(ctx, http.MethodPost, l.base+"/"+l.service, body, size, http.Header{
		"Accept":       {"application/x-" + l.service + "-result"},
		"Content-Type": {"application/x-" + l.service + "-request"},
	})
	if err != nil {
		return nil, err
	}
	if want := "application/x-" + l.service + "-result"; res.Header.Get("Content-Type") != want {
		_ = res.Body.Close()
		return nil, &notGitError{request: "POST " + rest.Plain(l.base) + "/" + l.service, kind: res.Header.Get("Content-Type")}
	}
	return named{res.Body, ctx, l.base + "/" + l.service}, nil
}

func (l *httpLine) close() {}

// named is a body whose errors name the request.
type named struct {
	io.ReadCloser
	ctx context.Context
	to  string
}

func (n named) Read(p []byte) (int, error) {
	count, err := n.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = connError(n.ctx, http.MethodPost, n.to, err)
	}
	return count, err
}

// notGitError is an answer that no Git server gives.
type notGitError struct{ request, kind string }

func (e *notGitError) Error() string {
	if e.kind == "" {
		return e.request + ": answer is not Git's"
	}
	return e.request + ": answer is not Git's but " + clean(e.kind, 80)
}
