package auth_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"gitlab.com/remora-ci/remora/agent/auth"
	"gitlab.com/remora-ci/remora/component/delivery"
)

const (
	vectorToken = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	vectorID    = "f5e5f430-f57b-4e6e-9fac-d9128cd7232f"
	vectorBody  = `{"object_kind":"push"}`
	vectorSig   = "v1,qO0mK/QkPuCSH4sV+46Sbe0IHEagbnzF57rrlq+/SX8="
	otherToken  = "whsec_ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="
)

var vectorTime = time.Unix(1744578123, 0)

func vector(extra ...string) http.Header {
	h := headers("webhook-id", vectorID, "webhook-timestamp", "1744578123")
	for i := 0; i < len(extra); i += 2 {
		h.Del(extra[i])
		if extra[i+1] != "" {
			h.Set(extra[i], extra[i+1])
		}
	}
	if h.Get("webhook-signature") == "" {
		h.Set("webhook-signature", vectorSig)
	}
	return h
}

// W21 bad signature, replay outside the window, two v1.
func TestSignatures(t *testing.T) {
	t.Parallel()
	at := vectorTime.Add
	both := vectorToken + "\n" + otherToken
	other := sign(t, otherToken, vectorID, vectorTime, vectorBody)
	for name, tc := range map[string]struct {
		tokens, plain string
		now           time.Time
		header        http.Header
		body          string
		name          string    // of the key, when accepted
		code          auth.Code // when refused
	}{
		"the published vector is accepted":                          {tokens: vectorToken, header: vector(), name: "signing token 1"},
		"a second key is accepted during a rotation":                {tokens: both, header: vector("webhook-signature", other), name: "signing token 2"},
		"W21 any of several v1 signatures is enough":                {tokens: vectorToken, header: vector("webhook-signature", other+" "+vectorSig), name: "signing token 1"},
		"a second version beside v1 is passed over":                 {tokens: vectorToken, header: vector("webhook-signature", "v1a,AAAA "+vectorSig), name: "signing token 1"},
		"five minutes late is still fresh":                          {tokens: vectorToken, now: at(5 * time.Minute), header: vector(), name: "signing token 1"},
		"five minutes early is still fresh":                         {tokens: vectorToken, now: at(-5 * time.Minute), header: vector(), name: "signing token 1"},
		"a signing token among the shared secrets counts":           {plain: vectorToken, header: vector(), name: "signing token 1"},
		"W21 a second more is a replay":                             {tokens: vectorToken, now: at(5*time.Minute + time.Second), header: vector(), code: auth.CodeStale},
		"a second more in the future is refused":                    {tokens: vectorToken, now: at(-5*time.Minute - time.Second), header: vector(), code: auth.CodeStale},
		"W21 another body is refused":                               {tokens: vectorToken, header: vector(), body: vectorBody + " ", code: auth.CodeSignature},
		"another id is refused":                                     {tokens: vectorToken, header: vector("webhook-id", "x"), code: auth.CodeSignature},
		"another time is refused":                                   {tokens: vectorToken, header: vector("webhook-timestamp", "1744578124"), code: auth.CodeSignature},
		"another key is refused":                                    {tokens: otherToken, header: vector(), code: auth.CodeSignature},
		"without id":                                                {tokens: vectorToken, header: vector("webhook-id", ""), code: auth.CodeSignature},
		"an id with a dot could be cut in two ways":                 {tokens: vectorToken, header: vector("webhook-id", "a.1", "webhook-signature", sign(t, vectorToken, "a.1", vectorTime, vectorBody)), code: auth.CodeSignature},
		"an id without end":                                         {tokens: vectorToken, header: vector("webhook-id", strings.Repeat("a", 256)), code: auth.CodeSignature},
		"without timestamp":                                         {tokens: vectorToken, header: vector("webhook-timestamp", ""), code: auth.CodeSignature},
		"a timestamp in words":                                      {tokens: vectorToken, header: vector("webhook-timestamp", "now"), code: auth.CodeSignature},
		"a negative timestamp":                                      {tokens: vectorToken, header: vector("webhook-timestamp", "-1744578123"), code: auth.CodeSignature},
		"a timestamp beyond all times":                              {tokens: vectorToken, header: vector("webhook-timestamp", "99999999999999999999"), code: auth.CodeSignature},
		"the largest timestamp that can be read":                    {tokens: vectorToken, header: vector("webhook-timestamp", "9007199254740991"), code: auth.CodeStale},
		"a signature without version":                               {tokens: vectorToken, header: vector("webhook-signature", strings.TrimPrefix(vectorSig, "v1,")), code: auth.CodeSignature},
		"an empty v1":                                               {tokens: vectorToken, header: vector("webhook-signature", "v1,"), code: auth.CodeSignature},
		"seventeen signatures":                                      {tokens: vectorToken, header: vector("webhook-signature", strings.Repeat("v1,AAAA ", 16)+vectorSig), code: auth.CodeSignature},
		"signed where no key is known":                              {plain: "0123456789abcdef", header: vector(), code: auth.CodeSignature},
		"a wrong signature does not fall back to a good token":      {tokens: otherToken, plain: "0123456789abcdef", header: vector("X-Gitlab-Token", "0123456789abcdef"), code: auth.CodeSignature},
		"an unknown signature does not fall back to a good token":   {plain: "0123456789abcdef", header: vector("X-Gitlab-Token", "0123456789abcdef"), code: auth.CodeSignature},
		"the signing token itself in X-Gitlab-Token proves nothing": {plain: vectorToken, header: token(vectorToken), code: auth.CodeSecret},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tc.now.IsZero() {
				tc.now = vectorTime
			}
			if tc.body == "" {
				tc.body = vectorBody
			}
			v := verifierAt(t, auth.Config{SigningTokens: delivery.Secret(tc.tokens), Secrets: delivery.Secret(tc.plain)}, tc.now)
			got, err := v.Webhook(tc.header, []byte(tc.body), peer)
			if tc.code != "" {
				wantRefusal(t, err, tc.code, tc.header.Get("X-Gitlab-Token"), vectorSig)
				return
			}
			if err != nil || got.Kind != auth.KindSignature || got.Name != tc.name {
				t.Errorf("got %+v, %v, want %s", got, err, tc.name)
			}
			if !v.Covers(got, "any/project") {
				t.Error("a signature speaks for every project")
			}
		})
	}
}

func TestAnEmptySignatureIsASignature(t *testing.T) {
	t.Parallel()
	v := verifier(t, auth.Config{Secrets: "0123456789abcdef", SigningTokens: vectorToken})
	h := token("0123456789abcdef")
	h.Set("webhook-id", vectorID)
	h.Set("webhook-timestamp", strconv.FormatInt(start.Unix(), 10))
	if c, err := v.Webhook(h, []byte(vectorBody), peer); err != nil || c.Kind != auth.KindSecret {
		t.Fatalf("id and timestamp alone are no signature: got %+v, %v", c, err)
	}
	h["Webhook-Signature"] = []string{""}
	_, err := v.Webhook(h, []byte(vectorBody), peer)
	wantRefusal(t, err, auth.CodeSignature)
}

// The public library is the other opinion.
func TestSignaturesAgreeWithTheStandard(t *testing.T) {
	t.Parallel()
	w, err := standardwebhooks.NewWebhook(vectorToken)
	if err != nil {
		t.Fatal(err)
	}
	body := "{\"a\": \"b\\u0026\x80\x00 \"}"
	theirs, err := w.Sign("id-1", start, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	h := headers("webhook-id", "id-1", "webhook-timestamp", strconv.FormatInt(start.Unix(), 10), "webhook-signature", theirs)
	if _, err := verifier(t, auth.Config{SigningTokens: vectorToken}).Webhook(h, []byte(body), peer); err != nil {
		t.Errorf("theirs is refused here: %v", err)
	}
}

func FuzzSignatureHeaders(f *testing.F) {
	f.Add(vectorID, "1744578123", vectorSig, vectorBody)
	f.Add("", "", "", "")
	f.Add("a.b", "-1", "v1,,v1 v1,", "{}")
	v := verifierAt(f, auth.Config{SigningTokens: vectorToken, Secrets: "0123456789abcdef"}, vectorTime)
	f.Fuzz(func(t *testing.T, id, timestamp, signature, body string) {
		h := http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {timestamp}, "Webhook-Signature": {signature}, "X-Gitlab-Token": {"0123456789abcdef"}}
		if _, err := v.Webhook(h, []byte(body), peer); err == nil && !(id == vectorID && body == vectorBody && strings.Contains(signature, vectorSig)) {
			t.Errorf("accepted id %q, timestamp %q, signature %q, body %q", id, timestamp, signature, body)
		}
	})
}
