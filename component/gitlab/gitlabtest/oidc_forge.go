package gitlabtest

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
)

// Forgery is a way to forge an ID token.
type Forgery string

// The ways to forge an ID token.
const (
	AlgNone     Forgery = "alg none, without a signature"
	AlgHMAC     Forgery = "HS256 with the public key as its secret"
	AlgPSS      Forgery = "PS256 by the right key"
	OtherKey    Forgery = "RS256 by another key, under the right key id"
	UnknownKey  Forgery = "RS256 by another key, under its own key id"
	NoKeyID     Forgery = "RS256 by the right key, without a key id"
	NoSignature Forgery = "RS256 in the header, without a signature"
)

// Forgeries are all of them.
func Forgeries() []Forgery {
	return []Forgery{AlgNone, AlgHMAC, AlgPSS, OtherKey, UnknownKey, NoKeyID, NoSignature}
}

// Forge makes a token that says what a good one says, and must be refused.
func (s *Server) Forge(c JobClaims, how Forgery) string {
	header, claims := s.IDTokenHeader(), s.Claims(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	key := s.oidc.key()
	switch how {
	case AlgNone:
		header["alg"] = "none"
		return unsigned(header, claims) + "."
	case AlgHMAC:
		header["alg"] = "HS256"
		mac := hmac.New(sha256.New, key.pem())
		text := unsigned(header, claims)
		_, _ = mac.Write([]byte(text))
		return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	case AlgPSS:
		header["alg"] = "PS256"
		return signPSS(key.secret, header, claims)
	case OtherKey:
		return signRS256(newSigningKey().secret, header, claims)
	case UnknownKey:
		other := newSigningKey()
		header["kid"] = other.id
		return signRS256(other.secret, header, claims)
	case NoKeyID:
		delete(header, "kid")
		return signRS256(key.secret, header, claims)
	case NoSignature:
		return unsigned(header, claims) + "."
	}
	panic(fmt.Sprintf("gitlabtest: no forgery %q", how))
}

// pem is the public key as it is published in files.
func (k *signingKey) pem() []byte {
	der, err := x509.MarshalPKIXPublicKey(&k.secret.PublicKey)
	if err != nil {
		panic(fmt.Sprintf("gitlabtest: write a key: %v", err))
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func signPSS(key *rsa.PrivateKey, header, claims map[string]any) string {
	text := unsigned(header, claims)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPSS(rand.Reader, key, crypto.SHA256, sum[:], nil)
	if err != nil {
		panic(fmt.Sprintf("gitlabtest: sign an ID token: %v", err))
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}
