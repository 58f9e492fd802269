package api_test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/agent/api"
	"gitlab.com/remora-ci/remora/agent/auth"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
	"gitlab.com/remora-ci/remora/component/rest"
	"gitlab.com/remora-ci/remora/component/trigger"
)

var (
	_ api.Verifier = (*auth.Verifier)(nil)
	_ api.IDTokens = (*auth.IDTokens)(nil)
)

const audience = "remora:https://remora.example.com"

// genuine is an API with the verification that an agent has, the GitLab whose ID
// tokens it takes, and what makes project tokens.
func genuine(t testing.TB, change func(*api.Options)) (*rig, *gitlabtest.Server, func(auth.Grant) string) {
	t.Helper()
	gl := gitlabtest.New(t)
	gl.Populate()
	key := delivery.Secret(strings.Repeat("a2V5", 11)) // 33 bytes in base64
	v, err := auth.New(auth.Config{AdminToken: admin, TokenKeys: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	way := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(way.CloseIdleConnections)
	ids := auth.NewIDTokens([]auth.Issuer{{URL: gl.URL, Audiences: []string{audience}, Client: way}}, nil)
	r := newRig(t, func(o *api.Options) {
		o.Verifier, o.IDTokens = v, ids
		if change != nil {
			change(o)
		}
	})
	return r, gl, func(g auth.Grant) string {
		t.Helper()
		g.Issued, g.Expires = time.Now(), time.Now().Add(time.Hour)
		issued, err := auth.Issue(key, g)
		if err != nil {
			t.Fatal(err)
		}
		return issued.Token.Reveal()
	}
}

func TestEachTokenIsJudgedByWhoKnowsIt(t *testing.T) {
	t.Parallel()
	r, gl, issue := genuine(t, nil)
	r.desk.set(func(d *desk) {
		d.deliveries[12], d.owners[12] = trigger.Delivery{ID: 12, State: "done", Done: true}, api.Owner{Instance: gl.URL, Job: 7001, Project: "acme/app"}
	})
	good := gitlabtest.JobClaims{Audience: []string{audience}}
	with := func(change func(*gitlabtest.JobClaims)) string {
		c := good
		change(&c)
		return gl.IDToken(c)
	}
	stranger := gitlabtest.New(t)
	stranger.Populate()
	type call struct {
		token  string
		status int
		detail string
	}
	cases := map[string]call{
		"the job that asked":         {gl.IDToken(good), 200, ""},
		"with a token of old":        {with(func(c *gitlabtest.JobClaims) { c.Before184 = true }), 200, ""},
		"the admin":                  {admin, 200, ""},
		"another job":                {with(func(c *gitlabtest.JobClaims) { c.JobID = 7002 }), 404, "There is no such delivery."},
		"for another audience":       {with(func(c *gitlabtest.JobClaims) { c.Audience = []string{"vault"} }), 401, "(aud)"},
		"for no audience":            {with(func(c *gitlabtest.JobClaims) { c.Audience = []string{trigger.AudiencePrefix} }), 401, "(aud)"},
		"expired":                    {with(func(c *gitlabtest.JobClaims) { c.IssuedAt = time.Now().Add(-2 * time.Hour) }), 401, "(exp)"},
		"of another GitLab":          {stranger.IDToken(good), 401, "(iss)"},
		"without a job":              {with(func(c *gitlabtest.JobClaims) { c.Set = map[string]any{"job_id": nil} }), 401, "job_id"},
		"a project token":            {issue(auth.Grant{Path: "acme/app"}), 404, "no such delivery"},
		"something like the admin's": {admin + "x", 401, "not valid"},
	}
	for _, how := range gitlabtest.Forgeries() {
		cases["forged: "+string(how)] = call{gl.Forge(good, how), 401, "ID token"}
	}
	for name, tc := range cases {
		resp := r.send(t, http.MethodGet, "/api/v1/deliveries/12", tc.token, "")
		if tc.status == http.StatusOK {
			decoded[trigger.Delivery](t, resp, http.StatusOK)
			continue
		}
		if p := refusal(t, r, resp, tc.status); !strings.Contains(p.Detail, tc.detail) {
			t.Errorf("%s: got %q, want %q", name, p.Detail, tc.detail)
		}
		if parts := strings.Split(tc.token, "."); len(parts) == 3 && parts[2] != "" && strings.Contains(r.logs.String(), parts[2]) {
			t.Errorf("%s: the log has the token", name)
		}
	}
	resp := r.send(t, http.MethodPost, "/api/v1/reports", issue(auth.Grant{Path: "acme/app"}), reported)
	decoded[trigger.Delivery](t, resp, http.StatusOK)
	if who := r.desk.reporter; who.Job != nil || who.Caller.Scope.Path != "acme/app" {
		t.Errorf("got reporter %+v", who)
	}
}

func TestAnOutageOfTheKeysIsNoRefusal(t *testing.T) {
	t.Parallel()
	r, gl, _ := genuine(t, nil)
	token := gl.IDToken(gitlabtest.JobClaims{Audience: []string{audience}})
	gl.BreakIssuer(gitlabtest.Answer{Code: http.StatusBadGateway, Body: "canary of a proxy"})
	resp := r.send(t, http.MethodPost, "/api/v1/deliveries", token, request(nil))
	if p := refusal(t, r, resp, http.StatusServiceUnavailable); resp.Header.Get("Retry-After") == "" || strings.Contains(p.Detail, gl.URL) {
		t.Errorf("got %q, Retry-After %q", p.Detail, resp.Header.Get("Retry-After"))
	}
	if !strings.Contains(r.logs.String(), gl.URL) {
		t.Errorf("the log does not say whose keys: %s", r.logs)
	}
}

// TestAJobFollowsOverADrain has the job's own client talk to two agents, one after
// the other.
func TestAJobFollowsOverADrain(t *testing.T) {
	t.Parallel()
	draining := make(chan struct{})
	first, gl, _ := genuine(t, func(o *api.Options) { o.Draining = draining })
	claims := gl.Claims(gitlabtest.JobClaims{Audience: []string{audience}})
	token := gl.SignIDToken(gl.IDTokenHeader(), claims)
	state := func(state string, done bool) {
		first.desk.set(func(d *desk) {
			d.deliveries[12], d.owners[12] = trigger.Delivery{ID: 12, State: state, Done: done, Targets: []trigger.Target{}}, api.Owner{Instance: gl.URL, Job: 7001}
			for ch := range d.waiting[12] {
				select {
				case ch <- struct{}{}:
				default:
				}
			}
		})
	}
	state("running", false)
	server := httptest.NewServer(first.handler)
	defer server.Close()
	client, err := trigger.New(server.URL, delivery.Secret(token), rest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	pipeline, err := strconv.ParseInt(claims["pipeline_id"].(string), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	asked, err := client.Deliver(t.Context(), "7001-sync", trigger.Request{JobID: 7001, PipelineID: pipeline, SHA: claims["sha"].(string)})
	if err != nil || asked.ID != 12 {
		t.Fatalf("got %+v, %v", asked, err)
	}
	var drained bool
	got, err := client.Follow(t.Context(), 12, func(d trigger.Delivery) {
		if !drained {
			drained = true
			close(draining)     // the stream ends here
			state("done", true) // and the next one has the result
		}
	})
	if err != nil || got.State != "done" || !drained {
		t.Errorf("got %+v, %v", got, err)
	}
	refused, err := trigger.New(server.URL, "canary", rest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := refused.Deliver(t.Context(), "k", trigger.Request{}); delivery.StateOf(err) != delivery.Failed || !strings.Contains(delivery.Explain(err).Error(), "not valid") {
		t.Errorf("got %v, want our refusal, for good", err)
	}
	server.Close() // calls are observed when they have ended
	if !first.seen.has("GET /api/v1/deliveries/{id} stream 200") {
		t.Errorf("observed %q, and no stream", first.seen.list)
	}
}

func BenchmarkAJobAsks(b *testing.B) {
	r, gl, _ := genuine(b, nil)
	claims := gl.Claims(gitlabtest.JobClaims{Audience: []string{audience}})
	token := gl.SignIDToken(gl.IDTokenHeader(), claims)
	body := `{"job_id":7001,"pipeline_id":` + claims["pipeline_id"].(string) + `,"sha":"` + claims["sha"].(string) + `"}`
	b.ReportAllocs()
	for b.Loop() {
		if resp := r.send(b, http.MethodPost, "/api/v1/deliveries", token, body); resp.StatusCode != http.StatusAccepted {
			b.Fatal(content(b, resp))
		}
	}
}
