package doctor_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/agent/config"
	"gitlab.com/remora-ci/remora/agent/hooks"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

// Only a call by GitLab shows that GitLab reaches the agent, and it is made only
// where it was asked for.
func TestHooksAreCalledIfThatWasAskedFor(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		ask  bool
		code int
		want string
	}{
		{"nobody asked", false, 200, "pass hook project acme/app: it was last looked at just now"},
		{"the agent takes the call", true, 200, "pass hook project acme/app: GitLab called it, and the agent took the call"},
		{"the agent refuses the call", true, 401, "fail hook project acme/app: GitLab called it, and that failed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newClinic(t)
			var calls atomic.Int32
			agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/livez" {
					_, _ = io.WriteString(w, "ok\n")
					return
				}
				calls.Add(1)
				w.WriteHeader(tt.code)
			}))
			t.Cleanup(agent.Close)
			c.git.AddMember(42, c.scene.Bot.ID, gitlabtest.Maintainer)
			h := c.git.AddHook(gitlabtest.Hook{Of: gitlabtest.HookOf{Project: 42}, URL: agent.URL + "/hooks/gitlab", Events: []string{"push_events"}})
			c.write(func(tx *store.Tx) error {
				return tx.PutHook(store.Hook{Instance: c.url, Kind: hooks.Project, Scope: 42, Path: "acme/app", Token: "bot", Hook: h.ID, URL: h.URL, Events: h.Events, CheckedAt: time.Now()})
			})
			c.change = func(c *config.Config) {
				c.URL, c.Hooks = agent.URL, hooks.Config{Kind: hooks.Project, URL: agent.URL + "/hooks/gitlab", Heal: time.Hour}
			}
			c.db.Key = vaultKey
			c.o.TestHooks = tt.ask
			got := lines(c.examine())
			for _, want := range []string{tt.want, "pass agent " + agent.URL + ": it answers, as seen from here", "pass token bot: it is Maintainer in acme/app"} {
				if !strings.Contains(got, want) {
					t.Errorf("got\n%swant %q in it", got, want)
				}
			}
			if (calls.Load() > 0) != tt.ask {
				t.Errorf("the hook was called %d times, asked %v", calls.Load(), tt.ask)
			}
		})
	}
}
