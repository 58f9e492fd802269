package auth

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
)

// Verifier tells who is calling. It may be used by many goroutines at once.
type Verifier struct {
	now            func() time.Time
	plain, admin   secrets
	packit         []delivery.Secret
	signing        [][]byte
	tokenKeys      []tokenKey
	allow, proxies networks

	extra atomic.Pointer[extra]
}

// extra are the secrets that were learned while the agent ran.
type extra struct {
	plain   secrets
	signing [][]byte
}

// Extra sets the hook secrets and signing tokens (whsec_…) that are good besides the
// configured ones: those that the agent itself gave its hooks, the new and the old.
// It takes the place of what was set before. What is no secret is left out and named
// by its number, from 1, in the error.
func (v *Verifier) Extra(plain, signing []delivery.Secret) error {
	var e extra
	var errs []error
	for i, s := range plain {
		if len(s.Reveal()) < goodSecret || len(e.plain) == maxSecrets {
			errs = append(errs, fmt.Errorf("hook secret %d is shorter than %d characters, or one too many", i+1, goodSecret))
			continue
		}
		e.plain = append(e.plain, digestAll([]delivery.Secret{s})...)
	}
	for i, s := range signing {
		key, err := parseSigningToken(s)
		if err == nil && len(e.signing) == maxSecrets {
			err = errors.New("one too many")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("signing token %d: %w", i+1, err))
			continue
		}
		e.signing = append(e.signing, key)
	}
	v.extra.Store(&e)
	return errors.Join(errs...)
}

// known are all shared secrets, and signingKeys all signing tokens, that are good
// now.
func (v *Verifier) known() secrets {
	if e := v.extra.Load(); e != nil {
		return slices.Concat(v.plain, e.plain)
	}
	return v.plain
}

func (v *Verifier) signingKeys() [][]byte {
	if e := v.extra.Load(); e != nil {
		return slices.Concat(v.signing, e.signing)
	}
	return v.signing
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
	return &Verifier{
		now: now, plain: digestAll(s.plain), admin: digestAll(s.admin), packit: s.packit,
		signing: s.signing, tokenKeys: s.tokenKeys, allow: s.allow, proxies: s.proxies,
	}, nil
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
	known := v.known()
	if name, ok := known.match(given); ok {
		return Admission{caller: Caller{KindSecret, "secret " + name, Scope{All: true}}}, nil
	}
	if len(v.tokenKeys) == 0 && len(v.packit) == 0 || strings.Count(given, ".") != 2 {
		return Admission{}, refuse(CodeSecret, "X-Gitlab-Token is none of the %d secrets in REMORA_WEBHOOK_SECRET and of our own hooks", len(known))
	}
	caller, err := v.token(given)
	return Admission{caller: caller}, err
}

// Verify completes the check with the body, byte for byte as it came.
func (a Admission) Verify(body []byte) (Caller, error) {
	if a.signed == nil {
		if a.caller.Kind == "" {
			return Caller{}, refuse(CodeMissing, "the call was not admitted")
		}
		return a.caller, nil
	}
	key, err := a.signed.verify(body)
	if err != nil {
		return Caller{}, err
	}
	return Caller{KindSignature, "signing token " + strconv.Itoa(key), Scope{All: true}}, nil
}

// Admin tells whether the call has the admin token, as "Authorization: Bearer",
// or refuses it with a [*Refusal].
func (v *Verifier) Admin(h http.Header) (Caller, error) {
	scheme, given, _ := strings.Cut(h.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || given == "" {
		r := refuse(CodeMissing, "the call has no bearer token")
		r.Public = "Send the admin token as Authorization: Bearer."
		return Caller{}, r
	}
	name, ok := v.admin.match(strings.TrimSpace(given))
	if !ok {
		return Caller{}, refuse(CodeSecret, "the bearer token is none of the %d in REMORA_ADMIN_TOKEN", len(v.admin))
	}
	return Caller{KindAdmin, "admin token " + name, Scope{All: true}}, nil
}

// Bearer tells who calls with a token of ours as "Authorization: Bearer": who has
// the admin token, or a project token made by [Issue]. Else it refuses with a
// [*Refusal]. Tokens of Packit are for hooks alone: they never end.
func (v *Verifier) Bearer(h http.Header) (Caller, error) {
	admin, err := v.Admin(h)
	if err == nil {
		return admin, nil
	}
	_, given, _ := strings.Cut(h.Get("Authorization"), " ")
	given = strings.TrimSpace(given)
	if len(v.tokenKeys) == 0 || strings.Count(given, ".") != 2 {
		return Caller{}, err
	}
	caller, err := v.token(given)
	if err == nil && caller.Kind != KindProjectToken {
		err = refuse(CodeToken, "the bearer token is Packit's, which is for hooks alone")
	}
	if err != nil {
		return Caller{}, err
	}
	return caller, nil
}
