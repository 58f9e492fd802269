package webhook_test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"gitlab.com/remora-ci/remora/agent/auth"
	"gitlab.com/remora-ci/remora/agent/webhook"
)

func TestEveryPathOfTheIssue(t *testing.T) {
	t.Parallel()
	for path, route := range map[string]string{
		"/hooks/gitlab":            "/hooks/gitlab",
		"/hooks/gitlab/":           "/hooks/gitlab",
		"//hooks/gitlab":           "/hooks/gitlab",
		"/integration/webhook":     "/integration/webhook",
		"/integration/hook/123":    "/integration/hook/{group}",
		"/integration/hook/acme/":  "/integration/hook/{group}",
		"/integration/system/hook": "/integration/system/hook",
		"/api/v1/webhooks/gitlab":  "/api/v1/webhooks/gitlab",
		"/api/webhooks/gitlab":     "/api/webhooks/gitlab",
		"/":                        "",
		"/hooks":                   "",
		"/hooks/gitlab/x":          "",
		"/hooks/../hooks/gitlab":   "",
		"/HOOKS/GITLAB":            "",
		"/integration/hook/":       "",
		"/integration/hook/a/b":    "",
		"/api/webhooks/github":     "",
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			h := newHook(t, webhook.Options{})
			r := request(pushBody)
			r.URL.Path = path
			w := h.do(r)
			want := http.StatusAccepted
			if route == "" {
				want = http.StatusNotFound
			}
			if w.Code != want || h.observed()[0].Route != route || len(h.store.all()) == 1 != (route != "") {
				t.Errorf("got status %d, route %q, %d events, want %d, %q", w.Code, h.observed()[0].Route, len(h.store.all()), want, route)
			}
		})
	}
}

func TestAnEventIsStoredAsItCame(t *testing.T) {
	t.Parallel()
	h := newHook(t, webhook.Options{})
	body := push(t)
	trace := "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	w := h.do(request(body, "Idempotency-Key", "key-1", "X-Gitlab-Event", "Push Hook", "X-Gitlab-Instance", "https://gitlab.example.com", "Traceparent", trace))
	if got := replyOf(t, w.Body); w.Code != http.StatusAccepted || got.Event != 1 || got.Duplicate {
		t.Errorf("got %d %+v, want 202 and event 1", w.Code, got)
	}
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("got content type %q", got)
	}
	e := h.store.all()[0]
	if string(e.Body) != body {
		t.Error("the body was changed on the way")
	}
	e.Body = nil
	if e.ReceivedAt.IsZero() {
		t.Error("no time")
	}
	if e.IdempotencyKey != "key-1" || e.Kind != "push" || e.Project != "acme/app" || e.ProjectID != 42 || e.Ref != "main" || e.SHA != sha ||
		e.Instance != "https://gitlab.example.com" || e.State != "received" || e.Reason != "" || e.TraceParent != trace {
		t.Errorf("got %+v", e)
	}
	if o := h.observed(); len(o) != 1 || o[0].Outcome != webhook.OutcomeStored || o[0].Kind != "push" || o[0].Bytes != len(body) || o[0].Status != 202 {
		t.Errorf("got %+v, want one observation", o)
	}
}

// bad input: one short JSON answer, one line, one count, nothing stored, and no
// secret anywhere.
func TestBadInput(t *testing.T) {
	t.Parallel()
	method := func(m string) *http.Request { r := request(pushBody); r.Method = m; return r }
	path := func(p string) *http.Request { r := request(pushBody); r.URL.Path = p; return r }
	unknownLength := func(body string) *http.Request { r := request(body); r.ContentLength = -1; return r }
	claimed := func(n int64) *http.Request { r := request(pushBody); r.ContentLength = n; return r }
	for name, tc := range map[string]struct {
		r       *http.Request
		status  int
		outcome string
		refusal auth.Code
	}{
		"no secret":                              {request(pushBody, "X-Gitlab-Token", ""), 401, webhook.OutcomeRefused, auth.CodeMissing},
		"a wrong secret":                         {request(pushBody, "X-Gitlab-Token", "canary-0123456789"), 401, webhook.OutcomeRefused, auth.CodeSecret},
		"a wrong signature beside a good secret": {request(pushBody, "Webhook-Signature", "v1,canary"), 401, webhook.OutcomeRefused, auth.CodeSignature},
		"a wrong secret is told before bad JSON": {request("{", "X-Gitlab-Token", "canary-0123456789"), 401, webhook.OutcomeRefused, auth.CodeSecret},
		"an unknown path":                        {path("/canary-is-fine-here"), 404, webhook.OutcomeNoPath, ""},
		"GET":                                    {method("GET"), 405, webhook.OutcomeNoMethod, ""},
		"HEAD":                                   {method("HEAD"), 405, webhook.OutcomeNoMethod, ""},
		"PUT":                                    {method("PUT"), 405, webhook.OutcomeNoMethod, ""},
		"W22 27 MB, as it says":                  {claimed(27 << 20), 413, webhook.OutcomeOversize, ""},
		"W22 27 MB, which it does not say":       {unknownLength(strings.Repeat(" ", 27<<20)), 413, webhook.OutcomeOversize, ""},
		"no body":                                {request(""), 400, webhook.OutcomeMalformed, ""},
		"W22 no JSON":                            {request("payload=%7B%7D"), 400, webhook.OutcomeMalformed, ""},
		"half of JSON":                           {request(pushBody[:len(pushBody)-1]), 400, webhook.OutcomeMalformed, ""},
		"a list":                                 {request("[" + pushBody + "]"), 400, webhook.OutcomeMalformed, ""},
		"a body shorter than it says":            {claimed(int64(len(pushBody) + 1)), 400, webhook.OutcomeBroken, ""},
		"a body shorter than it says, none at all": {func() *http.Request { r := request(""); r.ContentLength = 5; return r }(), 400, webhook.OutcomeBroken, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHook(t, webhook.Options{})
			w := h.do(tc.r)
			if w.Code != tc.status {
				t.Errorf("got status %d, want %d", w.Code, tc.status)
			}
			answer := w.Body.String()
			if tc.r.Method == http.MethodHead {
				if answer != "" {
					t.Errorf("got a body for HEAD: %q", answer)
				}
			} else if r := replyOf(t, strings.NewReader(answer)); r.Error == "" || len(answer) > 200 {
				t.Errorf("got %q, want a short error", answer)
			}
			if allow := w.Header().Get("Allow"); (tc.status == 405) != (allow == "POST") {
				t.Errorf("got Allow %q", allow)
			}
			if o := h.observed(); len(o) != 1 || o[0].Outcome != tc.outcome || o[0].Refusal != string(tc.refusal) || o[0].Status != tc.status {
				t.Errorf("got %+v, want one %s %s", o, tc.outcome, tc.refusal)
			}
			log := h.logs.String()
			if strings.Count(log, "\n") != 1 || !strings.Contains(log, `"level":"warn"`) || !strings.Contains(log, `"reason":"`) {
				t.Errorf("got log %q, want one line with a reason", log)
			}
			if strings.Contains(answer+log, "canary-0") || strings.Contains(answer+log, secret) || strings.Contains(answer+log, "v1,canary") {
				t.Errorf("a secret came out: %s %s", answer, log)
			}
			if n := len(h.store.all()); n != 0 {
				t.Errorf("%d events were stored", n)
			}
		})
	}
}

func TestAForbiddenAddress(t *testing.T) {
	t.Parallel()
	v, err := auth.New(auth.Config{Secrets: secret, Allow: "198.51.100.0/24"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	store := &memory{}
	webhook.New(store, v, webhook.Options{}).ServeHTTP(w, request(pushBody)) // from 192.0.2.1
	if w.Code != http.StatusForbidden || len(store.all()) != 0 {
		t.Errorf("got %d and %d events, want 403 and none", w.Code, len(store.all()))
	}
	r := request(pushBody)
	r.RemoteAddr = "198.51.100.7:1234"
	w = httptest.NewRecorder()
	if webhook.New(store, v, webhook.Options{}).ServeHTTP(w, r); w.Code != http.StatusAccepted {
		t.Errorf("got %d, want 202", w.Code)
	}
}

func TestUnknownKindsAreStored(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ body, kind, label, reason string }{
		"W22 a kind of next year": {`{"object_kind":"teleport"}`, "teleport", "other", ""},
		"a ping":                  {`{"zen":"Keep it simple"}`, webhook.Unknown, webhook.Unknown, "neither object_kind nor event_name"},
		"an empty object":         {`{}`, webhook.Unknown, webhook.Unknown, "neither object_kind nor event_name"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHook(t, webhook.Options{})
			if w := h.do(request(tc.body)); w.Code != http.StatusAccepted {
				t.Fatalf("got %d, want 202", w.Code)
			}
			e, o := h.store.all()[0], h.observed()[0]
			if e.Kind != tc.kind || o.Kind != tc.label || !strings.Contains(e.Reason, tc.reason) || (e.Reason == "") != (tc.reason == "") {
				t.Errorf("got kind %q, label %q, reason %q", e.Kind, o.Kind, e.Reason)
			}
		})
	}
}

func TestAForeignInstanceIsMarked(t *testing.T) {
	t.Parallel()
	body := func(url string) string {
		return `{"object_kind":"push","project":{"id":1,"path_with_namespace":"a/b","web_url":"` + url + `/a/b"}}`
	}
	for name, tc := range map[string]struct {
		configured     []string
		header, body   string
		want           string
		wantMarked     bool
		wantConfigured bool
	}{
		"the configured one":               {[]string{"https://gitlab.example.com/"}, "https://gitlab.example.com", body("https://gitlab.example.com"), "https://gitlab.example.com", false, true},
		"it names itself http":             {[]string{"https://gitlab.example.com"}, "http://gitlab.example.com", body("http://gitlab.example.com"), "https://gitlab.example.com", false, true},
		"below a path":                     {[]string{"https://example.com/gitlab"}, "https://example.com", body("https://example.com/gitlab"), "https://example.com/gitlab", false, true},
		"one of two":                       {[]string{"https://one.example", "https://two.example"}, "https://two.example", body("https://two.example"), "https://two.example", false, true},
		"no instance named, one known":     {[]string{"https://gitlab.example.com"}, "", `{"event_name":"user_create"}`, "https://gitlab.example.com", false, true},
		"no instance named, two known":     {[]string{"https://one.example", "https://two.example"}, "", `{"event_name":"user_create"}`, "", false, false},
		"another in header and body":       {[]string{"https://gitlab.example.com"}, "https://evil.example", body("https://evil.example"), "https://evil.example", true, false},
		"another in the body alone":        {[]string{"https://gitlab.example.com"}, "https://gitlab.example.com", body("https://evil.example"), "https://evil.example", true, false},
		"another in the header alone":      {[]string{"https://gitlab.example.com"}, "https://evil.example", body("https://gitlab.example.com"), "https://evil.example", true, false},
		"another port":                     {[]string{"https://gitlab.example.com"}, "", body("https://gitlab.example.com:8443"), "https://gitlab.example.com:8443", true, false},
		"a name that ends the same":        {[]string{"https://gitlab.example.com"}, "", body("https://xgitlab.example.com"), "https://xgitlab.example.com", true, false},
		"something that is no URL":         {[]string{"https://gitlab.example.com"}, "nonsense", body("https://gitlab.example.com"), webhook.Unreadable, true, false},
		"none is configured, so all are":   {[]string{}, "", body("https://gitlab.example.com"), "https://gitlab.example.com", true, false},
		"what is configured is unreadable": {[]string{"gitlab.example.com"}, "nonsense", body("https://gitlab.example.com"), webhook.Unreadable, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHook(t, webhook.Options{Instances: tc.configured})
			if w := h.do(request(tc.body, "X-Gitlab-Instance", tc.header)); w.Code != http.StatusAccepted {
				t.Fatalf("got %d, want it stored", w.Code)
			}
			e := h.store.all()[0]
			if e.Instance != tc.want || strings.Contains(e.Reason, "is not configured") != tc.wantMarked {
				t.Errorf("got instance %q, reason %q, want %q, marked %v", e.Instance, e.Reason, tc.want, tc.wantMarked)
			}
			for _, c := range tc.configured {
				if !tc.wantConfigured && e.Instance == c {
					t.Error("a foreign event passes for a configured instance")
				}
			}
			if tc.wantMarked != strings.Contains(h.logs.String(), `"level":"warn"`) {
				t.Errorf("got log %q", h.logs.String())
			}
		})
	}
}

func TestATokenIsGoodForItsPathAlone(t *testing.T) {
	t.Parallel()
	body := func(path string) string {
		return `{"object_kind":"push","project_id":42,"project":{"id":42,"path_with_namespace":"` + path + `"}}`
	}
	app := auth.Grant{Path: "Acme/App"}
	group := auth.Grant{Path: "acme", Group: true}
	for name, tc := range map[string]struct {
		grant auth.Grant
		body  string
		ok    bool
	}{
		"its project":                             {app, body("acme/app"), true},
		"another":                                 {app, body("acme/other"), false},
		"no project at all":                       {app, `{"object_kind":"push"}`, false},
		"a project by its number alone":           {app, `{"object_kind":"push","project_id":42}`, false},
		"its project, and another by a second":    {app, `{"object_kind":"push","project":{"path_with_namespace":"b/b"},"project":{"path_with_namespace":"acme/app"}}`, false},
		"its project, and another in capitals":    {app, `{"object_kind":"push","project":{"path_with_namespace":"acme/app"},"PROJECT":{"path_with_namespace":"b/b"}}`, false},
		"its project, and another's request":      {app, `{"object_kind":"merge_request","project":{"path_with_namespace":"acme/app"},"object_attributes":{"target":{"path_with_namespace":"b/b"}}}`, false},
		"another's request in other letters":      {app, `{"object_kind":"merge_request","path_with_namespace":"acme/app","Object_Attributes":{"Target":{"PATH_with_namespace":"b/b"}},"object_attributes":{}}`, false},
		"from a fork, as GitLab writes it":        {app, `{"object_kind":"merge_request","project":{"id":42,"path_with_namespace":"acme/app"},"object_attributes":{"source_project_id":7,"source":{"id":7,"path_with_namespace":"b/b"},"target":{"id":42,"path_with_namespace":"acme/app"}}}`, true},
		"from a fork of what has no number":       {app, `{"object_kind":"merge_request","project":{"path_with_namespace":"acme/app"},"object_attributes":{"source_project_id":7,"Source":{"id":7,"path_with_namespace":"b/b"}}}`, false},
		"from a fork of what has an odd number":   {app, `{"object_kind":"merge_request","project":{"id":"042","path_with_namespace":"acme/app"},"object_attributes":{"source_project_id":7,"source":{"id":7,"path_with_namespace":"b/b"}}}`, false},
		"a project token, a group's event":        {app, `{"event_name":"user_add_to_group","group_id":5}`, false},
		"a group token, a project of it":          {group, body("acme/app"), true},
		"a group token, a subgroup's project":     {group, body("acme/sub/app"), false},
		"subgroups too":                           {auth.Grant{Path: "acme", Group: true, Subgroups: true}, body("acme/sub/app"), true},
		"a group token, the group's event":        {group, `{"event_name":"user_add_to_group","group_id":5,"group_path":"acme"}`, true},
		"a group token, an event of the instance": {group, `{"event_name":"user_create","user_id":5}`, false},
		"a group's event that has a project too":  {group, `{"event_name":"x","group_id":5,"project":{"path_with_namespace":"b/b"}}`, false},
		"a group's event with a project's number": {group, `{"event_name":"x","group_id":5,"project_id":42}`, false},
		"a group's event with a hidden project":   {group, `{"event_name":"x","group_id":5,"Project":{"path_with_namespace":"b/b"}}`, false},
		"a path that climbs":                      {auth.Grant{Path: "acme", Group: true, Subgroups: true}, body("acme/../b/b"), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHook(t, webhook.Options{})
			token := projectToken(t, tc.grant)
			w := h.do(request(tc.body, "X-Gitlab-Token", token))
			if tc.ok {
				if w.Code != http.StatusAccepted {
					t.Fatalf("got %d %s, want 202: %s", w.Code, w.Body, h.logs)
				}
				if id := h.store.all()[0].ProjectID; id != 0 {
					t.Errorf("got project id %d: a token proves no number", id)
				}
				return
			}
			if w.Code != http.StatusUnauthorized || len(h.store.all()) != 0 || h.observed()[0].Refusal != string(auth.CodeScope) {
				t.Errorf("got %d, %+v, want 401 for the scope", w.Code, h.observed())
			}
			if strings.Contains(h.logs.String()+w.Body.String(), token) {
				t.Error("the token came out")
			}
		})
	}
}

func TestAnOddTraceContextIsDropped(t *testing.T) {
	t.Parallel()
	for i, text := range []string{"", "00-x", strings.Repeat("a", 55), "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0\""} {
		h := newHook(t, webhook.Options{})
		h.do(request(pushBody, "Traceparent", text, "Idempotency-Key", strconv.Itoa(i)))
		if got := h.store.all()[0].TraceParent; got != "" {
			t.Errorf("got %q of %q", got, text)
		}
	}
}
