package auth

import (
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

const (
	maxIDToken = 16 << 10        // bytes; GitLab's have some 2,000
	skew       = 1 * time.Minute // by how much GitLab's clock may be ahead of ours
)

// Issuer is a GitLab whose ID tokens are taken.
type Issuer struct {
	URL       string       // as GitLab names itself (external_url); a slash at its end does not count
	Audiences []string     // of tokens that are for us; none takes none
	Client    *http.Client // that reads its keys
}

// IDTokens verifies the ID tokens of CI jobs. It may be used by many goroutines at
// once.
type IDTokens struct {
	issuers map[string]*trusted // by URL, without a slash at its end
	now     func() time.Time
}

// trusted is an issuer with its keys.
type trusted struct {
	audiences []string // without slashes at their ends
	keys      *keyring
}

// NewIDTokens takes the tokens of these issuers and of nobody else. Nothing is read
// before the first token. now is the clock; nil is the real one.
func NewIDTokens(issuers []Issuer, now func() time.Time) *IDTokens {
	if now == nil {
		now = time.Now
	}
	t := &IDTokens{issuers: map[string]*trusted{}, now: now}
	for _, i := range issuers {
		url := strings.TrimRight(i.URL, "/")
		known := &trusted{keys: &keyring{issuer: url, client: i.Client, now: now}}
		for _, a := range i.Audiences {
			known.audiences = append(known.audiences, strings.TrimRight(a, "/"))
		}
		t.issuers[url] = known
	}
	return t
}

// Verify says what the ID token of a job proves, or refuses it with a [*Refusal]
// that names the claim that does not hold. A [*KeysError] says that it cannot be
// told now, as the keys of the issuer cannot be read: the caller may try again.
//
// https://docs.gitlab.com/ci/secrets/id_token_authentication/
func (t *IDTokens) Verify(ctx context.Context, raw string) (Job, error) {
	if len(raw) > maxIDToken {
		return Job{}, refuseClaim("size", "the ID token has %d bytes, over %d", len(raw), maxIDToken)
	}
	header, says, ok := peek(raw)
	if !ok {
		return Job{}, refuseClaim("format", "the bearer token is no JWT that can be read")
	}
	issuer := t.issuers[strings.TrimRight(says.Issuer, "/")]
	switch {
	case header.Algorithm != oidc.RS256:
		return Job{}, refuseClaim("alg", "the ID token names the algorithm %.20q, not RS256", header.Algorithm)
	case issuer == nil:
		return Job{}, refuseClaim("iss", "the issuer %.200q is no GitLab that is configured", says.Issuer)
	case header.Critical != nil:
		return Job{}, refuseClaim("crit", "the ID token demands an extension, and we know none")
	case header.KeyID == "":
		return Job{}, refuseClaim("kid", "the ID token names no key")
	}
	key, err := issuer.keys.key(ctx, header.KeyID)
	if err != nil {
		return Job{}, err
	}
	payload, err := signedBy(ctx, raw, key)
	if err != nil {
		return Job{}, refuseClaim("signature", "the ID token is not what key %.100q of %s signed", header.KeyID, issuer.keys.issuer)
	}
	return t.judge(issuer, payload)
}

// judge reads claims whose signature holds.
func (t *IDTokens) judge(issuer *trusted, payload []byte) (Job, error) {
	c := readClaims(payload)
	audience := c.texts("aud")
	expires, notBefore := c.moment("exp"), c.moment("nbf")
	job := c.job()
	job.Instance, job.Expires = issuer.keys.issuer, expires
	now := t.now()
	switch {
	case c.fault != nil && slices.Contains([]string{"aud", "exp", "nbf"}, c.fault.Claim):
		return Job{}, c.fault
	case !slices.ContainsFunc(audience, func(a string) bool { return slices.Contains(issuer.audiences, strings.TrimRight(a, "/")) }):
		return Job{}, refuseClaim("aud", "the ID token is for %.300q, not for one of %.300q", audience, issuer.audiences)
	case expires.IsZero():
		return Job{}, refuseClaim("exp", "the ID token has no end")
	case !now.Before(expires):
		r := refuseClaim("exp", "the ID token ended at %s", expires.UTC().Format(time.RFC3339))
		r.Code = CodeExpired
		return Job{}, r
	case notBefore.After(now.Add(skew)):
		return Job{}, refuseClaim("nbf", "the ID token begins at %s, and it is %s: one of the clocks is wrong", notBefore.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	case c.fault != nil:
		return Job{}, c.fault
	}
	return job, nil
}

// signedBy is what a token says, if key signed it with RS256.
func signedBy(ctx context.Context, raw string, key crypto.PublicKey) ([]byte, error) {
	// Claims and times are judged by us, so that each refusal has its name.
	rules := &oidc.Config{SkipClientIDCheck: true, SkipExpiryCheck: true, SkipIssuerCheck: true, SupportedSigningAlgs: []string{oidc.RS256}}
	checked := &checkedBy{key: key}
	if _, err := oidc.NewVerifier("", checked, rules).Verify(ctx, raw); checked.payload == nil {
		return nil, err
	}
	return checked.payload, nil
}

// checkedBy keeps what a signature covers, also where the claims are of types that
// the library does not expect: which one it is, is told by us.
type checkedBy struct {
	key     crypto.PublicKey
	payload []byte
}

// VerifySignature is for [oidc.NewVerifier], which has checked the algorithm.
func (c *checkedBy) VerifySignature(ctx context.Context, raw string) (payload []byte, err error) {
	c.payload, err = (&oidc.StaticKeySet{PublicKeys: []crypto.PublicKey{c.key}}).VerifySignature(ctx, raw)
	return c.payload, err
}

// joseHeader and unproved are what a token says before anything was checked: enough
// to choose who judges it.
type joseHeader struct {
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
	Critical  any    `json:"crit"`
}

type unproved struct {
	Issuer string `json:"iss"`
}

// peek reads a JWT without believing it.
func peek(raw string) (h joseHeader, says unproved, ok bool) {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 || strings.ContainsAny(raw, "\r\n") { // base64 would pass over new lines
		return h, says, false
	}
	for i, into := range []any{&h, &says} {
		text, err := base64.RawURLEncoding.Strict().DecodeString(parts[i])
		if err != nil || json.Unmarshal(text, into) != nil {
			return joseHeader{}, unproved{}, false
		}
	}
	return h, says, true
}

// IsIDToken says whether a bearer token is for [IDTokens.Verify] to judge: it is a
// JWT, and by its own account not one of ours. Nothing is proved by that.
func IsIDToken(raw string) bool {
	if len(raw) > maxIDToken {
		return false
	}
	_, says, ok := peek(raw)
	return ok && says.Issuer != "" && says.Issuer != issuer
}
