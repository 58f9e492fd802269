package agent

import (
	"errors"
	"net/http"
	"net/netip"

	"github.com/rs/zerolog"

	"gitlab.com/remora-ci/remora/agent/auth"
)

// forwarded are headers that proxies add to what they pass on for others.
var forwarded = []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"}

// insider says whether a call may see what runs here and how it does: it comes from
// this machine, for nobody else, or it has the admin token. Anybody else is refused.
func (a *Agent) insider(w http.ResponseWriter, r *http.Request) bool {
	if isLocal(r) {
		return true
	}
	_, err := a.current().verifier.Admin(r.Header)
	if err == nil {
		return true
	}
	zerolog.Ctx(r.Context()).Warn().Str("path", r.URL.Path).Str("client", r.RemoteAddr).Str("reason", err.Error()).Msg("call refused")
	public := "not authenticated"
	if refused := (*auth.Refusal)(nil); errors.As(err, &refused) {
		public = refused.Public
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="remora"`)
	say(w, http.StatusUnauthorized, public)
	return false
}

// isLocal says whether a call was made on this machine, by no proxy for another.
func isLocal(r *http.Request) bool {
	for _, name := range forwarded {
		if len(r.Header.Values(name)) > 0 {
			return false
		}
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && peer.Addr().Unmap().IsLoopback()
}
