package direktiv_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/target/direktiv/direktivtest"
)

func TestTheTokenIsSentAsDirektivAuthSays(t *testing.T) {
	t.Parallel()
	bearer := "Bearer " + canary
	for auth, want := range map[string]map[string]string{
		"":                 {"Authorization": bearer, "Direktiv-Token": canary, "Direktiv-Api-Key": canary},
		"auto":             {"Authorization": bearer, "Direktiv-Token": canary, "Direktiv-Api-Key": canary},
		"direktiv-token":   {"Direktiv-Token": canary},
		"direktiv-api-key": {"Direktiv-Api-Key": canary},
		"apikey":           {"Apikey": canary},
		"bearer":           {"Authorization": bearer},
	} {
		srv := serve(t, direktivtest.Options{})
		wantDone(t, apply(t, target(t, srv.URL, func(c *config) { c.Auth = auth })))
		for _, r := range srv.Requests() {
			got := map[string]string{}
			for _, h := range []string{"Authorization", "Direktiv-Token", "Direktiv-Api-Key", "Apikey"} {
				if v := r.Header.Get(h); v != "" {
					got[h] = v
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("DIREKTIV_AUTH=%q, %s %s (-want +got):\n%s", auth, r.Method, r.URI, diff)
			}
		}
	}
}

func TestALineBreakThatWasPastedAlongIsNotSent(t *testing.T) {
	t.Parallel()
	srv := serve(t, direktivtest.Options{Key: canary})
	wantDone(t, apply(t, target(t, srv.URL, func(c *config) { c.Token = canary + "\n" })))
}

func TestAutoAlsoSendsTheOldHeaderToTheLegacyAPI(t *testing.T) {
	t.Parallel()
	srv := serve(t, direktivtest.Options{Generation: direktivtest.V07, Key: canary})
	wantDone(t, apply(t, target(t, srv.URL, nil)))
	for _, r := range srv.Requests() {
		if legacy := !strings.HasPrefix(r.URI, "/api/v2/"); (r.Header.Get("Apikey") == canary) != legacy {
			t.Errorf("%s %s: apikey = %q, want it on the legacy API only", r.Method, r.URI, r.Header.Get("Apikey"))
		}
	}
}

func TestWithoutATokenNoHeaderIsSent(t *testing.T) {
	t.Parallel()
	srv := serve(t, direktivtest.Options{})
	wantDone(t, apply(t, target(t, srv.URL, func(c *config) { c.Token = "" })))
	for _, r := range srv.Requests() {
		if v := r.Header.Get("Authorization") + r.Header.Get("Direktiv-Token") + r.Header.Get("Direktiv-Api-Key"); v != "" {
			t.Errorf("%s %s: sent %q without a token", r.Method, r.URI, v)
		}
	}
}

func TestAutoLearnsThatTheEnterpriseEditionWantsABearerToken(t *testing.T) {
	t.Parallel()
	srv := serve(t, direktivtest.Options{Enterprise: true, Key: canary, Generation: direktivtest.V0100})
	d := target(t, srv.URL, nil)
	wantDone(t, apply(t, d))
	wantDone(t, apply(t, d))
	if n := srv.Asked("GET /api/v2/status"); n != 1 {
		t.Errorf("status was asked %d times, want once", n)
	}
	if n := srv.Asked("POST "); n != 2 {
		t.Errorf("%d triggers, want 2", n)
	}
	for _, r := range srv.Requests() {
		if strings.HasSuffix(r.URI, "/status") && r.Header.Get("Authorization") != "" {
			t.Error("the status page was asked with the token; it needs none")
		}
	}
}

func TestDeliveriesThatAreRefusedAtOnceLearnTheSame(t *testing.T) {
	t.Parallel()
	srv := serve(t, direktivtest.Options{Enterprise: true, Key: canary, Generation: direktivtest.Main})
	d := target(t, srv.URL, nil)
	outcomes := make(chan delivery.Outcome)
	for range 8 {
		go func() { outcomes <- apply(t, d) }()
	}
	for range 8 {
		if o := <-outcomes; o.State != delivery.Done {
			t.Errorf("state = %q (%v), want done", o.State, o.Err)
		}
	}
	if n := srv.Asked("GET /api/v2/status"); n != 1 {
		t.Errorf("status was asked %d times, want once", n)
	}
}

func TestAWrongKeyIsRefusedByEveryGenerationThatChecks(t *testing.T) {
	t.Parallel()
	for _, o := range []direktivtest.Options{
		{Generation: direktivtest.V07}, {Generation: direktivtest.V085}, {Generation: direktivtest.V0810}, {Generation: direktivtest.V0100, Enterprise: true},
	} {
		o.Key = "another key"
		srv := serve(t, o)
		wantFault(t, apply(t, target(t, srv.URL, nil)), delivery.Failed, "token refused", "DIREKTIV_TOKEN")
		if n := srv.Asked("GET /api/v2/status"); n > 1 {
			t.Errorf("%s: status was asked %d times, want at most once", o.Generation, n)
		}
	}
}

func TestTheRightKeyInTheWrongHeaderNamesDirektivAuth(t *testing.T) {
	t.Parallel()
	srv := serve(t, direktivtest.Options{Key: canary})
	wantFault(t, apply(t, target(t, srv.URL, func(c *config) { c.Auth = "bearer" })), delivery.Failed, "token refused", "DIREKTIV_AUTH, which is bearer, back to auto")
}
