package agent_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/agent"
	"gitlab.com/remora-ci/remora/agent/hooks"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/store/storetest"
	"gitlab.com/remora-ci/remora/agent/work"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

// door is the address of the agent as GitLab knows it, whether an agent stands
// behind it or not.
type door struct {
	*httptest.Server
	mu   sync.Mutex
	to   string // URL of the agent; empty: nobody is there
	came int    // calls
	hold chan struct{}
}

func newDoor(t *testing.T) *door {
	d := &door{}
	d.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.mu.Lock()
		hold := d.hold
		d.came++
		d.mu.Unlock()
		if hold != nil {
			<-hold
		}
		d.mu.Lock()
		to := d.to
		d.mu.Unlock()
		if to == "" {
			panic(http.ErrAbortHandler)
		}
		req, err := http.NewRequestWithContext(r.Context(), r.Method, to+r.URL.Path, r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		req.Header = r.Header.Clone()
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		defer func() { _ = res.Body.Close() }()
		w.WriteHeader(res.StatusCode)
		_, _ = io.Copy(w, res.Body)
	}))
	t.Cleanup(d.Close)
	return d
}

func (d *door) calls() int { d.mu.Lock(); defer d.mu.Unlock(); return d.came }

func (d *door) open(to string) { d.mu.Lock(); defer d.mu.Unlock(); d.to = to }

// healer is a stage whose hooks are kept.
type healer struct {
	*stage
	door *door
}

func newHealer(t *testing.T, db store.Config, more string) *healer {
	h := &healer{newStage(t, db), newDoor(t)}
	h.git.AddMember(42, h.scene.Bot.ID, gitlabtest.Maintainer)
	h.yaml = fmt.Sprintf("hooks: {kind: project, url: %q%s}\n", h.door.URL+"/hooks/gitlab", more)
	return h
}

// apply is what remora hooks apply does.
func (h *healer) apply(now func() time.Time) {
	h.Helper()
	db := h.open()
	defer func() { _ = db.Close() }()
	keepers, end, err := agent.HookKeepers(h.Context(), h.parse(), db, "1.0.0")
	if err != nil {
		h.Fatal(err)
	}
	defer end()
	k := keepers[0]
	k.Now, k.Vault.Now = now, now
	for v, err := range k.Walk(h.Context(), nil, true) {
		if err != nil {
			h.Fatal(err)
		}
		if a, err := k.Apply(h.Context(), v); err != nil || a.Err != nil {
			h.Fatal(err, a.Err)
		}
	}
}

func (h *healer) begin(options ...func(*agent.Options)) (a *agent.Agent, end func()) {
	h.Helper()
	a, stop := h.start(options...)
	h.door.open(h.url)
	return a, func() { h.door.open(""); stop() }
}

// states are the hooks that are kept: "path state".
func (h *healer) states() (out []string) {
	h.Helper()
	db := h.open()
	defer func() { _ = db.Close() }()
	rows, err := db.Hooks(h.Context(), "")
	if err != nil {
		h.Fatal(err)
	}
	for _, r := range rows {
		out = append(out, strings.TrimSpace(r.Path+" "+r.State+" "+r.Error))
	}
	return out
}

// fire has GitLab tell of a push, and returns the statuses of the calls.
func (h *healer) fire(body map[string]any) (out []string) {
	h.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		h.Fatal(err)
	}
	for _, c := range h.git.Fire(42, "Push Hook", text) {
		out = append(out, c.Status)
	}
	return out
}

// pushTo pushes a commit to a branch, and tells the hooks.
func (h *healer) pushTo(branch string, heads map[string]string) (sha string, calls []string) {
	h.Helper()
	sha = h.commitTo(branch, heads)
	body := h.push(h.scene.Base, sha)
	body["ref"] = "refs/heads/" + branch
	return sha, h.fire(body)
}

func (h *healer) untilState(want ...string) {
	h.Helper()
	h.until(fmt.Sprintf("hooks %q", want), func() bool { return slices.Equal(h.states(), want) })
}

// round asks for a round of healing, as its schedule does.
func (h *healer) round(a *agent.Agent, now time.Time) {
	h.Helper()
	name := "heal:" + strings.TrimPrefix(h.git.URL, "http://")
	err := a.Write(h.Context(), func(tx *store.Tx) error {
		if _, err := tx.Fire(name, now); err != nil {
			return err
		}
		return a.Put(tx, work.Put{Key: name})
	})
	if err != nil {
		h.Fatal(err)
	}
}

func TestNothingIsLostWhileTheAgentIsAway(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, db store.Config) {
		h := newHealer(t, db, "")
		heads := map[string]string{}
		_, end := h.begin()
		h.apply(time.Now)
		first, calls := h.pushTo("feature-0", heads)
		h.same("calls while the agent is there", calls, []string{"202"})
		h.until("first", func() bool { return slices.Equal(h.place.shas(), []string{first}) && h.idle() })
		end()

		var lost []string
		for i := range 4 {
			sha, calls := h.pushTo(fmt.Sprintf("feature-%d", i), heads)
			h.same("calls while it is away", calls, []string{"internal error"})
			lost = append(lost, sha)
		}
		id := h.git.Hooks(gitlabtest.HookOf{Project: 42})[0].ID
		h.same("then GitLab", h.git.AlertStatus(id), "temporarily_disabled")
		sha, calls := h.pushTo("feature-5", heads)
		h.same("calls after that", len(calls), 0)
		lost = append(lost, sha)

		h.begin()
		h.until("enabled hook", func() bool { return h.git.AlertStatus(id) == "executable" })
		h.untilState("acme/app right")
		h.until("all that was pushed", func() bool {
			got := h.place.shas()
			return h.idle() && !slices.ContainsFunc(lost, func(sha string) bool { return !slices.Contains(got, sha) })
		})
		if n := len(h.git.Requests("POST /resend")); n != 4 {
			t.Errorf("%d calls were sent again, want 4", n)
		}
	})
}

func TestAHookThatWasDeletedIsMadeAgainAndTheHeadsAreRead(t *testing.T) {
	t.Parallel()
	h := newHealer(t, sqlite(t), "")
	h.apply(time.Now)
	_, end := h.begin()
	h.untilState("acme/app right")
	h.until("rest", h.idle)
	end()
	hook := h.git.Hooks(gitlabtest.HookOf{Project: 42})[0]
	h.git.DeleteHook(hook.ID)
	head := h.commit("a.txt")
	_, end = h.begin()
	h.untilState("acme/app right")
	h.until("delivery of the head", func() bool { return slices.Contains(h.place.shas(), head) && h.idle() })
	made := h.git.Hooks(gitlabtest.HookOf{Project: 42})
	if len(made) != 1 || made[0].ID == hook.ID || made[0].Token != hookSecret {
		t.Errorf("got hooks %+v", made)
	}
	end()
	before := len(h.place.got())
	h.git.DeleteHook(made[0].ID)
	h.begin()
	h.until("hook", func() bool { return len(h.git.Hooks(gitlabtest.HookOf{Project: 42})) == 1 })
	h.untilState("acme/app right")
	h.until("rest", h.idle)
	h.same("deliveries of what was delivered", len(h.place.got()), before)
}

func TestHooksThatNobodyAppliedAreNotMade(t *testing.T) {
	t.Parallel()
	h := newHealer(t, sqlite(t), "")
	h.begin()
	h.until("word of it", func() bool { return strings.Contains(h.logs.String(), "hooks were never applied") })
	h.same("hooks", len(h.git.Hooks(gitlabtest.HookOf{Project: 42})), 0)
}

func TestARoundThatIsAskedForAgainGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	h := newHealer(t, sqlite(t), "")
	for i := range 8 {
		p := h.git.AddProject(gitlabtest.Project{Path: fmt.Sprintf("acme/more-%d", i)})
		h.git.AddMember(p.ID, h.scene.Bot.ID, gitlabtest.Maintainer)
	}
	h.apply(time.Now)
	a, _ := h.begin()
	healed := func() int { return strings.Count(h.logs.String(), "hooks healed") }
	h.until("first round", func() bool { return healed() == 1 })
	h.git.Forget()
	h.round(a, time.Now().Add(-time.Hour)) // it began before the last look
	h.until("same round", func() bool { return healed() == 2 })
	h.same("looks at hooks again", len(h.git.Requests("GET /hooks")), 0)
	h.round(a, time.Now())
	h.until("next round", func() bool { return healed() == 3 })
	h.same("looks at hooks", len(h.git.Requests("GET /hooks")), 9)
	h.same("other requests", len(h.git.Requests())-len(h.git.Requests("GET user")), 9+2) // a page of projects in each round
}

func TestAHookIsTakenWhoseSecretWasReplacedWhileACallWasUnderWay(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, db store.Config) {
		db.Key = delivery.Secret(base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef")))
		h := newHealer(t, db, ", rotate: P90D")
		h.git.SetVersion("19.1.0-ee")
		h.whole = strings.Replace(h.config(), fmt.Sprintf("webhook: {secret: %q}", hookSecret), fmt.Sprintf("database: {encryption_key: %q}", db.Key.Reveal()), 1)
		later := func() time.Time { return time.Now().Add(time.Minute) }
		db2 := h.open()
		keepers, end, err := agent.HookKeepers(t.Context(), h.parse(), db2, "1.0.0")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := keepers[0].Settling(t.Context()); err != nil { // it makes the secrets
			t.Fatal(err)
		}
		end()
		_ = db2.Close()
		h.apply(later)
		old := h.git.Hooks(gitlabtest.HookOf{Project: 42})[0]
		if old.Token == "" || old.SigningToken == "" {
			t.Fatal("the hook has no secrets")
		}

		hold := make(chan struct{})
		h.door.hold = hold
		year := func() time.Time { return time.Now().Add(100 * 24 * time.Hour) }
		under := make(chan []string, 1)
		go func() { under <- h.fire(h.push(h.scene.Base, h.scene.SHA)) }()
		h.until("call on its way", func() bool { return h.door.calls() == 1 })
		h.begin(func(o *agent.Options) { *o = agent.Patient(*o, year) })
		h.until("another secret", func() bool { return h.git.Hooks(gitlabtest.HookOf{Project: 42})[0].Token != old.Token })
		h.door.mu.Lock()
		h.door.hold = nil
		h.door.mu.Unlock()
		close(hold)
		h.same("the call with the old secrets", <-under, []string{"202"})
		h.same("a call with the new ones", h.fire(h.push(h.scene.Base, h.scene.Base)), []string{"202"})
		h.secret = "some-secret-that-is-neither"
		h.same("a call with others", h.send(h.push(h.scene.Base, h.scene.SHA)), http.StatusUnauthorized)
	})
}

func TestTheStatesOfHooksAreCounted(t *testing.T) {
	t.Parallel()
	h := newHealer(t, sqlite(t), "")
	h.apply(time.Now)
	h.git.Fail("GET /hooks", slices.Repeat([]gitlabtest.Answer{{Code: 403}}, 2)...)
	a, _ := h.begin()
	h.until("failure", func() bool { return strings.Contains(h.logs.String(), "hook not put right") })
	metrics, err := a.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, m := range metrics {
		if m.GetName() == "remora_hook_state" {
			for _, one := range m.GetMetric() {
				got[one.GetLabel()[0].GetValue()] = one.GetGauge().GetValue()
			}
		}
	}
	if got[hooks.StateFailed] != 1 || got[hooks.StateRight] != 0 || len(got) != 5 {
		t.Errorf("got %v", got)
	}
}

func TestHooksAreLookedAtAsOftenAsConfigured(t *testing.T) {
	t.Parallel()
	h := newHealer(t, sqlite(t), ", heal: PT30M")
	h.apply(time.Now)
	slot := time.Now().Truncate(30 * time.Minute).Add(30 * time.Minute)
	ahead := time.Until(slot) - 2*time.Second // the next slot comes in two seconds
	now := func() time.Time { return time.Now().Add(ahead) }
	h.begin(func(o *agent.Options) { *o = agent.Patient(*o, now) })
	h.until("round at the start", func() bool { return strings.Count(h.logs.String(), "hooks healed") == 1 })
	h.git.Forget()
	h.until("round of the schedule", func() bool { return strings.Count(h.logs.String(), "hooks healed") == 2 })
	if now().Before(slot) {
		t.Error("the second round came early")
	}
	h.same("looks at hooks", len(h.git.Requests("GET /hooks")), 1)
}

func TestACallThatTheAgentRefusedForLackOfRoomIsSentAgain(t *testing.T) {
	t.Parallel()
	h := newHealer(t, sqlite(t), ", heal: PT30M")
	h.apply(time.Now)
	slot := time.Now().Truncate(30 * time.Minute).Add(30 * time.Minute)
	ahead := time.Until(slot) - 3*time.Second
	a, _ := h.begin(func(o *agent.Options) { *o = agent.Patient(*o, func() time.Time { return time.Now().Add(ahead) }) })
	h.until("round at the start", func() bool { return strings.Contains(h.logs.String(), "hooks healed") })
	if err := a.LimitDisk(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	noise := make([]byte, 1_000_000)
	_, _ = rand.Read(noise)
	body := h.push(h.scene.Base, h.scene.SHA)
	body["noise"] = hex.EncodeToString(noise)
	h.same("call", h.fire(body), []string{"503"})
	if err := a.LimitDisk(t.Context(), 1_000_000); err != nil {
		t.Fatal(err)
	}
	h.until("delivery", func() bool { return slices.Equal(h.place.shas(), []string{h.scene.SHA}) })
}

func TestHeadsAreReadWhereASystemHookMayHaveMissedThem(t *testing.T) {
	t.Parallel()
	h := newHealer(t, sqlite(t), "")
	h.git.SetAdmin(h.scene.Bot.ID)
	h.yaml = strings.Replace(h.yaml, "kind: project", "kind: system", 1)
	h.route = ", refs: [feature]"
	h.apply(time.Now)
	head := h.commit("a.txt")
	_, end := h.begin()
	h.until("delivery of the head", func() bool { return slices.Equal(h.place.shas(), []string{head}) && h.idle() })
	end()
	h.begin()
	h.until("another look", func() bool { return strings.Contains(h.logs.String(), `"deliveries":0,"message":"heads read`) })
	h.same("delivered", h.place.shas(), []string{head})
}
