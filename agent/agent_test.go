package agent_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/store/storetest"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

// flows: with a running agent …
var flows = map[string]func(s *stage){
	"a push is delivered, and shown as status and note": func(s *stage) {
		s.start()
		s.hook(s.push(s.scene.Base, s.scene.SHA))
		s.untilShown(s.scene.SHA, "sync/site success")
		s.until("note", func() bool { return len(s.git.Notes(42, 7)) == 1 })
		if body := s.git.Notes(42, 7)[0].Body; !strings.Contains(body, "site") || !strings.Contains(body, "c0ffee12") {
			s.Errorf("got note %s", body)
		}
		got := s.place.got()
		if len(got) != 1 || got[0].SHA != s.scene.SHA || got[0].Cause != delivery.CauseWebhook || got[0].Ref != "feature" {
			s.Errorf("the target got %+v", got)
		}
		s.same("deliveries", s.deliveries(), []string{"c0ffee12 done"})
		s.same("events", s.eventStates(), []string{"push routed"})
	},
	"ten pushes while the target is busy cost one more delivery": func(s *stage) {
		release := s.place.block()
		defer release()
		s.start()
		s.hook(s.push(s.scene.Base, s.scene.SHA))
		s.until("first delivery", func() bool { return len(s.place.got()) == 1 })
		var last string
		before := s.scene.SHA
		for range 10 {
			last = s.commit("a.txt")
			s.hook(s.push(before, last))
			before = last
		}
		s.until("routing", func() bool { return len(s.deliveries()) == 11 })
		release()
		s.untilShown(last, "sync/site success")
		s.same("delivered", s.place.shas(), []string{s.scene.SHA, last})
		rows := s.deliveries()
		for _, row := range rows[1:10] {
			if !strings.HasSuffix(row, "skipped overtaken by "+last) {
				s.Errorf("got delivery %q, want it overtaken by %s", row, last)
			}
		}
		s.same("last", rows[10], delivery.ShortSHA(last)+" done")
		for _, st := range s.git.Requests("POST /statuses/") {
			if !strings.HasSuffix(st.Path, last) && !strings.HasSuffix(st.Path, s.scene.SHA) {
				s.Errorf("a commit that was not delivered got a status: %s", st.Path)
			}
		}
	},
	"what GitLab has now is delivered, not what a late hook says": func(s *stage) {
		head := s.commit("a.txt")
		s.start()
		s.hook(s.push(s.scene.Base, s.scene.SHA)) // old news
		s.untilShown(head, "sync/site success")
		s.same("delivered", s.place.shas(), []string{head})
		s.same("deliveries", s.deliveries(), []string{"c0ffee12 skipped overtaken by " + head, delivery.ShortSHA(head) + " done"})
		s.same("shown of the old", s.shown(s.scene.SHA), []string{})
	},
	"a status that is open on an overtaken commit is ended": func(s *stage) {
		s.target = ", method: PUT"
		s.place.refuse(s.scene.SHA, http.StatusServiceUnavailable)
		s.start()
		s.hook(s.push(s.scene.Base, s.scene.SHA))
		s.untilShown(s.scene.SHA, "sync/site running")
		head := s.commit("a.txt")
		s.hook(s.push(s.scene.SHA, head))
		s.untilShown(head, "sync/site success")
		s.untilShown(s.scene.SHA, "sync/site canceled")
		if text := s.git.Statuses(42, s.scene.SHA)[0].Description; !strings.Contains(text, "overtaken by "+delivery.ShortSHA(head)) {
			s.Errorf("got text %q", text)
		}
	},
	"a target that is down for a while gets it when it is up": func(s *stage) {
		s.target = ", method: PUT"
		s.place.answer(http.StatusBadGateway)
		s.start()
		s.hook(s.push(s.scene.Base, s.scene.SHA))
		s.until("some attempts", func() bool { return len(s.place.got()) > 2 })
		s.same("shown", s.shown(s.scene.SHA), []string{"sync/site running"})
		s.place.answer(0)
		s.untilShown(s.scene.SHA, "sync/site success")
		s.same("posts", s.posts(s.scene.SHA), []string{"running", "success"})
	},
	"a failure for good is shown and is not tried again": func(s *stage) {
		s.place.answer(http.StatusForbidden)
		s.start()
		s.hook(s.push(s.scene.Base, s.scene.SHA))
		s.untilShown(s.scene.SHA, "sync/site failed")
		s.until("note", func() bool { return len(s.git.Notes(42, 7)) == 1 })
		s.same("calls", len(s.place.got()), 1)
		if row := s.deliveries()[0]; !strings.HasPrefix(row, "c0ffee12 failed ") {
			s.Errorf("got %q", row)
		}
	},
	"a report that fails repeats no delivery, and comes later": func(s *stage) {
		for range 8 {
			s.git.Fail("POST /statuses/", gitlabtest.Answer{Code: 503})
		}
		s.start()
		s.hook(s.push(s.scene.Base, s.scene.SHA))
		s.untilShown(s.scene.SHA, "sync/site success")
		s.same("calls", len(s.place.got()), 1)
	},
	"the bot's own push leads to nothing": func(s *stage) {
		s.start()
		body := s.push(s.scene.Base, s.scene.SHA)
		body["user_id"] = s.scene.Bot.ID
		s.hook(body)
		s.until("reason", func() bool { return slices.Equal(s.eventStates(), []string{"push ignored the bot's own event"}) })
	},
	"another instance's event gets no token": func(s *stage) {
		s.start()
		other := gitlabtest.New(s)
		body := s.push(s.scene.Base, s.scene.SHA)
		body["project"] = map[string]any{"id": 42, "path_with_namespace": "acme/app", "web_url": other.URL + "/acme/app"}
		s.hook(body)
		s.until("reason", func() bool {
			states := s.eventStates()
			return len(states) == 1 && strings.HasPrefix(states[0], "push ignored instance "+other.URL)
		})
		s.same("requests to it", len(other.Requests()), 0)
		s.same("deliveries", len(s.deliveries()), 0)
	},
	"a ref that was deleted meanwhile is not brought back": func(s *stage) {
		s.git.DeleteBranch(42, "feature")
		s.start()
		s.hook(s.push(s.scene.Base, s.scene.SHA))
		s.until("end", func() bool {
			return slices.Equal(s.deliveries(), []string{"c0ffee12 skipped overtaken by the deletion of the branch"})
		})
		s.same("calls", len(s.place.got()), 0)
	},
	"without access to GitLab the newest event stands for the head": func(s *stage) {
		s.git.AddMember(42, s.scene.Bot.ID, 0)
		s.start()
		s.hook(s.push(s.scene.Base, s.scene.SHA))
		s.until("delivery", func() bool { return slices.Equal(s.deliveries(), []string{"c0ffee12 done"}) })
		s.same("delivered", s.place.shas(), []string{s.scene.SHA})
	},
	"an event that no route takes says why": func(s *stage) {
		s.route = ", refs: [main]"
		s.start()
		s.hook(s.push(s.scene.Base, s.scene.SHA))
		s.until("reason", func() bool {
			return slices.Equal(s.eventStates(), []string{"push ignored no route matches: ref feature"})
		})
	},
	"a change that touches no path is skipped on proof": func(s *stage) {
		s.route = ", paths: 'docs/**'"
		s.start()
		s.hook(s.push(s.scene.Base, s.scene.SHA))
		s.until("skip", func() bool {
			rows := s.deliveries()
			return len(rows) == 1 && strings.HasPrefix(rows[0], "c0ffee12 skipped paths: nothing between")
		})
		s.same("calls", len(s.place.got()), 0)
		head := s.commit("docs/a.md")
		s.hook(s.push(s.scene.SHA, head))
		s.untilShown(head, "sync/site success")
		s.same("delivered", s.place.shas(), []string{head})
	},
	"a replay is delivered again, and shown once": func(s *stage) {
		s.start()
		s.hook(s.push(s.scene.Base, s.scene.SHA))
		s.untilShown(s.scene.SHA, "sync/site success")
		db := s.open()
		defer func() { _ = db.Close() }()
		if n, err := db.Replay(context.Background(), store.EventFilter{}); n != 1 || err != nil {
			s.Fatalf("replayed %d: %v", n, err)
		}
		s.until("second delivery", func() bool { return slices.Equal(s.deliveries(), []string{"c0ffee12 done", "c0ffee12 done"}) })
		s.until("reports", s.idle)
		s.same("posts", s.posts(s.scene.SHA)[len(s.posts(s.scene.SHA))-1:], []string{"success"})
		if n := len(s.posts(s.scene.SHA)); n > 2 {
			s.Errorf("got %d posts, want running and success at most: %q", n, s.posts(s.scene.SHA))
		}
		s.same("notes", len(s.git.Notes(42, 7)), 1)
	},
}

// idle says whether no work is left.
func (s *stage) idle() bool {
	s.Helper()
	db := s.open()
	defer func() { _ = db.Close() }()
	n := 0
	err := db.Query(context.Background(), func(r store.Row) error { return r.Scan(&n) }, "SELECT count(*) FROM work WHERE state IN ('ready', 'later', 'running')")
	if err != nil {
		s.Fatal(err)
	}
	return n == 0
}

func (s *stage) same(what string, got, want any) {
	s.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		s.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestAgent(t *testing.T) {
	t.Parallel()
	for name, flow := range flows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Databases(t, func(t *testing.T, c store.Config) { flow(newStage(t, c)) })
		})
	}
}

func TestEndpoints(t *testing.T) {
	t.Parallel()
	s := newStage(t, sqlite(t))
	_, stop := s.start()
	for path, want := range map[string]string{"/livez": "200 ok", "/readyz": "200 ok", "/metrics": "200 # HELP", "/": "404 {", "/hooks/gitlab": "405 {", "//livez": "404 {"} {
		res, err := http.Get(s.url + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if got := fmt.Sprintf("%d %s", res.StatusCode, body); !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %.80s, want %s", path, got, want)
		}
	}
	stop()
	if _, err := http.Get(s.url + "/livez"); err == nil {
		t.Error("it still answers after its end")
	}
}
