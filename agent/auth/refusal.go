package auth

import "fmt"

// Code names a kind of refusal in one word, for a metric.
type Code string

// The kinds of refusal.
const (
	CodeAddress   Code = "address"   // the caller's address is not on the allow-list
	CodeMissing   Code = "missing"   // nothing that could be verified was sent
	CodeSignature Code = "signature" // the signature is malformed or matches no key
	CodeStale     Code = "stale"     // signed too long ago, or in the future
	CodeSecret    Code = "secret"    // X-Gitlab-Token or the bearer token is wrong
	CodeToken     Code = "token"     // a project token that is malformed, forged or lacks a claim
	CodeExpired   Code = "expired"   // a project token past its time
	CodeScope     Code = "scope"     // a good token, for another path
	CodeClaim     Code = "claim"     // an ID token of which a claim does not hold
)

// Refusal is why a call was turned away. It never holds what the caller sent as
// its secret.
type Refusal struct {
	Code   Code
	Claim  string // of an ID token: the claim, or part, that did not hold
	Reason string // for the log: what was wrong, exactly
	Public string // for the caller: one sentence
}

func (r *Refusal) Error() string { return r.Reason }

func refuse(code Code, reason string, args ...any) *Refusal {
	return &Refusal{Code: code, Reason: fmt.Sprintf(reason, args...), Public: public[code]}
}

// public tells the caller which header to mend, and nothing about our side.
var public = map[Code]string{
	CodeAddress:   "This address may not call here.",
	CodeMissing:   "Send a webhook-signature or an X-Gitlab-Token.",
	CodeSignature: "The webhook-signature is not valid.",
	CodeStale:     "The webhook-timestamp is not within five minutes of now.",
	CodeSecret:    "The token is not valid.",
	CodeToken:     "The token is not valid.",
	CodeExpired:   "The token has expired.",
	CodeScope:     "The token is not for this project.",
}
