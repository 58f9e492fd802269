package httppost

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"gitlab.com/remora-ci/remora/component/delivery"
)

// Config are the settings of the target, as text.
type Config struct {
	URL       string          `env:"REMORA_HTTP_URL" usage:"address that is called to trigger a system; its presence switches the http target on"`
	Method    string          `env:"REMORA_HTTP_METHOD, default=POST" usage:"method of that call: POST, PATCH, PUT, DELETE or GET; the last three are repeated after a fault"`
	Headers   delivery.Secret `env:"REMORA_HTTP_HEADERS" usage:"headers to send, one 'Name: value' per line; in a variable of one line, \\n stands for a new line"`
	Token     delivery.Secret `env:"REMORA_HTTP_TOKEN" usage:"sent as 'Authorization: Bearer', only to the scheme, host and port of REMORA_HTTP_URL"`
	Body      string          `env:"REMORA_HTTP_BODY" usage:"jq expression over the event that gives the body; default: the event as JSON; no value skips the event"`
	StatusURL string          `env:"REMORA_HTTP_STATUS_URL" usage:"jq expression over {event, answer, location} that gives the address to poll for the result; without it, a 2xx is the result"`
	State     string          `env:"REMORA_HTTP_STATE" usage:"jq expression over the polled answer that gives its state; default: its conclusion, result, status or state, or the answer itself if it is text"`
	Success   string          `env:"REMORA_HTTP_SUCCESS" usage:"states that end well, by comma, in any case; default: success, succeeded, successful, ok, passed, done, complete, completed, finished"`
	Failure   string          `env:"REMORA_HTTP_FAILURE" usage:"states that end badly, by comma, in any case; default: failure, failed, error, canceled, aborted, rejected, timeout and their like"`

	NoWait bool // start, do not wait

	// Insist has a call that may or may not have arrived made again, whatever its
	// method. It is set by whoever delivers at least once; the Idempotency-Key
	// tells the system that it is the same call.
	Insist bool
}

// Enabled says whether the target is switched on.
func (c Config) Enabled() bool { return c.URL != "" }

// Validate tells everything that is wrong at once. It does not ask whether the
// target is switched on.
func (c Config) Validate() error {
	_, err := c.parse()
	return err
}

// Secrets are the secrets in c each by itself, as a server may echo them: the
// token, every header value, and what looks like a secret in the query of URL.
func (c Config) Secrets() []delivery.Secret {
	secrets := []delivery.Secret{c.Token}
	header, _ := parseHeaders(c.Headers.Reveal())
	for _, values := range header {
		for _, v := range values {
			secrets = append(secrets, delivery.Secret(v))
			if _, credentials, ok := strings.Cut(v, " "); ok {
				secrets = append(secrets, delivery.Secret(credentials))
			}
		}
	}
	if u, err := url.Parse(c.URL); err == nil {
		for name, values := range u.Query() {
			for _, v := range values {
				if secretName.MatchString(name) {
					secrets = append(secrets, delivery.Secret(v))
				}
			}
		}
	}
	return secrets
}

// secretName finds names of query parameters whose value is a secret.
var secretName = regexp.MustCompile(`(?i)token|key|secret|pass|sig|auth|cred`)

// settings is a Config that was read.
type settings struct {
	url    *url.URL
	method string
	header http.Header
	body   *expression // nil: the event itself
	status *expression // nil: nothing to poll
	state  *expression // nil: plainState
	states states
}

func (c Config) parse() (settings, error) {
	var s settings
	var errs, wrong []error
	check := func(err error) { errs = append(errs, err) }
	var err error
	s.url, err = parseURL(c.URL)
	check(err)
	s.method, err = parseMethod(c.Method)
	check(err)
	s.header, wrong = parseHeaders(c.Headers.Reveal())
	errs = append(errs, wrong...)
	check(c.checkToken(s.header))
	s.body, err = compile("REMORA_HTTP_BODY", c.Body)
	check(err)
	if s.body != nil && s.method == http.MethodGet {
		check(errors.New("REMORA_HTTP_BODY: a GET has no body; unset it, or set REMORA_HTTP_METHOD=POST"))
	}
	s.status, err = compile("REMORA_HTTP_STATUS_URL", c.StatusURL)
	check(err)
	s.state, err = compile("REMORA_HTTP_STATE", c.State)
	check(err)
	s.states, err = parseStates(c.Success, c.Failure)
	check(err)
	return s, errors.Join(errs...)
}

// parseURL never quotes what it was given, which may hold a password.
func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(text))
	switch {
	case text == "":
		return nil, errors.New("REMORA_HTTP_URL: missing; set it to the address that triggers the system")
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("REMORA_HTTP_URL: want an address that begins with https:// or http:// and a host")
	case u.User != nil:
		return nil, errors.New("REMORA_HTTP_URL: holds a user name or password; send it with REMORA_HTTP_HEADERS as an Authorization header")
	case u.Fragment != "":
		return nil, errors.New("REMORA_HTTP_URL: the part after # is never sent; remove it")
	}
	return u, nil
}

var methods = []string{http.MethodPost, http.MethodPatch, http.MethodPut, http.MethodDelete, http.MethodGet}

func parseMethod(text string) (string, error) {
	m := strings.ToUpper(strings.TrimSpace(text))
	if m == "" {
		return http.MethodPost, nil
	}
	if !slices.Contains(methods, m) {
		return "", fmt.Errorf("REMORA_HTTP_METHOD: want one of %s, not %q", strings.Join(methods, ", "), text)
	}
	return m, nil
}

func (c Config) checkToken(h http.Header) error {
	token := c.token()
	if token.Empty() {
		return nil
	}
	if h.Get("Authorization") != "" {
		return errors.New("REMORA_HTTP_TOKEN: REMORA_HTTP_HEADERS has an Authorization header too; set only one of them")
	}
	for _, b := range []byte(token.Reveal()) {
		if b <= ' ' || b >= 0x7f {
			return errors.New("REMORA_HTTP_TOKEN: holds a space or a character that no token has; set it to the bare token, without Bearer")
		}
	}
	return nil
}

// token is without the new line that a file or a web form leaves behind.
func (c Config) token() delivery.Secret { return delivery.Secret(strings.TrimSpace(c.Token.Reveal())) }
