package agent_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
	"gitlab.com/remora-ci/remora/component/rest"
	"gitlab.com/remora-ci/remora/component/trigger"
)

// idToken is the ID token of a job on feature.
func (s *stage) idToken(change func(*gitlabtest.JobClaims)) string {
	c := gitlabtest.JobClaims{JobID: 7001, PipelineID: s.scene.Pipeline.ID, Protected: true, Audience: []string{"remora:https://remora.example.com"}}
	if change != nil {
		change(&c)
	}
	return s.git.IDToken(c)
}

// call is one call of the API.
func (s *stage) call(method, path, token string, body any) (code int, answer map[string]any) {
	s.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		s.Fatal(err)
	}
	req, err := http.NewRequestWithContext(s.Context(), method, s.url+path, bytes.NewReader(text))
	if err != nil {
		s.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, _ := io.ReadAll(res.Body)
	_ = json.Unmarshal(raw, &answer)
	if token != "" && strings.Contains(string(raw), token) {
		s.Errorf("the answer holds the token: %s", raw)
	}
	return res.StatusCode, answer
}

func (s *stage) request() trigger.Request {
	return trigger.Request{JobID: 7001, PipelineID: s.scene.Pipeline.ID, SHA: s.scene.SHA}
}

func TestAJobFollowsItsDeliveryToTheTrueResult(t *testing.T) {
	t.Parallel()
	s := newStage(t, sqlite(t))
	s.route = ", on: [job]"
	release := s.place.block()
	_, stop := s.start()
	client, err := trigger.New(s.url, delivery.Secret(s.idToken(nil)), rest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	asked, err := client.Deliver(ctx, "job-7001", s.request())
	if err != nil {
		t.Fatal(err)
	}
	s.until("call", func() bool { return len(s.place.got()) == 1 })
	type end struct {
		got trigger.Delivery
		err error
	}
	ended, states := make(chan end, 1), make(chan string, 100)
	go func() {
		got, err := client.Follow(ctx, asked.ID, func(d trigger.Delivery) { states <- d.State })
		ended <- end{got, err}
	}()
	if first := <-states; first != "running" {
		t.Errorf("the first state told is %s, want running", first)
	}
	release()
	got := <-ended
	if got.err != nil || got.got.State != "done" || len(got.got.Targets) != 1 || got.got.Targets[0].State != "done" {
		t.Errorf("got %+v, %v; want done", got.got, got.err)
	}
	s.untilShown(s.scene.SHA, "sync/site success")
	stop()
	if strings.Contains(s.logs.String(), strings.Split(s.idToken(nil), ".")[0]+".") {
		t.Error("the log holds an ID token")
	}
}

func TestAJobThatWaitsOutlivesARestartOfTheAgent(t *testing.T) {
	t.Parallel()
	s := newStage(t, sqlite(t))
	s.route = ", on: [job]"
	release := s.place.block()
	_, stop := s.start()
	var home atomic.Pointer[url.URL] // where the agent is now
	move := func() {
		at, err := url.Parse(s.url)
		if err != nil {
			t.Fatal(err)
		}
		home.Store(at)
	}
	move()
	front := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(home.Load()) }, FlushInterval: -1,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	})
	t.Cleanup(front.Close)
	client, err := trigger.New(front.URL, delivery.Secret(s.idToken(nil)), rest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	asked, err := client.Deliver(ctx, "job-7001", s.request())
	if err != nil {
		t.Fatal(err)
	}
	s.until("call", func() bool { return len(s.place.got()) == 1 })
	seen := make(chan string, 1000)
	ended := make(chan trigger.Delivery, 1)
	go func() {
		got, err := client.Follow(ctx, asked.ID, func(d trigger.Delivery) { seen <- d.State })
		if err != nil {
			t.Errorf("follow: %v", err)
		}
		ended <- got
	}()
	<-seen
	go release() // the agent waits for the run in hand
	stop()
	s.place.answer(0)
	s.start()
	move()
	if got := <-ended; got.State != "done" || got.Targets[0].State != "done" {
		t.Errorf("got %+v, want done", got)
	}
	again, err := client.Deliver(ctx, "job-7001", s.request())
	if err != nil || again.ID != asked.ID {
		t.Errorf("asked again: got delivery %d, %v; want %d", again.ID, err, asked.ID)
	}
}

func TestAnIDTokenThatIsNotTheJobsIsRefused(t *testing.T) {
	t.Parallel()
	s := newStage(t, sqlite(t))
	s.route, s.yaml = ", on: [job]", "admin_token: admin-token-0123456789\n"
	s.start()
	good := s.idToken(nil)
	code, asked := s.call(http.MethodPost, trigger.DeliveriesPath, good, s.request())
	if code != http.StatusAccepted {
		t.Fatalf("a good token: got %d, %v", code, asked)
	}
	id := strconv.FormatFloat(asked["id"].(float64), 'f', 0, 64)
	from := func(change func(*trigger.Request)) trigger.Request { r := s.request(); change(&r); return r }
	for name, tc := range map[string]struct {
		method, path, token string
		body                any
		code                int
		names               string
	}{
		"no token":         {http.MethodPost, trigger.DeliveriesPath, "", s.request(), 401, ""},
		"another audience": {http.MethodPost, trigger.DeliveriesPath, s.idToken(func(c *gitlabtest.JobClaims) { c.Audience = []string{"https://vault.example.com"} }), s.request(), 401, "aud"},
		"expired":          {http.MethodPost, trigger.DeliveriesPath, s.idToken(func(c *gitlabtest.JobClaims) { c.IssuedAt = time.Now().Add(-3 * time.Hour) }), s.request(), 401, "exp"},
		"another issuer": {http.MethodPost, trigger.DeliveriesPath, s.idToken(func(c *gitlabtest.JobClaims) { c.Set = map[string]any{"iss": "https://gitlab.evil.example"} }), s.request(), 401,
			"iss"},
		"another job's request":      {http.MethodPost, trigger.DeliveriesPath, good, from(func(r *trigger.Request) { r.JobID = 7002 }), 403, "job_id"},
		"another pipeline's request": {http.MethodPost, trigger.DeliveriesPath, good, from(func(r *trigger.Request) { r.PipelineID = 7 }), 403, "pipeline_id"},
		"another commit's request":   {http.MethodPost, trigger.DeliveriesPath, good, from(func(r *trigger.Request) { r.SHA = s.scene.Base }), 403, "sha"},
		"a branch that is not protected": {http.MethodPost, trigger.DeliveriesPath, s.idToken(func(c *gitlabtest.JobClaims) { c.Protected, c.JobID = false, 7003 }),
			from(func(r *trigger.Request) { r.JobID = 7003 }), 403, "protected"},
		"its own delivery":              {http.MethodGet, trigger.DeliveriesPath + "/" + id, good, nil, 200, ""},
		"another job's delivery":        {http.MethodGet, trigger.DeliveriesPath + "/" + id, s.idToken(func(c *gitlabtest.JobClaims) { c.JobID = 7002 }), nil, 404, ""},
		"the admin looks":               {http.MethodGet, trigger.DeliveriesPath + "/" + id, "admin-token-0123456789", nil, 200, ""},
		"events, as a job":              {http.MethodGet, "/api/v1/events", good, nil, 403, ""},
		"events, as the admin":          {http.MethodGet, "/api/v1/events", "admin-token-0123456789", nil, 200, ""},
		"the description, to strangers": {http.MethodGet, "/api/v1/openapi.json", "", nil, 401, ""},
		"a path that is not there":      {http.MethodGet, "/api/v1/nothing", good, nil, 404, ""},
	} {
		code, answer := s.call(tc.method, tc.path, tc.token, tc.body)
		detail, _ := answer["detail"].(string)
		if code != tc.code || !strings.Contains(detail, tc.names) {
			t.Errorf("%s: got %d %v, want %d that names %q", name, code, answer, tc.code, tc.names)
		}
	}
	for _, how := range gitlabtest.Forgeries() {
		token := s.git.Forge(gitlabtest.JobClaims{JobID: 7001, Protected: true, Audience: []string{"remora:https://remora.example.com"}}, how)
		if code, answer := s.call(http.MethodPost, trigger.DeliveriesPath, token, s.request()); code != http.StatusUnauthorized {
			t.Errorf("%s: got %d %v, want 401", how, code, answer)
		}
	}
	s.git.BreakIssuer(gitlabtest.Answer{Code: 502})
	if code, _ := s.call(http.MethodGet, trigger.DeliveriesPath+"/"+id, good, nil); code != http.StatusOK {
		t.Errorf("a known key while keys cannot be read: got %d, want 200", code)
	}
}
