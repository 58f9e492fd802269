package direktiv_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/target/direktiv/direktivtest"
)

// single are the generations that run one sync of a namespace at a time.
var single = []direktivtest.Generation{direktivtest.V07, direktivtest.V085, direktivtest.V0810, direktivtest.V0100}

func TestALostAnswerNeverTriggersTwice(t *testing.T) {
	t.Parallel()
	for _, g := range direktivtest.Generations() {
		t.Run(string(g), func(t *testing.T) {
			t.Parallel()
			srv := serve(t, direktivtest.Options{Generation: g, Polls: 3})
			srv.LoseAnswers(1)
			o := apply(t, target(t, srv.URL, nil))
			wantDone(t, o)
			if n := srv.Asked("POST "); n != 1 {
				t.Errorf("%d triggers, want 1", n)
			}
			if syncs := srv.Syncs("demo"); len(syncs) != 1 || o.Receipt.ID != syncs[0].ID {
				t.Errorf("followed %q of %+v, want the one sync", o.Receipt.ID, syncs)
			}
		})
	}
}

func TestATriggerThatLeftNoTraceIsLookedForUntilTheDeadline(t *testing.T) {
	t.Parallel()
	for _, g := range direktivtest.Generations() {
		t.Run(string(g), func(t *testing.T) {
			t.Parallel()
			srv := serve(t, direktivtest.Options{Generation: g})
			srv.LoseTriggers(1)
			o := within(t, target(t, srv.URL, nil), 150*time.Millisecond)
			wantFault(t, o, delivery.Retry, "no sync appeared", "was lost", "POST ")
			if n := srv.Asked("POST "); n != 1 {
				t.Errorf("%d triggers, want 1: nothing proves that the first did not arrive", n)
			}
		})
	}
}

func TestAnAnswerThatAGatewayLostIsLookedUp(t *testing.T) {
	t.Parallel()
	for _, code := range []int{http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout} {
		for _, arrived := range []bool{true, false} {
			t.Run(http.StatusText(code), func(t *testing.T) {
				t.Parallel()
				srv := direktivtest.New(direktivtest.Options{})
				gateway := serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Method != http.MethodPost {
						srv.Handler().ServeHTTP(w, r)
						return
					}
					if arrived {
						srv.Handler().ServeHTTP(discard{}, r)
					}
					http.Error(w, "upstream", code)
				}))
				o := apply(t, target(t, gateway, nil))
				if arrived {
					wantDone(t, o)
				} else if o.State != delivery.Retry || delivery.Explain(o.Err).Remedy == "" {
					t.Errorf("state = %q (%v), want retry with a remedy", o.State, o.Err)
				}
			})
		}
	}
}

func TestAStrangeAnswerWhileLookingForASyncIsNoEnd(t *testing.T) {
	t.Parallel()
	srv := direktivtest.New(direktivtest.Options{})
	srv.LoseAnswers(1)
	reads := 0
	base := serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && srv.Asked("POST ") == 1 {
			if reads++; reads < 3 {
				page(200, "text/html", startPage).ServeHTTP(w, r)
				return
			}
		}
		srv.Handler().ServeHTTP(w, r)
	}))
	wantDone(t, apply(t, target(t, base, nil)))
	if n := srv.Asked("POST "); n != 1 {
		t.Errorf("%d triggers, want 1", n)
	}
}

func TestARunningSyncIsWaitedForAndThenAnotherIsStarted(t *testing.T) {
	t.Parallel()
	for _, g := range single {
		t.Run(string(g), func(t *testing.T) {
			t.Parallel()
			srv := serve(t, direktivtest.Options{Generation: g})
			old := srv.Running(time.Now(), 6)
			o := apply(t, target(t, srv.URL, nil))
			wantDone(t, o)
			if o.Receipt.ID == old {
				t.Error("followed the sync that ran before: it may have cloned before the push")
			}
			syncs := srv.Syncs("demo")
			if len(syncs) != 2 || syncs[0].Status != "complete" || syncs[1].Status != "complete" {
				t.Errorf("syncs = %+v, want both complete", syncs)
			}
			if n := srv.Asked("POST "); n != 2 {
				t.Errorf("%d triggers, want 2", n)
			}
		})
	}
}

func TestOnMainAnotherSyncRunsBeside(t *testing.T) {
	t.Parallel()
	srv := serve(t, direktivtest.Options{Generation: direktivtest.Main})
	srv.Running(time.Now(), -1)
	wantDone(t, apply(t, target(t, srv.URL, nil)))
	if n := srv.Asked("POST "); n != 1 {
		t.Errorf("%d triggers, want 1", n)
	}
}

func TestARealServerFaultIsToldFromARunningSync(t *testing.T) {
	t.Parallel()
	srv := serve(t, direktivtest.Options{})
	srv.BreakTriggers(99)
	o := apply(t, target(t, srv.URL, nil))
	wantFault(t, o, delivery.Retry, "server error", "internal server error", "no sync is running", "DIREKTIV_URL")
	if n := srv.Asked("POST "); n != 2 {
		t.Errorf("%d triggers, want 2: a sync may have ended between trigger and listing", n)
	}
}

func TestASyncThatEndedBetweenTriggerAndListingIsNoFault(t *testing.T) {
	t.Parallel()
	srv := serve(t, direktivtest.Options{})
	srv.BreakTriggers(1)
	wantDone(t, apply(t, target(t, srv.URL, nil)))
}

func TestOtherWorkOnAMirrorIsWaitedFor(t *testing.T) {
	t.Parallel()
	srv := serve(t, direktivtest.Options{Generation: direktivtest.V07})
	srv.BreakTriggers(4)
	wantDone(t, apply(t, target(t, srv.URL, nil)))
	if n := srv.Asked("POST "); n != 5 {
		t.Errorf("%d triggers, want 5", n)
	}
	srv.BreakTriggers(1 << 20)
	o := within(t, target(t, srv.URL, nil), 100*time.Millisecond)
	if f := delivery.Explain(o.Err); o.State != delivery.Retry || !strings.Contains(f.Remedy, "REMORA_TIMEOUT") {
		t.Errorf("state = %q, fault = %+v; want retry and a remedy that names REMORA_TIMEOUT", o.State, f)
	}
}

func TestASyncThatOutlastsTheDeadlineIsNamed(t *testing.T) {
	t.Parallel()
	for _, g := range single {
		srv := serve(t, direktivtest.Options{Generation: g})
		id := srv.Running(time.Now(), -1)
		o := within(t, target(t, srv.URL, nil), 100*time.Millisecond)
		wantFault(t, o, delivery.Retry, "sync has not ended", id, "executing", "REMORA_TIMEOUT")
	}
}

func TestAStuckSyncIsNamedWithItsCure(t *testing.T) {
	t.Parallel()
	for _, g := range single {
		t.Run(string(g), func(t *testing.T) {
			t.Parallel()
			srv := serve(t, direktivtest.Options{Generation: g})
			id := srv.Running(time.Now().Add(-3*time.Hour), -1)
			o := apply(t, target(t, srv.URL, nil))
			wantFault(t, o, delivery.Failed, "an old sync is stuck", id, "executing", "3h0m0s ago", "remora mirror create", "mirror_processes")
		})
	}
}

func TestASyncOfSomebodyElseThatStartedAfterOurListingIsFollowed(t *testing.T) {
	t.Parallel()
	srv := direktivtest.New(direktivtest.Options{})
	var id string
	base := serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && id == "" {
			id = srv.Running(time.Now(), 3)
		}
		srv.Handler().ServeHTTP(w, r)
	}))
	o := apply(t, target(t, base, nil))
	wantDone(t, o)
	if o.Receipt.ID != id || srv.Asked("POST ") != 1 {
		t.Errorf("followed %q after %d triggers, want %q after one", o.Receipt.ID, srv.Asked("POST "), id)
	}
}

func TestTheLegacyWordsForALockedMirrorAreExplained(t *testing.T) {
	t.Parallel()
	srv := direktivtest.New(direktivtest.Options{Generation: direktivtest.V07})
	base := serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			page(500, "application/json", `{"code":500,"message":"mirror is locked"}`).ServeHTTP(w, r)
			return
		}
		srv.Handler().ServeHTTP(w, r)
	}))
	wantFault(t, apply(t, target(t, base, nil)), delivery.Failed, "mirror is unlocked for editing", "lock the mirror")
}

func TestTheDirectoryIsUsedByTheLegacyAPIOnly(t *testing.T) {
	t.Parallel()
	directory := func(c *config) { c.Directory = "work flows//sub/" }
	t.Run("v0.7", func(t *testing.T) {
		t.Parallel()
		srv := serve(t, direktivtest.Options{Generation: direktivtest.V07})
		o := apply(t, target(t, srv.URL, directory))
		wantDone(t, o)
		if srv.Asked("POST /api/namespaces/demo/tree/work%20flows/sub?op=sync-mirror&force=true") != 1 || len(o.Receipt.Warnings) != 0 {
			t.Errorf("requests = %v, warnings %q; want the directory in the trigger and no warning", srv.Requests(), o.Receipt.Warnings)
		}
	})
	t.Run("v2", func(t *testing.T) {
		t.Parallel()
		o := apply(t, target(t, serve(t, direktivtest.Options{}).URL, directory))
		wantDone(t, o)
		if len(o.Receipt.Warnings) != 1 || !strings.Contains(o.Receipt.Warnings[0], "DIREKTIV_DIRECTORY is ignored") {
			t.Errorf("warnings = %q, want one on DIREKTIV_DIRECTORY", o.Receipt.Warnings)
		}
	})
}
