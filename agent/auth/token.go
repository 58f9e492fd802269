package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"gitlab.com/remora-ci/remora/component/delivery"
)

const (
	minTokenKey = 32 // bytes, the size of the digest
	maxToken    = 4096
	issuer      = "remora"
	audience    = "webhook" // a token for something else is refused here
	maxLife     = 400 * 24 * time.Hour
)

// The reach of a project token.
const (
	reachProject   = "project"
	reachGroup     = "group"
	reachSubgroups = "subgroups"
)

// Grant is what a project token is good for.
type Grant struct {
	Path      string // full path of a project, or with Group of a group
	Group     bool
	Subgroups bool      // with Group: the projects of its subgroups too
	Issued    time.Time // now
	Expires   time.Time
}

// Issued is a token and what is worth keeping of it.
type Issued struct {
	Token delivery.Secret
	KeyID string // which key signed it
	ID    string // names the token in logs
}

// claims are those of our tokens and of Packit's.
type claims struct {
	jwt.RegisteredClaims
	Path  string `json:"path,omitempty"`
	Reach string `json:"reach,omitempty"`

	Namespace *string `json:"namespace,omitempty"` // Packit
	RepoName  *string `json:"repo_name,omitempty"` // Packit
}

// tokenKey is a key of ours: HS256 and nothing else.
type tokenKey struct {
	id     string
	secret []byte
}

// parseTokenKey reads the base64 of 32 bytes or more. The id of a key is derived
// from it, so that keys need no names in the configuration.
func parseTokenKey(text delivery.Secret) (tokenKey, error) {
	plain := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text.Reveal(), "="))
	secret, err := base64.RawStdEncoding.DecodeString(plain)
	if err != nil {
		return tokenKey{}, errors.New("want the base64 of 32 random bytes, as `openssl rand -base64 32` prints them")
	}
	if len(secret) < minTokenKey {
		return tokenKey{}, fmt.Errorf("the key has %d bytes, fewer than %d; `openssl rand -base64 32` makes one", len(secret), minTokenKey)
	}
	sum := sha256.Sum256(append([]byte("remora token key id\n"), secret...))
	return tokenKey{base64.RawURLEncoding.EncodeToString(sum[:6]), secret}, nil
}

// Issue makes a project token with the first of keys, which are written as in
// [Config].TokenKeys. GitLab keeps it as the secret token of a hook.
func Issue(keys delivery.Secret, g Grant) (Issued, error) {
	words := fields(keys)
	if len(words) == 0 {
		return Issued{}, errors.New("REMORA_TOKEN_KEY: missing; `openssl rand -base64 32` makes one")
	}
	key, err := parseTokenKey(words[0])
	if err != nil {
		return Issued{}, fmt.Errorf("REMORA_TOKEN_KEY: %w", err)
	}
	if err := g.validate(); err != nil {
		return Issued{}, err
	}
	id := make([]byte, 6)
	_, _ = rand.Read(id) // it never fails
	c := claims{Path: g.Path, Reach: g.reach(), RegisteredClaims: jwt.RegisteredClaims{
		Issuer: issuer, Audience: jwt.ClaimStrings{audience}, ID: base64.RawURLEncoding.EncodeToString(id),
		IssuedAt: jwt.NewNumericDate(g.Issued), ExpiresAt: jwt.NewNumericDate(g.Expires),
	}}
	t := jwt.NewWithClaims(jwt.SigningMethodHS256, c)
	t.Header["kid"] = key.id
	text, err := t.SignedString(key.secret)
	if err != nil {
		return Issued{}, fmt.Errorf("sign the token: %w", err)
	}
	return Issued{delivery.Secret(text), key.id, c.ID}, nil
}

func (g Grant) validate() error {
	var errs []error
	if !validPath(g.Path) {
		errs = append(errs, fmt.Errorf("want the full path of a project or group, such as acme/app, not %q", g.Path))
	}
	if !g.Group && !strings.Contains(g.Path, "/") {
		errs = append(errs, fmt.Errorf("%q has no group before it; for a group say so", g.Path))
	}
	if g.Subgroups && !g.Group {
		errs = append(errs, errors.New("only the token of a group can cover subgroups"))
	}
	if life := g.Expires.Sub(g.Issued); life <= 0 || life > maxLife {
		errs = append(errs, fmt.Errorf("a token lives between 1 second and %d days", int(maxLife/24/time.Hour)))
	}
	return errors.Join(errs...)
}

func (g Grant) reach() string {
	switch {
	case g.Subgroups:
		return reachSubgroups
	case g.Group:
		return reachGroup
	}
	return reachProject
}

// token verifies a JWT; where it stood is for the log. HS256 is the only algorithm
// there is here, whatever the token says.
func (v *Verifier) token(text, where string) (Caller, error) {
	if len(text) > maxToken {
		return Caller{}, refuse(CodeToken, "the token has %d characters, over %d", len(text), maxToken)
	}
	var c claims
	var keyID string // of the key of ours that signed it; "" for Packit's
	parser := jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithTimeFunc(v.now), jwt.WithStrictDecoding())
	_, err := parser.ParseWithClaims(text, &c, func(t *jwt.Token) (key any, err error) {
		key, keyID, err = v.tokenKey(t.Header)
		return key, err
	})
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal):
		return Caller{}, refusal
	case errors.Is(err, jwt.ErrTokenExpired):
		return Caller{}, refuse(CodeExpired, "the token for %.100q expired at %s", c.path(), c.ExpiresAt.UTC().Format(time.RFC3339))
	case err != nil:
		return Caller{}, refuse(CodeToken, "%s is none of the secrets, and no good token: %s", where, tokenFault(err))
	case keyID != "":
		return c.projectToken(keyID)
	}
	return c.packitToken()
}

// tokenKey chooses the key for a token: its algorithm comes with it.
func (v *Verifier) tokenKey(header map[string]any) (key any, id string, err error) {
	if _, critical := header["crit"]; critical {
		return nil, "", refuse(CodeToken, "the token demands an extension (crit) that we do not know")
	}
	kid, ours := header["kid"]
	if !ours {
		if len(v.packit) == 0 {
			return nil, "", refuse(CodeToken, "the token names no key; if it is Packit's, set REMORA_PACKIT_SECRET")
		}
		set := jwt.VerificationKeySet{}
		for _, secret := range v.packit {
			set.Keys = append(set.Keys, []byte(secret.Reveal()))
		}
		return set, "", nil
	}
	for _, k := range v.tokenKeys {
		if kid == k.id {
			return k.secret, k.id, nil
		}
	}
	return nil, "", refuse(CodeToken, "the token was signed by key %.40q, which is not in REMORA_TOKEN_KEY", fmt.Sprint(kid))
}

// projectToken reads the claims of a token of ours.
func (c *claims) projectToken(keyID string) (Caller, error) {
	if c.Issuer != issuer || !slices.Contains(c.Audience, audience) || c.ExpiresAt == nil {
		return Caller{}, refuse(CodeToken, "the token has no end, or is not for webhooks: iss, aud and exp are required")
	}
	if !validPath(c.Path) || c.Reach != reachProject && c.Reach != reachGroup && c.Reach != reachSubgroups {
		return Caller{}, refuse(CodeToken, "the token's claims path %.100q and reach %.20q make no sense", c.Path, c.Reach)
	}
	scope := Scope{Path: c.Path, Group: c.Reach != reachProject, Subgroups: c.Reach == reachSubgroups}
	return Caller{KindProjectToken, fmt.Sprintf("token %.40q of key %s", c.ID, keyID), scope}, nil
}

// packitToken reads the claims of a token as a Packit service hands them out: no
// time limit, a namespace, and for a project its name.
func (c *claims) packitToken() (Caller, error) {
	if c.Namespace == nil || *c.Namespace == "" {
		return Caller{}, refuse(CodeToken, "Packit's token has no claim namespace")
	}
	if !validPath(c.path()) {
		return Caller{}, refuse(CodeToken, "Packit's token is for %.100q, which is no path", c.path())
	}
	return Caller{KindPackit, "packit token", Scope{Path: c.path(), Group: c.RepoName == nil}}, nil
}

// path is what the token is for.
func (c *claims) path() string {
	switch {
	case c.Namespace == nil:
		return c.Path
	case c.RepoName == nil:
		return *c.Namespace
	}
	return *c.Namespace + "/" + *c.RepoName
}

// tokenFault says what is wrong with a token in words that hold none of it.
func tokenFault(err error) string {
	for _, known := range []error{
		jwt.ErrTokenSignatureInvalid, jwt.ErrTokenNotValidYet, jwt.ErrTokenUnverifiable, jwt.ErrTokenMalformed,
	} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "its claims cannot be read"
}
