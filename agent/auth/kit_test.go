package auth_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/agent/auth"
	"gitlab.com/remora-ci/remora/component/delivery"
)

var (
	start = time.Date(2026, 11, 20, 14, 3, 0, 0, time.UTC)
	peer  = netip.MustParseAddr("192.0.2.7")
)

// verifier has its clock at start.
func verifier(t testing.TB, c auth.Config) *auth.Verifier {
	t.Helper()
	return verifierAt(t, c, start)
}

func verifierAt(t testing.TB, c auth.Config, now time.Time) *auth.Verifier {
	t.Helper()
	v, err := auth.New(c, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// headers are name, value, name, value …
func headers(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

func token(text string) http.Header { return headers("X-Gitlab-Token", text) }

// key is n bytes, all b, in base64.
func key(b byte, n int) string {
	return base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string(rune(b)), n)))
}

// sign signs as GitLab does.
func sign(t testing.TB, signingToken, id string, at time.Time, body string) string {
	t.Helper()
	secret, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(signingToken, "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	return "v1," + base64.StdEncoding.EncodeToString(mac(secret, id+"."+strconv.FormatInt(at.Unix(), 10)+"."+body))
}

func mac(secret []byte, text string) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// jwt makes a token by hand, so that the tests do not trust the code they test.
func jwt(t testing.TB, secret string, header, claims map[string]any) string {
	t.Helper()
	part := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	text := part(header) + "." + part(claims)
	return text + "." + base64.RawURLEncoding.EncodeToString(mac([]byte(secret), text))
}

// issue makes a token that is good for a day from start.
func issue(t testing.TB, keys string, g auth.Grant) auth.Issued {
	t.Helper()
	if g.Issued.IsZero() {
		g.Issued, g.Expires = start, start.Add(24*time.Hour)
	}
	i, err := auth.Issue(delivery.Secret(keys), g)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// wantRefusal checks the kind of a refusal, and that it holds none of secrets.
func wantRefusal(t *testing.T, err error, code auth.Code, secrets ...string) {
	t.Helper()
	var r *auth.Refusal
	if !errors.As(err, &r) {
		t.Fatalf("got error %v, want a refusal", err)
	}
	if r.Code != code {
		t.Errorf("got code %q, want %q (%s)", r.Code, code, r.Reason)
	}
	if r.Reason == "" || r.Public == "" || strings.Count(r.Public, ".") != 1 || strings.Contains(r.Reason, "%!") {
		t.Errorf("got reason %q and public %q, want both, and one sentence in public", r.Reason, r.Public)
	}
	for _, s := range secrets {
		if len(s) > 3 && (strings.Contains(r.Reason, s) || strings.Contains(r.Public, s)) {
			t.Errorf("the refusal holds a secret: %q", r.Reason)
		}
	}
}
