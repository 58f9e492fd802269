package auth_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/agent/auth"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

func TestBearer(t *testing.T) {
	t.Parallel()
	const admin, packit = "admin-0123456789abcdef", "packit-secret-0123456789"
	s := issuerOf(t)
	keys := key('k', 32)
	issued := issue(t, keys, auth.Grant{Path: "acme/app"})
	good := issued.Token.Reveal()
	full := auth.Config{AdminToken: admin, TokenKeys: delivery.Secret(keys), PackitSecret: packit, Secrets: "hook-secret-0123456789"}
	for name, tc := range map[string]struct {
		c     auth.Config
		token string
		kind  string
		code  auth.Code
		says  string
	}{
		"the admin token": {full, admin, auth.KindAdmin, "", ""},
		"a project token": {full, good, auth.KindProjectToken, "", ""},
		"a project token where no admin token is set": {auth.Config{TokenKeys: delivery.Secret(keys)}, good, auth.KindProjectToken, "", ""},
		"a wrong token":                               {full, "admin-0123456789abcdeF", "", auth.CodeSecret, "REMORA_ADMIN_TOKEN"},
		"the secret of a hook":                        {full, "hook-secret-0123456789", "", auth.CodeSecret, "REMORA_ADMIN_TOKEN"},
		"none":                                        {full, "", "", auth.CodeMissing, "no bearer token"},
		"one that is longer than any":                 {full, strings.Repeat("a", 17<<10), "", auth.CodeMissing, "longer"},
		"a project token whose key is gone":           {auth.Config{AdminToken: admin, TokenKeys: delivery.Secret(key('x', 32))}, good, "", auth.CodeToken, "REMORA_TOKEN_KEY"},
		"a project token, and no key at all":          {auth.Config{AdminToken: admin}, good, "", auth.CodeToken, "set REMORA_TOKEN_KEY"},
		"a project token that was changed":            {full, good[:len(good)-10] + flip(good[len(good)-10]) + good[len(good)-9:], "", auth.CodeToken, "the bearer token is none"},
		"a project token that has expired":            {full, jwt(t, strings.Repeat("k", 32), map[string]any{"alg": "HS256", "kid": issued.KeyID}, map[string]any{"iss": "remora", "exp": start.Unix()}), "", auth.CodeExpired, "expired"},
		"Packit's token, which never ends":            {full, jwt(t, packit, map[string]any{"alg": "HS256"}, map[string]any{"namespace": "acme"}), "", auth.CodeToken, "for hooks alone"},
		"an ID token is not tried with our keys":      {full, s.IDToken(claims()), "", auth.CodeToken, "ID token of a CI job"},
		"nor one in the clothes of ours":              {full, s.Forge(claims(), gitlabtest.AlgHMAC), "", auth.CodeToken, "ID token of a CI job"},
		"nor one signed by our key in another's name": {full, jwt(t, strings.Repeat("k", 32), map[string]any{"alg": "HS256", "kid": issued.KeyID}, map[string]any{"iss": "https://gitlab.example.com"}), "", auth.CodeToken, "ID token of a CI job"},
		"alg none": {full, jwt(t, "", map[string]any{"alg": "none", "kid": issued.KeyID}, map[string]any{"iss": "remora", "path": "acme/app", "reach": "project", "aud": "webhook", "exp": start.Unix() + 60}), "", auth.CodeToken, "no good token"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := verifier(t, tc.c).Bearer(headers("Authorization", "Bearer "+tc.token))
			if tc.code == "" {
				if err != nil || c.Kind != tc.kind || c.Name == "" {
					t.Errorf("got %+v, %v, want a caller of kind %s", c, err, tc.kind)
				}
				return
			}
			wantRefusal(t, err, tc.code, tc.token, good, admin)
			if !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %q, want %q", err, tc.says)
			}
		})
	}
	for name, h := range map[string]http.Header{
		"another scheme": headers("Authorization", "Basic "+admin),
		"two headers":    headers("Authorization", "Bearer "+admin, "Authorization", "Bearer "+admin),
		"another header": headers("X-Gitlab-Token", admin, "Private-Token", admin),
	} {
		_, err := verifier(t, full).Bearer(h)
		t.Log(name)
		wantRefusal(t, err, auth.CodeMissing, admin)
	}
}

func TestExtraSecrets(t *testing.T) {
	t.Parallel()
	const next, old = "own-secret-0123456789", "old-secret-0123456789"
	const signing = "whsec_AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="
	body := `{"object_kind":"push"}`
	signed := func(token string) http.Header {
		return headers("webhook-id", "id-1", "webhook-timestamp", "1795183380", "webhook-signature", sign(t, token, "id-1", time.Unix(1795183380, 0), body))
	}
	if start.Unix() != 1795183380 {
		t.Fatal("the clock of the signatures is wrong")
	}
	v := verifier(t, auth.Config{Secrets: "configured-0123456789", SigningTokens: vectorToken})
	bare := verifier(t, auth.Config{})
	check := func(v *auth.Verifier, h http.Header, name string, code auth.Code) {
		t.Helper()
		c, err := v.Webhook(h, []byte(body), peer)
		if code != "" {
			wantRefusal(t, err, code, next, old, signing)
		} else if err != nil || c.Name != name || !v.Covers(c, "any/project") {
			t.Errorf("got %+v, %v, want %q", c, err, name)
		}
	}
	check(v, token(next), "", auth.CodeSecret)
	check(bare, signed(signing), "", auth.CodeSignature)
	for _, v := range []*auth.Verifier{v, bare} {
		if err := v.Extra([]delivery.Secret{next, old}, []delivery.Secret{signing}); err != nil {
			t.Fatal(err)
		}
		check(v, token(next), "secret 1 of our own hooks", "")
		check(v, token(old), "secret 2 of our own hooks", "")
		check(v, signed(signing), "signing token 1 of our own hooks", "")
		check(v, token("own-secret-012345678"), "", auth.CodeSecret)
	}
	check(v, token("configured-0123456789"), "secret 1", "")
	check(v, signed(vectorToken), "signing token 1", "")
	check(bare, token(""), "", auth.CodeMissing)

	if err := v.Extra([]delivery.Secret{next}, nil); err != nil {
		t.Fatal(err)
	}
	check(v, token(old), "", auth.CodeSecret)
	check(v, signed(signing), "", auth.CodeSignature)
	check(v, signed(vectorToken), "signing token 1", "")

	err := v.Extra([]delivery.Secret{"", "short", next}, []delivery.Secret{"whsec_c2hvcnQ=", signing, "canary"})
	if err == nil || strings.Contains(err.Error(), "canary") {
		t.Fatalf("got %v, want what is no secret named by its number", err)
	}
	for _, want := range []string{"hook secret 1: ", "hook secret 2: ", "signing token 1: ", "signing token 3: "} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %q, want %q", err, want)
		}
	}
	check(v, token(next), "secret 1 of our own hooks", "")
	check(v, signed(signing), "signing token 1 of our own hooks", "")
	check(v, token("short"), "", auth.CodeSecret)
	check(v, token(""), "", auth.CodeMissing)
	many := make([]delivery.Secret, 65)
	for i := range many {
		many[i] = delivery.Secret(strings.Repeat("s", 20+i))
	}
	if err := v.Extra(many, nil); err == nil || !strings.Contains(err.Error(), "hook secret 65: over 64") {
		t.Errorf("got %v, want the 65th named", err)
	}
}

// A rotation while deliveries are in flight: each is judged by one set of secrets.
func TestExtraSecretsChangeWhileCallsAreJudged(t *testing.T) {
	t.Parallel()
	v := verifier(t, auth.Config{Secrets: "configured-0123456789"})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 200 {
			secret := delivery.Secret(strings.Repeat("s", 20+i%2))
			if err := v.Extra([]delivery.Secret{secret, "kept-secret-0123456789"}, []delivery.Secret{vectorToken}); err != nil {
				t.Error(err)
			}
		}
	}()
	for range 200 {
		if c, err := v.Webhook(token("configured-0123456789"), nil, peer); err != nil || c.Name != "secret 1" {
			t.Errorf("got %+v, %v", c, err)
		}
	}
	<-done
	if _, err := v.Webhook(token("kept-secret-0123456789"), nil, peer); err != nil {
		t.Error(err)
	}
}
