package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
)

// brokenError says that the cache, or what came into it, is not sound.
type brokenError struct{ err error }

func (e *brokenError) Error() string { return "cache: " + e.err.Error() }
func (e *brokenError) Unwrap() error { return e.err }

func broken(err error) error {
	if err == nil {
		return nil
	}
	return &brokenError{err}
}

// projectError is an error of reading the project, not the remote.
type projectError struct {
	from *httpRemote
	err  error
}

func (e *projectError) Error() string { return "read the project: " + e.err.Error() }
func (e *projectError) Unwrap() error { return e.err }

// movedError is a ref that someone else moved while we were at it.
type movedError struct{ to plumbing.Hash }

func (e *movedError) Error() string {
	if e.to.IsZero() {
		return "the remote's ref was deleted meanwhile"
	}
	return "the remote's ref was moved to " + delivery.ShortSHA(e.to.String()) + " meanwhile"
}

var errSHA256 = errors.New("repository uses SHA-256")

// offersSHA256 says whether a server's first words name that hash; go-git reads
// them as a ref that makes no sense, or not at all.
func offersSHA256(refs *packp.AdvRefs, said []byte) bool {
	for _, f := range refs.Capabilities.Get("object-format") {
		if f == "sha256" {
			return true
		}
	}
	return bytes.Contains(said, []byte("object-format=sha256"))
}

func sha256Fault(where string) *delivery.Fault {
	return &delivery.Fault{Summary: "SHA-256 repository", Cause: where + " uses SHA-256 for its objects, which the mirror target does not speak",
		Remedy: "mirror it by other means, such as GitLab's own push mirroring", Err: errSHA256}
}

// isConn says whether an error is of a connection rather than of the store.
func isConn(err error) bool {
	var status *rest.StatusError
	var conn *rest.ConnError
	var line *pktline.ErrorLine
	return errors.As(err, &status) || errors.As(err, &conn) || errors.As(err, &line)
}

// explain makes an error one that a person can act on, and decides whether
// trying again can help. Nothing that a server said goes out unscrubbed.
func (t *Target) explain(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) {
		return quoted{t.scrub.Text(err.Error()), err}
	}
	if _, skip := delivery.SkipReason(err); skip {
		return err
	}
	var known *delivery.Fault
	if errors.As(err, &known) {
		return err
	}
	var project *projectError
	if errors.As(err, &project) {
		return t.clean(t.projectFault(project))
	}
	return t.clean(t.remoteFault(err))
}

// clean scrubs a fault and keeps whether it is permanent.
func (t *Target) clean(err error) error {
	state := delivery.StateOf(err)
	f := *delivery.Explain(err)
	f.Summary, f.Cause, f.Remedy, f.Request = t.scrub.Text(f.Summary), clean(t.scrub.Text(f.Cause), 1200), t.scrub.Text(f.Remedy), t.scrub.Text(f.Request)
	if f.Remedy == "" {
		f.Remedy = "run the job again; if it stays so, see whether " + t.at.host + " is well"
	}
	if f.Err != nil {
		f.Err = quoted{clean(t.scrub.Text(f.Err.Error()), 1200), f.Err}
	}
	if state == delivery.Failed {
		return delivery.Permanent(&f)
	}
	return &f
}

// quoted keeps an error for errors.Is and As, with its text scrubbed. It does
// not unwrap: the texts inside are what the server said.
type quoted struct {
	text string
	err  error
}

func (q quoted) Error() string        { return q.text }
func (q quoted) Is(target error) bool { return errors.Is(q.err, target) }
func (q quoted) As(target any) bool   { return errors.As(q.err, target) }

func (t *Target) remoteFault(err error) error {
	names := rest.Names{URL: "REMORA_MIRROR_URL", Token: "REMORA_MIRROR_TOKEN"}
	request := t.there.evidence(receivePack)
	permanent := func(summary, cause, remedy string) error {
		return delivery.Permanent(&delivery.Fault{Summary: summary, Cause: cause, Remedy: remedy, Request: request, Err: err})
	}
	var (
		status  *rest.StatusError
		refused *refusedError
		overSSH *sshError
		notGit  *notGitError
		large   *largeError
		said    *pktline.ErrorLine
		moved   *movedError
	)
	switch {
	case errors.Is(err, errSHA256):
		f := sha256Fault("the remote")
		f.Request = request
		return delivery.Permanent(f)
	case errors.As(err, &refused):
		return refusalFault(refused, request)
	case errors.Is(err, errNoDelete):
		return permanent("deletion not possible", err.Error(), "delete the ref at the remote by hand, or take :delete out of REMORA_MIRROR_REFS")
	case errors.As(err, &status):
		return t.statusFault(status, err)
	case errors.As(err, &overSSH):
		return t.sshFault(overSSH, request)
	case errors.Is(err, http.ErrSchemeMismatch):
		return permanent("no TLS", err.Error(), "the server answers without TLS: set REMORA_MIRROR_URL to its https port")
	case errors.As(err, &notGit):
		return permanent("not a Git repository", notGit.Error(), "set REMORA_MIRROR_URL to the address to clone from")
	case errors.As(err, &large):
		return permanent("answer too large", err.Error(), "check that REMORA_MIRROR_URL leads to a Git repository")
	case errors.As(err, &said):
		return permanent("refused by the remote", "the remote says: "+clean(said.Text, 300), "check REMORA_MIRROR_URL and what its token may do")
	case errors.As(err, &moved):
		return &delivery.Fault{Summary: "remote changed meanwhile", Cause: err.Error(), Request: request, Err: err,
			Remedy: "run the job again; see who else pushes to the remote"}
	}
	var conn *rest.ConnError
	if errors.As(err, &conn) {
		return rest.Fault(err, names)
	}
	return &delivery.Fault{Summary: "mirror failed", Cause: err.Error(), Request: request, Err: err}
}

func (t *Target) statusFault(s *rest.StatusError, err error) error {
	f := &delivery.Fault{Cause: s.Error(), Request: fmt.Sprintf("%s %s (%d)", s.Method, s.URL, s.Code), Err: err}
	switch user, _, assumed := login(t.config.Token); {
	case s.Code == http.StatusUnauthorized && t.config.Token.Empty():
		f.Summary, f.Remedy = "token missing", "set REMORA_MIRROR_TOKEN to user:token; a protected variable is empty on unprotected refs"
	case s.Code == http.StatusUnauthorized && assumed:
		f.Summary, f.Remedy = "token refused", "set REMORA_MIRROR_TOKEN to user:token with a valid token; it names no user, so "+user+" was sent"
	case s.Code == http.StatusUnauthorized:
		f.Summary, f.Remedy = "token refused", "set REMORA_MIRROR_TOKEN to user:token with a valid token that may push"
	case s.Code == http.StatusForbidden:
		f.Summary, f.Remedy = "not allowed", "give the token in REMORA_MIRROR_TOKEN the right to push, such as write_repository"
	case s.Code == http.StatusNotFound:
		f.Summary, f.Remedy = "repository not found", "create it, or check the path in REMORA_MIRROR_URL; many servers also say this to a token that may not see it"
	case s.Code == http.StatusRequestEntityTooLarge:
		f.Summary, f.Remedy = "push too large", "let the remote's server or its proxy take larger requests"
	default:
		return rest.Fault(err, rest.Names{URL: "REMORA_MIRROR_URL", Token: "REMORA_MIRROR_TOKEN"})
	}
	return delivery.Permanent(f)
}

func (t *Target) sshFault(e *sshError, request string) error {
	f := &delivery.Fault{Summary: "no connection", Cause: e.Error(), Request: request, Err: e,
		Remedy: "check that the host and port in REMORA_MIRROR_URL can be reached from here; SSH uses no proxy"}
	var key *hostKeyError
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case errors.Is(e, errSHA256):
		return delivery.Permanent(sha256Fault("the remote"))
	case errors.As(e, &key):
		return delivery.Permanent(t.hostKeyFault(key, request))
	case strings.Contains(e.err.Error(), "no common algorithm for host key"):
		return delivery.Permanent(t.hostKeyFault(&hostKeyError{fingerprint: "keys of other kinds only", err: e}, request))
	case strings.Contains(e.err.Error(), "unable to authenticate"):
		f.Summary = "key refused"
		f.Remedy = "add the public half of REMORA_MIRROR_SSH_KEY to the remote as a deploy key that may write; the user is " + t.at.user
	case errors.As(e, &dns) && dns.IsNotFound:
		f.Summary, f.Remedy = "unknown host", "check the host name in REMORA_MIRROR_URL"
	case notFound(e.said):
		f.Summary, f.Remedy = "repository not found", "create it, or check the path in REMORA_MIRROR_URL; many servers also say this to a key that may not see it"
	case errors.As(e, &timeout) && timeout.Timeout():
		f.Summary = "no answer in time"
		return f
	case e.said != "":
		f.Summary, f.Remedy = "refused by the remote", "see what the remote says, and what the key in REMORA_MIRROR_SSH_KEY may do"
	default:
		return f
	}
	return delivery.Permanent(f)
}
