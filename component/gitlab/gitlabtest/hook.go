package gitlabtest

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// HookOf is where a webhook lies: in a project, in a group, or, the zero HookOf, in
// the instance.
type HookOf struct {
	Project, Group int64
}

// Hook is a webhook as GitLab keeps it.
type Hook struct {
	ID                int64 // 0: the next free one
	Of                HookOf
	URL               string
	Name, Description string
	Token             string // never shown
	SigningToken      string // never shown
	Events            []string
	VerifyTLS         bool
	BranchFilter      string // pushes to which branches are sent; shown and set, and not acted on here
	Template          string // of the payload; shown and set, and not acted on here

	Failures      int       // in a row
	DisabledUntil time.Time // zero: not disabled for a while
}

// HookCall is one call of a webhook.
type HookCall struct {
	ID      int64
	Hook    int64
	URL     string
	Event   string      // X-Gitlab-Event
	Trigger string      // push_hooks
	Key     string      // Idempotency-Key, kept when it is sent again
	Header  http.Header // as sent, secrets and all
	Payload []byte
	At      time.Time
	Status  string // of the answer; "internal error" if none came
	Body    string // of the answer, 8 KB at most; without one, why
}

// ok says whether the call succeeded.
func (c HookCall) ok() bool { return c.Status[0] == '2' || c.Status[0] == '3' }

const noAnswer = "internal error"

// How GitLab disables hooks that fail.
const (
	graceFailures = 3  // one more disables for a while
	mostFailures  = 39 // one more disables for good
	firstPause    = time.Minute
	longestPause  = 24 * time.Hour
)

// hookState is what is known of hooks.
type hookState struct {
	all      map[int64]*Hook
	calls    []*HookCall // oldest first
	admins   map[int64]bool
	now      func() time.Time
	disables bool
	most     map[string]int // hooks of a project and of a group
	windows  map[string]*window
}

// window counts requests of one kind, of one user in one project or group.
type window struct {
	began time.Time
	n     int
}

func newHookState() hookState {
	return hookState{
		all: map[int64]*Hook{}, admins: map[int64]bool{}, now: time.Now, disables: true,
		most: map[string]int{"project": 100, "group": 50}, windows: map[string]*window{},
	}
}

// AddHook adds a webhook, as somebody else left it.
func (s *Server) AddHook(h Hook) Hook {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addHook(h)
}

func (s *Server) addHook(h Hook) Hook {
	h.ID = s.id(h.ID)
	h.Events = slices.Sorted(slices.Values(h.Events))
	s.hooks.all[h.ID] = &h
	return h
}

// Hooks are the webhooks of a project, group or instance, by id.
func (s *Server) Hooks(of HookOf) []Hook {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Hook
	for _, h := range s.hooksOf(of) {
		h.Events = slices.Clone(h.Events)
		list = append(list, h)
	}
	return list
}

func (s *Server) hooksOf(of HookOf) []Hook {
	var list []Hook
	for _, h := range s.hooks.all {
		if h.Of == of {
			list = append(list, *h)
		}
	}
	slices.SortFunc(list, func(a, b Hook) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// ChangeHook changes a webhook, as somebody else does by hand.
func (s *Server) ChangeHook(id int64, change func(*Hook)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hooks.all[id]
	if h == nil {
		panic(fmt.Sprintf("gitlabtest: there is no hook %d", id))
	}
	change(h)
}

// DeleteHook deletes a webhook.
func (s *Server) DeleteHook(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.hooks.all, id)
}

// AlertStatus is executable, temporarily_disabled or disabled.
func (s *Server) AlertStatus(id int64) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.hooks.all[id]; h != nil {
		return s.alertStatus(h)
	}
	return ""
}

// HookCalls are all calls that a webhook got, oldest first.
func (s *Server) HookCalls(hook int64) []HookCall {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []HookCall
	for _, c := range s.hooks.calls {
		if c.Hook == hook {
			list = append(list, *c)
		}
	}
	return list
}

// AddHookCall adds a call that a webhook got, without making it.
func (s *Server) AddHookCall(c HookCall) HookCall {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.ID = s.id(c.ID)
	if c.At.IsZero() {
		c.At = s.hooks.now()
	}
	s.hooks.calls = append(s.hooks.calls, &c)
	return c
}

// SetAdmin makes a user an administrator, who may do everything with hooks.
func (s *Server) SetAdmin(userID int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks.admins[userID] = true
}

// HookClock sets the clock by which hooks are disabled and their tests limited.
func (s *Server) HookClock(now func() time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks.now = now
}

// DisableHooks says whether hooks that fail are disabled, as on gitlab.com; most
// other installations do not. It is on from the start.
func (s *Server) DisableHooks(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks.disables = on
}

// LimitHooks lowers the caps of 100 hooks of a project and 50 of a group.
func (s *Server) LimitHooks(project, group int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks.most["project"], s.hooks.most["group"] = project, group
}

func (s *Server) alertStatus(h *Hook) string {
	switch {
	case !s.hooks.disables || h.Of == HookOf{}:
		return "executable"
	case h.Failures > mostFailures:
		return "disabled"
	case h.Failures > graceFailures && !h.DisabledUntil.Before(s.hooks.now()):
		return "temporarily_disabled"
	}
	return "executable"
}

// account counts a call. One that succeeds brings a disabled hook back; one that
// fails while it is disabled, which only a test can, changes nothing.
func (s *Server) account(h *Hook, c HookCall) {
	switch {
	case !s.hooks.disables || h.Of == HookOf{}:
	case c.ok():
		h.Failures, h.DisabledUntil = 0, time.Time{}
	case s.alertStatus(h) == "executable":
		if h.Failures >= graceFailures {
			pause := firstPause << min(h.Failures-graceFailures, 16)
			h.DisabledUntil = s.hooks.now().Add(min(pause, longestPause))
		}
		h.Failures = min(h.Failures+1, mostFailures+1)
	}
}
