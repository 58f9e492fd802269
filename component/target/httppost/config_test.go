package httppost_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/target/httppost"
)

func TestAnAddressSwitchesTheTargetOn(t *testing.T) {
	t.Parallel()
	if (httppost.Config{Token: token}).Enabled() {
		t.Error("a token alone switches it on, want off")
	}
	c := httppost.Config{URL: "https://ci.example.com:8443/hooks?token=" + token}
	if !c.Enabled() || c.Validate() != nil {
		t.Errorf("Enabled = %v, Validate = %v; want on and valid", c.Enabled(), c.Validate())
	}
	if got := target(t, c).Place(); got != "ci.example.com:8443" {
		t.Errorf("Place() = %q, want the host", got)
	}
}

func TestEverythingThatIsWrongIsToldAtOnce(t *testing.T) {
	t.Parallel()
	err := httppost.Config{
		URL: "https://user:hunter2222@example.com/", Method: "HEAD", Headers: "hunter2222\nHost: x\nA: \x01", Token: "Bearer hunter2222",
		Body: "{ref", StatusURL: ".answer | nosuch", State: "input", Success: "done, Ok", Failure: "OK",
	}.Validate()
	if err == nil {
		t.Fatal("no error, want many")
	}
	want := []string{
		"REMORA_HTTP_URL: holds a user name",
		`REMORA_HTTP_METHOD: want one of POST, PATCH, PUT, DELETE, GET, not "HEAD"`,
		"REMORA_HTTP_HEADERS: line 1: want Name: value",
		"REMORA_HTTP_HEADERS: line 2: Host cannot be set",
		"REMORA_HTTP_HEADERS: line 3: the value is empty or holds a control character",
		"REMORA_HTTP_TOKEN: holds a space",
		"REMORA_HTTP_BODY: not a jq expression: unexpected EOF at byte 4",
		"REMORA_HTTP_STATUS_URL: jq: function not defined: nosuch/0",
		"REMORA_HTTP_STATE: jq: input(s)/0 is not allowed",
		`REMORA_HTTP_FAILURE: "ok" is in REMORA_HTTP_SUCCESS too`,
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != len(want) {
		t.Fatalf("%d lines, want %d:\n%v", len(lines), len(want), err)
	}
	for i, w := range want {
		if !strings.HasPrefix(lines[i], w) {
			t.Errorf("line %d = %q, want %q", i+1, lines[i], w)
		}
	}
	if strings.Contains(err.Error(), "hunter2222") {
		t.Errorf("error echoes a secret: %v", err)
	}
}

func TestSingleMistakes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config httppost.Config
		want   string
	}{
		"no address":                 {httppost.Config{}, "REMORA_HTTP_URL: missing"},
		"no scheme":                  {httppost.Config{URL: "example.com/hook"}, "REMORA_HTTP_URL: want an address"},
		"another scheme":             {httppost.Config{URL: "ftp://example.com"}, "REMORA_HTTP_URL: want an address"},
		"no host":                    {httppost.Config{URL: "https:///hook"}, "REMORA_HTTP_URL: want an address"},
		"a fragment":                 {httppost.Config{URL: "https://example.com/#x"}, "REMORA_HTTP_URL: the part after #"},
		"a GET with a body":          {httppost.Config{URL: "https://example.com", Method: "GET", Body: "."}, "REMORA_HTTP_BODY: a GET has no body"},
		"a token and a header":       {httppost.Config{URL: "https://example.com", Token: "t", Headers: "authorization: Basic x"}, "REMORA_HTTP_TOKEN: REMORA_HTTP_HEADERS has"},
		"a module":                   {httppost.Config{URL: "https://example.com", Body: `import "a" as a; .`}, "REMORA_HTTP_BODY: jq: "},
		"a wrong token in the body":  {httppost.Config{URL: "https://example.com", Body: `{a: )}`}, `REMORA_HTTP_BODY: not a jq expression: unexpected token ")" at byte 5`},
		"success without any state":  {httppost.Config{URL: "https://example.com", Success: " , "}, "REMORA_HTTP_SUCCESS: names no state"},
		"a header that smuggles one": {httppost.Config{URL: "https://example.com", Headers: "A: b\rC: d"}, "REMORA_HTTP_HEADERS: line 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := c.config.Validate()
			if err == nil || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("Validate() = %v, want only %q", err, c.want)
			}
		})
	}
}

func TestHeadersInAVariableOfOneLine(t *testing.T) {
	t.Parallel()
	h, errs := httppost.ParseHeaders(`X-Api-Key:abc\nAuthorization: Basic eA==` + "\r\n\n  accept: text/plain  \n")
	want := map[string][]string{"X-Api-Key": {"abc"}, "Authorization": {"Basic eA=="}, "Accept": {"text/plain"}}
	if diff := cmp.Diff(want, map[string][]string(h)); diff != "" || errs != nil {
		t.Errorf("errors %v, headers (-want +got):\n%s", errs, diff)
	}
}

func TestEverySecretIsKnownByItself(t *testing.T) {
	t.Parallel()
	c := httppost.Config{URL: "https://example.com/?private_token=inquery11&ref=mainmain", Token: "thetoken11", Headers: "A: theheader1\nAuthorization: Basic dGhlYmFzaWM="}
	s := delivery.NewScrubber(c.Secrets()...)
	got := s.Text("inquery11 mainmain thetoken11 theheader1 dGhlYmFzaWM=")
	if want := "[secret] mainmain [secret] [secret] [secret]"; got != want {
		t.Errorf("scrubbed = %q, want %q", got, want)
	}
}

func TestAPlanShowsEverythingButSecrets(t *testing.T) {
	t.Parallel()
	c := httppost.Config{
		URL: "https://ci.example.com/hook?token=" + token + "&a=1", Token: token, Headers: "X-Api-Key: " + apiKey,
		Body: `{ref, token: "` + token + `"}`, StatusURL: ".location",
	}
	got, err := target(t, c).Plan(event())
	want := []string{
		"POST https://ci.example.com/hook?a=…&token=…",
		"headers: Authorization, X-Api-Key",
		`body: {"ref":"main","token":"[secret]"}`,
		"then: poll the address that REMORA_HTTP_STATUS_URL gives",
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("error %v, plan (-want +got):\n%s", err, diff)
	}
	c.Body = `empty`
	if got, err = target(t, c).Plan(event()); err != nil || len(got) != 1 || !strings.HasPrefix(got[0], "nothing: ") {
		t.Errorf("plan = %q, %v; want that nothing is sent", got, err)
	}
}

func TestOrigins(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		a, b string
		want bool
	}{
		"the default port":  {"https://example.com/a", "https://EXAMPLE.com:443/b", true},
		"another scheme":    {"https://example.com", "http://example.com", false},
		"another port":      {"https://example.com", "https://example.com:8443", false},
		"another subdomain": {"https://example.com", "https://x.example.com", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, _ := url.Parse(c.a)
			b, _ := url.Parse(c.b)
			if got := httppost.SameOrigin(a, b); got != c.want {
				t.Errorf("SameOrigin(%s, %s) = %v, want %v", c.a, c.b, got, c.want)
			}
		})
	}
}

func FuzzHeaders(f *testing.F) {
	for _, seed := range []string{"A: b", `A:b\nC: d`, "A: b\r\nC: d", "x", ":", "A:\x00", "Ä: b", "A: b\\n\\n:c", "Host: x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		h, _ := httppost.ParseHeaders(text)
		for name, values := range h {
			if name == "" || strings.ContainsAny(name, " :\r\n\x00") || name == "Host" {
				t.Errorf("ParseHeaders(%q) has the name %q", text, name)
			}
			for _, v := range values {
				if v == "" || strings.ContainsAny(v, "\r\n\x00") {
					t.Errorf("ParseHeaders(%q) has the value %q", text, v)
				}
			}
		}
	})
}

func FuzzStatusAddress(f *testing.F) {
	for _, seed := range []string{"/runs/1", "https://u:p@example.com/#x", "//other.example.com/x", "javascript:alert(1)", "http:opaque", "?a=b", "\x00", "http://[::1]:80/", "https://example.com:443", "..", "http://%41/", "//::"} {
		f.Add(seed)
	}
	base, _ := url.Parse("https://example.com/trigger?token=secret")
	f.Fuzz(func(t *testing.T, text string) {
		u, err := httppost.Resolve(base, text)
		if err != nil {
			return
		}
		if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
			t.Errorf("Resolve(%q) = %q, want a whole address without userinfo", text, u)
		}
		again, err := url.Parse(u.String())
		if err != nil || httppost.SameOrigin(again, base) != httppost.SameOrigin(u, base) {
			t.Errorf("Resolve(%q) = %q, which is sent to another origin (%v, %v)", text, u, again, err)
		}
	})
}
