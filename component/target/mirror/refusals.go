package mirror

import (
	"errors"
	"net/http"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
)

// foreign is the fault of a remote that has something of its own.
func (r *run) foreign(cause string, old plumbing.Hash) error {
	kind, entry := "branch ", r.ev.Ref
	if r.ev.RefType == delivery.Tag {
		kind, entry = "tag ", "tags/"+r.ev.Ref
	}
	if r.ev.Deleted {
		entry += ":delete"
	}
	return delivery.Permanent(&delivery.Fault{
		Summary: "remote has other commits",
		Cause:   kind + r.ev.Ref + " at " + r.at.host + " is at " + delivery.ShortSHA(old.String()) + ": " + cause,
		Remedy:  "find out who else pushes there; to overwrite it, add +" + entry + " to REMORA_MIRROR_REFS",
		Request: r.there.evidence(receivePack),
	})
}

func (t *Target) hostKeyFault(e *hostKeyError, request string) *delivery.Fault {
	scan := "ssh-keyscan " + t.at.host
	if t.at.port != "" && t.at.port != "22" {
		scan = "ssh-keyscan -p " + t.at.port + " " + t.at.host
	}
	f := &delivery.Fault{Request: request, Err: e,
		Summary: "host key changed",
		Cause:   t.at.hostPort() + " shows " + e.fingerprint + ", which is not the key in REMORA_MIRROR_KNOWN_HOSTS: it was changed, or another machine answers",
		Remedy:  "check the new key with those who run the host, then set REMORA_MIRROR_KNOWN_HOSTS to what this prints: " + scan,
	}
	if e.unknown {
		f.Summary = "unknown host key"
		f.Cause = "REMORA_MIRROR_KNOWN_HOSTS has no key for " + t.at.hostPort() + ", which shows " + e.fingerprint
		f.Remedy = "add to REMORA_MIRROR_KNOWN_HOSTS what this prints, after checking it: " + scan
	}
	return f
}

// refusalFault explains why a server did not move a ref. Its own words are
// quoted; what they mean is known for common ones.
func refusalFault(e *refusedError, request string) error {
	words := strings.ToLower(e.reason + " " + e.said)
	f := &delivery.Fault{Summary: "refused by the remote", Cause: e.Error(), Request: request, Err: e,
		Remedy: "see what the remote says; its hooks and push rules decide"}
	has := func(any ...string) bool {
		for _, s := range any {
			if strings.Contains(words, s) {
				return true
			}
		}
		return false
	}
	switch {
	case has("protected branch", "protected tag", "gh006", "protected ref"):
		f.Summary, f.Remedy = "protected at the remote", "let the user of the mirror's token or key push there, or unprotect it at the remote (force too, where that is asked for)"
	case has("denying non-fast-forward", "non-fast-forward"):
		f.Summary, f.Remedy = "overwriting refused", "let the remote take it (receive.denyNonFastForwards), or take the + out of REMORA_MIRROR_REFS"
	case has("deletion prohibited", "deletion of the current branch", "delete the default branch", "remote rejected deletion"):
		f.Summary, f.Remedy = "deletion refused", "choose another default branch at the remote, let it delete refs, or take :delete out of REMORA_MIRROR_REFS"
	case has("branch is currently checked out"):
		f.Summary, f.Remedy = "remote is not bare", "push to a bare repository: a branch that is checked out there cannot be moved"
	case has("shallow update not allowed"):
		f.Summary, f.Remedy = "shallow history refused", "run again: the cache is made anew"
	case has("lfs objects", "lfs object"):
		f.Summary, f.Remedy = "LFS objects missing", "the mirror pushes no LFS objects: push them by git lfs push --all, or switch LFS off at the remote"
	case has("cannot lock", "failed to lock", "failed to update ref", "unable to migrate", "try again", "timeout", "internal error", "internal server error", "temporarily"):
		f.Remedy = "run the job again"
		return f
	}
	return delivery.Permanent(f)
}

// projectFault explains why the project could not be read.
func (t *Target) projectFault(e *projectError) error {
	tokenName := "CI_JOB_TOKEN"
	if t.config.JobToken.Empty() {
		tokenName = "REMORA_GITLAB_TOKEN"
	}
	request := "GET " + e.from.at.String() + "/info/refs"
	var status *rest.StatusError
	var conn *rest.ConnError
	var notGit *notGitError
	switch {
	case errors.Is(e, errSHA256):
		return delivery.Permanent(sha256Fault("the project"))
	case errors.As(e, &notGit):
		return delivery.Permanent(&delivery.Fault{Summary: "project not readable", Cause: notGit.Error(), Request: request, Err: e,
			Remedy: "see whether the project's repository can be cloned by https"})
	case errors.As(e, &conn):
		return rest.Fault(e, rest.Names{URL: "the project's URL", Token: tokenName})
	case !errors.As(e, &status):
		return &delivery.Fault{Summary: "project not readable", Cause: e.Error(), Request: request, Err: e}
	}
	f := &delivery.Fault{Summary: "project not readable", Cause: e.Error(), Request: request, Err: e}
	switch {
	case e.from.token.Empty() && (status.Code == http.StatusUnauthorized || status.Code == http.StatusNotFound):
		f.Remedy = "set CI_JOB_TOKEN (it is, in a job) or REMORA_GITLAB_TOKEN; neither is sent to another host than the instance"
	case status.Code == http.StatusUnauthorized, status.Code == http.StatusForbidden, status.Code == http.StatusNotFound:
		f.Remedy = "let " + tokenName + " read the repository; a job's token ends with the job"
	default:
		return rest.Fault(e, rest.Names{URL: "the project's URL", Token: tokenName})
	}
	return delivery.Permanent(f)
}

// notFound knows the words of common servers for a repository that is not there.
func notFound(said string) bool {
	said = strings.ToLower(said)
	for _, words := range []string{"repository not found", "could not be found", "does not appear to be a git repository", "no such repository", "does not exist", "not a git repository"} {
		if strings.Contains(said, words) {
			return true
		}
	}
	return false
}
