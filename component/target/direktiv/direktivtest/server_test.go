package direktivtest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/component/target/direktiv/direktivtest"
)

const ns = "/api/v2/namespaces/demo"

// ask makes one request with the key as direktiv-token.
func ask(t *testing.T, srv *direktivtest.Server, method, path, body string) (code int, kind, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Direktiv-Token", "key")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header.Get("Content-Type"), string(raw)
}

func serve(t *testing.T, o direktivtest.Options) *direktivtest.Server {
	t.Helper()
	srv := direktivtest.NewServer(o)
	t.Cleanup(srv.Close)
	return srv
}

// Each row is a fact that was measured on a real server.
func TestAnswersAreThoseThatWereMeasured(t *testing.T) {
	t.Parallel()
	const (
		v07, v085, v0810, v0100, main = direktivtest.V07, direktivtest.V085, direktivtest.V0810, direktivtest.V0100, direktivtest.Main
		json, empty, plain            = "application/json", "", "text/plain; charset=utf-8"
	)
	for name, c := range map[string]struct {
		o            direktivtest.Options
		method, path string
		body         string
		code         int
		kind, want   string // content type, and what the body holds
	}{
		"unknown namespace":               {direktivtest.Options{Generation: v0810}, "POST", "/api/v2/namespaces/x/syncs", "", 404, json, `"code":"resource_not_found","message":"requested resource(namespace) is not found"`},
		"namespace without a mirror":      {direktivtest.Options{Generation: v0810, NoMirror: true}, "POST", ns + "/syncs", "", 404, json, `"code":"resource_not_found","message":"requested resource is not found"`},
		"old path on a new server":        {direktivtest.Options{Generation: v0810}, "POST", "/api/namespaces/demo/tree?op=sync-mirror", "", 404, json, `request_path_not_found`},
		"a doubled slash":                 {direktivtest.Options{Generation: v0100}, "POST", "//api/v2/namespaces/demo/syncs", "", 404, json, `request_path_not_found`},
		"a trailing slash":                {direktivtest.Options{Generation: v0810}, "POST", ns + "/syncs/", "", 200, json, `"status":"pending"`},
		"a body is ignored":               {direktivtest.Options{Generation: v0810}, "POST", ns + "/syncs", "{}", 200, json, `"endedAt":"0001-01-01T00:00:00Z"`},
		"no single sync":                  {direktivtest.Options{Generation: v0810}, "GET", ns + "/syncs/1", "", 404, json, `request_path_not_found`},
		"no sync yet":                     {direktivtest.Options{Generation: v0810}, "GET", ns + "/syncs", "", 200, json, `{"data":[]}`},
		"wrong method":                    {direktivtest.Options{Generation: v0100}, "DELETE", ns + "/syncs", "", 405, json, `request_method_not_allowed`},
		"wrong method on main":            {direktivtest.Options{Generation: main}, "DELETE", ns + "/syncs", "", 400, json, `request_method_not_allowed`},
		"wrong key on v0.8":               {direktivtest.Options{Generation: v0810, Key: "other"}, "POST", ns + "/syncs", "", 401, empty, ""},
		"wrong key on the legacy API":     {direktivtest.Options{Generation: v085, Key: "other"}, "GET", "/api/namespaces/demo/tree?op=mirror-info", "", 401, empty, ""},
		"any key on v0.10":                {direktivtest.Options{Generation: v0100, Key: "other"}, "GET", ns + "/syncs", "", 200, json, `[]`},
		"status needs no key":             {direktivtest.Options{Generation: v0810, Key: "other"}, "GET", "/api/v2/status", "", 200, json, `"isEnterprise":false`},
		"v0.8.5 has a version instead":    {direktivtest.Options{Generation: v085, Key: "key"}, "GET", "/api/v2/version", "", 200, json, `{"data":"dev2"}`},
		"v0.8.5 has no status":            {direktivtest.Options{Generation: v085}, "GET", "/api/v2/status", "", 404, json, `request_path_not_found`},
		"v0.7 has no v2":                  {direktivtest.Options{Generation: v07}, "POST", ns + "/syncs", "", 404, plain, "404 page not found"},
		"the start page":                  {direktivtest.Options{Generation: v0810, UI: true}, "GET", "/n/demo", "", 200, "text/html; charset=utf-8", "<title>Direktiv</title>"},
		"bad namespace name":              {direktivtest.Options{Generation: v0810}, "POST", "/api/v2/namespaces", `{"name":"A B"}`, 400, json, `invalid namespace name`},
		"name taken":                      {direktivtest.Options{Generation: v0810}, "POST", "/api/v2/namespaces", `{"name":"demo"}`, 400, json, `namespace name already used`},
		"bad mirror fields":               {direktivtest.Options{Generation: v0810}, "POST", "/api/v2/namespaces", `{"name":"x","mirror":{"authType":"ssh","url":"u"}}`, 400, json, `"validation":{"gitRef":"field is required","publicKey":"field is required"}`},
		"a token without one":             {direktivtest.Options{Generation: v0810}, "POST", "/api/v2/namespaces", `{"name":"x","mirror":{"authType":"token","url":"u","gitRef":"r"}}`, 200, json, `"authType":"public"`},
		"a body that is not JSON":         {direktivtest.Options{Generation: v0810}, "POST", "/api/v2/namespaces", `{`, 400, json, `request_body_not_json`},
		"a body of wrong types":           {direktivtest.Options{Generation: v0810}, "POST", "/api/v2/namespaces", `{"name":7}`, 400, json, `request_body_bad_json_schema`},
		"PATCH without a mirror":          {direktivtest.Options{Generation: v0100}, "PATCH", ns, `{}`, 200, empty, ""},
		"legacy trigger":                  {direktivtest.Options{Generation: v085}, "POST", "/api/namespaces/demo/tree/a/b?op=sync-mirror&force=true", "", 200, empty, ""},
		"legacy unknown namespace":        {direktivtest.Options{Generation: v085}, "POST", "/api/namespaces/x/tree?op=sync-mirror", "", 404, json, `{"code":404,"message":"ErrNotFound"}`},
		"legacy namespace without mirror": {direktivtest.Options{Generation: v07, NoMirror: true}, "GET", "/api/namespaces/demo/tree?op=mirror-info", "", 404, json, `{"code":404,"message":"ErrNotFound"}`},
		"legacy unknown op":               {direktivtest.Options{Generation: v085}, "POST", "/api/namespaces/demo/tree?op=dance", "", 405, empty, ""},
		"legacy logs are gone in v0.8.5":  {direktivtest.Options{Generation: v085}, "GET", "/api/namespaces/demo/activities/1/logs", "", 404, json, "request_path_not_found"},
		"no lines on v0.8":                {direktivtest.Options{Generation: v0810}, "GET", ns + "/logs?activity=x", "", 200, json, `{"data":[],"meta":{"previousPage":null,"startingFrom":null}}`},
		"no lines on v0.10":               {direktivtest.Options{Generation: v0100}, "GET", ns + "/logs?activity=x", "", 200, json, `{"data":[]}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, kind, text := ask(t, serve(t, c.o), c.method, c.path, c.body)
			if code != c.code || kind != c.kind || !strings.Contains(text, c.want) || (c.want == "" && text != "") {
				t.Errorf("%s %s = %d %q %s; want %d %q %s", c.method, c.path, code, kind, text, c.code, c.kind, c.want)
			}
		})
	}
}

func TestOneSyncRunsAtATimeExceptOnMain(t *testing.T) {
	t.Parallel()
	for g, want := range map[direktivtest.Generation]int{direktivtest.V0810: 500, direktivtest.V0100: 500, direktivtest.Main: 200} {
		srv := serve(t, direktivtest.Options{Generation: g, Polls: -1})
		ask(t, srv, "POST", ns+"/syncs", "")
		code, _, text := ask(t, srv, "POST", ns+"/syncs", "")
		if code != want || (want == 500) != strings.Contains(text, `"code":"internal","message":"internal server error"`) {
			t.Errorf("%s: second trigger = %d %s, want %d", g, code, text, want)
		}
	}
	srv := serve(t, direktivtest.Options{Generation: direktivtest.V085, Polls: -1})
	srv.Running(time.Now(), -1)
	if code, _, text := ask(t, srv, "POST", "/api/namespaces/demo/tree?op=sync-mirror", ""); code != 500 || !strings.Contains(text, `"code":500,"message":"a mirroring process is already being executed`) {
		t.Errorf("legacy second trigger = %d %s", code, text)
	}
}

func TestASyncGoesOnByReadsOrByRelease(t *testing.T) {
	t.Parallel()
	status := func(srv *direktivtest.Server) string {
		_, _, text := ask(t, srv, "GET", ns+"/syncs", "")
		var in struct {
			Data []struct{ Status, EndedAt string }
		}
		if err := json.Unmarshal([]byte(text), &in); err != nil {
			t.Fatal(err)
		}
		if ended := !strings.HasPrefix(in.Data[0].EndedAt, "0001-"); ended != (in.Data[0].Status != "executing") {
			t.Errorf("endedAt = %s while %s", in.Data[0].EndedAt, in.Data[0].Status)
		}
		return in.Data[0].Status
	}
	srv := serve(t, direktivtest.Options{Polls: 3})
	ask(t, srv, "POST", ns+"/syncs", "")
	if got := []string{status(srv), status(srv), status(srv)}; strings.Join(got, " ") != "executing executing complete" {
		t.Errorf("statuses = %q, want two reads that see it run", got)
	}
	held := serve(t, direktivtest.Options{Polls: -1})
	ask(t, held, "POST", ns+"/syncs", "")
	if got := status(held); got != "executing" {
		t.Errorf("status = %q before the release, want executing", got)
	}
	held.Release()
	if got := status(held); got != "complete" {
		t.Errorf("status = %q after the release, want complete", got)
	}
}

func TestPatchWithoutAMirrorDeletesTheMirror(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{}`, `{"mirror":null}`} {
		srv := serve(t, direktivtest.Options{})
		if ask(t, srv, "PATCH", ns, body); srv.Mirror("demo") != nil {
			t.Errorf("PATCH %s left the mirror", body)
		}
	}
	srv := serve(t, direktivtest.Options{})
	if ask(t, srv, "PATCH", ns, `{"mirror":{"gitRef":"x","authType":"token"}}`); srv.Mirror("demo").GitRef != "x" || srv.Mirror("demo").AuthType != "public" {
		t.Errorf("mirror = %+v, want the ref changed and authType kept", srv.Mirror("demo"))
	}
}

func TestTheRepositoryDecidesAsEachGenerationReadsIt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		g      direktivtest.Generation
		mirror direktivtest.Mirror
		want   string
	}{
		"a tag as ref":                  {direktivtest.V0810, direktivtest.Mirror{GitRef: "v1", AuthToken: "u:pw"}, "failed"},
		"a full name as ref":            {direktivtest.Main, direktivtest.Mirror{GitRef: "refs/heads/main", AuthType: "token", Passphrase: "u:pw"}, "failed"},
		"a bare token":                  {direktivtest.V0100, direktivtest.Mirror{GitRef: "main", AuthToken: "pw"}, "failed"},
		"user and token":                {direktivtest.V0100, direktivtest.Mirror{GitRef: "main", AuthToken: "u:pw"}, "complete"},
		"main reads another field":      {direktivtest.Main, direktivtest.Mirror{GitRef: "main", AuthType: "token", AuthToken: "u:pw"}, "failed"},
		"the field that main reads":     {direktivtest.Main, direktivtest.Mirror{GitRef: "main", AuthType: "token", Passphrase: "u:pw"}, "complete"},
		"public at creation, on main":   {direktivtest.Main, direktivtest.Mirror{GitRef: "main", AuthType: "public", Passphrase: "u:pw"}, "failed"},
		"the passphrase alone on v0.10": {direktivtest.V0100, direktivtest.Mirror{GitRef: "main", Passphrase: "u:pw"}, "complete"},
	} {
		srv := serve(t, direktivtest.Options{Generation: c.g, Mirror: &c.mirror, Refs: []string{"main"}, GitPassword: "pw"})
		ask(t, srv, "POST", ns+"/syncs", "")
		srv.Release()
		if got := srv.Syncs("demo")[0].Status; got != c.want {
			t.Errorf("%s: status = %q, want %q", name, got, c.want)
		}
	}
}
