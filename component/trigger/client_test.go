package trigger_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
	"gitlab.com/remora-ci/remora/component/trigger"
	"gitlab.com/remora-ci/remora/component/trigger/triggertest"
)

const (
	token  = "id-token-canary"
	commit = "c0ffee1200000000000000000000000000000002"
)

var request = trigger.Request{JobID: 7001, PipelineID: 1001, SHA: commit}

// synced is what a target ends as.
var synced = trigger.Target{Delivery: 1, Target: "flows", State: "done", Done: true, Attempts: 1, Result: "4 files", Revision: commit}

func options() triggertest.Options {
	return triggertest.Options{IDToken: token, JobID: 7001, PipelineID: 1001, SHA: commit, Project: "acme/app", Results: []trigger.Target{synced}, ProjectToken: "project-token-canary"}
}

// client asks the agent at url, without the patience of a real one.
func client(t *testing.T, url string, secret delivery.Secret) *trigger.Client {
	t.Helper()
	c, err := trigger.New(url, secret, rest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	c.Hasten(5*time.Second, 5*time.Second, 0)
	return c
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestADeliveryIsAskedForOnceWhateverHappensOnTheWay(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		faults []triggertest.Fault
		posts  int
	}{
		"nothing happens":                          {nil, 1},
		"the agent is not ready":                   {[]triggertest.Fault{{Code: 503, Detail: "not now"}, {Code: 503, Detail: "not now"}}, 3},
		"the ingress knows no agent":               {[]triggertest.Fault{{Code: 502, Plain: "<html>bad gateway"}, {Code: 504, Plain: "<html>"}}, 3},
		"the answer is lost after it was taken":    {[]triggertest.Fault{{}}, 2},
		"too many ask at once":                     {[]triggertest.Fault{{Code: 429, Detail: "too many", After: "0"}}, 2},
		"the database cannot be written":           {[]triggertest.Fault{{Code: 500, Detail: "fault of ours"}}, 2},
		"one thing after the other goes wrong":     {[]triggertest.Fault{{}, {Code: 503, Plain: "<html>"}, {}, {Code: 500, Detail: "x"}}, 5},
		"the answer is lost and the agent is busy": {[]triggertest.Fault{{}, {Code: 429, Detail: "too many"}}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			agent := triggertest.New(t, options())
			agent.Fail(tt.faults...)
			got, err := client(t, agent.URL+"/", token).Deliver(within(t, time.Minute), "job-7001", request)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]trigger.Target{synced}, got.Targets); diff != "" || !got.Done || got.ID == 0 {
				t.Errorf("got %+v\n%s", got, diff)
			}
			if n := agent.Asked("POST " + trigger.DeliveriesPath); n != tt.posts || agent.Deliveries() != 1 {
				t.Errorf("got %d requests and %d deliveries, want %d and 1", n, agent.Deliveries(), tt.posts)
			}
			for _, r := range agent.Requests() {
				if r.Key != "job-7001" {
					t.Errorf("got the key %q, want job-7001 each time", r.Key)
				}
			}
		})
	}
}

func TestARefusalIsTheAgentsOwnSentence(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		prepare func(*triggertest.Server)
		token   delivery.Secret
		request trigger.Request
		code    int
		cause   string
		remedy  string
	}{
		"a token that is not good": {nil, "stolen-canary", request, 401, "the claim aud did not hold, in [secret]", "aud: 'remora:$REMORA_AGENT_URL'"},
		"another job's token":      {nil, token, trigger.Request{JobID: 8, PipelineID: 1001, SHA: commit}, 403, "the claim job_id is 7001, not 8", "on: [job]"},
		"another job's key":        {func(s *triggertest.Server) { s.Take("job-7001") }, token, request, 409, "belongs to another job", "a key of its own"},
		"a policy, with its own remedy": {func(s *triggertest.Server) {
			s.Fail(triggertest.Fault{Code: 403, Detail: "the ref is not protected", Remedy: "protect the branch"})
		}, token, request, 403, "the ref is not protected", "protect the branch"},
		"a target that is not known": {func(s *triggertest.Server) {
			s.Fail(triggertest.Fault{Code: 422, Detail: "no target x; there is flows"})
		}, token, request, 422, "there is flows", "correct"},
		"a request it cannot read": {func(s *triggertest.Server) { s.Fail(triggertest.Fault{Code: 400, Detail: "job_id: missing"}) }, token, request, 400, "job_id", "versions"},
		"no such thing":            {func(s *triggertest.Server) { s.Fail(triggertest.Fault{Code: 404, Detail: "nothing here"}) }, token, request, 404, "nothing here", "REMORA_AGENT_URL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			agent := triggertest.New(t, options())
			if tt.prepare != nil {
				tt.prepare(agent)
			}
			_, err := client(t, agent.URL, tt.token).Deliver(within(t, time.Minute), "job-7001", tt.request)
			var fault *delivery.Fault
			var status *rest.StatusError
			if !errors.As(err, &fault) || delivery.StateOf(err) != delivery.Failed || !errors.As(err, &status) {
				t.Fatalf("got %v, want a permanent fault of a status", err)
			}
			if status.Code != tt.code || !strings.Contains(fault.Cause, tt.cause) || !strings.Contains(fault.Remedy, tt.remedy) || !strings.Contains(fault.Request, "POST http") {
				t.Errorf("got %d %+v, want %d, %q, %q", status.Code, fault, tt.code, tt.cause, tt.remedy)
			}
			if strings.Contains(err.Error()+fault.Cause+status.Body, "canary") {
				t.Errorf("the token is told: %v", err)
			}
			if n := agent.Asked("POST"); n != 1 {
				t.Errorf("a refusal was asked %d times", n)
			}
		})
	}
}

func TestWhatIsNoAgentIsNamed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ kind, body, want string }{
		"a start page":       {"text/html", "<html>welcome", "not an API"},
		"another JSON API":   {"application/json", `{"status":"ok"}`, "not an agent"},
		"a list, not object": {"application/json", `[]`, "broken JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", tt.kind)
				_, _ = w.Write([]byte(tt.body))
			}))
			t.Cleanup(s.Close)
			_, err := client(t, s.URL, token).Deliver(within(t, 300*time.Millisecond), "k", request)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// GitLab itself, or a proxy that wants a password, knows nothing of the token.
func TestARefusalOfSomebodyElseBlamesTheAddress(t *testing.T) {
	t.Parallel()
	for _, code := range []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
			_, _ = w.Write([]byte(`{"message":"401 Unauthorized"}`))
		}))
		t.Cleanup(s.Close)
		_, err := client(t, s.URL, token).Deliver(within(t, time.Minute), "k", request)
		f := delivery.Explain(err)
		if delivery.StateOf(err) != delivery.Failed || !strings.Contains(f.Summary, "not by an agent") || !strings.Contains(f.Remedy, "REMORA_AGENT_URL") || strings.Contains(f.Remedy, "ID_TOKEN") {
			t.Errorf("%d: got %+v", code, f)
		}
	}
}

func TestTheDeadlineTellsWhyThereWasNoAnswer(t *testing.T) {
	t.Parallel()
	_, err := client(t, "http://127.0.0.1:1", token).Deliver(within(t, 50*time.Millisecond), "k", request)
	if !errors.Is(err, context.DeadlineExceeded) || delivery.Explain(err).Summary != "no connection" {
		t.Errorf("got %v, want the deadline and no connection", err)
	}
}

func TestRetryAfterIsObeyedWithinBounds(t *testing.T) {
	t.Parallel()
	c := client(t, "http://127.0.0.1:1", token)
	for asked, want := range map[time.Duration]time.Duration{7 * time.Second: 7 * time.Second, time.Hour: 30 * time.Second} {
		if got := c.Pause(0, &rest.StatusError{Code: 503, After: asked}); got != want {
			t.Errorf("asked for %v: got %v, want %v", asked, got, want)
		}
	}
	for attempt := range 70 { // no overflow either
		if got := c.Pause(attempt, nil); got < 0 || got > 5*time.Millisecond {
			t.Errorf("after attempt %d: got %v", attempt, got)
		}
	}
}

func TestAReportIsTakenWithEitherToken(t *testing.T) {
	t.Parallel()
	agent := triggertest.New(t, triggertest.Options{IDToken: token, ProjectToken: "project-token-canary", Project: "acme/app"})
	report := trigger.Report{Project: "acme/app", SHA: commit, Name: "rpm-build", State: "success"}
	for _, secret := range []delivery.Secret{token, "project-token-canary"} {
		got, err := client(t, agent.URL, secret).Report(within(t, time.Minute), "build-1", report)
		if err != nil || !got.Done || got.ID != 100 {
			t.Errorf("got %+v, %v; want the one report, done", got, err)
		}
	}
	if diff := cmp.Diff([]trigger.Report{report}, agent.Reports()); diff != "" {
		t.Errorf("two reports of one key (-want +got):\n%s", diff)
	}
}

func TestURLsThatAreNoneOfAnAgent(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"https://remora.example.com", "http://remora:8080/", "https://example.com/remora"} {
		if err := trigger.CheckURL(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"", "remora.example.com", "ftp://x", "https://user:canary@x", "https://x/?token=canary", "https://x/#canary", "https://", "http://[", "mailto:a@b"} {
		if err := trigger.CheckURL(bad); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: got %v", bad, err)
		}
	}
}

func TestTheTokenGoesToTheAgentAlone(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var elsewhere []string
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		elsewhere = append(elsewhere, r.Header.Get("Authorization"))
	}))
	t.Cleanup(other.Close)
	s := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	t.Cleanup(s.Close)
	var audit []string
	c, err := trigger.New(s.URL, token, rest.Config{Audit: func(a rest.Attempt) { mu.Lock(); defer mu.Unlock(); audit = append(audit, a.Method+" "+a.URL) }})
	if err != nil {
		t.Fatal(err)
	}
	c.Hasten(time.Second, time.Second, 0)
	_, err = c.Deliver(within(t, time.Minute), "k", request)
	if delivery.StateOf(err) != delivery.Failed {
		t.Errorf("got %v, want a permanent refusal of the redirect", err)
	}
	_, err = c.Follow(within(t, 100*time.Millisecond), 1, nil)
	if err == nil {
		t.Error("a redirect was followed")
	}
	mu.Lock()
	defer mu.Unlock()
	if len(elsewhere) > 0 {
		t.Errorf("another host was sent %q", elsewhere)
	}
	if !slices.Contains(audit, "POST "+s.URL+trigger.DeliveriesPath) || !slices.Contains(audit, "GET "+s.URL+trigger.DeliveriesPath+"/1") {
		t.Errorf("audit %q, want the POST and the GET", audit)
	}
}
