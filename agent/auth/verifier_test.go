package auth_test

import (
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/agent/auth"
	"gitlab.com/remora-ci/remora/component/delivery"
)

func TestSharedSecrets(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		secrets, given string
		named          string
		code           auth.Code
	}{
		"the secret":                          {"0123456789abcdef", "0123456789abcdef", "secret 1", ""},
		"the old one during a rotation":       {"new-secret-0123456 old-secret-0123456", "old-secret-0123456", "secret 2", ""},
		"two by new line":                     {"new-secret-0123456\nold-secret-0123456\n", "new-secret-0123456", "secret 1", ""},
		"a secret that looks like a token":    {"aaaa.bbbb.cccc", "aaaa.bbbb.cccc", "secret 1", ""},
		"a wrong one":                         {"0123456789abcdef", "0123456789abcdeF", "", auth.CodeSecret},
		"the start of it":                     {"0123456789abcdef", "0123456789abcde", "", auth.CodeSecret},
		"more than it":                        {"0123456789abcdef", "0123456789abcdefg", "", auth.CodeSecret},
		"both in one":                         {"new-secret-0123456 old-secret-0123456", "new-secret-0123456 old-secret-0123456", "", auth.CodeSecret},
		"none given":                          {"0123456789abcdef", "", "", auth.CodeMissing},
		"none configured":                     {"", "anything", "", auth.CodeSecret},
		"none configured, none given":         {"", "", "", auth.CodeMissing},
		"something like a token, but no keys": {"0123456789abcdef", "eyJhbGciOiJub25lIn0.e30.", "", auth.CodeSecret},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := verifier(t, auth.Config{Secrets: delivery.Secret(tc.secrets)})
			c, err := v.Webhook(token(tc.given), nil, peer)
			if tc.code != "" {
				wantRefusal(t, err, tc.code, tc.given, tc.secrets)
				return
			}
			if err != nil || c.Kind != auth.KindSecret || c.Name != tc.named || !v.Covers(c, "any/project") {
				t.Errorf("got %+v, %v, want %s", c, err, tc.named)
			}
		})
	}
}

func TestAZeroAdmissionAdmitsNobody(t *testing.T) {
	t.Parallel()
	_, err := auth.Admission{}.Verify([]byte("{}"))
	wantRefusal(t, err, auth.CodeMissing)
	if verifier(t, auth.Config{}).Covers(auth.Caller{}, "acme/app") {
		t.Error("the zero caller speaks for a project")
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	const allow, proxies = "34.74.90.64/28, 2001:db8::/32\n198.51.100.9", "10.0.0.0/8 192.0.2.1"
	for name, tc := range map[string]struct {
		allow, peer string
		forwarded   []string
		client      string // "" when unknown
		allowed     bool
	}{
		"no list, so all":                           {"", "203.0.113.5", nil, "203.0.113.5", true},
		"on the list":                               {allow, "34.74.90.65", nil, "34.74.90.65", true},
		"a single address":                          {allow, "198.51.100.9", nil, "198.51.100.9", true},
		"IPv4 in IPv6 clothes":                      {allow, "::ffff:34.74.90.65", nil, "34.74.90.65", true},
		"IPv6":                                      {allow, "2001:db8::7", nil, "2001:db8::7", true},
		"not on the list":                           {allow, "34.74.90.80", nil, "34.74.90.80", false},
		"a claim of somebody who is no proxy":       {allow, "203.0.113.5", []string{"34.74.90.65"}, "203.0.113.5", false},
		"through a proxy":                           {allow, "10.1.2.3", []string{"34.74.90.65"}, "34.74.90.65", true},
		"through two proxies":                       {allow, "10.1.2.3", []string{"34.74.90.65, 192.0.2.1"}, "34.74.90.65", true},
		"over two header lines":                     {allow, "10.1.2.3", []string{"34.74.90.65", "192.0.2.1"}, "34.74.90.65", true},
		"a claim left of the true caller":           {allow, "10.1.2.3", []string{"34.74.90.65, 203.0.113.5"}, "203.0.113.5", false},
		"with a port":                               {allow, "10.1.2.3", []string{"34.74.90.65:4711"}, "34.74.90.65", true},
		"IPv6 with brackets and port":               {allow, "10.1.2.3", []string{"[2001:db8::7]:443"}, "2001:db8::7", true},
		"IPv6 with brackets":                        {allow, "10.1.2.3", []string{"[2001:db8::7]"}, "2001:db8::7", true},
		"garbage from a proxy":                      {allow, "10.1.2.3", []string{"34.74.90.65, unknown"}, "", false},
		"garbage left of the caller is not read":    {allow, "10.1.2.3", []string{"unknown, 34.74.90.65"}, "34.74.90.65", true},
		"a proxy that forwards for nobody":          {allow, "10.1.2.3", nil, "10.1.2.3", false},
		"empty parts":                               {allow, "10.1.2.3", []string{", 34.74.90.65, ,"}, "34.74.90.65", true},
		"all proxies: the first of them":            {allow, "10.1.2.3", []string{"10.9.9.9, 192.0.2.1"}, "10.9.9.9", false},
		"an unknown peer, such as a socket":         {allow, "", nil, "", false},
		"an unknown peer where everybody may call":  {"", "", nil, "", true},
		"an unknown peer's claim is not believed":   {allow, "", []string{"34.74.90.65"}, "", false},
		"a zone does not hide an address from us":   {allow, "2001:db8::7%eth0", nil, "2001:db8::7%eth0", true},
		"a v4 claim in v6 clothes through a proxy":  {allow, "10.1.2.3", []string{"::ffff:34.74.90.65"}, "34.74.90.65", true},
		"a v6 proxy is not trusted for a v4 prefix": {allow, "::1", []string{"34.74.90.65"}, "::1", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := verifier(t, auth.Config{Secrets: "0123456789abcdef", Allow: tc.allow, TrustedProxies: proxies})
			h := token("0123456789abcdef")
			for _, f := range tc.forwarded {
				h.Add("X-Forwarded-For", f)
			}
			from, _ := netip.ParseAddr(tc.peer)
			want, _ := netip.ParseAddr(tc.client)
			if got := v.Client(h, from); got != want {
				t.Errorf("client: got %v, want %v", got, want)
			}
			_, err := v.Webhook(h, nil, from)
			if tc.allowed {
				if err != nil {
					t.Errorf("got %v, want it allowed", err)
				}
				return
			}
			wantRefusal(t, err, auth.CodeAddress)
		})
	}
}

func TestAdmin(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		tokens string
		header http.Header
		code   auth.Code
	}{
		"the token":         {"admin-0123456789abcdef", headers("Authorization", "Bearer admin-0123456789abcdef"), ""},
		"in small letters":  {"admin-0123456789abcdef", headers("Authorization", "bearer  admin-0123456789abcdef"), ""},
		"the second token":  {"new-0123456789abcdef admin-0123456789abcdef", headers("Authorization", "Bearer admin-0123456789abcdef"), ""},
		"a wrong token":     {"admin-0123456789abcdef", headers("Authorization", "Bearer admin"), auth.CodeSecret},
		"another scheme":    {"admin-0123456789abcdef", headers("Authorization", "Basic admin-0123456789abcdef"), auth.CodeMissing},
		"no token":          {"admin-0123456789abcdef", headers(), auth.CodeMissing},
		"the webhook's":     {"admin-0123456789abcdef", token("admin-0123456789abcdef"), auth.CodeMissing},
		"an empty one":      {"admin-0123456789abcdef", headers("Authorization", "Bearer "), auth.CodeMissing},
		"none is set":       {"", headers("Authorization", "Bearer x"), auth.CodeSecret},
		"none set or given": {"", headers("Authorization", "Bearer"), auth.CodeMissing},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := verifier(t, auth.Config{AdminToken: delivery.Secret(tc.tokens), Secrets: "0123456789abcdef"}).Admin(tc.header)
			if tc.code != "" {
				wantRefusal(t, err, tc.code, "admin-0123456789abcdef")
				return
			}
			if err != nil || c.Kind != auth.KindAdmin {
				t.Errorf("got %+v, %v, want the admin", c, err)
			}
		})
	}
}

func TestTheConfigTellsEverythingWrong(t *testing.T) {
	t.Parallel()
	c := auth.Config{
		Secrets: "whsec_c2hvcnQ= good-secret-0123456", SigningTokens: "whsec_*** plain whsec_", TokenKeys: delivery.Secret(key('k', 31) + " canary-key!"),
		PackitSecret: " \n", AdminToken: delivery.Secret(strings.Repeat("a ", 17)), Allow: "10.0.0.0/8, example.com", TrustedProxies: "::ffff:10.0.0.0/104 fe80::1%eth0",
	}
	err := c.Validate()
	if err == nil {
		t.Fatal("got no error")
	}
	for _, want := range []string{
		"REMORA_WEBHOOK_SECRET: the signing key has 5 bytes, fewer than 24",
		"REMORA_WEBHOOK_SIGNING_TOKEN: what follows whsec_ is not base64",
		"REMORA_WEBHOOK_SIGNING_TOKEN: a signing token starts with whsec_",
		"REMORA_WEBHOOK_SIGNING_TOKEN: the signing key has 0 bytes",
		"REMORA_TOKEN_KEY: the key has 31 bytes, fewer than 32",
		"REMORA_TOKEN_KEY: want the base64 of 32 random bytes",
		"REMORA_PACKIT_SECRET: nothing but white space",
		"REMORA_ADMIN_TOKEN: 17 secrets, over 16",
		`REMORA_WEBHOOK_ALLOW: want addresses and networks such as 192.0.2.7 or 10.0.0.0/8, not "example.com"`,
		"REMORA_TRUSTED_PROXIES: write the IPv4 network",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got\n%v\nwant it to hold %q", err, want)
		}
	}
	for _, secret := range []string{"c2hvcnQ", "canary", "good-secret"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the error holds a secret: %v", err)
		}
	}
	if _, newErr := auth.New(c, nil); newErr == nil {
		t.Error("New accepts what Validate refuses")
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		c    auth.Config
		want string
	}{
		"nothing is configured": {auth.Config{AdminToken: "0123456789abcdef"}, "every webhook is refused"},
		"a short secret":        {auth.Config{Secrets: "0123456789abcdef s3cret"}, "REMORA_WEBHOOK_SECRET: shorter than 16"},
		"all is well":           {auth.Config{Secrets: "0123456789abcdef"}, ""},
		"a key is enough":       {auth.Config{TokenKeys: delivery.Secret(key('k', 32))}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := tc.c.Validate(); err != nil {
				t.Errorf("a warning is no error: %v", err)
			}
			got := strings.Join(tc.c.Warnings(), "\n")
			if (tc.want == "") != (got == "") || !strings.Contains(got, tc.want) || strings.Contains(got, "s3cret") {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
	if got := len((auth.Config{Secrets: "a b", TokenKeys: "c", AdminToken: "d"}).All()); got != 4 {
		t.Errorf("got %d secrets to scrub, want 4", got)
	}
}

func TestWhatIsNotIssued(t *testing.T) {
	t.Parallel()
	day := 24 * time.Hour
	for name, tc := range map[string]struct {
		key  string
		g    auth.Grant
		want string
	}{
		"without key":                      {"", auth.Grant{Path: "a/b", Expires: start.Add(day)}, "REMORA_TOKEN_KEY: missing"},
		"with a short key":                 {key('k', 31), auth.Grant{Path: "a/b", Expires: start.Add(day)}, "31 bytes"},
		"with no base64":                   {"canary! x", auth.Grant{Path: "a/b", Expires: start.Add(day)}, "want the base64"},
		"for no path":                      {key('k', 32), auth.Grant{Expires: start.Add(day)}, "full path"},
		"for a path that climbs":           {key('k', 32), auth.Grant{Path: "a/../b", Expires: start.Add(day)}, "full path"},
		"for a group that is not said":     {key('k', 32), auth.Grant{Path: "acme", Expires: start.Add(day)}, "no group before it"},
		"for subgroups of a project":       {key('k', 32), auth.Grant{Path: "a/b", Subgroups: true, Expires: start.Add(day)}, "only the token of a group"},
		"for a time that has passed":       {key('k', 32), auth.Grant{Path: "a/b", Expires: start}, "lives between"},
		"for longer than hooks should use": {key('k', 32), auth.Grant{Path: "a/b", Expires: start.Add(401 * day)}, "400 days"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.g.Issued = start
			_, err := auth.Issue(delivery.Secret(tc.key), tc.g)
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "canary") {
				t.Errorf("got %v, want %q", err, tc.want)
			}
			var r *auth.Refusal
			if errors.As(err, &r) {
				t.Error("a misuse is no refusal")
			}
		})
	}
}

func TestAURLSafeKeyIsTheSameKey(t *testing.T) {
	t.Parallel()
	plain := "++//++//++//++//++//++//++//++//++//++//++8="
	safe := strings.TrimRight(strings.NewReplacer("+", "-", "/", "_").Replace(plain), "=")
	v := verifier(t, auth.Config{TokenKeys: delivery.Secret(safe)})
	if _, err := v.Webhook(token(issue(t, plain, auth.Grant{Path: "a/b"}).Token.Reveal()), nil, peer); err != nil {
		t.Errorf("got %v, want it accepted", err)
	}
}

func BenchmarkVerify(b *testing.B) {
	keys := key('a', 32)
	v := verifierAt(b, auth.Config{Secrets: "0123456789abcdef", SigningTokens: vectorToken, TokenKeys: delivery.Secret(keys)}, vectorTime)
	body := strings.Repeat("x", 10<<10)
	projectToken, err := auth.Issue(delivery.Secret(keys), auth.Grant{Path: "acme/app", Issued: vectorTime, Expires: vectorTime.Add(time.Hour)})
	if err != nil {
		b.Fatal(err)
	}
	for name, h := range map[string]http.Header{
		"secret":        token("0123456789abcdef"),
		"project token": token(projectToken.Token.Reveal()),
		"signature":     vector("webhook-signature", sign(b, vectorToken, vectorID, vectorTime, body)),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Webhook(h, []byte(body), peer); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
