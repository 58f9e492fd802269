package agent_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"gitlab.com/remora-ci/remora/agent"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/store/storetest"
	"gitlab.com/remora-ci/remora/component/rest"
)

// audits are the requests that were written down, oldest first.
func (s *stage) audits() []store.Audit {
	s.Helper()
	db := s.open()
	defer func() { _ = db.Close() }()
	var list []store.Audit
	for a, err := range db.Audits(context.Background(), store.AuditFilter{}) {
		if err != nil {
			s.Fatal(err)
		}
		list = append(list, a)
	}
	slices.Reverse(list)
	return list
}

func TestEveryRequestIsWrittenDown(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		s := newStage(t, c)
		_, stop := s.start()
		s.hook(s.push(s.scene.Base, s.scene.SHA))
		s.untilShown(s.scene.SHA, "sync/site success")
		s.until("rest", s.idle)
		stop() // what waits is written at the end

		got := s.audits()
		toGitLab, toTarget := 0, 0
		seen := map[string]bool{}
		for _, a := range got {
			if a.Token == "target/site" {
				toTarget++
			} else {
				toGitLab++
			}
			seen[fmt.Sprintf("%s %s %s %s %d", a.Token, a.Instance, a.Method, a.Route, a.Status)] = true
			if a.At.IsZero() || a.Took <= 0 {
				t.Errorf("%+v has no time", a)
			}
		}
		if want := len(s.git.Requests()); toGitLab != want {
			t.Errorf("%d requests to GitLab are written down, want all %d", toGitLab, want)
		}
		if want := len(s.place.got()); toTarget != want || want == 0 {
			t.Errorf("%d requests to the target are written down, want all %d", toTarget, want)
		}
		for _, want := range []string{
			"bot " + s.git.URL + " POST /api/v4/projects/:id/statuses/:id 201",
			"bot " + s.git.URL + " GET /api/v4/user 200",
			"bot " + s.git.URL + " GET /api/v4/personal_access_tokens/self 200",
			"target/site " + s.place.URL + " POST / 200",
		} {
			if !seen[want] {
				t.Errorf("%q is not written down; there is %v", want, seen)
			}
		}
		if text := fmt.Sprintf("%+v", got); strings.Contains(text, s.scene.Token) || strings.Contains(text, "acme") {
			t.Error("the audit holds a token or the name of a project")
		}
	})
}

// A database that does not answer holds up nobody: what does not fit is counted.
func TestAnAuditThatCannotBeWrittenIsCounted(t *testing.T) {
	t.Parallel()
	s := newStage(t, sqlite(t))
	a, stop := s.start()
	defer stop()
	agent.FloodAudit(a, 10_000)
	s.until("word of the gap", func() bool { return strings.Contains(s.logs.String(), "audit has gaps") })
	stop()
	told := 0 // a gap may be told in parts, each once
	for line := range strings.Lines(s.logs.String()) {
		var said struct {
			Message  string
			Requests int
		}
		if err := json.Unmarshal([]byte(line), &said); err == nil && strings.HasPrefix(said.Message, "audit has gaps") {
			told += said.Requests
		}
	}
	want := fmt.Sprintf("# HELP remora_audit_dropped_total Requests that were made and not written down, because the database was too slow.\n# TYPE remora_audit_dropped_total counter\nremora_audit_dropped_total %d\n", told)
	if err := testutil.GatherAndCompare(a.Registry(), strings.NewReader(want), "remora_audit_dropped_total"); err != nil || told == 0 {
		t.Errorf("told of %d requests: %v", told, err)
	}
}

func TestRoutesHoldNoNames(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"https://git.example/api/v4/projects/42/statuses/c0ffee":                "/api/v4/projects/:id/statuses/:id",
		"https://git.example/api/v4/projects/group%2Fapp/hooks/7/test/push":     "/api/v4/projects/:id/hooks/:id/test/:id",
		"https://git.example/sub/api/v4/personal_access_tokens/self/rotate":     "/api/v4/personal_access_tokens/self/rotate",
		"https://git.example/api/v4/projects/1/repository/branches/feature%2Fx": "/api/v4/projects/:id/repository/branches/:id",
		"https://git.example/api/v4/nobody/knows/this":                          "/api/v4/:/:/:",
		"https://git.example/users/sign_in":                                     "unknown",
		"://":                                                                   "unknown",
	} {
		if got := agent.GitLabRoute(address); got != want {
			t.Errorf("%s: got %s, want %s", address, got, want)
		}
	}
	for address, want := range map[string]string{
		"https://dev.example/api/v2/namespaces/demo/syncs": "https://dev.example /api/v2/namespaces/:/syncs",
		"https://ci.example/hooks/SECRET-canary/build":     "https://ci.example /:/:/:",
		"https://ci.example" + strings.Repeat("/a", 40):    "https://ci.example " + strings.Repeat("/:", 12),
		"https://ci.example":                               "https://ci.example /",
		"://":                                              " unknown",
	} {
		base, route := agent.TargetRoute(address)
		if got := base + " " + route; got != want {
			t.Errorf("%s: got %s, want %s", address, got, want)
		}
	}
}

func TestAnErrorIsAWordOfFew(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		"":                  nil,
		"canceled":          fmt.Errorf("x: %w", context.Canceled),
		"timeout":           &url.Error{Err: context.DeadlineExceeded},
		"unknown host":      &net.OpError{Op: "dial", Err: &net.DNSError{IsNotFound: true}},
		"proxy":             &rest.ProxyError{Code: 407},
		"tls":               &tls.CertificateVerificationError{Err: errors.New("canary")},
		"no connection":     &net.OpError{Op: "dial", Err: errors.New("refused")},
		"broken connection": errors.New("canary"),
	} {
		if got := agent.ErrorClass(err); got != want {
			t.Errorf("%v: got %q, want %q", err, got, want)
		}
	}
}
