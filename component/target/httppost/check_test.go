package httppost_test

import (
	"net/http"
	"strings"
	"testing"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/target/httppost"
)

// The trigger itself is never called, whatever its method, and nothing secret
// leaves.
func TestACheckNeverTriggers(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"POST", "PUT", "GET", "DELETE"} {
		s := newSystem(t, []string{"success"}, nil)
		c := polled(s.URL)
		c.Method = method
		c.URL += "?token=" + token
		found := target(t, c).Check(t.Context())
		if found[0].Level != delivery.Pass || found[0].Subject != "address" || len(found) != 2 {
			t.Errorf("%s: found %+v, want an address that answers, and a word about the token", method, found)
		}
		for _, r := range s.all() {
			if r.Method != http.MethodOptions || r.Path != "/" || r.Header.Get("Authorization") != "" || r.Header.Get("X-Api-Key") != "" {
				t.Errorf("%s: a check sent %s %s with %v", method, r.Method, r.Path, r.Header)
			}
		}
	}
}

func TestACheckTellsAGatewayFromASystem(t *testing.T) {
	t.Parallel()
	s := newSystem(t, nil, map[string]http.HandlerFunc{"/": answer(http.StatusBadGateway, "text/html", "<html>")})
	found := target(t, httppost.Config{URL: s.URL + "/trigger"}).Check(t.Context())
	if found[0].Level != delivery.Warn || !strings.Contains(found[0].Text, "only a gateway answers") || found[1].Text != "none is sent" {
		t.Errorf("found %+v", found)
	}
}

func TestACheckWarnsOfASecretThatCanBeRead(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]delivery.Level{
		"http://ci.example/trigger": delivery.Warn, "https://ci.example/trigger": delivery.Pass, "http://127.0.0.1:8080/trigger": delivery.Pass, "http://[::1]/x": delivery.Pass,
	} {
		if found := httppost.CheckToken(target(t, httppost.Config{URL: url, Token: token})); found.Level != want || (found.Remedy == "") != (want == delivery.Pass) {
			t.Errorf("%s: found %+v, want %s", url, found, want)
		}
	}
}
