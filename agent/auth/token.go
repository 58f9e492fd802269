package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
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

// token verifies a JWT in X-Gitlab-Token.
func (v *Verifier) token(text string) (Caller, error) {
	if len(text) > maxToken {
		return Caller{}, refuse(CodeToken, "the token has %d characters, over %d", len(text), maxToken)
	}
	header, _, err := new(jwt.Parser).ParseUnverified(text, jwt.MapClaims{})
	if header == nil || header.Header == nil {
		return Caller{}, refuse(CodeSecret, "X-Gitlab-Token is none of the configured secrets, and no token either")
	}
	if err != nil {
		return Caller{}, refuse(CodeToken, "the token is malformed: %s", tokenFault(err))
	}
	if _, critical := header.Header["crit"]; critical {
		return Caller{}, refuse(CodeToken, "the token demands an extension (crit) that we do not know")
	}
	if id, ours := header.Header["kid"]; ours {
		return v.projectToken(text, id)
	}
	return v.packitToken(text)
}

func (v *Verifier) projectToken(text string, id any) (Caller, error) {
	for _, key := range v.tokenKeys {
		if id != key.id {
			continue
		}
		var c claims
		if err := v.parse(text, key.secret, &c, jwt.WithExpirationRequired(), jwt.WithIssuer(issuer), jwt.WithAudience(audience)); err != nil {
			return Caller{}, err
		}
		scope := Scope{Path: c.Path, Group: c.Reach != reachProject, Subgroups: c.Reach == reachSubgroups}
		if !validPath(c.Path) || c.Reach != reachProject && c.Reach != reachGroup && c.Reach != reachSubgroups {
			return Caller{}, refuse(CodeToken, "the token's claims path %.100q and reach %.20q make no sense", c.Path, c.Reach)
		}
		return Caller{KindProjectToken, "token " + c.ID + " of key " + key.id, scope}, nil
	}
	return Caller{}, refuse(CodeToken, "the token was signed by key %.40q, which is not in REMORA_TOKEN_KEY", fmt.Sprint(id))
}

// packitToken verifies a token as a Packit service hands them out: no key id, no
// time limit, a namespace, and for a project its name.
func (v *Verifier) packitToken(text string) (Caller, error) {
	if len(v.packit) == 0 {
		return Caller{}, refuse(CodeToken, "the token names no key; if it is Packit's, set REMORA_PACKIT_SECRET")
	}
	var err error
	for i, secret := range v.packit {
		var c claims
		if err = v.parse(text, []byte(secret.Reveal()), &c); err != nil {
			continue
		}
		if c.Namespace == nil || *c.Namespace == "" {
			return Caller{}, refuse(CodeToken, "Packit's token has no claim namespace")
		}
		scope := Scope{Path: *c.Namespace, Group: true}
		if c.RepoName != nil {
			scope = Scope{Path: *c.Namespace + "/" + *c.RepoName}
		}
		if !validPath(scope.Path) {
			return Caller{}, refuse(CodeToken, "Packit's token is for %.100q, which is no path", scope.Path)
		}
		return Caller{KindPackit, "packit secret " + strconv.Itoa(i+1), scope}, nil
	}
	return Caller{}, err
}

// parse checks signature and times; HS256 is the only algorithm there is here.
func (v *Verifier) parse(text string, key []byte, c *claims, options ...jwt.ParserOption) error {
	options = append(options, jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithTimeFunc(v.now), jwt.WithStrictDecoding())
	_, err := jwt.NewParser(options...).ParseWithClaims(text, c, func(*jwt.Token) (any, error) { return key, nil })
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jwt.ErrTokenExpired):
		return refuse(CodeExpired, "the token for %.100q expired at %s", c.Path, c.ExpiresAt.UTC().Format(time.RFC3339))
	}
	return refuse(CodeToken, "the token is not valid: %s", tokenFault(err))
}

// tokenFault says what is wrong with a token in words that hold none of it.
func tokenFault(err error) string {
	for _, known := range []error{
		jwt.ErrTokenSignatureInvalid, jwt.ErrTokenRequiredClaimMissing, jwt.ErrTokenNotValidYet, jwt.ErrTokenUsedBeforeIssued,
		jwt.ErrTokenInvalidAudience, jwt.ErrTokenInvalidIssuer, jwt.ErrTokenUnverifiable, jwt.ErrTokenMalformed,
	} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "its claims cannot be read"
}
