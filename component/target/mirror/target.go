package mirror

import (
	"context"
	"net/http"
	"strings"

	"gitlab.com/remora-ci/remora/component/delivery"
)

// Target pushes refs to one remote. It is safe for use by several goroutines.
type Target struct {
	config Config
	at     address
	rules  rules
	client *http.Client
	there  remote
	caches caches
	scrub  *delivery.Scrubber
}

// New makes the target. The error is that of [Config.Validate], or of reading
// the CA file.
func New(c Config) (*Target, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	at, err := parseAddress(c.URL)
	if err != nil {
		return nil, err
	}
	rules, err := parseRules(c.Refs)
	if err != nil {
		return nil, err
	}
	client, err := newHTTPClient(c.CAFile, stall)
	if err != nil {
		return nil, err
	}
	t := &Target{config: c, at: at, rules: rules, client: client, caches: newCaches(c.Cache), scrub: c.scrubber()}
	if !at.ssh() {
		user, password, _ := login(c.Token)
		t.there = &httpRemote{client: client, at: at, user: user, token: password}
		return t, nil
	}
	signer, err := c.signer()
	if err != nil {
		return nil, err
	}
	hosts, err := hostKeys(c.KnownHosts)
	if err != nil {
		return nil, err
	}
	t.there = &sshRemote{at: at, signer: signer, hosts: hosts, after: stall}
	return t, nil
}

// Name is "mirror".
func (t *Target) Name() string { return "mirror" }

// Place is the host that is pushed to.
func (t *Target) Place() string { return t.at.host }

// Plan says what Apply would fetch and push.
func (t *Target) Plan(ev delivery.Event) ([]string, error) {
	if err := t.rules.admit(ev); err != nil {
		return nil, err
	}
	ref := ev.FullRef()
	if ev.Deleted {
		return []string{"delete " + ref + " at " + t.at.String() + t.as()}, nil
	}
	from, err := t.source(ev)
	if err != nil {
		return nil, err
	}
	push := "push " + delivery.ShortSHA(ev.SHA) + " to " + ref + " at " + t.at.String() + t.as()
	if t.rules.grant(ref).force {
		push += ", overwriting what only the remote has"
	}
	return []string{"fetch " + ref + " from " + from.at.String() + " unless it is in the cache", push}, nil
}

// as says who pushes, where that is known before the server says so.
func (t *Target) as() string {
	switch user, _, assumed := login(t.config.Token); {
	case t.at.ssh():
		return " with the SSH key"
	case t.config.Token.Empty():
		return " without a token"
	case assumed:
		return " as " + user + " (REMORA_MIRROR_TOKEN names no user)"
	default:
		return " as " + user
	}
}

// source is the project's repository. Its token goes to the instance of the
// event and nowhere else, whatever address the event gives the project.
func (t *Target) source(ev delivery.Event) (*httpRemote, error) {
	at, err := parseAddress(strings.TrimSuffix(strings.TrimSuffix(ev.Project.URL, "/"), ".git") + ".git")
	if err != nil || at.ssh() {
		return nil, delivery.Permanent(&delivery.Fault{Summary: "no project address", Cause: "the event names no http address of the project to fetch from"})
	}
	if at.same(t.at) {
		return nil, delivery.Permanent(&delivery.Fault{Summary: "mirror of itself", Cause: "REMORA_MIRROR_URL is the project itself",
			Remedy: "set REMORA_MIRROR_URL to another repository"})
	}
	r := &httpRemote{client: t.client, at: at}
	home, err := parseAddress(ev.Instance + "/any")
	switch {
	case err != nil || home.scheme != at.scheme || !strings.EqualFold(home.hostPort(), at.hostPort()):
	case !t.config.JobToken.Empty():
		r.user, r.token = "gitlab-ci-token", t.config.JobToken
	case !t.config.ProjectToken.Empty():
		r.user, r.token = "oauth2", t.config.ProjectToken
	}
	return r, nil
}

// Apply brings the remote's ref to the commit of ev, and asks the remote whether
// it is there. Its receipt holds what the server said to the push.
//
// It skips refs that the configuration leaves out, branches of forks, deletions
// that are not asked for, and refs that the project has rewritten or deleted
// since. It returns a [delivery.Fault] where the remote has commits of its own,
// refuses the push, the token, the key, or cannot be reached.
func (t *Target) Apply(ctx context.Context, ev delivery.Event) (delivery.Receipt, error) {
	if err := t.rules.admit(ev); err != nil {
		return delivery.Receipt{}, err
	}
	defer t.client.CloseIdleConnections()
	r := &run{Target: t, ev: ev, ref: ev.FullRef(), allowed: t.rules.grant(ev.FullRef())}
	r.receipt.URL = t.at.web()
	if t.at.plainText() && !t.config.Token.Empty() {
		r.warn("REMORA_MIRROR_URL is http://: the token can be read on the way; use https://")
	}
	var err error
	if ev.Deleted {
		err = r.remove(ctx)
	} else {
		err = r.bring(ctx)
	}
	r.receipt.Log = r.beside.said(t.scrub)
	return r.receipt, t.explain(err)
}
