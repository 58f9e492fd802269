package gitlabtest_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

type heard struct {
	header http.Header
	body   string
}

// listen is a receiver of hooks that answers with a code.
func listen(t *testing.T, code int) (string, <-chan heard) {
	t.Helper()
	seen := make(chan heard, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen <- heard{r.Header, string(body)}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, "heard")
	}))
	t.Cleanup(server.Close)
	return server.URL, seen
}

func TestACallHasTheHeadersOfGitLab(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		version string
		with    []string
		without []string
	}{
		{"19.1.0-ee", []string{"Idempotency-Key", "Webhook-Id", "Webhook-Timestamp", "Webhook-Signature", "X-Gitlab-Token"}, nil},
		{"18.11.0-ee", []string{"Idempotency-Key", "X-Gitlab-Token"}, []string{"Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"}},
		{"17.3.0-ee", []string{"X-Gitlab-Token"}, []string{"Idempotency-Key", "Webhook-Id", "Webhook-Signature"}},
	} {
		s, _ := keeper(t, tt.version)
		url, seen := listen(t, 200)
		s.AddHook(gitlabtest.Hook{Of: gitlabtest.HookOf{Project: 42}, URL: url, Token: "s3cret", SigningToken: signing, Events: []string{"merge_requests_events"}})
		calls := s.Fire(42, "Merge Request Hook", []byte(`{"object_kind":"merge_request"}`))
		if len(calls) != 1 || calls[0].Status != "200" || calls[0].Body != "heard" || calls[0].Trigger != "merge_request_hooks" {
			t.Fatalf("%s: got %+v, want one good call", tt.version, calls)
		}
		r := <-seen
		for name, want := range map[string]string{
			"Content-Type": "application/json", "User-Agent": "GitLab/" + tt.version, "X-Gitlab-Event": "Merge Request Hook",
			"X-Gitlab-Instance": s.URL, "X-Gitlab-Token": "s3cret",
		} {
			if got := r.header.Get(name); got != want {
				t.Errorf("%s: got %s %q, want %q", tt.version, name, got, want)
			}
		}
		for _, name := range append(tt.with, "X-Gitlab-Webhook-Uuid", "X-Gitlab-Event-Uuid") {
			if r.header.Get(name) == "" {
				t.Errorf("%s: got no %s", tt.version, name)
			}
		}
		for _, name := range tt.without {
			if got := r.header.Get(name); got != "" {
				t.Errorf("%s: got %s %q, want none", tt.version, name, got)
			}
		}
		if r.body != `{"object_kind":"merge_request"}` {
			t.Errorf("%s: got %s", tt.version, r.body)
		}
	}
}

func TestACallIsSignedByStandardWebhooks(t *testing.T) {
	t.Parallel()
	s, sc := keeper(t, "19.1.0-ee")
	s.HookClock(func() time.Time { return time.Unix(1744578123, 0) })
	url, seen := listen(t, 200)
	h := s.AddHook(gitlabtest.Hook{Of: gitlabtest.HookOf{Project: 42}, URL: url, SigningToken: signing})
	call := s.AddHookCall(gitlabtest.HookCall{Hook: h.ID, URL: url, Status: "500", Trigger: "push_hooks", Key: "f5e5f430-f57b-4e6e-9fac-d9128cd7232f", Payload: []byte(`{"object_kind":"push"}`)})
	check(t, ask(t, s, sc.Token, "POST", pathOf(h, call), ""), 201, "")
	r := <-seen
	if got, want := r.header.Get("Webhook-Signature"), "v1,qO0mK/QkPuCSH4sV+46Sbe0IHEagbnzF57rrlq+/SX8="; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestWhoIsCalled(t *testing.T) {
	t.Parallel()
	places := []struct {
		name   string
		of     gitlabtest.HookOf
		events string
	}{
		{"project", gitlabtest.HookOf{Project: 42}, "push_events"},
		{"project, of notes", gitlabtest.HookOf{Project: 42}, "note_events"},
		{"other project", gitlabtest.HookOf{Project: 43}, "push_events"},
		{"group", gitlabtest.HookOf{Group: 7}, "push_events note_events member_events"},
		{"inner group", gitlabtest.HookOf{Group: 8}, "push_events"},
		{"other group", gitlabtest.HookOf{Group: 9}, "push_events"},
		{"instance", gitlabtest.HookOf{}, "push_events"},
	}
	for _, tt := range []struct {
		name    string
		edition gitlabtest.Edition
		fire    func(*gitlabtest.Server) []gitlabtest.HookCall
		want    []string
	}{
		{"a push", gitlabtest.Premium, func(s *gitlabtest.Server) []gitlabtest.HookCall { return s.Fire(42, "Push Hook", nil) },
			[]string{"project: Push Hook", "group: Push Hook", "instance: System Hook"}},
		{"a push in an inner group", gitlabtest.Premium, func(s *gitlabtest.Server) []gitlabtest.HookCall { return s.Fire(44, "Push Hook", nil) },
			[]string{"inner group: Push Hook", "group: Push Hook", "instance: System Hook"}},
		{"a push without a licence", gitlabtest.Free, func(s *gitlabtest.Server) []gitlabtest.HookCall { return s.Fire(42, "Push Hook", nil) },
			[]string{"project: Push Hook", "instance: System Hook"}},
		{"a note", gitlabtest.Premium, func(s *gitlabtest.Server) []gitlabtest.HookCall { return s.Fire(42, "Note Hook", nil) },
			[]string{"project, of notes: Note Hook", "group: Note Hook"}},
		{"a new member", gitlabtest.Premium, func(s *gitlabtest.Server) []gitlabtest.HookCall { return s.FireGroup(8, "Member Hook", nil) },
			[]string{"group: Member Hook"}},
	} {
		s, _ := keeper(t, "19.1.0-ee")
		s.SetEdition(tt.edition)
		s.AddGroup(gitlabtest.Group{ID: 8, Path: "acme/team"})
		s.AddGroup(gitlabtest.Group{ID: 9, Path: "other"})
		s.AddProject(gitlabtest.Project{ID: 43, Path: "other/tool"})
		s.AddProject(gitlabtest.Project{ID: 44, Path: "acme/team/lib"})
		url, _ := listen(t, 200)
		names := map[int64]string{}
		for _, p := range places {
			names[s.AddHook(gitlabtest.Hook{Of: p.of, URL: url, Events: strings.Fields(p.events)}).ID] = p.name
		}
		var got []string
		for _, call := range tt.fire(s) {
			got = append(got, names[call.Hook]+": "+call.Event)
		}
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, d)
		}
	}
}

func TestACallChecksTheCertificateIfTheHookSaysSo(t *testing.T) {
	t.Parallel()
	s, _ := keeper(t, "19.1.0-ee")
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(server.Close)
	for verify, want := range map[bool]string{true: "internal error", false: "200"} {
		h := s.AddHook(gitlabtest.Hook{Of: gitlabtest.HookOf{Project: 42}, URL: server.URL, Events: []string{"job_events"}, VerifyTLS: verify})
		if calls := s.Fire(42, "Job Hook", nil); len(calls) != 1 || calls[0].Status != want {
			t.Errorf("verify %t: got %+v, want %s", verify, calls, want)
		}
		s.DeleteHook(h.ID)
	}
}

func TestTheReceiverMayAskGitLabMeanwhile(t *testing.T) {
	t.Parallel()
	s, sc := keeper(t, "19.1.0-ee")
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		check(t, ask(t, s, sc.Token, "GET", "/projects/42", ""), 200, "acme/app")
	}))
	t.Cleanup(server.Close)
	h := s.AddHook(gitlabtest.Hook{Of: gitlabtest.HookOf{Project: 42}, URL: server.URL, Events: []string{"push_events"}})
	if calls := s.Fire(42, "Push Hook", nil); len(calls) != 1 || calls[0].Status != "200" {
		t.Errorf("got %+v, want a good call", calls)
	}
	check(t, ask(t, s, sc.Token, "POST", pathOf(h, gitlabtest.HookCall{}), ""), 404, "404")
}

func pathOf(h gitlabtest.Hook, call gitlabtest.HookCall) string {
	return fmt.Sprintf("/projects/%d/hooks/%d/events/%d/resend", h.Of.Project, h.ID, call.ID)
}
