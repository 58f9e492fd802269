package api_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"gitlab.com/remora-ci/remora/agent/api"
	"gitlab.com/remora-ci/remora/agent/store/storetest"
	"gitlab.com/remora-ci/remora/component/trigger"
)

const reported = `{"project":"acme/app","sha":"c0ffee","name":"build","state":"success"}`

func TestWhoMayCallWhat(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t, storetest.SQLite(t))
	r := newRig(t, func(o *api.Options) { o.Store = s })
	r.desk.put(12, "done")
	for name, tc := range map[string]struct {
		method, path, body string
		// statuses by token: a job's, a project token, the admin's
		job, project, admin int
	}{
		"a job asks":                    {"POST", "/api/v1/deliveries", request(nil), 202, 403, 403},
		"a delivery is looked at":       {"GET", "/api/v1/deliveries/12", "", 200, 404, 200},
		"a build system reports":        {"POST", "/api/v1/reports", reported, 200, 200, 403},
		"events are listed":             {"GET", "/api/v1/events", "", 403, 403, 200},
		"an event is looked at":         {"GET", "/api/v1/events/1", "", 403, 403, 404},
		"an event is replayed":          {"POST", "/api/v1/events/1/replay", "", 403, 403, 404},
		"events are replayed":           {"POST", "/api/v1/events/replay?since=1h", "", 403, 403, 200},
		"the audit is read":             {"GET", "/api/v1/audit", "", 403, 403, 200},
		"the document is read as JSON":  {"GET", "/api/v1/openapi.json", "", 200, 200, 200},
		"the document is read as YAML":  {"GET", "/api/v1/openapi.yaml", "", 200, 200, 200},
		"a path that is none":           {"GET", "/api/v1/nothing", "", 404, 404, 404},
		"huma's own page of the API":    {"GET", "/docs", "", 404, 404, 404},
		"huma's schemas":                {"GET", "/schemas/Delivery.json", "", 404, 404, 404},
		"huma's document":               {"GET", "/openapi.json", "", 404, 404, 404},
		"the document in another guise": {"GET", "/api/v1/openapi-3.0.json", "", 404, 404, 404},
	} {
		known := tc.job != 404 || tc.admin != 404
		for token, want := range map[string]int{idToken("good"): tc.job, project: tc.project, admin: tc.admin, "": 401, "wrong-canary": 401, idToken("bad"): 401, "packit": 403} {
			if !known {
				want = 404
			}
			resp := r.send(t, tc.method, tc.path, token, tc.body)
			if resp.StatusCode != want {
				t.Errorf("%s with %.20s: got %d, want %d: %s", name, token, resp.StatusCode, want, content(t, resp))
				continue
			}
			if want >= 400 {
				refusal(t, r, resp, want)
			}
			_ = resp.Body.Close()
		}
	}
}

func TestATokenThatIsNotGoodIsToldInOneSentence(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		authorization []string
		status        int
		detail        string
		challenge     string
		log           string
	}{
		"none":                        {nil, 401, "Send a token as Authorization: Bearer.", `Bearer realm="remora"`, "no bearer token"},
		"two":                         {[]string{"Bearer " + admin, "Bearer " + admin}, 401, "Send a token as Authorization: Bearer.", `Bearer realm="remora"`, "or two"},
		"another scheme":              {[]string{"Basic " + admin}, 401, "Send a token as Authorization: Bearer.", `Bearer realm="remora"`, "no bearer token"},
		"a scheme alone":              {[]string{"Bearer "}, 401, "Send a token as Authorization: Bearer.", `Bearer realm="remora"`, "no bearer token"},
		"a word":                      {[]string{"Bearer canary"}, 401, "The bearer token is not good here.", `Bearer realm="remora", error="invalid_token"`, "none of ours, in full"},
		"words with dots":             {[]string{"Bearer canary.canary.canary"}, 401, "The bearer token is not good here.", `Bearer realm="remora", error="invalid_token"`, "none of ours, in full"},
		"two, the first an ID token":  {[]string{"Bearer " + idToken("good"), "Bearer " + admin}, 401, "Send a token as Authorization: Bearer.", `Bearer realm="remora"`, "or two"},
		"a JWT of ours":               {[]string{"Bearer eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJyZW1vcmEifQ.canary"}, 401, "The bearer token is not good here.", `Bearer realm="remora", error="invalid_token"`, "none of ours, in full"},
		"alg none is judged as ID":    {[]string{"Bearer eyJhbGciOiJub25lIn0." + strings.Split(idToken(""), ".")[1] + "."}, 401, "The claim aud of the ID token does not hold.", `Bearer realm="remora", error="invalid_token"`, "https://elsewhere"},
		"an ID token that fails":      {[]string{"Bearer " + idToken("bad")}, 401, "The claim aud of the ID token does not hold.", `Bearer realm="remora", error="invalid_token"`, "https://elsewhere"},
		"a refusal without sentence":  {[]string{"Bearer " + idToken("silent")}, 401, "The token is not good here.", `Bearer realm="remora", error="invalid_token"`, "no sentence for this"},
		"keys that cannot be read":    {[]string{"Bearer " + idToken("outage")}, 503, "Who calls cannot be told now; try again later.", "", "connection refused"},
		"an ID token for the admin's": {[]string{"Bearer " + idToken("good")}, 403, "This call takes the admin token, not the ID token of a CI job.", "", "of kind job"},
		"a token of a kind of yore":   {[]string{"Bearer packit"}, 403, "This call takes the admin token, not this token.", "", "of kind packit"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/events", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header["Authorization"] = tc.authorization
			resp := serve(r, req)
			p := refusal(t, r, resp, tc.status)
			if p.Detail != tc.detail || resp.Header.Get("WWW-Authenticate") != tc.challenge {
				t.Errorf("got %q, %q; want %q, %q", p.Detail, resp.Header.Get("WWW-Authenticate"), tc.detail, tc.challenge)
			}
			if (tc.status == 503) != (resp.Header.Get("Retry-After") != "") {
				t.Errorf("got Retry-After %q with %d", resp.Header.Get("Retry-After"), tc.status)
			}
			logged := r.logs.String()
			if strings.Count(logged, "\n") != 1 || !strings.Contains(logged, tc.log) || !strings.Contains(logged, `"client":"203.0.113.5"`) || !strings.Contains(logged, `"route":"GET /api/v1/events"`) {
				t.Errorf("got %q, want one line with %q, client and route", logged, tc.log)
			}
			if got, want := r.seen.last(), fmt.Sprint("GET /api/v1/events ", tc.status); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestOddPathsAndMethods(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		method, path string
		status       int
		allow        string
		observed     string
	}{
		"a path that is none":             {"GET", "/api/v1/nothing", 404, "", " 404"},
		"the start of all":                {"GET", "/api/v1/", 404, "", " 404"},
		"a slash too many is no redirect": {"POST", "/api/v1//deliveries", 404, "", " 404"},
		"a slash at the end":              {"GET", "/api/v1/events/", 404, "", " 404"},
		"a way up":                        {"GET", "/api/v1/events/../audit", 404, "", " 404"},
		"a way up, written out":           {"GET", "/api/v1/events/%2e%2e/audit", 404, "", " 404"},
		"the wrong method":                {"PUT", "/api/v1/events", 405, "GET", " 405"},
		"a list of deliveries":            {"GET", "/api/v1/deliveries", 405, "POST", " 405"},
		"deletion":                        {"DELETE", "/api/v1/events/12", 405, "GET", " 405"},
		"two methods":                     {"PATCH", "/api/v1/events/replay", 405, "GET, POST", " 405"},
		"another site asks":               {"OPTIONS", "/api/v1/events", 405, "GET", " 405"},
		"an id that is no number":         {"GET", "/api/v1/events/twelve", 422, "", "GET /api/v1/events/{id} 422"},
		"an id with a slash":              {"GET", "/api/v1/events/1%2F2", 422, "", "GET /api/v1/events/{id} 422"},
		"an id of nothing":                {"GET", "/api/v1/events/0", 422, "", "GET /api/v1/events/{id} 422"},
		"an id below nothing":             {"GET", "/api/v1/deliveries/-1", 422, "", "GET /api/v1/deliveries/{id} 422"},
		"an id beyond all":                {"GET", "/api/v1/events/9223372036854775808", 422, "", "GET /api/v1/events/{id} 422"},
		"a filter that is none":           {"GET", "/api/v1/events?projct=acme", 422, "", "GET /api/v1/events 422"},
		"a state that is none":            {"GET", "/api/v1/events?state=new", 422, "", "GET /api/v1/events 422"},
		"a limit too high":                {"GET", "/api/v1/events?limit=501", 422, "", "GET /api/v1/events 422"},
		"a limit of nothing":              {"GET", "/api/v1/audit?limit=0", 422, "", "GET /api/v1/audit 422"},
		"a cursor that is none":           {"GET", "/api/v1/events?cursor=abc", 422, "", "GET /api/v1/events 422"},
		"a time that is none":             {"GET", "/api/v1/audit?since=yesterday", 422, "", "GET /api/v1/audit 422"},
		"a replay of nothing chosen":      {"POST", "/api/v1/events/replay", 422, "", "POST /api/v1/events/replay 422"},
		"a replay since no time":          {"POST", "/api/v1/events/replay?since=x", 422, "", "POST /api/v1/events/replay 422"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			resp := r.send(t, tc.method, tc.path, admin, "")
			refusal(t, r, resp, tc.status)
			if got := resp.Header.Get("Allow"); got != tc.allow {
				t.Errorf("got Allow %q, want %q", got, tc.allow)
			}
			if got := r.seen.last(); got != tc.observed {
				t.Errorf("observed %q, want %q", got, tc.observed)
			}
		})
	}
}

func TestAHeadIsAnAnswerWithoutBody(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.desk.put(12, "running")
	resp := r.send(t, http.MethodHead, "/api/v1/deliveries/12", admin, "", "Accept", "text/event-stream")
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/json" {
		t.Errorf("got %d, %q; want no stream", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	_ = resp.Body.Close()
}

func TestAFaultOfOursIsNotTold(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(*desk)
		status int
		detail string
		log    string
	}{
		"the database is away": {func(d *desk) { d.err = errors.New("dial db.internal:5432: refused") }, 503, "The agent cannot do this now; try again later.", "db.internal"},
		"a refusal for a while": {func(d *desk) {
			d.err = &api.Refused{Status: 503, Title: "not now", Detail: "GitLab is away.", Log: "asked gitlab.internal"}
		}, 503, "GitLab is away.", "gitlab.internal"},
		"a refusal for good": {func(d *desk) {
			d.err = &api.Refused{Status: 403, Title: "not allowed", Detail: "No route.", Log: "in full"}
		}, 403, "No route.", "in full"},
		"a refusal without a log":  {func(d *desk) { d.err = &api.Refused{Status: 409, Title: "key in use", Detail: "Another job has it."} }, 409, "Another job has it.", "key in use: Another job has it."},
		"a refusal without status": {func(d *desk) { d.err = &api.Refused{Detail: "in the dark"} }, 503, "The agent cannot do this now; try again later.", "in the dark"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			r.desk.set(tc.change)
			resp := r.send(t, http.MethodPost, "/api/v1/deliveries", idToken("good"), request(nil))
			p := refusal(t, r, resp, tc.status)
			if p.Detail != tc.detail {
				t.Errorf("got %q, want %q", p.Detail, tc.detail)
			}
			if logged := r.logs.String(); strings.Count(logged, "\n") != 1 || !strings.Contains(logged, tc.log) || !strings.Contains(logged, "job 77") {
				t.Errorf("got %q, want one line with %q and the caller", logged, tc.log)
			}
			if (tc.status == 503) != (resp.Header.Get("Retry-After") != "") {
				t.Errorf("got Retry-After %q with %d", resp.Header.Get("Retry-After"), tc.status)
			}
		})
	}
}

func TestAHandlerThatBreaksDownEndsItsOwnCallOnly(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.desk.set(func(d *desk) { d.broken = true })
	resp := r.send(t, http.MethodPost, "/api/v1/deliveries", idToken("good"), request(nil))
	p := decoded[trigger.Problem](t, resp, http.StatusInternalServerError)
	if strings.Contains(p.Title+p.Detail, "canary") || !strings.Contains(r.logs.String(), "canary of a panic") || r.seen.last() != "POST /api/v1/deliveries 500" {
		t.Errorf("told %+v, logged %q, observed %q; want the cause in the log alone", p, r.logs, r.seen.last())
	}
	r.desk.set(func(d *desk) { d.broken = false })
	decoded[trigger.Delivery](t, r.send(t, http.MethodPost, "/api/v1/deliveries", idToken("good"), request(nil)), http.StatusAccepted)
}

func TestWhatIsNeededIsAsked(t *testing.T) {
	t.Parallel()
	_, err := api.New(api.Options{})
	if err == nil {
		t.Fatal("got no error")
	}
	for _, want := range []string{"desk", "verifier", "ID tokens", "store"} {
		if !strings.Contains(err.Error(), "no "+want) {
			t.Errorf("got %v, want it to name %s", err, want)
		}
	}
}
