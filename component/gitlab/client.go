package gitlab

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	gl "gitlab.com/gitlab-org/api/client-go/v2"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
)

// Config says which GitLab to talk to and as whom.
type Config struct {
	URL   string          `env:"REMORA_GITLAB_URL" usage:"base URL of GitLab, without /api/v4; in a CI job the job's own GitLab"`
	Token delivery.Secret `env:"REMORA_GITLAB_TOKEN" usage:"token of the bot user that writes statuses and notes: scope api, role Developer; not CI_JOB_TOKEN"`
}

// Enabled says whether there is a token to write with.
func (c Config) Enabled() bool { return !c.Token.Empty() }

// Validate reports everything that is wrong, one line each. A Config without a
// token is valid: nothing can be reported then.
func (c Config) Validate() error {
	var errs []error
	if c.Enabled() || c.URL != "" {
		errs = append(errs, c.validateURL())
	}
	token := strings.TrimSpace(c.Token.Reveal())
	switch {
	case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		errs = append(errs, errors.New("REMORA_GITLAB_TOKEN: holds white space or characters that no token has; set it to the token alone"))
	case strings.HasPrefix(token, jobTokenPrefix):
		errs = append(errs, errors.New("REMORA_GITLAB_TOKEN: is a CI_JOB_TOKEN, which GitLab does not let write statuses or notes; set it to the token of a bot user"))
	}
	return errors.Join(errs...)
}

const jobTokenPrefix = "glcbt-"

func (c Config) validateURL() error {
	const name = "REMORA_GITLAB_URL: "
	if c.URL == "" {
		return errors.New(name + "missing; set it to the base URL of GitLab, such as https://gitlab.example.com")
	}
	u, err := url.Parse(c.URL)
	switch {
	case err != nil:
		return errors.New(name + "is no URL; write https://gitlab.example.com")
	case u.Scheme != "https" && u.Scheme != "http", u.Host == "":
		return errors.New(name + "must start with https:// or http:// and name a host")
	case u.User != nil:
		return errors.New(name + "must not hold a user or password; the token belongs in REMORA_GITLAB_TOKEN")
	case u.RawQuery != "" || u.Fragment != "":
		return errors.New(name + "must end with the path; take off what follows ? or #")
	}
	return nil
}

// base is the URL without its trailing slash and /api/v4.
func (c Config) base() string {
	return strings.TrimRight(strings.TrimSuffix(strings.TrimRight(c.URL, "/"), "/api/v4"), "/")
}

// Project names a project by its id ("123") or its full path ("group/app"). A
// path may move, so the id is better where it is known.
type Project string

// ProjectID is the project with that id.
func ProjectID(id int64) Project { return Project(strconv.FormatInt(id, 10)) }

// Client calls one GitLab with one token. It is safe for use by several
// goroutines.
type Client struct {
	base  string
	http  *http.Client
	api   *gl.Client
	pause time.Duration // before the first repetition after a 409
	self  self
}

// New makes a client on out, which must allow answers of 64 MiB: a page of long
// notes is as large as that.
func New(c Config, out *rest.Client) (*Client, error) {
	if err := c.validateURL(); err != nil {
		return nil, err
	}
	inner := out.HTTP()
	carrier := &http.Client{
		Transport:     &judge{next: inner.Transport, token: c.Token},
		CheckRedirect: inner.CheckRedirect,
	}
	api, err := gl.NewAuthSourceClient(gl.Unauthenticated{},
		gl.WithBaseURL(c.base()),
		gl.WithHTTPClient(carrier),
		gl.WithoutRetries(),
		gl.WithCustomLimiter(unlimited{}),
		gl.WithURLWarningLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		return nil, fmt.Errorf("make GitLab client: %w", err)
	}
	return &Client{base: c.base(), http: carrier, api: api, pause: 500 * time.Millisecond, self: self{turn: make(chan struct{}, 1)}}, nil
}

// URL is the base URL of the instance, without trailing slash.
func (c *Client) URL() string { return c.base }

// unlimited is a limiter that never waits: rest has its own.
type unlimited struct{}

func (unlimited) Wait(context.Context) error { return nil }
