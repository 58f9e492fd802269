package gitlabtest_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

const signing = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

// keeper is a scene whose bot may keep all hooks: an administrator, and Owner of
// acme, which the project lies in.
func keeper(t *testing.T, version string) (*gitlabtest.Server, gitlabtest.Scene) {
	t.Helper()
	s := gitlabtest.New(t)
	sc := s.Populate()
	s.SetVersion(version)
	s.AddGroup(gitlabtest.Group{ID: 7, Path: "acme"})
	s.AddGroupMember(7, sc.Bot.ID, gitlabtest.Owner)
	s.SetAdmin(sc.Bot.ID)
	return s, sc
}

var bases = map[string]gitlabtest.HookOf{"/projects/42/hooks": {Project: 42}, "/groups/7/hooks": {Group: 7}, "/groups/acme/hooks": {Group: 7}, "/hooks": {}}

func TestAHookIsKeptAsStrictlyAsGitLabDoes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, body string
		code       int
		want       string
	}{
		{"with a URL alone, pushes are sent", `{"url":"https://x.example.com/"}`, 201, `"push_events":true`},
		{"without a URL", `{"push_events":true}`, 400, "url is missing"},
		{"with a URL that is none", `{"url":"x.example.com"}`, 422, "Invalid url given"},
		{"with a name of a parameter that nobody knows", `{"url":"https://x.example.com","push":true}`, 400, "push is invalid"},
		{"with a flag that is no flag", `{"url":"https://x.example.com","push_events":"maybe"}`, 400, "push_events is invalid"},
		{"with a token of two lines", `{"url":"https://x.example.com","token":"a\nb"}`, 422, "token"},
		{"with a signing token of another form", `{"url":"https://x.example.com","signing_token":"s3cret"}`, 422, "32-byte key"},
		{"with a signing token that is too short", `{"url":"https://x.example.com","signing_token":"whsec_AAEC"}`, 422, "32-byte key"},
		{"its secrets are not shown", `{"url":"https://x.example.com","token":"s3cret","signing_token":"` + signing + `"}`, 201, `"signing_token_present":true,`},
	} {
		for base, of := range bases {
			s, sc := keeper(t, "19.1.0-ee")
			got := ask(t, s, sc.Token, "POST", base, tt.body)
			check(t, got, tt.code, tt.want)
			if strings.Contains(got.body, "s3cret") || strings.Contains(got.body, "whsec_AAECAwQ") {
				t.Errorf("%s: %s: got %s, want no secret in it", base, tt.name, got.body)
			}
			if made := len(s.Hooks(of)); (made == 1) != (tt.code == 201) {
				t.Errorf("%s: %s: got %d hooks", base, tt.name, made)
			}
		}
	}
}

func TestFlagsOfOtherHooksAreRefused(t *testing.T) {
	t.Parallel()
	s, sc := keeper(t, "19.1.0-ee")
	for base, flag := range map[string]string{
		"/projects/42/hooks": "member_events", "/groups/7/hooks": "repository_update_events", "/hooks": "note_events",
	} {
		check(t, ask(t, s, sc.Token, "POST", base, `{"url":"https://x.example.com","`+flag+`":true}`), 400, flag+" is invalid")
	}
}

func TestWhoMayKeepHooks(t *testing.T) {
	t.Parallel()
	s, _ := keeper(t, "19.1.0-ee")
	token := func(project, group gitlabtest.Level) string {
		name := fmt.Sprintf("glpat-%d-%d", project, group)
		u := s.AddUser(gitlabtest.User{}, name)
		s.AddMember(42, u.ID, project)
		s.AddGroupMember(7, u.ID, group)
		return name
	}
	maintainer, developer, owner, high := token(gitlabtest.Maintainer, 0), token(gitlabtest.Developer, 0), token(0, gitlabtest.Owner), token(0, gitlabtest.Maintainer)
	for _, tt := range []struct {
		name, token, base string
		code              int
		want              string
	}{
		{"a maintainer of the project", maintainer, "/projects/42/hooks", 200, "[]"},
		{"a developer of the project", developer, "/projects/42/hooks", 403, "403 Forbidden"},
		{"a maintainer by the group", high, "/projects/42/hooks", 200, "[]"},
		{"a maintainer of the group", high, "/groups/7/hooks", 403, "403 Forbidden"},
		{"an Owner of the group", owner, "/groups/7/hooks", 200, "[]"},
		{"a stranger to the group", maintainer, "/groups/7/hooks", 404, "404 Group Not Found"},
		{"no administrator", owner, "/hooks", 403, "403 Forbidden"},
		{"nobody", "", "/projects/42/hooks", 404, "404"},
		{"nobody, of the instance", "", "/hooks", 401, "401"},
	} {
		t.Log(tt.name)
		check(t, ask(t, s, tt.token, "GET", tt.base, ""), tt.code, tt.want)
	}
}

func TestHooksAreLimited(t *testing.T) {
	t.Parallel()
	s, sc := keeper(t, "19.1.0-ee")
	for base, most := range map[string]int{"/projects/42/hooks": 100, "/groups/7/hooks": 50} {
		for range most {
			s.AddHook(gitlabtest.Hook{Of: bases[base], URL: "https://x.example.com"})
		}
		check(t, ask(t, s, sc.Token, "POST", base, `{"url":"https://x.example.com"}`), 422, "hooks ("+strconv.Itoa(most)+") exceeded")
	}
	s.LimitHooks(101, 50)
	check(t, ask(t, s, sc.Token, "POST", "/projects/42/hooks", `{"url":"https://x.example.com"}`), 201, "")
}

func TestANewURLDropsTheSecretsThatDoNotComeWithIt(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ body, token, signing string }{
		{`{"url":"https://x.example.com"}`, "s3cret", signing},
		{`{"url":"https://y.example.com"}`, "", ""},
		{`{"url":"https://y.example.com","token":"new"}`, "new", ""},
		{`{"url":"https://y.example.com","token":"s3cret","signing_token":"` + signing + `"}`, "s3cret", signing},
		{`{"url":"https://x.example.com","token":"","signing_token":""}`, "", ""},
	} {
		s, sc := keeper(t, "19.1.0-ee")
		h := s.AddHook(gitlabtest.Hook{Of: gitlabtest.HookOf{Project: 42}, URL: "https://x.example.com", Token: "s3cret", SigningToken: signing})
		check(t, ask(t, s, sc.Token, "PUT", fmt.Sprintf("/projects/42/hooks/%d", h.ID), tt.body), 200, "")
		if got := s.Hooks(gitlabtest.HookOf{Project: 42})[0]; got.Token != tt.token || got.SigningToken != tt.signing {
			t.Errorf("%s: got %q and %q, want %q and %q", tt.body, got.Token, got.SigningToken, tt.token, tt.signing)
		}
	}
}

func TestAHookIsFoundWhereItLiesOnly(t *testing.T) {
	t.Parallel()
	s, sc := keeper(t, "19.1.0-ee")
	h := s.AddHook(gitlabtest.Hook{Of: gitlabtest.HookOf{Group: 7}, URL: "https://x.example.com"})
	at := func(base string) string { return fmt.Sprintf("%s/%d", base, h.ID) }
	check(t, ask(t, s, sc.Token, "GET", at("/groups/7/hooks"), ""), 200, `"alert_status":"executable"`)
	for _, base := range []string{"/projects/42/hooks", "/hooks"} {
		check(t, ask(t, s, sc.Token, "DELETE", at(base), ""), 404, "404 Not found")
	}
	check(t, ask(t, s, sc.Token, "PUT", "/groups/7/hooks/7x", `{"url":"https://x.example.com"}`), 400, "hook_id is invalid")
	check(t, ask(t, s, sc.Token, "DELETE", at("/groups/7/hooks"), ""), 204, "")
	check(t, ask(t, s, sc.Token, "DELETE", at("/groups/7/hooks"), ""), 404, "404 Not found")
}

func TestEditionsAndVersions(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name          string
		edition       gitlabtest.Edition
		version       string
		method, path  string
		body          string
		code          int
		want, without string
	}{
		{"the Community Edition has no group hooks", gitlabtest.Community, "19.1.0", "GET", "/groups/7/hooks", "", 404, `{"error":"404 Not Found"}`, ""},
		{"without a licence group hooks are taken", gitlabtest.Free, "19.1.0-ee", "POST", "/groups/7/hooks", `{"url":"https://x.example.com"}`, 201, "", ""},
		{"before 19.0 a signing token is dropped", gitlabtest.Premium, "18.11.2-ee", "POST", "/projects/42/hooks", `{"url":"https://x.example.com","signing_token":"` + signing + `"}`, 201, `"url"`, "_present"},
		{"before 17.1 a name is dropped", gitlabtest.Premium, "17.0.9", "POST", "/projects/42/hooks", `{"url":"https://x.example.com","name":"Remora"}`, 201, `"url"`, "name"},
		{"before 18.2 there are no milestones", gitlabtest.Premium, "18.1.0", "POST", "/projects/42/hooks", `{"url":"https://x.example.com","milestone_events":true}`, 201, `"url"`, "milestone"},
		{"the Community Edition knows no vulnerabilities", gitlabtest.Community, "19.1.0", "POST", "/projects/42/hooks", `{"url":"https://x.example.com","vulnerability_events":true}`, 201, `"url"`, "vulnerability"},
		{"before 16.11 no hook is tested", gitlabtest.Premium, "16.10.4", "POST", "/projects/42/hooks/99/test/push_events", "", 404, `{"error":"404 Not Found"}`, ""},
		{"before 17.1 no group hook is tested", gitlabtest.Premium, "17.0.0", "POST", "/groups/7/hooks/99/test/push_events", "", 404, `{"error":"404 Not Found"}`, ""},
		{"before 17.3 no calls are told", gitlabtest.Premium, "17.2.0", "GET", "/projects/42/hooks/99/events", "", 404, `{"error":"404 Not Found"}`, ""},
		{"before 17.4 nothing is sent again", gitlabtest.Premium, "17.3.1", "POST", "/projects/42/hooks/99/events/1/resend", "", 404, `{"error":"404 Not Found"}`, ""},
		{"the version is told", gitlabtest.Community, "17.3.1", "GET", "/metadata", "", 200, `"enterprise":false,"revision":"c0ffee12","version":"17.3.1"`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, sc := keeper(t, tt.version)
			s.SetEdition(tt.edition)
			got := ask(t, s, sc.Token, tt.method, tt.path, tt.body)
			check(t, got, tt.code, tt.want)
			if tt.without != "" && strings.Contains(got.body, tt.without) {
				t.Errorf("got %s, want no %s in it", got.body, tt.without)
			}
		})
	}
}

// clock is a clock that stands still until it is moved.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func TestAHookThatFailsIsDisabled(t *testing.T) {
	t.Parallel()
	s, _ := keeper(t, "19.1.0-ee")
	now := &clock{time.Date(2026, 11, 20, 14, 0, 0, 0, time.UTC)}
	s.HookClock(now.now)
	h := s.AddHook(gitlabtest.Hook{Of: gitlabtest.HookOf{Project: 42}, URL: "http://127.0.0.1:1", Events: []string{"push_events"}})
	status := func(when, want string) {
		t.Helper()
		if got := s.AlertStatus(h.ID); got != want {
			t.Fatalf("%s: got %s, want %s", when, got, want)
		}
	}
	fire := func(want int) {
		t.Helper()
		if made := s.Fire(42, "Push Hook", []byte(`{}`)); len(made) != want {
			t.Fatalf("got %d calls, want %d", len(made), want)
		}
	}
	for range 3 {
		fire(1)
	}
	status("after three failures", "executable")
	for n, pause := 4, time.Minute; n < 40; n, pause = n+1, min(2*pause, 24*time.Hour) {
		fire(1)
		status(fmt.Sprintf("after %d failures", n), "temporarily_disabled")
		fire(0)
		now.at = now.at.Add(pause)
		status("at the end of the pause", "temporarily_disabled")
		now.at = now.at.Add(time.Second)
		status("after the pause", "executable")
	}
	fire(1)
	status("after forty failures", "disabled")
	now.at = now.at.Add(1000 * time.Hour)
	status("for good", "disabled")
	s.DisableHooks(false)
	status("where none is disabled", "executable")
}

func TestASuccessBringsAHookBack(t *testing.T) {
	t.Parallel()
	s, sc := keeper(t, "19.1.0-ee")
	good, seen := listen(t, 200)
	for name, h := range map[string]gitlabtest.Hook{"for a while": {Failures: 5, DisabledUntil: time.Now().Add(time.Hour)}, "for good": {Failures: 40}} {
		h.Of, h.URL, h.Events = gitlabtest.HookOf{Project: 42}, good, []string{"push_events"}
		h = s.AddHook(h)
		check(t, ask(t, s, sc.Token, "POST", fmt.Sprintf("/projects/42/hooks/%d/test/note_events", h.ID), ""), 201, "201 Created")
		if got := s.AlertStatus(h.ID); got != "executable" {
			t.Errorf("disabled %s: got %s after a good test, want executable", name, got)
		}
		r := <-seen
		if r.header.Get("X-Gitlab-Event") != "Note Hook" || !strings.Contains(r.body, `"object_kind":"note"`) {
			t.Errorf("got %v and %s, want the example of a note", r.header, r.body)
		}
	}
	bad, _ := listen(t, 500)
	h := s.AddHook(gitlabtest.Hook{Of: gitlabtest.HookOf{Project: 42}, URL: bad, Failures: 40})
	check(t, ask(t, s, sc.Token, "POST", fmt.Sprintf("/projects/42/hooks/%d/test/push_events", h.ID), ""), 422, "heard")
	if got := s.AlertStatus(h.ID); got != "disabled" {
		t.Errorf("got %s after a bad test, want disabled", got)
	}
}

func TestWhatCannotBeTested(t *testing.T) {
	t.Parallel()
	s, sc := keeper(t, "19.1.0-ee")
	s.AddProject(gitlabtest.Project{ID: 43, Path: "acme/empty"})
	h := s.AddHook(gitlabtest.Hook{Of: gitlabtest.HookOf{Project: 43}, URL: "http://127.0.0.1:1"})
	g := s.AddHook(gitlabtest.Hook{Of: gitlabtest.HookOf{Group: 7}, URL: "http://127.0.0.1:1"})
	check(t, ask(t, s, sc.Token, "POST", fmt.Sprintf("/projects/43/hooks/%d/test/push_events", h.ID), ""), 422, "at least one commit")
	check(t, ask(t, s, sc.Token, "POST", fmt.Sprintf("/projects/43/hooks/%d/test/note_events", h.ID), ""), 422, "refused")
	check(t, ask(t, s, sc.Token, "POST", fmt.Sprintf("/groups/7/hooks/%d/test/member_events", g.ID), ""), 400, "trigger does not have a valid value")
	check(t, ask(t, s, sc.Token, "POST", fmt.Sprintf("/groups/7/hooks/%d/test/push_events", g.ID), ""), 422, "refused")
}

func TestTestsAndResendsAreLimitedForAProjectAndUser(t *testing.T) {
	t.Parallel()
	s, sc := keeper(t, "19.1.0-ee")
	now := &clock{time.Date(2026, 11, 20, 14, 0, 0, 0, time.UTC)}
	s.HookClock(now.now)
	good, _ := listen(t, 200)
	other := s.AddUser(gitlabtest.User{}, "glpat-other")
	s.AddMember(42, other.ID, gitlabtest.Maintainer)
	one := s.AddHook(gitlabtest.Hook{Of: gitlabtest.HookOf{Project: 42}, URL: good})
	two := s.AddHook(gitlabtest.Hook{Of: gitlabtest.HookOf{Project: 42}, URL: good})
	call := s.AddHookCall(gitlabtest.HookCall{Hook: one.ID, URL: good, Status: "500", Trigger: "push_hooks", Key: "k"})
	test := func(h gitlabtest.Hook) string { return fmt.Sprintf("/projects/42/hooks/%d/test/push_events", h.ID) }
	resend := fmt.Sprintf("/projects/42/hooks/%d/events/%d/resend", one.ID, call.ID)
	for range 3 {
		check(t, ask(t, s, sc.Token, "POST", test(one), ""), 201, "")
		check(t, ask(t, s, sc.Token, "POST", resend, ""), 201, `"response_status":200`)
	}
	for range 2 {
		check(t, ask(t, s, sc.Token, "POST", test(two), ""), 201, "")
		check(t, ask(t, s, sc.Token, "POST", resend, ""), 201, "")
	}
	const words = "This endpoint has been requested too many times. Try again later."
	for _, path := range []string{test(one), test(two), resend} {
		got := ask(t, s, sc.Token, "POST", path, "")
		check(t, got, 429, words)
		if got.header.Get("Retry-After") != "" || got.header.Get("RateLimit-Limit") != "" {
			t.Errorf("got %v, want no header of a limit", got.header)
		}
	}
	check(t, ask(t, s, "glpat-other", "POST", test(one), ""), 201, "")
	now.at = now.at.Add(time.Minute)
	check(t, ask(t, s, sc.Token, "POST", test(one), ""), 201, "")
	check(t, ask(t, s, sc.Token, "POST", resend, ""), 201, "")
	calls := s.HookCalls(one.ID)
	if last := calls[len(calls)-1]; last.Key != "k" || !last.At.Equal(now.at) || last.Header.Get("webhook-id") != "k" {
		t.Errorf("got %+v, want the key of the old call and the time of the new", last)
	}
}

func TestCallsAreTold(t *testing.T) {
	t.Parallel()
	s, sc := keeper(t, "19.1.0-ee")
	h := s.AddHook(gitlabtest.Hook{Of: gitlabtest.HookOf{Project: 42}, URL: "http://mona:pw@127.0.0.1:1/", Token: "s3cret", Events: []string{"push_events"}})
	for _, status := range []string{"200", "302", "404", "503"} {
		s.AddHookCall(gitlabtest.HookCall{Hook: h.ID, Status: status, URL: h.URL})
	}
	s.AddHookCall(gitlabtest.HookCall{Hook: h.ID, Status: "500", At: time.Now().Add(-8 * 24 * time.Hour)})
	s.Fire(42, "Push Hook", []byte(`{"object_kind":"push"}`))
	path := fmt.Sprintf("/projects/42/hooks/%d/events", h.ID)
	for query, want := range map[string]string{
		"": "internal error 503 404 302 200", "?status=client_failure,server_failure": "internal error 503 404", "?status=successful": "200",
		"?status=302": "302", "?status=server_failure&per_page=1": "internal error",
	} {
		got := ask(t, s, sc.Token, "GET", path+query, "")
		var list []map[string]any
		if err := json.Unmarshal([]byte(got.body), &list); err != nil {
			t.Fatalf("%s: got %s: %v", query, got.body, err)
		}
		var statuses []string
		for _, call := range list {
			statuses = append(statuses, fmt.Sprint(call["response_status"]))
		}
		if said := strings.Join(statuses, " "); said != want {
			t.Errorf("%s: got %s, want %s", query, said, want)
		}
		if strings.Contains(got.body, "s3cret") || strings.Contains(got.body, "mona") {
			t.Errorf("%s: got %s, want no secret in it", query, got.body)
		}
	}
	check(t, ask(t, s, sc.Token, "GET", path+"?per_page=100", ""), 400, "per_page does not have a valid value")
}
