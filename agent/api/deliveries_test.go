package api_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/remora-ci/remora/agent/api"
	"gitlab.com/remora-ci/remora/component/trigger"
)

// serve answers one request.
func serve(r *rig, req *http.Request) *http.Response {
	w := httptest.NewRecorder()
	r.handler.ServeHTTP(w, req)
	return w.Result()
}

func TestAJobAsks(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		body, key string
		wantKey   string
		want      trigger.Request
	}{
		"with little":       {request(nil), "", "77", trigger.Request{JobID: 77, PipelineID: 1001, SHA: "c0ffee"}},
		"with a key":        {request(nil), "77-sync", "77-sync", trigger.Request{JobID: 77, PipelineID: 1001, SHA: "c0ffee"}},
		"with targets":      {request(map[string]any{"targets": []string{"flows"}}), "", "77", trigger.Request{JobID: 77, PipelineID: 1001, SHA: "c0ffee", Targets: []string{"flows"}}},
		"with null targets": {`{"job_id":77,"pipeline_id":1001,"sha":"c0ffee","targets":null}`, "", "77", trigger.Request{JobID: 77, PipelineID: 1001, SHA: "c0ffee"}},
		"with a merge request": {request(map[string]any{"merge_request": map[string]any{"iid": 7, "project_id": 7}}), "", "77",
			trigger.Request{JobID: 77, PipelineID: 1001, SHA: "c0ffee", MergeRequest: &trigger.MergeRequest{IID: 7, ProjectID: 7}}},
		"with what a later version knows": {request(map[string]any{"mood": "good"}), "", "77", trigger.Request{JobID: 77, PipelineID: 1001, SHA: "c0ffee"}},
		"with the longest key":            {request(nil), strings.Repeat("k", 255), strings.Repeat("k", 255), trigger.Request{JobID: 77, PipelineID: 1001, SHA: "c0ffee"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			resp := r.send(t, http.MethodPost, "/api/v1/deliveries", idToken("good"), tc.body, "Idempotency-Key", tc.key, "Content-Type", "application/json; charset=utf-8")
			got := decoded[trigger.Delivery](t, resp, http.StatusAccepted)
			want := trigger.Delivery{ID: 12, State: "waiting", Project: "acme/app", SHA: "c0ffee", Targets: []trigger.Target{}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("want (-), got (+):\n%s", diff)
			}
			if l := resp.Header.Get("Location"); l != "/api/v1/deliveries/12" || resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("Link") != "" {
				t.Errorf("got Location %q and %v", l, resp.Header)
			}
			if diff := cmp.Diff(tc.want, r.desk.asked); diff != "" || r.desk.lastKey != tc.wantKey {
				t.Errorf("key %q, want %q; want (-), got (+):\n%s", r.desk.lastKey, tc.wantKey, diff)
			}
			if r.logs.String() != "" {
				t.Errorf("logged %s", r.logs)
			}
		})
	}
}

func TestWhatAJobMayNotAsk(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		body   string
		header []string
		status int
		detail string
	}{
		"as another job":              {request(map[string]any{"job_id": 78}), nil, 403, "The claim job_id of the ID token is not the job_id that was sent."},
		"for another pipeline":        {request(map[string]any{"pipeline_id": 1002}), nil, 403, "The claim pipeline_id of the ID token is not the pipeline_id that was sent."},
		"for another commit":          {request(map[string]any{"sha": "decaf"}), nil, 403, "The claim sha of the ID token is not the sha that was sent."},
		"without a job":               {request(map[string]any{"job_id": nil}), nil, 422, "body: expected required property job_id to be present"},
		"with a job that is a word":   {request(map[string]any{"job_id": "77"}), nil, 422, "body.job_id: expected integer"},
		"with half a job":             {request(map[string]any{"job_id": 77.5}), nil, 422, "body.job_id: expected integer"},
		"with nothing":                {"", nil, 400, "request body is required"},
		"with no JSON":                {"canary", nil, 400, "body: invalid character"},
		"with half a JSON":            {`{"job_id":`, nil, 400, "body: unexpected end of JSON input"},
		"with a list":                 {`[]`, nil, 422, "body: expected object"},
		"with a form":                 {"job_id=77", []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "body: unknown content type: application/x-www-form-urlencoded"},
		"with a key in two words":     {request(nil), []string{"Idempotency-Key", "a b"}, 422, "header.Idempotency-Key: expected string to be visible ASCII characters"},
		"with a key that is too long": {request(nil), []string{"Idempotency-Key", strings.Repeat("k", 256)}, 422, "header.Idempotency-Key: expected length <= 255"},
		"with too much":               {request(map[string]any{"job_name": strings.Repeat("x", 64<<10)}), nil, 413, "The body has 65536 bytes or more."},
		"with many faults": {`{"merge_request":{},"targets":[1,2,3,4,5]}`, nil, 422,
			"body.targets[4]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			p := refusal(t, r, r.send(t, http.MethodPost, "/api/v1/deliveries", idToken("good"), tc.body, tc.header...), tc.status)
			switch {
			case name == "with many faults":
				if strings.Count(p.Detail, ";") != 5 || !strings.HasSuffix(p.Detail, "; and more") {
					t.Errorf("got %q, want five faults and more", p.Detail)
				}
			case !strings.HasPrefix(p.Detail, tc.detail):
				t.Errorf("got %q, want %q", p.Detail, tc.detail)
			}
			if r.desk.asked != nil {
				t.Errorf("the desk was asked %+v", r.desk.asked)
			}
		})
	}
}

// TestABodyThatDoesNotComeIsNotAwaited needs a connection.
func TestABodyThatDoesNotComeIsNotAwaited(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		end    func(net.Conn) // after the head
		status int
	}{
		"it takes too long": {func(net.Conn) {}, 408},
		"it ends early":     {func(c net.Conn) { _ = c.(*net.TCPConn).CloseWrite() }, 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bodyTime := time.Minute
			if tc.status == 408 {
				bodyTime = 20 * time.Millisecond
			}
			r := newRig(t, func(o *api.Options) { *o = o.Pace(0, 0, 0, bodyTime) })
			server := httptest.NewServer(r.handler)
			defer server.Close()
			conn := dial(t, server)
			_, err := fmt.Fprintf(conn, "POST /api/v1/deliveries HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 100\r\n\r\n{", idToken("good"))
			if err != nil {
				t.Fatal(err)
			}
			tc.end(conn)
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			refusal(t, r, resp, tc.status)
			if !resp.Close {
				t.Error("the connection stays open")
			}
		})
	}
}

func dial(t *testing.T, server *httptest.Server) net.Conn {
	t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestAStrangersBodyIsNotRead(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for token, status := range map[string]int{"": 401, project: 403} {
		body := &touched{}
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/v1/deliveries", body)
		req.Header.Set("Authorization", "Bearer "+token)
		refusal(t, r, serve(r, req), status)
		if body.read {
			t.Errorf("with %q: the body was read", token)
		}
	}
}

// touched is a body that notes whether it was read.
type touched struct{ read bool }

func (b *touched) Read([]byte) (int, error) { b.read = true; return 0, io.EOF }

func TestOnlyTheJobThatAskedAndTheAdminSeeADelivery(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.desk.put(12, "running")
	r.desk.set(func(d *desk) {
		d.deliveries[13], d.owners[13] = trigger.Delivery{ID: 13, State: "done", Done: true}, api.Owner{Instance: instance, Project: "acme/app"} // a webhook's
		d.deliveries[14], d.owners[14] = trigger.Delivery{ID: 14, State: "done", Done: true}, api.Owner{Instance: instance, Project: "acme/app", Report: true}
		d.deliveries[15], d.owners[15] = trigger.Delivery{ID: 15, State: "done", Done: true}, api.Owner{Instance: instance, Project: "acme/other", Report: true}
	})
	const none = "/api/v1/deliveries/99"
	for _, accept := range []string{"application/json", "text/event-stream"} {
		for _, token := range []string{idToken("other"), idToken("lab"), idToken("good"), project, admin} {
			absent := content(t, r.send(t, http.MethodGet, none, token, "", "Accept", accept))
			for path, seen := range map[string]bool{
				"/api/v1/deliveries/12": token == admin || token == idToken("good"), "/api/v1/deliveries/13": token == admin,
				"/api/v1/deliveries/14": token == admin || token == project || token == idToken("good") || token == idToken("other"), "/api/v1/deliveries/15": token == admin,
			} {
				if seen && strings.HasSuffix(path, "12") && accept != "application/json" {
					continue // it would not end
				}
				resp := r.send(t, http.MethodGet, path, token, "", "Accept", accept)
				status, text := resp.StatusCode, content(t, resp)
				if seen && status != http.StatusOK || !seen && (status != http.StatusNotFound || text != absent) {
					t.Errorf("%s, %s, %.60s: got %d %s; want seen %v, else as one that does not exist: %s", path, accept, token, status, text, seen, absent)
				}
			}
		}
	}
	if !strings.Contains(r.logs.String(), "delivery 12 is of job 77") {
		t.Errorf("the log does not say why: %s", r.logs)
	}
}

func TestABuildSystemReports(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		token, body string
		key         string
		status      int
		location    string
		wantKey     string // empty: a random one
	}{
		"a job, and GitLab has taken it": {idToken("good"), reported, "k1", 200, "/api/v1/deliveries/13", "k1"},
		"a job, and GitLab has not yet":  {idToken("good"), strings.Replace(reported, "success", "pending", 1), "k1", 202, "/api/v1/deliveries/13", "k1"},
		"with a project token":           {project, reported, "k1", 200, "/api/v1/deliveries/13", "k1"},
		"without a key":                  {project, reported, "", 200, "/api/v1/deliveries/13", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			resp := r.send(t, http.MethodPost, "/api/v1/reports", tc.token, tc.body, "Idempotency-Key", tc.key)
			if got := decoded[trigger.Delivery](t, resp, tc.status); got.ID != 13 {
				t.Errorf("got %+v", got)
			}
			if l := resp.Header.Get("Location"); l != tc.location {
				t.Errorf("got Location %q, want %q", l, tc.location)
			}
			if r.desk.lastKey != tc.wantKey && (tc.wantKey != "" || len(r.desk.lastKey) < 20) {
				t.Errorf("got key %q, want %q", r.desk.lastKey, tc.wantKey)
			}
			who := r.desk.reporter
			if byJob := tc.token != project; byJob != (who.Job != nil) || !byJob && who.Caller.Scope.Path != "acme/app" || byJob && (who.Job.JobID != 77 || who.Caller.Kind != "") {
				t.Errorf("got reporter %+v", who)
			}
		})
	}
}

func TestTwoReportsWithoutKeyAreTwo(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	var keys []string
	for range 2 {
		_ = content(t, r.send(t, http.MethodPost, "/api/v1/reports", project, reported))
		keys = append(keys, r.desk.lastKey)
	}
	if keys[0] == keys[1] {
		t.Errorf("got the key %q twice", keys[0])
	}
}

func TestWhatIsNoReport(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		body   string
		status int
		detail string
	}{
		"a state that is none": {strings.Replace(reported, "success", "great", 1), 422, "body.state: expected value to be one of"},
		"without a name":       {`{"sha":"c0ffee","state":"success"}`, 422, "body: expected required property name to be present"},
		"a time that is none":  {strings.Replace(reported, "}", `,"at":"noon"}`, 1), 422, "body.at: expected string to be RFC 3339 date-time"},
		"a note of a megabyte": {strings.Replace(reported, "}", `,"note":"`+strings.Repeat("n", 1<<20)+`"}`, 1), 413, "The body has 1048576 bytes or more."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			if p := refusal(t, r, r.send(t, http.MethodPost, "/api/v1/reports", project, tc.body), tc.status); !strings.HasPrefix(p.Detail, tc.detail) {
				t.Errorf("got %q, want %q", p.Detail, tc.detail)
			}
		})
	}
}

func TestACallerThatHungUpIsNoFault(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r.desk.set(func(d *desk) { d.err = context.Canceled })
	req := httptest.NewRequestWithContext(ctx, http.MethodGet, "/api/v1/deliveries/12", nil)
	req.Header.Set("Authorization", "Bearer "+admin)
	_ = serve(r, req).Body.Close()
	if r.seen.last() != "GET /api/v1/deliveries/{id} 499" || r.logs.String() != "" {
		t.Errorf("observed %q, logged %q; want 499 and nothing", r.seen.last(), r.logs)
	}
}
