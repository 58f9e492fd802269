package direktiv_test

import (
	"net/http"
	"strings"
	"testing"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/target/direktiv/direktivtest"
)

// Servers before v0.8.5 know nothing of v2 and differ in how they say so.
func TestTheLegacyAPIIsFoundBehindEveryAnswerToV2(t *testing.T) {
	t.Parallel()
	for name, v2 := range map[string]http.Handler{
		"404 as plain text":   page(404, "text/plain; charset=utf-8", "404 page not found"),
		"404 in JSON":         page(404, "application/json", pathNotFound),
		"404 with a page":     page(404, "text/html", startPage),
		"405 with nothing":    page(405, "", ""),
		"a start page":        page(200, "text/html; charset=utf-8", startPage),
		"200 without content": page(200, "", ""),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := direktivtest.New(direktivtest.Options{Generation: direktivtest.V07, Key: canary, Polls: 3})
			base := serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasPrefix(r.URL.Path, "/api/v2/") {
					v2.ServeHTTP(w, r)
					return
				}
				srv.Handler().ServeHTTP(w, r)
			}))
			o := apply(t, target(t, base, nil))
			wantDone(t, o)
			if n := srv.Asked("POST /api/namespaces/demo/tree?op=sync-mirror&force=true"); n != 1 || o.Receipt.ID != srv.Syncs("demo")[0].ID {
				t.Errorf("%d triggers, followed %q; want one, and its sync", n, o.Receipt.ID)
			}
		})
	}
}

// v0.8.4 has the old trigger and the new log route, and no other part of v2.
func TestLogsComeFromTheNewRouteWhereTheOldOneIsGone(t *testing.T) {
	t.Parallel()
	srv := direktivtest.New(direktivtest.Options{Generation: direktivtest.V085})
	srv.Next(direktivtest.Script{Failure: "authentication required"})
	base := serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/api/v2/") && !strings.HasSuffix(r.URL.Path, "/logs") {
			http.NotFound(w, r)
			return
		}
		srv.Handler().ServeHTTP(w, r)
	}))
	wantFault(t, apply(t, target(t, base, nil)), delivery.Failed, "repository refused the mirror", "authentication required")
}

func TestTheFirstProcessOfALegacyMirrorIsNotTakenForOurs(t *testing.T) {
	t.Parallel()
	srv := serve(t, direktivtest.Options{Generation: direktivtest.V07, NoMirror: true})
	if code := put(t, srv.URL+"/api/namespaces/shop", `{"url":"https://gitlab.example.com/acme/app.git","ref":"main"}`); code != http.StatusOK {
		t.Fatalf("create = %d, want 200", code)
	}
	o := apply(t, target(t, srv.URL, func(c *config) { c.Namespace = "shop" }))
	wantDone(t, o)
	syncs := srv.Syncs("shop")
	if len(syncs) != 2 || syncs[0].Type != "init" || o.Receipt.ID != syncs[1].ID {
		t.Errorf("followed %q of %+v, want the second", o.Receipt.ID, syncs)
	}
}

func put(t *testing.T, address, body string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}

func TestANewSyncIsFoundInAListOfAnyOrder(t *testing.T) {
	t.Parallel()
	srv := serve(t, direktivtest.Options{Generation: direktivtest.V07})
	for range 3 { // newest first on this generation
		wantDone(t, apply(t, target(t, srv.URL, nil)))
	}
	o := apply(t, target(t, srv.URL, nil))
	wantDone(t, o)
	if syncs := srv.Syncs("demo"); o.Receipt.ID != syncs[len(syncs)-1].ID {
		t.Errorf("followed %q, want the last of %+v", o.Receipt.ID, syncs)
	}
}
