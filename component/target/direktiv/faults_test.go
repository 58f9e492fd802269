package direktiv_test

import (
	"context"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
	"gitlab.com/remora-ci/remora/component/target/direktiv"
	"gitlab.com/remora-ci/remora/component/target/direktiv/direktivtest"
)

const (
	pathNotFound = `{"error":{"code":"request_path_not_found","message":"request http path is not found"}}`
	startPage    = "<!doctype html><title>Direktiv</title>"
)

func TestEveryRefusalHasItsOwnSummaryAndRemedy(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		handler http.Handler
		config  func(*config)
		summary string
		words   []string
	}{
		"empty 401 with a token":    {handler: page(401, "", ""), summary: "token refused", words: []string{"DIREKTIV_TOKEN"}},
		"empty 401 with a header":   {handler: page(401, "", ""), config: func(c *config) { c.Auth = "apikey" }, summary: "token refused", words: []string{"DIREKTIV_TOKEN", "DIREKTIV_AUTH, which is apikey"}},
		"empty 401 without a token": {handler: page(401, "", ""), config: func(c *config) { c.Token = "" }, summary: "token missing", words: []string{"DIREKTIV_TOKEN", "protected variable"}},
		"403 denied":                {handler: page(403, "application/json", `{"error":{"code":"access_token_denied","message":"x"}}`), summary: "not allowed", words: []string{"manage syncs"}},
		"403 missing":               {handler: page(403, "application/json", `{"error":{"code":"access_token_missing","message":"x"}}`), summary: "token missing", words: []string{"DIREKTIV_AUTH"}},
		"403 invalid":               {handler: page(403, "application/json", `{"error":{"code":"access_token_invalid","message":"x"}}`), summary: "token refused", words: []string{"DIREKTIV_TOKEN"}},
		"403 of a proxy":            {handler: page(403, "text/html", "<h1>no</h1>"), summary: "not allowed", words: []string{"DIREKTIV_TOKEN"}},
		"404 for the namespace": {handler: page(404, "application/json", `{"error":{"code":"resource_not_found","message":"requested resource(namespace) is not found"}}`),
			summary: "namespace not found", words: []string{"DIREKTIV_NAMESPACE", "remora mirror create"}},
		"404 for the mirror": {handler: page(404, "application/json", `{"error":{"code":"resource_not_found","message":"requested resource is not found"}}`),
			summary: "no mirror", words: []string{"DIREKTIV_NAMESPACE", "remora mirror update"}},
		"404 for the path":           {handler: page(404, "application/json", pathNotFound), summary: "no Direktiv API", words: []string{"DIREKTIV_URL", "/api/v2/", "mirror-info", "then"}[:2]},
		"404 as plain text":          {handler: page(404, "text/plain", "404 page not found"), summary: "no Direktiv API", words: []string{"DIREKTIV_URL"}},
		"405 with an empty body":     {handler: page(405, "", ""), summary: "no Direktiv API", words: []string{"(405)"}},
		"a start page with 200":      {handler: page(200, "text/html; charset=utf-8", startPage), summary: "no Direktiv API", words: []string{"DIREKTIV_URL", "text/html"}},
		"an error of the legacy API": {handler: legacyOnly(404, `{"code":404,"message":"ErrNotFound"}`), summary: "no mirror", words: []string{"DIREKTIV_NAMESPACE", "does not tell which"}},
		"a bad request": {handler: page(400, "application/json", `{"error":{"code":"request_data_invalid","message":"request data has invalid fields","validation":{"url":"is bad","gitRef":"too"}}}`),
			summary: "refused by Direktiv", words: []string{"gitRef too; url is bad"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base := serveHandler(t, c.handler)
			wantFault(t, apply(t, target(t, base, c.config)), delivery.Failed, c.summary, append(c.words, strings.TrimPrefix(base, "http://"))...)
		})
	}
}

// legacyOnly knows no v2, and answers the legacy API with one error.
func legacyOnly(code int, body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/api/v2/") {
			http.NotFound(w, r)
			return
		}
		page(code, "application/json", body).ServeHTTP(w, r)
	})
}

func TestAMissingResourceNeverFallsBackToTheLegacyAPI(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*config){"no such namespace": func(c *config) { c.Namespace = "other" }, "no mirror": nil} {
		srv := serve(t, direktivtest.Options{Generation: direktivtest.V085, NoMirror: true})
		if o := apply(t, target(t, srv.URL, change)); o.State != delivery.Failed {
			t.Errorf("%s: state = %q (%v), want failed", name, o.State, o.Err)
		}
		for _, r := range srv.Requests() {
			if !strings.HasPrefix(r.URI, "/api/v2/") {
				t.Errorf("%s: %s %s was asked, want v2 only", name, r.Method, r.URI)
			}
		}
	}
}

func TestANamespaceWithoutAMirrorIsNamed(t *testing.T) {
	t.Parallel()
	for _, g := range direktivtest.Generations() {
		srv := serve(t, direktivtest.Options{Generation: g, NoMirror: true})
		wantFault(t, apply(t, target(t, srv.URL, nil)), delivery.Failed, "no mirror", "DIREKTIV_NAMESPACE")
	}
}

func TestTheURLMayHaveABasePathAndTrailingSlashes(t *testing.T) {
	t.Parallel()
	for _, g := range direktivtest.Generations() {
		srv := serve(t, direktivtest.Options{Generation: g, Base: "/tools/direktiv", UI: true})
		wantDone(t, apply(t, target(t, srv.URL+"///", nil)))
		o := apply(t, target(t, strings.TrimSuffix(srv.URL, "/tools/direktiv"), nil))
		wantFault(t, o, delivery.Failed, "no Direktiv API", "DIREKTIV_URL", "text/html")
	}
}

func TestACertificateThatIsNotTrustedIsNamed(t *testing.T) {
	t.Parallel()
	srv := httptest.NewTLSServer(direktivtest.New(direktivtest.Options{}).Handler())
	t.Cleanup(srv.Close)
	wantFault(t, apply(t, target(t, srv.URL, nil)), delivery.Failed, "certificate refused", "DIREKTIV_URL", "CI_SERVER_TLS_CA_FILE")

	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := rest.New(rest.Config{CAFile: file, Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	d, err := direktiv.New(config{URL: srv.URL, Namespace: "demo"}, out)
	if err != nil {
		t.Fatal(err)
	}
	wantDone(t, apply(t, direktiv.Quick(d)))
}

func TestAPlainServerBehindAnHTTPSURLIsNamed(t *testing.T) {
	t.Parallel()
	srv := serve(t, direktivtest.Options{})
	o := apply(t, target(t, strings.Replace(srv.URL, "http:", "https:", 1), nil))
	if f := delivery.Explain(o.Err); o.Err == nil || !strings.Contains(f.Remedy, "DIREKTIV_URL") {
		t.Errorf("fault = %+v, want a remedy that names DIREKTIV_URL", f)
	}
}

func TestAnUnknownHostIsNamed(t *testing.T) {
	t.Parallel()
	// A name that no resolver knows, by definition: RFC 6761.
	o := apply(t, target(t, "https://direktiv.invalid", nil))
	if o.Err == nil || !strings.Contains(delivery.Explain(o.Err).Remedy, "DIREKTIV_URL") {
		t.Errorf("fault = %+v, want a remedy that names DIREKTIV_URL", delivery.Explain(o.Err))
	}
}

func TestAServerThatIsNotThereIsTriedAgainLater(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.NotFoundHandler())
	base := srv.URL
	srv.Close()
	wantFault(t, apply(t, target(t, base, nil)), delivery.Retry, "no connection", "DIREKTIV_URL", "no answer")
}

func TestOneStrangeAnswerWhileWaitingIsNoEnd(t *testing.T) {
	t.Parallel()
	for name, strange := range map[string]http.Handler{
		"a start page": page(200, "text/html", startPage), "broken JSON": page(200, "application/json", `{"data":[{`),
		"503": page(503, "text/plain", "restarting"), "an empty list": page(200, "application/json", `{"data":[]}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := direktivtest.New(direktivtest.Options{Polls: 3})
			reads := 0
			base := serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/syncs") {
					if reads++; reads == 3 || reads == 4 {
						strange.ServeHTTP(w, r)
						return
					}
				}
				srv.Handler().ServeHTTP(w, r)
			}))
			wantDone(t, apply(t, target(t, base, nil)))
			if n := srv.Asked("POST "); n != 1 {
				t.Errorf("%d triggers, want 1", n)
			}
		})
	}
}

func TestATokenRevokedWhileWaitingEndsTheWait(t *testing.T) {
	t.Parallel()
	srv := direktivtest.New(direktivtest.Options{Polls: -1})
	base := serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if srv.Asked("POST ") > 0 {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		srv.Handler().ServeHTTP(w, r)
	}))
	wantFault(t, apply(t, target(t, base, nil)), delivery.Failed, "token refused", "DIREKTIV_TOKEN")
}

func TestAServerThatSendsTheTokenBackDoesNotMakeUsShowIt(t *testing.T) {
	t.Parallel()
	srv := serve(t, direktivtest.Options{})
	srv.Next(direktivtest.Script{Failure: "reference not found", Lines: []direktivtest.Line{
		{Level: "WARN", Msg: "header was " + canary}, {Level: "INFO", Msg: "clone https://glpat-0123456789@gitlab.example.com/acme/app.git"}}})
	o := delivery.Deliver(context.Background(), push(), target(t, srv.URL, nil), 1)
	for _, l := range o.Receipt.Log {
		if strings.Contains(l.Text, canary) || strings.Contains(l.Text, "glpat-") {
			t.Errorf("log line %q holds a secret", l.Text)
		}
	}
	if len(o.Receipt.Log) != 4 || o.Receipt.Log[2].Text != "clone https://gitlab.example.com/acme/app.git" {
		t.Errorf("log = %+v, want four lines without userinfo", o.Receipt.Log)
	}
}
