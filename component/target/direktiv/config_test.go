package direktiv_test

import (
	"net/url"
	"strings"
	"testing"

	"gitlab.com/remora-ci/remora/component/rest"
	"gitlab.com/remora-ci/remora/component/target/direktiv"
)

func TestAConfigTellsEverythingThatIsWrongByVariable(t *testing.T) {
	t.Parallel()
	good := config{URL: "https://direktiv.example.com", Namespace: "demo"}
	for name, c := range map[string]struct {
		change func(*config)
		want   []string // starts of lines; none: valid
	}{
		"good":                  {func(*config) {}, nil},
		"a base path":           {func(c *config) { c.URL = "http://10.0.0.1:8080/tools/direktiv//" }, nil},
		"all that is optional":  {func(c *config) { c.Auth, c.AnyRef, c.FailOnWarn, c.Directory = "bearer", "true", "0", "/a/b" }, nil},
		"no namespace":          {func(c *config) { c.Namespace = "" }, []string{"DIREKTIV_NAMESPACE: missing"}},
		"a path as namespace":   {func(c *config) { c.Namespace = "../x" }, []string{"DIREKTIV_NAMESPACE: want letters"}},
		"no URL":                {func(c *config) { c.URL = "" }, []string{"DIREKTIV_URL: missing"}},
		"a host as URL":         {func(c *config) { c.URL = "direktiv.example.com" }, []string{"DIREKTIV_URL: want an http"}},
		"another scheme":        {func(c *config) { c.URL = "ftp://direktiv.example.com" }, []string{"DIREKTIV_URL: want an http"}},
		"no host":               {func(c *config) { c.URL = "https:///x" }, []string{"DIREKTIV_URL: want an http"}},
		"a password in the URL": {func(c *config) { c.URL = "https://me:" + url.PathEscape(canary) + "@direktiv.example.com" }, []string{"DIREKTIV_URL: holds a user name"}},
		"a malformed URL":       {func(c *config) { c.URL = "https://" + canary + "%zz" }, []string{"DIREKTIV_URL: want an http"}},
		"a query in the URL":    {func(c *config) { c.URL += "?x=" + canary }, []string{"DIREKTIV_URL: want a base URL"}},
		"a token of two lines":  {func(c *config) { c.Token = canary + "\nx" }, []string{"DIREKTIV_TOKEN: holds a line break"}},
		"everything at once": {func(c *config) {
			*c = config{URL: "x", Auth: "basic", AnyRef: "maybe", FailOnWarn: "si", Directory: "a/../b"}
		}, []string{"DIREKTIV_URL: ", "DIREKTIV_AUTH: ", "DIREKTIV_NAMESPACE: ", "DIREKTIV_DIRECTORY: ", "DIREKTIV_ANY_REF: ", "DIREKTIV_FAIL_ON_WARN: "}},
	} {
		bad := good
		c.change(&bad)
		err := bad.Validate()
		if (err == nil) != (c.want == nil) {
			t.Errorf("%s: Validate() = %v, want %q", name, err, c.want)
		}
		if err == nil {
			continue
		}
		if strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v holds a secret", name, err)
		}
		for _, w := range c.want {
			if !strings.Contains("\n"+err.Error(), "\n"+w) {
				t.Errorf("%s: Validate() = %v, want a line that begins with %q", name, err, w)
			}
		}
		if d, err := direktiv.New(bad, &rest.Client{}); err == nil {
			t.Errorf("%s: New made %v of a bad config", name, d)
		}
	}
	if (config{}).Enabled() || !good.Enabled() {
		t.Error("the presence of DIREKTIV_URL should switch the target on")
	}
}
