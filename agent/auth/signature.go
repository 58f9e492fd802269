package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
)

const (
	signingPrefix = "whsec_"
	window        = 5 * time.Minute // how far webhook-timestamp may be from now
	minSigningKey = 24              // bytes, as Standard Webhooks has it
	maxSignatures = 16
	maxWebhookID  = 255
)

// parseSigningToken is the key in "whsec_…".
func parseSigningToken(token delivery.Secret) ([]byte, error) {
	encoded, ok := strings.CutPrefix(token.Reveal(), signingPrefix)
	if !ok {
		return nil, fmt.Errorf("a signing token starts with %s", signingPrefix)
	}
	key, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(encoded, "="))
	if err != nil {
		return nil, errors.New("what follows whsec_ is not base64")
	}
	if len(key) < minSigningKey {
		return nil, fmt.Errorf("the signing key has %d bytes, fewer than %d", len(key), minSigningKey)
	}
	return key, nil
}

// signature is a signed call whose body has not been seen.
type signature struct {
	id, timestamp string
	given         []string // "v1,…"
	known         *hookSecrets
	configured    int // of the keys that are known
}

// signed reads the headers of a signed call: all that can be checked before the
// body is there.
//
// https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
func (v *Verifier) signed(h http.Header) (*signature, error) {
	s := &signature{id: h.Get("webhook-id"), timestamp: h.Get("webhook-timestamp"), known: v.hooks.Load(), configured: len(v.configured.signing)}
	if len(s.known.signing) == 0 {
		return nil, refuse(CodeSignature, "the call is signed, and no signing token is configured: set REMORA_WEBHOOK_SIGNING_TOKEN")
	}
	// A dot in the id would let one signature fit two ways of cutting the text.
	if s.id == "" || len(s.id) > maxWebhookID || strings.Contains(s.id, ".") {
		return nil, refuse(CodeSignature, "the call is signed, and its webhook-id is missing, too long or has a dot")
	}
	sent, err := strconv.ParseUint(s.timestamp, 10, 53)
	if err != nil {
		return nil, refuse(CodeSignature, "the call is signed, and its webhook-timestamp is missing or no number of seconds")
	}
	if age := v.now().Sub(time.Unix(int64(sent), 0)); age > window || age < -window {
		return nil, refuse(CodeStale, "the call was signed %s from now, more than %s: a replay, or a clock that is wrong", age.Round(time.Second), window)
	}
	for _, line := range h.Values("webhook-signature") {
		for one := range strings.FieldsSeq(line) {
			if len(s.given) == maxSignatures {
				return nil, refuse(CodeSignature, "the call has more than %d signatures", maxSignatures)
			}
			if strings.HasPrefix(one, "v1,") {
				s.given = append(s.given, one)
			}
		}
	}
	if len(s.given) == 0 {
		return nil, refuse(CodeSignature, "the header webhook-signature has no signature of version v1")
	}
	return s, nil
}

// verify is the name of the key that signed body.
func (s *signature) verify(body []byte) (string, error) {
	found := 0
	for i, key := range s.known.signing {
		mac := hmac.New(sha256.New, key)
		_, _ = mac.Write([]byte(s.id + "." + s.timestamp + "."))
		_, _ = mac.Write(body)
		want := []byte("v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)))
		for _, given := range s.given {
			if hmac.Equal([]byte(given), want) && found == 0 {
				found = i + 1
			}
		}
	}
	if found == 0 {
		return "", refuse(CodeSignature, "none of %d signatures fits the body and one of %d signing tokens", len(s.given), len(s.known.signing))
	}
	return s.known.name("signing token", found-1, s.configured), nil
}
