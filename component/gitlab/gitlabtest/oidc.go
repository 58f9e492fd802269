package gitlabtest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/big"
)

// issuer is GitLab as the issuer of ID tokens. The server's lock guards it.
type issuer struct {
	keys    []*signingKey // the last one signs
	outage  Answer
	lastJob int64 // of jti
}

type signingKey struct {
	id     string
	secret *rsa.PrivateKey
}

// newSigningKey makes a key that is named as GitLab names its own: by its
// thumbprint, https://www.rfc-editor.org/rfc/rfc7638.
func newSigningKey() *signingKey {
	secret, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(fmt.Sprintf("gitlabtest: make a key: %v", err))
	}
	k := &signingKey{secret: secret}
	e, n := k.parts()
	sum := sha256.Sum256(fmt.Appendf(nil, `{"e":%q,"kty":"RSA","n":%q}`, e, n))
	k.id = base64.RawURLEncoding.EncodeToString(sum[:])
	return k
}

// parts are exponent and modulus of the public key.
func (k *signingKey) parts() (e, n string) {
	return base64.RawURLEncoding.EncodeToString(big.NewInt(int64(k.secret.E)).Bytes()), base64.RawURLEncoding.EncodeToString(k.secret.N.Bytes())
}

func (k *signingKey) shown() fields {
	e, n := k.parts()
	return fields{"kty": "RSA", "kid": k.id, "e": e, "n": n, "use": "sig", "alg": "RS256"}
}

// key is the one that signs. Keys are made when they are first needed: that takes
// a while. The caller holds the lock.
func (i *issuer) key() *signingKey {
	if len(i.keys) == 0 {
		i.keys = append(i.keys, newSigningKey())
	}
	return i.keys[len(i.keys)-1]
}

// RotateKey has a new key sign ID tokens from now on, and returns its id. The keys
// before it stay published, or go.
func (s *Server) RotateKey(keepOld bool) (keyID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.oidc.key(); !keepOld {
		s.oidc.keys = nil
	}
	k := newSigningKey()
	s.oidc.keys = append(s.oidc.keys, k)
	return k.id
}

// BreakIssuer answers every request for the discovery document and the keys with a
// until it is called with the zero Answer. A slow issuer is made with
// [Server.Before], a single fault with [Server.Fail].
func (s *Server) BreakIssuer(a Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.oidc.outage = a
}

// discovery is the metadata of the issuer:
// https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata.
func (c *call) discovery() reply {
	if c.oidc.outage.effective() {
		return reply{code: c.oidc.outage.Code, body: c.oidc.outage.Body}
	}
	return ok(fields{
		"issuer": c.URL, "authorization_endpoint": c.URL + "/oauth/authorize", "token_endpoint": c.URL + "/oauth/token",
		"userinfo_endpoint": c.URL + "/oauth/userinfo", "jwks_uri": c.URL + "/oauth/discovery/keys",
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256"}, "claim_types_supported": []string{"normal"},
	})
}

// publicKeys is the key set: https://www.rfc-editor.org/rfc/rfc7517#section-5.
func (c *call) publicKeys() reply {
	if c.oidc.outage.effective() {
		return reply{code: c.oidc.outage.Code, body: c.oidc.outage.Body}
	}
	c.oidc.key()
	keys := []fields{}
	for _, k := range c.oidc.keys {
		keys = append(keys, k.shown())
	}
	return ok(fields{"keys": keys})
}
