package hooks_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/agent/hooks"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

// resend looks at the hooks as a healer does that was away until now, and then has
// failed calls sent again.
func (h *house) resend() hooks.Resent {
	h.Helper()
	k := h.keeper()
	k.Away = h.clock.now()
	h.clock.add(time.Second)
	for v, err := range k.Walk(h.Context(), nil, false) {
		if err != nil {
			h.Fatal(err)
		}
		a, err := k.Apply(h.Context(), v)
		if err != nil || a.Err != nil {
			h.Fatal(err, a.Err)
		}
		if !hooks.Due(a.Row) {
			h.Fatalf("%s is not due", a.Row.Path)
		}
	}
	return h.resendDue()
}

func (h *house) resendDue() hooks.Resent {
	h.Helper()
	rows := h.kept()
	at := slices.IndexFunc(rows, hooks.Due)
	if at < 0 {
		h.Fatal("nothing is due")
	}
	r, err := h.keeper().Resend(h.Context(), rows[at])
	if err != nil {
		h.Fatal(err)
	}
	return r
}

// received are the keys of the calls that came with 2xx, each as often as it came.
func (h *house) received(hook int64) map[string]int {
	got := map[string]int{}
	for _, c := range h.git.HookCalls(hook) {
		if c.Status[0] == '2' {
			got[c.Key]++
		}
	}
	return got
}

// fire has n pushes happen, and returns the keys of the calls.
func (h *house) fire(p gitlabtest.Project, n int) (keys []string) {
	for i := range n {
		for _, c := range h.git.Fire(p.ID, "Push Hook", []byte(`{"n":`+strconv.Itoa(i)+`}`)) {
			keys = append(keys, c.Key)
		}
	}
	return keys
}

// callHouse has a hook of project acme/app, and an agent that answers *code.
func callHouse(t *testing.T, code *int) (h *house, p gitlabtest.Project, hook int64) {
	h = newHouse(t)
	h.git.DisableHooks(false) // as most installations have it
	h.config.URL = receiver(t, func(*http.Request) int { return *code })
	h.config.Kind = hooks.Project
	h.group("acme")
	p = h.project("acme/app")
	h.apply()
	return h, p, h.one(in(p)).ID
}

func TestFailedCallsAreSentAgainFiveAMinuteEachOnce(t *testing.T) {
	t.Parallel()
	code := 202
	h, p, hook := callHouse(t, &code)
	fine := h.fire(p, 1)
	code = 503
	lost := h.fire(p, 7)
	code = 202
	r := h.resend()
	if r.Sent != 5 || !r.Left || r.Heads {
		t.Errorf("first: got %+v", r)
	}
	if r = h.resendDue(); r.Sent != 0 || !r.Left {
		t.Errorf("within the minute: got %+v", r)
	}
	h.clock.add(time.Minute)
	if r = h.resendDue(); r.Sent != 2 || r.Left || r.Heads || r.Row.State != hooks.StateRight {
		t.Errorf("a minute later: got %+v", r)
	}
	got := h.received(hook)
	for _, key := range append(fine, lost...) {
		if got[key] != 1 {
			t.Errorf("call %s came %d times", key, got[key])
		}
	}
	h.clock.add(time.Minute)
	if r = h.resend(); r.Sent != 0 || r.Heads {
		t.Errorf("when all are dealt with: got %+v", r)
	}
}

func TestACallThatFailsOnceMoreIsNotSentForEver(t *testing.T) {
	t.Parallel()
	code := 500
	h, p, hook := callHouse(t, &code)
	h.fire(p, 2)
	if r := h.resend(); r.Sent != 2 {
		t.Errorf("first: got %+v", r)
	}
	h.clock.add(time.Minute)
	if r := h.resend(); r.Sent != 0 || !r.Heads {
		t.Errorf("second: got %+v, want the heads", r)
	}
	r := h.resendDue()
	if r.Sent != 0 || !r.Heads || len(h.git.HookCalls(hook)) != 4 {
		t.Errorf("third: got %+v, %d calls", r, len(h.git.HookCalls(hook)))
	}
	if err := h.keeper().Settle(t.Context(), &r); err != nil {
		t.Fatal(err)
	}
	if r = h.resend(); r.Sent != 0 || r.Heads || len(h.git.HookCalls(hook)) != 4 {
		t.Errorf("after the heads were read: got %+v", r)
	}
}

func TestWhatIsToBeMadeUpForOutlivesAFault(t *testing.T) {
	t.Parallel()
	code := 202
	h, p, hook := callHouse(t, &code)
	code = 503
	lost := h.fire(p, 6)
	code = 202
	if r := h.resend(); r.Sent != 5 || !r.Left {
		t.Fatalf("first: got %+v", r)
	}
	h.git.Fail("GET /hooks", gitlabtest.Answer{Code: 403})
	h.same("fault", h.apply(), []string{"project acme/app: error: not allowed"})
	h.same("when it is over", h.apply(), nil)
	h.clock.add(time.Minute)
	if r := h.resendDue(); r.Sent != 1 || len(h.received(hook)) != len(lost) {
		t.Errorf("then: got %+v, %d calls came", r, len(h.received(hook)))
	}
}

func TestWhatCannotBeSentAgainIsReadFromTheHeads(t *testing.T) {
	t.Parallel()
	tests := map[string]func(h *house, p gitlabtest.Project, hook int64){
		"a GitLab that lists no calls":         func(h *house, _ gitlabtest.Project, _ int64) { h.git.SetVersion("17.2.0-ee") },
		"a GitLab that sends none again":       func(h *house, _ gitlabtest.Project, _ int64) { h.git.SetVersion("17.3.0-ee") },
		"calls that cannot be listed just now": func(h *house, _ gitlabtest.Project, _ int64) { h.git.Fail("GET /events", gitlabtest.Answer{Code: 500}) },
		"a hook that was deleted":              func(h *house, _ gitlabtest.Project, hook int64) { h.git.DeleteHook(hook) },
		"a hook that was sent elsewhere": func(h *house, _ gitlabtest.Project, hook int64) {
			h.git.ChangeHook(hook, func(k *gitlabtest.Hook) { k.URL = "https://x.example.com/" })
		},
		"an agent that cannot be reached again": func(h *house, _ gitlabtest.Project, _ int64) {
			h.git.Fail("POST /resend", gitlabtest.Answer{Code: 422})
		},
		"more calls than are looked at": func(h *house, _ gitlabtest.Project, hook int64) {
			for i := range 200 {
				h.git.AddHookCall(gitlabtest.HookCall{Hook: hook, URL: h.config.URL, Key: fmt.Sprint("old-", i), Status: "503", Trigger: "push_hooks"})
			}
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code := 202
			h, p, hook := callHouse(t, &code)
			code = 503
			h.fire(p, 1)
			code = 202
			change(h, p, hook)
			r := h.resend()
			if !r.Heads || r.Row.State != hooks.StateBehind {
				t.Fatalf("got %+v, want the heads", r)
			}
			if err := h.keeper().Settle(t.Context(), &r); err != nil {
				t.Fatal(err)
			}
			if rows := h.kept(); (rows[0].State == hooks.StateRight) == r.Left || rows[0].Seen < 0 {
				t.Errorf("kept %+v", rows[0])
			}
		})
	}
}

func TestASystemHookHasNoCalls(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.config.Kind = hooks.System
	h.git.SetAdmin(h.bot.ID)
	h.apply()
	if r := h.resend(); !r.Heads || r.Err != nil {
		t.Errorf("got %+v, want the heads", r)
	}
}

func TestAnAdoptedHookBringsNoOldCalls(t *testing.T) {
	t.Parallel()
	code := 503
	h := newHouse(t)
	h.git.DisableHooks(false)
	h.config.URL = receiver(t, func(*http.Request) int { return code })
	h.config.Kind = hooks.Project
	h.group("acme")
	p := h.project("acme/app")
	k := h.git.AddHook(gitlabtest.Hook{Of: in(p), URL: h.config.URL, Events: []string{"push_events"}})
	h.fire(p, 3)
	code = 202
	h.same("found", h.apply(), []string{"project acme/app: update"})
	if r := h.resend(); r.Sent != 0 || r.Heads || h.one(in(p)).ID != k.ID {
		t.Errorf("got %+v", r)
	}
}

func TestHooksThatAreRightCostOneListingEach(t *testing.T) {
	t.Parallel()
	const many = 2000
	h := newHouse(t)
	h.config.Kind = hooks.Project
	h.group("acme")
	for i := range many {
		h.git.AddProject(gitlabtest.Project{Path: fmt.Sprintf("acme/app-%d", i)})
	}
	if got := len(h.apply()); got != many {
		t.Fatalf("%d hooks were made, want %d", got, many)
	}
	h.git.Forget()
	h.clock.add(time.Hour)
	k := h.keeper()
	for v, err := range k.Walk(t.Context(), nil, false) {
		if err != nil {
			t.Fatal(err)
		}
		if a, err := k.Apply(t.Context(), v); err != nil || a.Done != 0 || a.Row.State != hooks.StateRight {
			t.Fatalf("got %+v, %v", a, err)
		}
	}
	listings, pages := len(h.git.Requests("GET /hooks")), len(h.git.Requests("GET projects"))
	if all := len(h.git.Requests()); listings != many || all != many+many/100 {
		t.Errorf("got %d listings of hooks, %d requests in all (%d about projects), want %d and %d", listings, all, pages, many, many+many/100)
	}
}
