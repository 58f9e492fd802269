package agent_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

// What runs here and how it does is shown to this machine, and to others with the
// admin token alone; how the agent is, to everybody.
func TestWhoMaySeeHowTheAgentDoes(t *testing.T) {
	t.Parallel()
	const admin = "an-admin-token-of-enough-length-0123456789"
	const local, remote, remote6, mapped = "127.0.0.1:4711", "192.0.2.7:4711", "[2001:db8::7]:4711", "[::ffff:127.0.0.1]:4711"
	s := newStage(t, sqlite(t))
	s.yaml = "admin_token: " + admin
	a, _ := s.start()
	for _, tt := range []struct {
		name, peer, header, value string
		open                      bool
	}{
		{"this machine", local, "", "", true},
		{"this machine, by the other protocol", "[::1]:4711", "", "", true},
		{"this machine, by both", mapped, "", "", true},
		{"a proxy of this machine, for another", local, "X-Forwarded-For", "192.0.2.7", false},
		{"a proxy that says it by the standard", local, "Forwarded", "for=127.0.0.1", false},
		{"another machine", remote, "", "", false},
		{"another machine that says it is this one", remote, "X-Forwarded-For", "127.0.0.1", false},
		{"another machine, by the other protocol", remote6, "", "", false},
		{"another machine with the admin token", remote, "Authorization", "Bearer " + admin, true},
		{"another machine with the secret of the hooks", remote, "Authorization", "Bearer " + hookSecret, false},
		{"nobody that can be named", "@", "", "", false},
	} {
		for _, path := range []string{"/metrics", "/version"} {
			code, challenge := s.ask(a.Handler(), path, tt.peer, tt.header, tt.value)
			if open := code == http.StatusOK; open != tt.open || !open && (code != http.StatusUnauthorized || challenge == "") {
				t.Errorf("%s: got %d with the challenge %q at %s, want it open: %v", tt.name, code, challenge, path, tt.open)
			}
		}
		if code, _ := s.ask(a.Handler(), "/livez", tt.peer, tt.header, tt.value); code != http.StatusOK {
			t.Errorf("%s: got %d at /livez", tt.name, code)
		}
	}
	if strings.Contains(s.logs.String(), admin) || !strings.Contains(s.logs.String(), "the call has no bearer token") {
		t.Error("the log does not say why, or says the token")
	}
}

func (s *stage) ask(h http.Handler, path, peer, header, value string) (code int, challenge string) {
	r := httptest.NewRequestWithContext(zerolog.New(s.logs).WithContext(s.Context()), http.MethodGet, path, nil)
	r.RemoteAddr = peer
	if header != "" {
		r.Header.Set(header, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Header().Get("WWW-Authenticate")
}
