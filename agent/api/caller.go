package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"gitlab.com/remora-ci/remora/agent/auth"
)

// Verifier knows the tokens that are ours; [auth.Verifier] is one.
type Verifier interface {
	// Bearer is who has the admin token or a project token, or an [*auth.Refusal].
	Bearer(h http.Header) (auth.Caller, error)

	// Covers says whether a caller may speak for the project with this full path.
	Covers(c auth.Caller, project string) bool

	// Client is the address of who called; the zero Addr if it is not known.
	Client(h http.Header, peer netip.Addr) netip.Addr
}

// IDTokens knows the ID tokens of CI jobs; [auth.IDTokens] is one.
type IDTokens interface {
	// Verify is the job that an ID token proves, or an [*auth.Refusal]. Every other
	// error says that it cannot be told now, as when the keys cannot be read.
	Verify(ctx context.Context, raw string) (auth.Job, error)
}

// The security schemes: what a caller proves itself with.
const (
	idToken      = "idToken"
	projectToken = "projectToken"
	adminToken   = "adminToken"
)

// kindJob is the kind of a caller with an ID token.
const kindJob = "job"

// schemes are the security scheme of each kind of caller. Every other kind is
// refused.
var schemes = map[string]string{kindJob: idToken, auth.KindProjectToken: projectToken, auth.KindAdmin: adminToken}

// spoken is what people call a token.
var spoken = map[string]string{idToken: "the ID token of a CI job", projectToken: "a project token", adminToken: "the admin token"}

// admit lets a call pass whose caller is known and may make it, with its body read.
func (s *server) admit(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	c := callOf(ctx.Context())
	if err := s.identify(r, c); err != nil {
		c.refuse(w, noCaller(err))
		return
	}
	if err := allowed(ctx.Operation(), c.caller.Kind); err != nil {
		c.refuse(w, err)
		return
	}
	if limit := ctx.Operation().MaxBodyBytes; limit > 0 {
		if err := s.paces.take(c.caller, s.o.Now()); err != nil {
			c.refuse(w, err)
			return
		}
		if err := s.readBody(w, r, limit); err != nil {
			c.refuse(w, err)
			return
		}
	}
	next(ctx)
}

// identify learns who calls. The error is an [*auth.Refusal], or says that it
// cannot be told now.
func (s *server) identify(r *http.Request, c *call) error {
	caller, err := s.o.Verifier.Bearer(r.Header)
	if err == nil {
		c.caller = caller
		return nil
	}
	_, raw, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	raw = strings.TrimSpace(raw)
	if isMissing(err) || !auth.IsIDToken(raw) {
		return err
	}
	job, err := s.o.IDTokens.Verify(r.Context(), raw)
	if err != nil {
		return err
	}
	c.job, c.caller = &job, auth.Caller{Kind: kindJob, Name: fmt.Sprintf("job %d of %s", job.JobID, job.Instance)}
	return nil
}

// isMissing says whether a call had no bearer token, or more than one.
func isMissing(err error) bool {
	var r *auth.Refusal
	return errors.As(err, &r) && r.Code == auth.CodeMissing
}

// allowed refuses a kind of caller that an operation does not take. An operation
// without security takes nobody.
func allowed(op *huma.Operation, kind string) error {
	has := schemes[kind]
	var takes []string
	for _, one := range op.Security {
		for scheme := range one {
			takes = append(takes, spoken[scheme])
			if scheme == has {
				return nil
			}
		}
	}
	slices.Sort(takes)
	is := spoken[has]
	if is == "" {
		is = "this token"
	}
	return &Refused{
		Status: http.StatusForbidden, Title: "wrong kind of token", Detail: "This call takes " + strings.Join(takes, " or ") + ", not " + is + ".",
		Remedy: "send " + strings.Join(takes, " or ") + " as Authorization: Bearer",
		Log:    fmt.Sprintf("the caller is of kind %s; the call takes %s", kind, strings.Join(takes, " or ")),
	}
}

// mends are what helps where a claim of an ID token does not hold. What helps against
// another audience is known to who asked: it depends on how it calls this agent.
var mends = map[string]string{
	"iss": "ask who runs the agent to add the GitLab of this job, by the URL that GitLab calls itself",
	"exp": "start the job again; its ID token ends with the job's timeout, so give the job as long as it needs",
	"nbf": "have the clocks of GitLab and of the agent set right",
	"kid": "start the job again; if that does not help, the agent reads the keys of another GitLab than the job's",
}

// noCaller is the refusal of a call whose caller is not known.
func noCaller(err error) error {
	var r *auth.Refusal
	if !errors.As(err, &r) {
		return &problem{status: http.StatusServiceUnavailable, title: "not now", detail: "Who calls cannot be told now; try again later.", reason: err.Error()}
	}
	p := &problem{status: http.StatusUnauthorized, title: "not authenticated", detail: r.Public, remedy: mends[r.Claim], reason: r.Error(), header: http.Header{}}
	challenge := `Bearer realm="remora"`
	if r.Code != auth.CodeMissing {
		challenge += `, error="invalid_token"`
	}
	p.header.Set("WWW-Authenticate", challenge)
	if p.detail == "" {
		p.detail = "The token is not good here."
	}
	return p
}
