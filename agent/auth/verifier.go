package auth

import (
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
)

// Verifier tells who is calling. It may be used by many goroutines at once.
type Verifier struct {
	now            func() time.Time
	admin          secrets
	packit         []delivery.Secret
	tokenKeys      []tokenKey
	allow, proxies networks

	configured hookSecrets
	hooks      atomic.Pointer[hookSecrets] // the configured ones, then the extra ones
}

// New reads c. now is the clock; nil is the real one.
func New(c Config, now func() time.Time) (*Verifier, error) {
	s, err := c.parse()
	if err != nil {
		return nil, err
	}
	if now == nil {
		now = time.Now
	}
	v := &Verifier{
		now: now, admin: digestAll(s.admin), packit: s.packit, tokenKeys: s.tokenKeys, allow: s.allow, proxies: s.proxies,
		configured: hookSecrets{plain: digestAll(s.plain), signing: s.signing},
	}
	v.hooks.Store(&v.configured)
	return v, nil
}

// Webhook tells who sent a webhook, or refuses it with a [*Refusal]. body is as
// it came, byte for byte; peer is the other end of the connection. The caller
// asks [Verifier.Covers] next, once it knows the project.
func (v *Verifier) Webhook(h http.Header, body []byte, peer netip.Addr) (Caller, error) {
	a, err := v.Admit(h, peer)
	if err != nil {
		return Caller{}, err
	}
	return a.Verify(body)
}

// Admission is a webhook of which all but the body was checked.
type Admission struct {
	caller Caller
	signed *signature // nil: the body proves nothing
}

// Admit is the part of [Verifier.Webhook] that needs no body. Called before the
// body is read, it keeps strangers from having it read.
func (v *Verifier) Admit(h http.Header, peer netip.Addr) (Admission, error) {
	if err := v.checkAddress(h, peer); err != nil {
		return Admission{}, err
	}
	if len(h.Values("webhook-signature")) > 0 {
		s, err := v.signed(h)
		return Admission{signed: s}, err
	}
	given := h.Get("X-Gitlab-Token")
	if given == "" {
		return Admission{}, refuse(CodeMissing, "the call has neither webhook-signature nor X-Gitlab-Token")
	}
	known := v.hooks.Load()
	if i, ok := known.plain.find(given); ok {
		return Admission{caller: Caller{KindSecret, known.name("secret", i, len(v.configured.plain)), Scope{All: true}}}, nil
	}
	if len(v.tokenKeys) == 0 && len(v.packit) == 0 || strings.Count(given, ".") != 2 {
		return Admission{}, refuse(CodeSecret, "X-Gitlab-Token is none of the %d secrets in REMORA_WEBHOOK_SECRET, nor of the %d of hooks of our own", len(v.configured.plain), len(known.plain)-len(v.configured.plain))
	}
	caller, err := v.token(given, "X-Gitlab-Token")
	return Admission{caller: caller}, err
}

// Proved says whether the caller has proved who it is without the body: what is
// signed proves nothing before all of it is there.
func (a Admission) Proved() bool { return a.signed == nil && a.caller.Kind != "" }

// Verify completes the check with the body, byte for byte as it came.
func (a Admission) Verify(body []byte) (Caller, error) {
	if a.signed == nil {
		if a.caller.Kind == "" {
			return Caller{}, refuse(CodeMissing, "the call was not admitted")
		}
		return a.caller, nil
	}
	name, err := a.signed.verify(body)
	if err != nil {
		return Caller{}, err
	}
	return Caller{KindSignature, name, Scope{All: true}}, nil
}
