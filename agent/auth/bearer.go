package auth

import (
	"net/http"
	"strings"
)

// Admin tells whether the call has the admin token, as "Authorization: Bearer",
// or refuses it with a [*Refusal].
func (v *Verifier) Admin(h http.Header) (Caller, error) {
	given, err := bearer(h, "Send the admin token as Authorization: Bearer.")
	if err != nil {
		return Caller{}, err
	}
	return v.adminToken(given)
}

// Bearer tells who calls with a token of ours as "Authorization: Bearer": who has
// the admin token, or a project token made by [Issue]. Else it refuses with a
// [*Refusal]. A token of Packit is for hooks alone, as it never ends. An ID token is
// refused without a look at our keys: [IsIDToken] tells who judges it.
func (v *Verifier) Bearer(h http.Header) (Caller, error) {
	given, err := bearer(h, "Send a token as Authorization: Bearer.")
	if err != nil {
		return Caller{}, err
	}
	admin, err := v.adminToken(given)
	switch {
	case err == nil:
		return admin, nil
	case IsIDToken(given):
		return Caller{}, refuse(CodeToken, "the bearer token is the ID token of a CI job, which is not taken here")
	case strings.Count(given, ".") != 2:
		return Caller{}, err
	case len(v.tokenKeys) == 0:
		return Caller{}, refuse(CodeToken, "the bearer token may be a project token, and there is no key of them: set REMORA_TOKEN_KEY")
	}
	caller, err := v.token(given, "the bearer token")
	if err == nil && caller.Kind != KindProjectToken {
		err = refuse(CodeToken, "the bearer token is Packit's, which is for hooks alone")
	}
	if err != nil {
		return Caller{}, err
	}
	return caller, nil
}

func (v *Verifier) adminToken(given string) (Caller, error) {
	name, ok := v.admin.match(given)
	if !ok {
		return Caller{}, refuse(CodeSecret, "the bearer token is none of the %d in REMORA_ADMIN_TOKEN", len(v.admin))
	}
	return Caller{KindAdmin, "admin token " + name, Scope{All: true}}, nil
}

// bearer is the token that a call was sent with; public is what the caller is told
// if there is none.
func bearer(h http.Header, public string) (string, error) {
	scheme, given, _ := strings.Cut(h.Get("Authorization"), " ")
	given = strings.TrimSpace(given)
	var reason string
	switch {
	case len(h.Values("Authorization")) > 1:
		reason = "the call has more than one header Authorization"
	case !strings.EqualFold(scheme, "Bearer") || given == "":
		reason = "the call has no bearer token"
	case len(given) > maxIDToken:
		reason = "the bearer token is longer than any that there is"
	default:
		return given, nil
	}
	r := refuse(CodeMissing, "%s", reason)
	r.Public = public
	return "", r
}
