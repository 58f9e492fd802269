package direktiv

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"gitlab.com/remora-ci/remora/component/delivery"
)

// Config is what a user says about Direktiv. The first four names are those of
// Direktiv's own article on CI.
type Config struct {
	URL        string          `env:"DIREKTIV_URL" usage:"base URL of Direktiv, such as https://direktiv.example.com; its presence switches the target on"`
	Token      delivery.Secret `env:"DIREKTIV_TOKEN" usage:"API key or token; none for a Direktiv without a key"`
	Namespace  string          `env:"DIREKTIV_NAMESPACE" usage:"namespace whose mirror is synced"`
	Directory  string          `env:"DIREKTIV_DIRECTORY" usage:"mirrored directory in the namespace; Direktiv up to v0.7 only, ignored by later ones"`
	Auth       string          `env:"DIREKTIV_AUTH, default=auto" usage:"how the token is sent: auto, direktiv-token, direktiv-api-key, apikey or bearer"`
	AnyRef     string          `env:"DIREKTIV_ANY_REF" usage:"true: sync although the mirror follows another ref than the pipeline's"`
	FailOnWarn string          `env:"DIREKTIV_FAIL_ON_WARN" usage:"true: fail when a sync completes with warnings, such as a broken workflow"`

	NoWait bool // start the sync and do not await its result
}

// The ways to send the token.
const (
	authAuto   = "auto"
	authToken  = "direktiv-token"
	authAPIKey = "direktiv-api-key"
	authOldKey = "apikey"
	authBearer = "bearer"
)

var namespaceName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`)

// Enabled says whether the target is switched on.
func (c Config) Enabled() bool { return c.URL != "" }

// Validate tells everything that is wrong at once, by variable.
func (c Config) Validate() error {
	errs := []error{c.validateAccess()}
	switch {
	case c.Namespace == "":
		errs = append(errs, errors.New("DIREKTIV_NAMESPACE: missing; set it to the namespace whose mirror is synced"))
	case !namespaceName.MatchString(c.Namespace):
		errs = append(errs, fmt.Errorf("DIREKTIV_NAMESPACE: want letters, digits, '-', '_' and '.', not %q", c.Namespace))
	}
	for part := range strings.SplitSeq(c.Directory, "/") {
		if part == "." || part == ".." {
			errs = append(errs, fmt.Errorf("DIREKTIV_DIRECTORY: want a path such as /workflows, not %q", c.Directory))
			break
		}
	}
	for name, value := range map[string]string{"DIREKTIV_ANY_REF": c.AnyRef, "DIREKTIV_FAIL_ON_WARN": c.FailOnWarn} {
		if _, err := strconv.ParseBool(value); err != nil && value != "" {
			errs = append(errs, fmt.Errorf("%s: want true or false, not %q", name, value))
		}
	}
	return errors.Join(errs...)
}

// validateAccess checks what is needed to speak to Direktiv at all.
func (c Config) validateAccess() error {
	var errs []error
	if problem := badURL(c.URL); problem != "" {
		errs = append(errs, errors.New("DIREKTIV_URL: "+problem))
	}
	if strings.ContainsFunc(strings.TrimSpace(c.Token.Reveal()), unicode.IsControl) {
		errs = append(errs, errors.New("DIREKTIV_TOKEN: holds a line break or another control character; set it again without"))
	}
	switch c.Auth {
	case "", authAuto, authToken, authAPIKey, authOldKey, authBearer:
	default:
		errs = append(errs, fmt.Errorf("DIREKTIV_AUTH: want auto, direktiv-token, direktiv-api-key, apikey or bearer, not %q", c.Auth))
	}
	return errors.Join(errs...)
}

// badURL says what is wrong with a base URL. It never repeats the URL, which
// may hold a password.
func badURL(raw string) string {
	if raw == "" {
		return "missing; set it to the base URL of Direktiv, such as https://direktiv.example.com"
	}
	u, err := url.Parse(strings.TrimSpace(raw))
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		return "want an http or https URL with a host, such as https://direktiv.example.com"
	case u.User != nil:
		return "holds a user name or password; put the token into DIREKTIV_TOKEN"
	case u.RawQuery != "" || u.Fragment != "":
		return "want a base URL without query and fragment"
	}
	return ""
}

// base is the URL without what would double a slash.
func (c Config) base() string { return strings.TrimRight(strings.TrimSpace(c.URL), "/") }

// directory is the path below tree in the legacy API: "" or "/a/b".
func (c Config) directory() string {
	var path strings.Builder
	for part := range strings.SplitSeq(c.Directory, "/") {
		if part != "" {
			path.WriteString("/" + url.PathEscape(part))
		}
	}
	return path.String()
}

// anyRef and failOnWarn read what Validate has accepted.
func (c Config) anyRef() bool { on, _ := strconv.ParseBool(c.AnyRef); return on }

func (c Config) failOnWarn() bool { on, _ := strconv.ParseBool(c.FailOnWarn); return on }
