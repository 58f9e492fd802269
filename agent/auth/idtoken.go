package auth

import (
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"gitlab.com/remora-ci/remora/component/delivery"
)

const (
	maxIDToken = 16 << 10 // bytes
	leeway     = 30 * time.Second
)

// Issuer is a GitLab whose ID tokens are taken.
type Issuer struct {
	URL       string       // as GitLab names itself (external_url)
	Audiences []string     // of tokens that are for us
	Client    *http.Client // that reads its keys
}

// IDTokens verifies the ID tokens of CI jobs. It may be used by many goroutines at
// once.
type IDTokens struct {
	issuers map[string]*issuerOf
	now     func() time.Time
}

type issuerOf struct {
	Issuer
	keys *keyring
}

// NewIDTokens takes the tokens of these issuers and of nobody else. Nothing is read
// before the first token. now is the clock; nil is the real one.
func NewIDTokens(issuers []Issuer, now func() time.Time) *IDTokens {
	if now == nil {
		now = time.Now
	}
	t := &IDTokens{issuers: map[string]*issuerOf{}, now: now}
	for _, i := range issuers {
		i.URL = strings.TrimRight(i.URL, "/")
		t.issuers[i.URL] = &issuerOf{Issuer: i, keys: &keyring{address: i.URL, client: i.Client, now: now}}
	}
	return t
}

// Verify says what the ID token of a job proves, or refuses it with a [*Refusal]
// that names the claim that does not hold. Any other error says that the keys of the
// issuer cannot be read: it can be told later.
func (t *IDTokens) Verify(ctx context.Context, raw string) (Job, error) {
	var header struct{ Alg, Kid string }
	var c idClaims
	if len(raw) > maxIDToken {
		return Job{}, refuseClaim("size", "the ID token has %d bytes, over %d", len(raw), maxIDToken)
	}
	if decodePart(raw, 0, &header) != nil || decodePart(raw, 1, &c) != nil || strings.Count(raw, ".") != 2 {
		return Job{}, refuseClaim("format", "the bearer token is no JWT whose claims can be read")
	}
	if header.Alg != oidc.RS256 {
		return Job{}, refuseClaim("alg", "the ID token is signed with alg %.20q, not RS256", header.Alg)
	}
	at := t.issuers[strings.TrimRight(c.Issuer, "/")]
	if at == nil {
		return Job{}, refuseClaim("iss", "iss %.100q is no GitLab that is configured", c.Issuer)
	}
	key, err := at.keys.key(ctx, header.Kid)
	if err != nil {
		return Job{}, err
	}
	config := &oidc.Config{SkipClientIDCheck: true, SkipExpiryCheck: true, SkipIssuerCheck: true, SupportedSigningAlgs: []string{oidc.RS256}, Now: t.now}
	verified, err := oidc.NewVerifier(at.URL, &oidc.StaticKeySet{PublicKeys: []crypto.PublicKey{key}}, config).Verify(ctx, raw)
	if err != nil {
		return Job{}, refuseClaim("signature", "the signature of the ID token is not that of key %.60q of %s", header.Kid, at.URL)
	}
	c = idClaims{}
	if err := verified.Claims(&c); err != nil {
		return Job{}, refuseClaim("format", "the claims of the ID token cannot be read")
	}
	return t.job(at, verified, c)
}

// job checks what was signed.
func (t *IDTokens) job(at *issuerOf, verified *oidc.IDToken, c idClaims) (Job, error) {
	now := t.now()
	notBefore := time.Unix(int64(c.NotBefore), 0)
	switch {
	case !slices.ContainsFunc(verified.Audience, func(a string) bool { return slices.Contains(at.Audiences, a) }):
		return Job{}, refuseClaim("aud", "aud %.200q is none of %q", verified.Audience, at.Audiences)
	case verified.Expiry.IsZero() || now.After(verified.Expiry.Add(leeway)):
		return Job{}, &Refusal{Code: CodeExpired, Reason: "exp: the ID token expired at " + verified.Expiry.UTC().Format(time.RFC3339), Public: "The ID token has expired (exp)."}
	case c.NotBefore != 0 && now.Add(leeway).Before(notBefore):
		return Job{}, refuseClaim("nbf", "the ID token is good from %s on", notBefore.UTC().Format(time.RFC3339))
	case c.ProjectID <= 0 || !validPath(c.ProjectPath):
		return Job{}, refuseClaim("project_id", "project_id %d with project_path %.100q is no project", c.ProjectID, c.ProjectPath)
	case c.JobID <= 0:
		return Job{}, refuseClaim("job_id", "job_id is missing")
	case c.Ref == "" || c.RefType != string(delivery.Branch) && c.RefType != string(delivery.Tag):
		return Job{}, refuseClaim("ref", "ref %.100q of ref_type %.20q is neither branch nor tag", c.Ref, c.RefType)
	case c.SHA == "":
		return Job{}, refuseClaim("sha", "sha is missing")
	}
	j := Job{
		Instance: at.URL, ProjectID: int64(c.ProjectID), ProjectPath: c.ProjectPath, SourceID: int64(c.ProjectID), SourcePath: c.ProjectPath,
		PipelineID: int64(c.PipelineID), PipelineSource: c.PipelineSource, JobID: int64(c.JobID), SHA: c.SHA, Ref: c.Ref, RefType: delivery.RefType(c.RefType),
		RefProtected: c.RefProtected == "true", UserID: int64(c.UserID), UserLogin: c.UserLogin, TokenID: c.TokenID, Expires: verified.Expiry,
	}
	if c.JobProjectID > 0 {
		if !validPath(c.JobProjectPath) {
			return Job{}, refuseClaim("job_project_path", "job_project_id %d with job_project_path %.100q is no project", c.JobProjectID, c.JobProjectPath)
		}
		j.ProjectID, j.ProjectPath, j.Exact = int64(c.JobProjectID), c.JobProjectPath, true
	}
	return j, nil
}

func refuseClaim(claim, reason string, args ...any) *Refusal {
	return &Refusal{Code: CodeClaim, Reason: claim + ": " + fmt.Sprintf(reason, args...), Public: "The ID token is not valid: " + claim + "."}
}

// idClaims are those that count. GitLab writes ids and booleans as text; older and
// newer ones may write numbers.
type idClaims struct {
	Issuer         string `json:"iss"`
	TokenID        string `json:"jti"`
	NotBefore      number `json:"nbf"`
	ProjectID      number `json:"project_id"`
	ProjectPath    string `json:"project_path"`
	JobProjectID   number `json:"job_project_id"`
	JobProjectPath string `json:"job_project_path"`
	PipelineID     number `json:"pipeline_id"`
	PipelineSource string `json:"pipeline_source"`
	JobID          number `json:"job_id"`
	SHA            string `json:"sha"`
	Ref            string `json:"ref"`
	RefType        string `json:"ref_type"`
	RefProtected   word   `json:"ref_protected"`
	UserID         number `json:"user_id"`
	UserLogin      string `json:"user_login"`
}

// number is a number, or a text that is one; anything else is 0.
type number int64

// UnmarshalJSON never fails.
func (n *number) UnmarshalJSON(text []byte) error {
	plain := strings.Trim(string(text), `"`)
	whole, _, _ := strings.Cut(plain, ".")
	i, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		i = 0
	}
	*n = number(i)
	return nil
}

// word is a text or a boolean.
type word string

// UnmarshalJSON never fails.
func (w *word) UnmarshalJSON(text []byte) error {
	*w = word(strings.Trim(string(text), `"`))
	return nil
}

// decodePart reads a part of a JWT, unverified.
func decodePart(raw string, part int, into any) error {
	parts := strings.SplitN(raw, ".", 4)
	if len(parts) != 3 {
		return errors.New("no JWT")
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[part])
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}
