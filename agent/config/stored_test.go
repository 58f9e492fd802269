package config_test

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/agent/config"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/store/storetest"
	"gitlab.com/remora-ci/remora/component/delivery"
)

func TestAStoredTokenBeatsTheOneItCameFrom(t *testing.T) {
	t.Parallel()
	key := delivery.Secret(base64.StdEncoding.EncodeToString(make([]byte, 32)))
	const configured, stored = delivery.Secret("glpat-configured-0123456789"), delivery.Secret("glpat-stored-0123456789")
	for _, tt := range []struct {
		name  string
		state *store.TokenState
		value delivery.Secret // stored
		key   delivery.Secret // when it is read
		want  delivery.Secret
		fault string
	}{
		{name: "a token that was never rotated is the configured one", key: key, want: configured},
		{name: "a rotated token is the stored one", state: &store.TokenState{State: store.TokenActive, Fingerprint: config.Fingerprint(configured), RotatedAt: time.Now()}, value: stored, key: key, want: stored},
		{name: "it stays so while it is rotated again", state: &store.TokenState{State: store.TokenRotating, Fingerprint: config.Fingerprint(configured), RotatedAt: time.Now()}, value: stored, key: key, want: stored},
		{name: "an operator who configures another value wins", state: &store.TokenState{State: store.TokenActive, Fingerprint: config.Fingerprint("glpat-earlier"), RotatedAt: time.Now()}, value: stored, key: key, want: configured},
		{name: "a first rotation that did not end leaves the configured one", state: &store.TokenState{State: store.TokenRotating, Fingerprint: config.Fingerprint(configured), RotatedAt: time.Now()}, key: key, want: configured},
		{name: "without the key a rotated token is a fault", state: &store.TokenState{State: store.TokenActive, Fingerprint: config.Fingerprint(configured), RotatedAt: time.Now()}, value: stored, fault: "REMORA_ENCRYPTION_KEY"},
		{name: "without the key another configured value is good", state: &store.TokenState{State: store.TokenActive, Fingerprint: config.Fingerprint("glpat-earlier"), RotatedAt: time.Now()}, value: stored, want: configured},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			place := storetest.SQLite(t)
			place.Key = key
			s := storetest.Open(t, place)
			err := s.Write(t.Context(), func(tx *store.Tx) error {
				if tt.state == nil {
					return nil
				}
				tt.state.Name = "bot"
				if err := tx.PutTokenState(*tt.state); err != nil || tt.value.Empty() {
					return err
				}
				return tx.PutSecret(store.TokenSecret("bot"), tt.value)
			})
			if err != nil {
				t.Fatal(err)
			}
			place.Key = tt.key
			s = storetest.Open(t, place)
			c := &config.Config{Tokens: []config.Token{{Name: "bot", Value: configured}, {Name: "other", Value: "glpat-other"}}}
			got, err := c.Effective(t.Context(), s)
			if tt.fault != "" {
				if err == nil || delivery.StateOf(err) != delivery.Failed || !strings.Contains(delivery.Explain(err).Remedy, tt.fault) {
					t.Errorf("got %v, want a permanent fault whose remedy names %s", err, tt.fault)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.Tokens[0].Value != tt.want || got.Tokens[1].Value != "glpat-other" || c.Tokens[0].Value != configured {
				t.Errorf("got another value than want, or the configuration was changed")
			}
			if slices.Contains(got.Secrets(), stored) != (tt.want == stored) {
				t.Errorf("the stored token is to be scrubbed exactly where it is used")
			}
		})
	}
}

func TestAFingerprintDoesNotHoldTheToken(t *testing.T) {
	t.Parallel()
	a, b := config.Fingerprint("glpat-a"), config.Fingerprint("glpat-b")
	if a == b || a != config.Fingerprint("glpat-a") || strings.Contains(a, "glpat") || len(a) != 32 {
		t.Errorf("fingerprints %q and %q", a, b)
	}
}
