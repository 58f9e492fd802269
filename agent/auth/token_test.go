package auth_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/agent/auth"
	"gitlab.com/remora-ci/remora/component/delivery"
)

func TestProjectTokens(t *testing.T) {
	t.Parallel()
	first, second := key('a', 32), key('b', 32)
	group := auth.Grant{Path: "Acme/Tools", Group: true}
	for name, tc := range map[string]struct {
		grant   auth.Grant
		project string
		covered bool
	}{
		"its project":                             {auth.Grant{Path: "acme/app"}, "acme/app", true},
		"its project in other letters":            {auth.Grant{Path: "Acme/App"}, "aCME/aPP", true},
		"another project":                         {auth.Grant{Path: "acme/app"}, "acme/app2", false},
		"a project below its path":                {auth.Grant{Path: "acme/app"}, "acme/app/x", false},
		"no project":                              {auth.Grant{Path: "acme/app"}, "", false},
		"a group's project":                       {group, "acme/tools/cli", true},
		"W19 a group's subgroup is not covered":   {group, "acme/tools/sub/cli", false},
		"a group with subgroups":                  {auth.Grant{Path: "acme", Group: true, Subgroups: true}, "acme/a/b/c", true},
		"the group's own path is no project":      {group, "acme/tools", false},
		"a group whose name starts the same":      {auth.Grant{Path: "acme", Group: true, Subgroups: true}, "acme2/app", false},
		"a path that climbs":                      {auth.Grant{Path: "acme", Group: true, Subgroups: true}, "acme/../other/app", false},
		"an empty part":                           {auth.Grant{Path: "acme", Group: true, Subgroups: true}, "acme//app", false},
		"a letter that folds into another (K)":    {auth.Grant{Path: "acme/kit"}, "acme/\u212ait", false},
		"white space around":                      {auth.Grant{Path: "acme/app"}, "acme/app ", false},
		"a path too long to be one":               {auth.Grant{Path: "acme", Group: true, Subgroups: true}, "acme/" + strings.Repeat("a", 4096), false},
		"a slash in other clothes":                {auth.Grant{Path: "acme", Group: true}, "acme/a%2fb", false},
		"a parent of the group":                   {group, "acme/app", false},
		"a project token does not reach siblings": {auth.Grant{Path: "acme/app"}, "acme/other", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			issued := issue(t, first+" "+second, tc.grant)
			v := verifier(t, auth.Config{TokenKeys: delivery.Secret(second + "\n" + first), Secrets: "0123456789abcdef"})
			c, err := v.Webhook(token(issued.Token.Reveal()), nil, peer)
			if err != nil || c.Kind != auth.KindProjectToken || !strings.Contains(c.Name, issued.ID) || !strings.Contains(c.Name, issued.KeyID) {
				t.Fatalf("got %+v, %v, want it accepted and named", c, err)
			}
			if got := v.Covers(c, tc.project); got != tc.covered {
				t.Errorf("covers %q: got %v, want %v", tc.project, got, tc.covered)
			}
		})
	}
}

func TestAProjectTokenEnds(t *testing.T) {
	t.Parallel()
	keys := key('a', 40)
	issued := issue(t, keys, auth.Grant{Path: "acme/app", Issued: start, Expires: start.Add(time.Hour)})
	for name, tc := range map[string]struct {
		now  time.Time
		keys string
		code auth.Code
	}{
		"before its end":       {start.Add(time.Hour - time.Second), keys, ""},
		"at its end":           {start.Add(time.Hour), keys, auth.CodeExpired},
		"when its key is gone": {start, key('b', 40), auth.CodeToken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := verifierAt(t, auth.Config{TokenKeys: delivery.Secret(tc.keys)}, tc.now)
			_, err := v.Webhook(token(issued.Token.Reveal()), nil, peer)
			if tc.code == "" {
				if err != nil {
					t.Errorf("got %v, want it accepted", err)
				}
				return
			}
			wantRefusal(t, err, tc.code, issued.Token.Reveal())
		})
	}
}

// W19 alg none, RS256 confusion, no namespace claim, expired, subgroup: each is
// refused by its kind. It starts from good claims and breaks one thing at a time;
// subgroups are in TestProjectTokens.
func TestForgedTokensAreRefused(t *testing.T) {
	t.Parallel()
	secret := strings.Repeat("a", 32)
	keys := base64.StdEncoding.EncodeToString([]byte(secret))
	issued := issue(t, keys, auth.Grant{Path: "acme/app"})
	header := func(pairs ...any) map[string]any {
		return with(map[string]any{"alg": "HS256", "typ": "JWT", "kid": issued.KeyID}, pairs...)
	}
	claims := func(pairs ...any) map[string]any {
		return with(map[string]any{"iss": "remora", "aud": []string{"webhook"}, "path": "acme/app", "reach": "project",
			"exp": start.Add(time.Hour).Unix(), "jti": "x"}, pairs...)
	}
	v := verifier(t, auth.Config{TokenKeys: delivery.Secret(keys), PackitSecret: "packit-secret-0123456789"})
	if _, err := v.Webhook(token(jwt(t, secret, header(), claims())), nil, peer); err != nil {
		t.Fatalf("the pattern of the forgeries is refused: %v", err)
	}
	unsigned := func(text string) string { return text[:strings.LastIndex(text, ".")+1] }
	good := issued.Token.Reveal()
	for name, text := range map[string]string{
		"W19 alg none, unsigned":                 unsigned(jwt(t, "", header("alg", "none"), claims())),
		"alg None with a signature":              jwt(t, secret, header("alg", "None"), claims()),
		"alg none without key id":                unsigned(jwt(t, "", header("alg", "none", "kid", nil), claims())),
		"alg none as Packit's":                   unsigned(jwt(t, "", map[string]any{"alg": "none"}, map[string]any{"namespace": "acme"})),
		"W19 RS256 with the shared key":          jwt(t, secret, header("alg", "RS256"), claims()),
		"ES256 with the shared key":              jwt(t, secret, header("alg", "ES256"), claims()),
		"HS512 named, HS256 signed":              jwt(t, secret, header("alg", "HS512"), claims()),
		"no alg":                                 jwt(t, secret, header("alg", nil), claims()),
		"alg that is a number":                   jwt(t, secret, header("alg", 256), claims()),
		"another key":                            jwt(t, strings.Repeat("b", 32), header(), claims()),
		"an unknown key id":                      jwt(t, secret, header("kid", "x"), claims()),
		"a key id that is a number":              jwt(t, secret, header("kid", 1), claims()),
		"an extension we do not know":            jwt(t, secret, header("crit", []string{"b64"}), claims()),
		"no end":                                 jwt(t, secret, header(), claims("exp", nil)),
		"an end in words":                        jwt(t, secret, header(), claims("exp", "never")),
		"not yet valid":                          jwt(t, secret, header(), claims("nbf", start.Add(time.Minute).Unix())),
		"another issuer":                         jwt(t, secret, header(), claims("iss", "someone")),
		"for something else":                     jwt(t, secret, header(), claims("aud", "api")),
		"for nothing":                            jwt(t, secret, header(), claims("aud", nil)),
		"no path":                                jwt(t, secret, header(), claims("path", nil)),
		"a path that is a number":                jwt(t, secret, header(), claims("path", 7)),
		"a path that climbs":                     jwt(t, secret, header(), claims("path", "acme/..")),
		"no reach":                               jwt(t, secret, header(), claims("reach", nil)),
		"an unknown reach":                       jwt(t, secret, header(), claims("reach", "all")),
		"our claims under Packit's secret":       jwt(t, "packit-secret-0123456789", map[string]any{"alg": "HS256"}, claims()),
		"Packit's secret under our key id":       jwt(t, "packit-secret-0123456789", header(), claims()),
		"Packit's claims under our key":          jwt(t, secret, header(), map[string]any{"namespace": "acme", "exp": start.Add(time.Hour).Unix()}),
		"W19 Packit without namespace":           jwt(t, "packit-secret-0123456789", map[string]any{"alg": "HS256"}, map[string]any{"repo_name": "app"}),
		"Packit with an empty namespace":         jwt(t, "packit-secret-0123456789", map[string]any{"alg": "HS256"}, map[string]any{"namespace": ""}),
		"Packit with an empty project":           jwt(t, "packit-secret-0123456789", map[string]any{"alg": "HS256"}, map[string]any{"namespace": "acme", "repo_name": ""}),
		"Packit with a namespace list":           jwt(t, "packit-secret-0123456789", map[string]any{"alg": "HS256"}, map[string]any{"namespace": []string{"acme"}}),
		"W19 Packit, expired":                    jwt(t, "packit-secret-0123456789", map[string]any{"alg": "HS256"}, map[string]any{"namespace": "acme", "exp": start.Unix()}),
		"a good token with one letter changed":   good[:len(good)-10] + flip(good[len(good)-10]) + good[len(good)-9:],
		"a good token with its padding bits set": good[:len(good)-1] + nextLetter(good[len(good)-1]),
		"a good token with a fourth part":        good + ".x",
		"two dots and nothing":                   "..",
		"longer than any token":                  good[:strings.LastIndex(good, ".")] + "." + strings.Repeat("A", 5000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := v.Webhook(token(text), nil, peer)
			if err == nil {
				t.Fatalf("accepted as %+v", c)
			}
			want := auth.CodeToken
			switch name {
			case "a good token with a fourth part":
				want = auth.CodeSecret
			case "W19 Packit, expired":
				want = auth.CodeExpired
			}
			wantRefusal(t, err, want, text)
		})
	}
}

// nextLetter is another base64 letter for the same two bits: the last letter of
// 32 bytes has four bits that mean nothing.
func nextLetter(c byte) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(letters[strings.IndexByte(letters, c)|1])
}

func flip(c byte) string {
	if c == 'A' {
		return "B"
	}
	return "A"
}

func with(m map[string]any, pairs ...any) map[string]any {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == nil {
			delete(m, pairs[i].(string))
			continue
		}
		m[pairs[i].(string)] = pairs[i+1]
	}
	return m
}

// W18 packit's 5 token cases, 2 accepted and 3 rejected, and more.
func TestPackitTokens(t *testing.T) {
	t.Parallel()
	const secret, project = "gitlab-token-secret", "multi/part/namespace/repo"
	make := func(pairs ...any) http.Header {
		return token(jwt(t, secret, map[string]any{"alg": "HS256", "typ": "JWT"}, with(map[string]any{}, pairs...)))
	}
	for name, tc := range map[string]struct {
		header  http.Header
		code    auth.Code
		covered bool
	}{
		"W18 a project's token":         {make("namespace", "multi/part/namespace", "repo_name", "repo"), "", true},
		"W18 a group's token":           {make("namespace", "multi/part/namespace"), "", true},
		"W18 another project's token":   {make("namespace", "multi/part/namespace", "repo_name", "repo2"), "", false},
		"W18 the text None":             {token("None"), auth.CodeSecret, false},
		"W18 no token":                  {http.Header{}, auth.CodeMissing, false},
		"a parent group's token":        {make("namespace", "multi/part"), "", false},
		"a group that starts the same":  {make("namespace", "multi/part/name"), "", false},
		"a token that has not ended":    {make("namespace", "multi/part/namespace", "exp", start.Add(time.Second).Unix()), "", true},
		"another service's token":       {token(jwt(t, "other-secret", map[string]any{"alg": "HS256"}, map[string]any{"namespace": "multi/part/namespace"})), auth.CodeToken, false},
		"the second secret of rotation": {token(jwt(t, "next-token-secret", map[string]any{"alg": "HS256"}, map[string]any{"namespace": "multi/part/namespace"})), "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := verifier(t, auth.Config{PackitSecret: secret + " next-token-secret"})
			c, err := v.Webhook(tc.header, nil, peer)
			if tc.code != "" {
				wantRefusal(t, err, tc.code)
				return
			}
			if err != nil || c.Kind != auth.KindPackit {
				t.Fatalf("got %+v, %v, want a Packit token", c, err)
			}
			if got := v.Covers(c, project); got != tc.covered {
				t.Errorf("covers: got %v, want %v", got, tc.covered)
			}
		})
	}
}

func TestPackitTokensNeedPackitsSecret(t *testing.T) {
	t.Parallel()
	v := verifier(t, auth.Config{TokenKeys: delivery.Secret(key('a', 32))})
	text := jwt(t, "", map[string]any{"alg": "HS256"}, map[string]any{"namespace": "acme"})
	_, err := v.Webhook(token(text), nil, peer)
	wantRefusal(t, err, auth.CodeToken, text)
}

func FuzzToken(f *testing.F) {
	secret := strings.Repeat("a", 32)
	keys := base64.StdEncoding.EncodeToString([]byte(secret))
	good := issue(f, keys, auth.Grant{Path: "acme/app"}).Token.Reveal()
	f.Add(good)
	f.Add("..")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add(jwt(f, "gitlab-token-secret", map[string]any{"alg": "HS256"}, map[string]any{"namespace": "acme"}))
	f.Add(jwt(f, secret, map[string]any{"alg": "HS256", "kid": []int{1}}, map[string]any{"exp": 1e300}))
	v := verifier(f, auth.Config{TokenKeys: delivery.Secret(keys), PackitSecret: "gitlab-token-secret"})
	f.Fuzz(func(t *testing.T, text string) {
		c, err := v.Webhook(token(text), nil, peer)
		if err == nil && c.Scope.Path == "" {
			t.Errorf("%q was accepted for nothing: %+v", text, c)
		}
		if err != nil && len(text) > 40 && strings.Contains(err.Error(), text) {
			t.Errorf("the refusal holds the token: %v", err)
		}
	})
}
