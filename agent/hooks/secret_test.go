package hooks_test

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/agent/auth"
	"gitlab.com/remora-ci/remora/agent/hooks"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/store/storetest"
	"gitlab.com/remora-ci/remora/component/delivery"
)

const instanceURL = "https://gitlab.example.com/gitlab"

// key is a good encryption key.
var key = delivery.Secret(base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef")))

// clock is a time that a test moves.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Now()} }

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.t }

func (c *clock) add(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.t = c.t.Add(d) }

func vault(t *testing.T, c store.Config, now func() time.Time) hooks.Vault {
	t.Helper()
	c.Key = key
	return hooks.Vault{Store: storetest.Open(t, c), Instance: instanceURL, Now: now}
}

// taken are the tokens that callers may prove themselves with.
func taken(t *testing.T, v hooks.Vault) []string {
	t.Helper()
	tokens, signing, err := v.Accepted(t.Context())
	if err != nil || len(tokens) != len(signing) {
		t.Fatalf("got %d tokens, %d signing tokens, %v", len(tokens), len(signing), err)
	}
	var list []string
	for _, s := range tokens {
		list = append(list, s.Reveal())
	}
	return list
}

func TestAPairIsMadeOnceAndKept(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		v := vault(t, c, time.Now)
		got := make([]hooks.Pair, 8)
		var all sync.WaitGroup
		for i := range got {
			all.Go(func() {
				p, err := v.Current(t.Context())
				if err != nil {
					t.Error(err)
				}
				got[i] = p
			})
		}
		all.Wait()
		p := got[0]
		for _, other := range got {
			if other.Token != p.Token || other.Version != p.Version {
				t.Error("two agents made two pairs")
			}
		}
		raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(p.Signing.Reveal(), "whsec_"))
		if len(raw) != 32 || err != nil || len(p.Token.Reveal()) != 43 || !p.Own || time.Since(p.Since) > time.Minute || len(p.Version) != 16 {
			t.Errorf("got a pair of %d and %d bytes, version %q, since %v, %v", len(raw), len(p.Token.Reveal()), p.Version, p.Since, err)
		}
		if !slices.Equal(taken(t, v), []string{p.Token.Reveal()}) {
			t.Errorf("got %d tokens that are taken, want the one", len(taken(t, v)))
		}
	})
}

func TestWhatIsConfiguredIsUsed(t *testing.T) {
	t.Parallel()
	const signing = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	tests := map[string]struct {
		config auth.Config
		want   [2]string
	}{
		"a secret":                      {auth.Config{Secrets: "a-secret"}, [2]string{"a-secret", ""}},
		"the first of two":              {auth.Config{Secrets: "new-one\nold-one"}, [2]string{"new-one", ""}},
		"a signing token":               {auth.Config{SigningTokens: signing}, [2]string{"", signing}},
		"both":                          {auth.Config{Secrets: "a-secret", SigningTokens: signing}, [2]string{"a-secret", signing}},
		"a signing token among secrets": {auth.Config{Secrets: delivery.Secret(signing + " a-secret")}, [2]string{"a-secret", signing}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := hooks.Vault{Instance: instanceURL, Configured: tt.config, Now: time.Now} // no store is needed
			p, err := v.Current(t.Context())
			if got := [2]string{p.Token.Reveal(), p.Signing.Reveal()}; err != nil || got != tt.want || p.Own {
				t.Errorf("got %q, own %v, %v", got, p.Own, err)
			}
			again, _ := v.Current(t.Context())
			if p.Version == "" || p.Version != again.Version || strings.Contains(p.Version, p.Token.Reveal()) && !p.Token.Empty() {
				t.Errorf("got versions %q and %q", p.Version, again.Version)
			}
			var fault *delivery.Fault
			if err := v.Rotate(t.Context()); !errors.As(err, &fault) || !strings.Contains(fault.Remedy, "REMORA_WEBHOOK_SECRET") {
				t.Errorf("replacing it: got %v", err)
			}
		})
	}
}

func TestWithoutAKeyAndASecretTheRemedyNamesBoth(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		v := hooks.Vault{Store: storetest.Open(t, c), Instance: instanceURL, Now: time.Now}
		_, err := v.Current(t.Context())
		f := delivery.Explain(err)
		if err == nil || !strings.Contains(f.Remedy, "REMORA_ENCRYPTION_KEY") || !strings.Contains(f.Remedy, "REMORA_WEBHOOK_SECRET") {
			t.Errorf("got %v, remedy %q", err, f.Remedy)
		}
		if tokens, _, err := v.Accepted(t.Context()); len(tokens) != 0 || err != nil {
			t.Errorf("got %d tokens, %v", len(tokens), err)
		}
	})
}

func TestAReplacedPairIsTakenForADayAndUntilEveryHookHasTheNewOne(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		clock := newClock()
		v := vault(t, c, clock.now)
		old, err := v.Current(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		keep := func(version string) {
			t.Helper()
			h := store.Hook{Instance: instanceURL, Kind: "group", Scope: 1, Hook: 7, Secret: version}
			if err := v.Store.Write(t.Context(), func(tx *store.Tx) error { return tx.PutHook(h) }); err != nil {
				t.Fatal(err)
			}
		}
		step := func(what string, f func() error, want ...hooks.Pair) {
			t.Helper()
			if err := f(); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			var tokens []string
			for _, p := range want {
				tokens = append(tokens, p.Token.Reveal())
			}
			if got := taken(t, v); !slices.Equal(got, tokens) {
				t.Errorf("%s: got %d tokens that are taken, want %d", what, len(got), len(tokens))
			}
		}
		forget := func() error { return v.Forget(t.Context()) }
		rotate := func() error { return v.Rotate(t.Context()) }
		keep(old.Version)
		if err := rotate(); err != nil {
			t.Fatal(err)
		}
		now, err := v.Current(t.Context())
		if err != nil || now.Token == old.Token || now.Version == old.Version {
			t.Fatalf("the pair is the same, or %v", err)
		}
		step("a rotation that has not ended is not begun again", rotate, now, old)
		step("at once", forget, now, old)
		clock.add(25 * time.Hour)
		step("after a day, with a hook that has the old one", forget, now, old)
		keep(now.Version)
		clock.add(-25 * time.Hour)
		step("within the day, though every hook has the new one", forget, now, old)
		clock.add(25 * time.Hour)
		step("after a day", forget, now)
		step("again", forget, now)
		if err := rotate(); err != nil {
			t.Fatal(err)
		}
		clock.add(8 * 24 * time.Hour)
		third, _ := v.Current(t.Context())
		step("after a week, whatever the hooks have", forget, third)
	})
}
