package direktiv_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/target/direktiv"
	"gitlab.com/remora-ci/remora/component/target/direktiv/direktivtest"
)

func TestASyncIsFollowedToItsEndOnEveryGeneration(t *testing.T) {
	t.Parallel()
	for _, g := range direktivtest.Generations() {
		t.Run(string(g), func(t *testing.T) {
			t.Parallel()
			srv := serve(t, direktivtest.Options{Generation: g, Key: canary, Polls: 4})
			o := apply(t, target(t, srv.URL, nil))
			wantDone(t, o)
			syncs := srv.Syncs("demo")
			if len(syncs) != 1 || syncs[0].Status != "complete" {
				t.Fatalf("syncs = %+v, want one that is complete", syncs)
			}
			if o.Receipt.ID != syncs[0].ID || o.Receipt.Result != "synced" || o.Receipt.Revision != "" {
				t.Errorf("receipt = %+v, want the sync's id and no revision", o.Receipt)
			}
			if want := "(200), sync " + syncs[0].ID; !strings.HasPrefix(o.Receipt.Request, "POST http://") || !strings.HasSuffix(o.Receipt.Request, want) {
				t.Errorf("evidence = %q, want POST … %s", o.Receipt.Request, want)
			}
			if len(o.Receipt.Log) != 1 || len(o.Receipt.Warnings) != 0 {
				t.Errorf("log = %+v, warnings = %q; want one line and no warning", o.Receipt.Log, o.Receipt.Warnings)
			}
		})
	}
}

func TestAGoodSyncCostsFewRequestsAndLittleTime(t *testing.T) {
	t.Parallel()
	srv := serve(t, direktivtest.Options{Generation: direktivtest.V0810, Key: canary})
	d, err := direktiv.New(direktiv.Config{URL: srv.URL, Namespace: "demo", Token: canary}, client(t))
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	wantDone(t, apply(t, d)) // at the pace of real life
	// It takes about 25ms; more than a second means that it waited for the log.
	if took := time.Since(start); took > time.Second {
		t.Errorf("took %s, want no wait after the end of the sync", took)
	}
	var got []string
	for _, r := range srv.Requests() {
		uri, _, _ := strings.Cut(strings.TrimPrefix(r.URI, "/api/v2/namespaces/demo"), "?")
		got = append(got, r.Method+" "+uri)
	}
	if diff := cmp.Diff([]string{"GET ", "GET /syncs", "POST /syncs", "GET /syncs", "GET /logs"}, got); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestAStartThatIsNotAwaitedIsCalledStarted(t *testing.T) {
	t.Parallel()
	srv := serve(t, direktivtest.Options{Polls: -1})
	o := apply(t, target(t, srv.URL, func(c *direktiv.Config) { c.NoWait = true }))
	wantDone(t, o)
	if !o.Receipt.Started || o.Receipt.ID == "" || srv.Asked("POST ") != 1 {
		t.Errorf("receipt = %+v after %d triggers, want started, with an id, after one", o.Receipt, srv.Asked("POST "))
	}
}

func TestWarningsOfACompleteSyncAreShown(t *testing.T) {
	t.Parallel()
	for _, g := range direktivtest.Generations() {
		t.Run(string(g), func(t *testing.T) {
			t.Parallel()
			srv := serve(t, direktivtest.Options{Generation: g})
			srv.Next(direktivtest.Script{Lines: g.Warnings("/hello.yaml")})
			o := apply(t, target(t, srv.URL, nil))
			wantDone(t, o)
			if len(o.Receipt.Warnings) != 1 || !strings.Contains(o.Receipt.Warnings[0], "/hello.yaml") || o.Receipt.Result != "synced, 1 warning" {
				t.Errorf("receipt = %+v, want one warning that names the file", o.Receipt)
			}
		})
	}
}

func TestFailOnWarn(t *testing.T) {
	t.Parallel()
	strict := func(c *direktiv.Config) { c.FailOnWarn = "true" }
	g := direktivtest.V0810
	t.Run("a warning fails the sync", func(t *testing.T) {
		t.Parallel()
		srv := serve(t, direktivtest.Options{Generation: g})
		srv.Next(direktivtest.Script{Lines: g.Warnings("/hello.yaml"), LogsAfter: 2})
		o := apply(t, target(t, srv.URL, strict))
		wantFault(t, o, delivery.Failed, "synced, 1 warning", "/hello.yaml", "DIREKTIV_FAIL_ON_WARN")
	})
	t.Run("a warning that arrives after the first lines fails it too", func(t *testing.T) {
		t.Parallel()
		srv := direktivtest.New(direktivtest.Options{Generation: g})
		reads := 0
		base := serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/logs") {
				if reads++; reads > 2 {
					page(200, "application/json", `{"meta":{},"data":[{"level":"INFO","msg":"a"},{"level":"WARN","msg":"late"}]}`).ServeHTTP(w, r)
					return
				}
			}
			srv.Handler().ServeHTTP(w, r)
		}))
		wantFault(t, apply(t, target(t, base, strict)), delivery.Failed, "synced, 1 warning", "late")
	})
	t.Run("an error in the log of a complete sync fails it too", func(t *testing.T) {
		t.Parallel()
		srv := serve(t, direktivtest.Options{Generation: g})
		srv.Next(direktivtest.Script{Lines: []direktivtest.Line{{Level: "ERROR", Msg: "cannot load /a.yaml"}}})
		o := apply(t, target(t, srv.URL, strict))
		wantFault(t, o, delivery.Failed, "synced, 1 warning", "/a.yaml")
		if len(o.Receipt.Warnings) != 1 {
			t.Errorf("warnings = %q, want the error among them", o.Receipt.Warnings)
		}
	})
	t.Run("a clean log passes", func(t *testing.T) {
		t.Parallel()
		wantDone(t, apply(t, target(t, serve(t, direktivtest.Options{Generation: g}).URL, strict)))
	})
	t.Run("a log that never arrives passes with a warning", func(t *testing.T) {
		t.Parallel()
		srv := serve(t, direktivtest.Options{Generation: g})
		srv.Next(direktivtest.Script{NoLogs: true})
		o := apply(t, target(t, srv.URL, strict))
		wantDone(t, o)
		if len(o.Receipt.Warnings) != 1 || !strings.Contains(o.Receipt.Warnings[0], "DIREKTIV_FAIL_ON_WARN could not be checked") {
			t.Errorf("warnings = %q, want one that the check was not possible", o.Receipt.Warnings)
		}
	})
}

func TestALogIsNeverRequired(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(*direktivtest.Server){
		"it never arrives":              func(s *direktivtest.Server) { s.Next(direktivtest.Script{NoLogs: true}) },
		"the log store does not answer": func(s *direktivtest.Server) { s.LogsDown(true) },
	} {
		for _, g := range direktivtest.Generations() {
			t.Run(name+" on "+string(g), func(t *testing.T) {
				t.Parallel()
				srv := serve(t, direktivtest.Options{Generation: g})
				prepare(srv)
				wantDone(t, apply(t, target(t, srv.URL, nil)))
			})
		}
	}
}

func TestALogThatArrivesLateIsWaitedFor(t *testing.T) {
	t.Parallel()
	srv := serve(t, direktivtest.Options{})
	srv.Next(direktivtest.Script{LogsAfter: 3, Failure: "reference not found"})
	wantFault(t, apply(t, target(t, srv.URL, nil)), delivery.Failed, "reference not found", "main", "gitlab.example.com/acme/app")
}

func TestALongLogIsReadPageByPage(t *testing.T) {
	t.Parallel()
	srv := serve(t, direktivtest.Options{Generation: direktivtest.V0810})
	lines := direktivtest.V0810.Warnings("/first.yaml")
	for i := range 450 {
		lines = append(lines, direktivtest.Line{Level: "INFO", Msg: fmt.Sprintf("file %d", i)})
	}
	srv.Next(direktivtest.Script{Lines: lines})
	o := apply(t, target(t, srv.URL, nil))
	wantDone(t, o)
	if len(o.Receipt.Warnings) != 1 || len(o.Receipt.Log) != 30 || o.Receipt.Log[29].Text != "file 449" {
		t.Errorf("warnings = %q, %d lines; want the warning of the oldest page and the last 30 lines", o.Receipt.Warnings, len(o.Receipt.Log))
	}
}

func TestManyWarningsAreCounted(t *testing.T) {
	t.Parallel()
	srv := serve(t, direktivtest.Options{})
	var lines []direktivtest.Line
	for range 33 {
		lines = append(lines, direktivtest.Line{Level: "WARN", Msg: "bad file"})
	}
	srv.Next(direktivtest.Script{Lines: lines})
	o := apply(t, target(t, srv.URL, nil))
	if n := len(o.Receipt.Warnings); n != 21 || o.Receipt.Warnings[20] != "13 more warnings" {
		t.Errorf("%d warnings, last %q; want 20 and a count", n, o.Receipt.Warnings[n-1])
	}
}

func TestAnUnknownStatusIsWaitedOnAndThenNamed(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]string{"a word": "dancing", "an empty one": "", "noise": "x\x1b[31m\n" + strings.Repeat("y", 99)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := serve(t, direktivtest.Options{Polls: -1})
			if status != "" {
				srv = serve(t, direktivtest.Options{})
				srv.Next(direktivtest.Script{Status: status})
			}
			o := within(t, target(t, srv.URL, nil), 200*time.Millisecond)
			summary := map[string]string{"a word": "unknown status dancing", "an empty one": "sync has not ended",
				"noise": `unknown status "x\x1b[31m\nyyyyyyyyyyyyyyyyyyyyyyy"`}[name]
			wantFault(t, o, delivery.Retry, summary, o.Receipt.ID, "remora mirror show")
			if !strings.Contains(o.Err.Error(), context.DeadlineExceeded.Error()) {
				t.Errorf("error = %v, want it to wrap the deadline", o.Err)
			}
		})
	}
}

func TestASyncThatDisappearsIsNotWaitedForUntilTheDeadline(t *testing.T) {
	t.Parallel()
	srv := serve(t, direktivtest.Options{Polls: -1})
	d := target(t, srv.URL, func(c *direktiv.Config) { c.AnyRef = "true" })
	result := make(chan delivery.Outcome, 1)
	go func() { result <- apply(t, d) }()
	for len(srv.Syncs("demo")) == 0 { // until it runs
		<-time.After(time.Millisecond)
	}
	srv.Forget("demo")
	wantFault(t, <-result, delivery.Retry, "sync disappeared", "created again")
}

func TestThePlanNamesEveryRequestAndNoSecret(t *testing.T) {
	t.Parallel()
	d := target(t, "https://direktiv.example.com/base/", nil)
	got, err := d.Plan(push())
	if err != nil {
		t.Fatal(err)
	}
	ns := "https://direktiv.example.com/base/api/v2/namespaces/demo"
	want := []string{
		"GET " + ns + " (which ref the mirror follows; skipped unless it is main)",
		"GET " + ns + "/syncs", "POST " + ns + "/syncs", "GET " + ns + "/syncs (until the sync has ended)",
		"GET " + ns + "/logs (what it says)",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Plan (-want +got):\n%s", diff)
	}
	if d.Place() != "demo" {
		t.Errorf("Place() = %q, want demo", d.Place())
	}
}
