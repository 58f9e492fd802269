package direktiv_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
	"gitlab.com/remora-ci/remora/component/target/direktiv"
	"gitlab.com/remora-ci/remora/component/target/direktiv/direktivtest"
)

func TestATimeInAnotherFormIsNoReasonToRefuseAnAnswer(t *testing.T) {
	t.Parallel()
	for name, created := range map[string]string{"an object": `{"seconds":1,"nanos":2}`, "null": `null`, "a word": `"yesterday"`, "a number": `1700000000`} {
		srv := direktivtest.New(direktivtest.Options{})
		base := serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/syncs") && srv.Asked("POST ") > 0 {
				page(200, "application/json", `{"data":[{"id":"`+srv.Syncs("demo")[0].ID+`","status":"complete","createdAt":`+created+`}]}`).ServeHTTP(w, r)
				return
			}
			srv.Handler().ServeHTTP(w, r)
		}))
		if o := apply(t, target(t, base, nil)); o.State != delivery.Done {
			t.Errorf("%s: state = %q (%v), want done", name, o.State, o.Err)
		}
	}
}

func TestASyncOfOursIsNotCalledStuckByAServerWhoseClocksDisagree(t *testing.T) {
	t.Parallel()
	srv := serve(t, direktivtest.Options{Polls: 3, Now: func() time.Time { return time.Now().Add(-2 * time.Hour) }})
	wantDone(t, apply(t, target(t, srv.URL, nil)))
}

// FuzzAnswers has a server answer every request with the same bytes. Whatever
// they are, Apply comes back whole.
func FuzzAnswers(f *testing.F) {
	for _, body := range []string{
		`{"data":{"name":"demo","mirror":{"url":"https://gitlab.example.com/acme/app.git","gitRef":"main"}}}`,
		`{"data":[{"id":"1","status":"complete","createdAt":"2026-01-01T00:00:00Z"}]}`, `{"data":[]}`, `{"data":null}`, `[]`, `null`, `{`, "",
		`{"error":{"code":"internal","message":"internal server error"}}`, `{"error":{"code":"resource_not_found","message":"` + canary + `"}}`,
		`{"code":500,"message":"already"}`, `{"info":{"url":"git@h:p","ref":"main"},"activities":{"results":[{"id":"1","type":"sync","status":"x"}]}}`,
	} {
		f.Add(200, "application/json", []byte(body))
		f.Add(404, "application/json", []byte(body))
		f.Add(500, "application/json", []byte(body))
	}
	f.Add(200, "text/html", []byte("<html>"))
	out, err := rest.New(rest.Config{Retries: -1})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, code int, kind string, body []byte) {
		if code < 200 || code > 599 {
			return
		}
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = []string{kind}
			w.WriteHeader(code)
			_, _ = w.Write(body)
		}))
		defer srv.Close()
		d, err := direktiv.New(direktiv.Config{URL: srv.URL, Namespace: "demo", Token: canary}, out)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
		defer cancel()
		o := delivery.Deliver(ctx, push(), direktiv.Quick(d), 1)
		if o.State == delivery.Skipped || o.State == delivery.Done {
			return
		}
		if fault := delivery.Explain(o.Err); fault.Remedy == "" || strings.Contains(fault.Error()+fault.Remedy+fault.Request, canary) {
			t.Errorf("%d %q %q: fault = %+v, want a remedy and no secret", code, kind, body, *fault)
		}
		if strings.Contains(o.Err.Error(), "stopped unexpectedly") {
			t.Errorf("%d %q %q: %v", code, kind, body, o.Err)
		}
	})
}
