package agent_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/agent"
	"gitlab.com/remora-ci/remora/agent/auth"
	"gitlab.com/remora-ci/remora/agent/config"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/store/storetest"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

// gitlabFlows: between GitLab and the agent …
var gitlabFlows = map[string]func(s *stage){
	"a GitLab in trouble is waited for before the head is guessed": func(s *stage) {
		s.git.Fail("GET /repository/branches/", slices.Repeat([]gitlabtest.Answer{{Code: 500}}, 5)...)
		s.start()
		s.hook(s.push(s.scene.Base, s.scene.SHA))
		s.until("delivery", func() bool { return slices.Equal(s.deliveries(), []string{"c0ffee12 done"}) })
		s.same("calls", len(s.place.got()), 1)
		s.same("unused faults", s.git.Pending(), 0)
	},
	"a replay of the past rolls nothing back while GitLab cannot be read": func(s *stage) {
		s.start()
		s.hook(s.push(s.scene.Base, s.scene.SHA))
		s.until("first", func() bool { return len(s.place.got()) == 1 && s.idle() })
		head := s.commit("a.txt")
		s.hook(s.push(s.scene.SHA, head))
		s.until("second", func() bool { return len(s.place.got()) == 2 && s.idle() })
		s.git.AddMember(42, s.scene.Bot.ID, 0) // nothing is readable from now on
		db := s.open()
		defer func() { _ = db.Close() }()
		if _, err := db.Replay(s.Context(), store.EventFilter{IDs: []int64{1}}); err != nil {
			s.Fatal(err)
		}
		s.until("end of the replay", func() bool {
			rows := s.deliveries()
			return len(rows) == 3 && rows[2] == "c0ffee12 skipped overtaken by "+head
		})
		s.same("delivered", s.place.shas(), []string{s.scene.SHA, head})
	},
	"a push finds the merge request of its branch for the note": func(s *stage) {
		s.start()
		s.hook(s.push(s.scene.Base, s.scene.SHA))
		s.until("note", func() bool { return len(s.git.Notes(42, 7)) == 1 })
		s.until("rest", s.idle)
		db := s.open()
		defer func() { _ = db.Close() }()
		d, err := db.Delivery(s.Context(), 1)
		if err != nil || d.MergeRequest != 7 {
			s.Errorf("got merge request %d of the delivery (%v), want 7", d.MergeRequest, err)
		}
	},
	"a push and its merge request of one commit are one delivery if they wait together": func(s *stage) {
		release := s.place.block()
		defer release()
		s.start()
		s.hook(s.push(s.scene.Base, s.scene.SHA))
		s.until("first", func() bool { return len(s.place.got()) == 1 })
		head := s.commit("a.txt")
		s.hook(s.push(s.scene.SHA, head))
		s.hook(s.mergeRequest("update", s.scene.SHA, head))
		s.until("routing", func() bool { return len(s.deliveries()) == 3 })
		release()
		s.untilShown(head, "sync/site success")
		s.until("rest", s.idle)
		s.same("delivered", s.place.shas(), []string{s.scene.SHA, head})
		if mr := s.place.got()[1].MergeRequest; mr == nil || mr.IID != 7 {
			s.Errorf("the target was told of merge request %+v, want 7", mr)
		}
		s.same("notes", len(s.git.Notes(42, 7)), 1)
	},
	"an update of a merge request without commits leads to nothing": func(s *stage) {
		s.start()
		s.hook(s.mergeRequest("update", "", s.scene.SHA))
		s.until("reason", func() bool {
			return slices.Equal(s.eventStates(), []string{"merge_request ignored merge request update without new commits"})
		})
	},
	"a tag is delivered at its commit": func(s *stage) {
		s.git.AddCommit(42, gitlabtest.Commit{SHA: s.scene.SHA, Parents: []string{s.scene.Base}, Tags: []string{"v1"}})
		s.start()
		body := s.push("", s.scene.SHA)
		body["object_kind"], body["ref"], body["after"] = "tag_push", "refs/tags/v1", strings.Repeat("7", 40) // the tag's own id
		s.hook(body)
		s.untilShown(s.scene.SHA, "sync/site success")
		if ev := s.place.got()[0]; ev.FullRef() != "refs/tags/v1" || ev.SHA != s.scene.SHA {
			s.Errorf("got %s at %s", ev.FullRef(), ev.SHA)
		}
	},
	"a pipeline's success causes its delivery once, though the status ends the pipeline again": func(s *stage) {
		s.route = ", on: [pipeline]"
		s.start()
		body := map[string]any{"object_kind": "pipeline", "project": s.project(), "user": map[string]any{"id": s.scene.Person.ID},
			"object_attributes": map[string]any{"id": 1001, "ref": "feature", "sha": s.scene.SHA, "source": "push", "status": "success"}}
		s.hook(body)
		s.untilShown(s.scene.SHA, "sync/site success")
		s.hook(body)
		s.until("second event", func() bool { return len(s.eventStates()) == 2 && !strings.Contains(s.eventStates()[1], "received") })
		s.same("events", s.eventStates(), []string{"pipeline routed", "pipeline ignored it was delivered for this pipeline before"})
		s.same("calls", len(s.place.got()), 1)
	},
	"a target that is gone from the configuration fails for good, and says so": func(s *stage) {
		s.target = ", method: PUT"
		s.place.answer(http.StatusServiceUnavailable)
		_, stop := s.start()
		s.hook(s.push(s.scene.Base, s.scene.SHA))
		s.untilShown(s.scene.SHA, "sync/site running")
		stop()
		s.name = "other"
		s.start()
		s.untilShown(s.scene.SHA, "sync/site failed")
		if row := s.deliveries()[0]; !strings.HasPrefix(row, "c0ffee12 failed target is gone") {
			s.Errorf("got %q", row)
		}
	},
	"what failed is tried again when a person wants it": func(s *stage) {
		s.place.answer(http.StatusForbidden)
		a, _ := s.start()
		s.hook(s.push(s.scene.Base, s.scene.SHA))
		s.untilShown(s.scene.SHA, "sync/site failed")
		s.until("rest", s.idle)
		s.place.answer(0)
		if err := a.Retry(s.Context(), fmt.Sprintf("sync:site:%s/42:refs/heads/feature", strings.TrimPrefix(s.git.URL, "http://"))); err != nil {
			s.Fatal(err)
		}
		s.untilShown(s.scene.SHA, "sync/site success")
		s.same("deliveries", s.deliveries(), []string{"c0ffee12 done"})
		s.until("rest", s.idle)
		s.same("notes", len(s.git.Notes(42, 7)), 1)
	},
}

// A token for one project stores its events, and what they claim besides is not
// believed.
func TestProjectToken(t *testing.T) {
	t.Parallel()
	s := newStage(t, sqlite(t))
	key := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))
	s.hooks = ", token_key: " + strconv.Quote(key)
	s.route = ", forks: true"
	issued, err := auth.Issue(delivery.Secret(key), auth.Grant{Path: "acme/app", Issued: time.Now(), Expires: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	s.git.AddProject(gitlabtest.Project{ID: 43, Path: "other/app"})
	s.git.AddMember(43, s.scene.Bot.ID, gitlabtest.Developer)
	s.git.AddCommit(43, gitlabtest.Commit{Branches: []string{"feature"}})
	s.start()
	s.secret = issued.Token.Reveal()

	body := s.push(s.scene.Base, s.scene.SHA)
	project := s.project()
	project["id"], body["project"], body["project_id"] = 43, project, 43 // somebody else's
	s.hook(body)
	s.untilShown(s.scene.SHA, "sync/site success")
	s.same("delivered", s.place.shas(), []string{s.scene.SHA})
	s.until("note", func() bool { return len(s.git.Notes(42, 7)) == 1 })
	s.until("rest", s.idle)
	s.same("requests about the other project", len(s.git.Requests("* /projects/43")), 0)

	fork := s.mergeRequest("open", "", s.scene.SHA)
	attributes := fork["object_attributes"].(map[string]any)
	attributes["source_project_id"] = 43
	attributes["source"] = map[string]any{"id": 43, "path_with_namespace": "other/app", "web_url": s.git.URL + "/other/app"}
	s.hook(fork)
	s.until("reason", func() bool {
		states := s.eventStates()
		return len(states) == 2 && strings.HasPrefix(states[1], "merge_request ignored the token of the webhook does not speak for")
	})
}

// mergeRequest is the body of an event of merge request 7.
func (s *stage) mergeRequest(action, oldrev, head string) map[string]any {
	return map[string]any{"object_kind": "merge_request", "project": s.project(), "user": map[string]any{"id": s.scene.Person.ID},
		"object_attributes": map[string]any{
			"iid": 7, "action": action, "state": "opened", "oldrev": oldrev, "source_branch": "feature", "target_branch": "main",
			"source_project_id": 42, "target_project_id": 42, "last_commit": map[string]any{"id": head}, "source": s.project(), "target": s.project(),
		}}
}

func TestBetweenGitLabAndAgent(t *testing.T) {
	t.Parallel()
	for name, flow := range gitlabFlows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			flow(newStage(t, sqlite(t)))
		})
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	const text = `
gitlab: [{name: one, url: 'https://one.example.com'}, {name: two, url: 'https://two.example.com/git'}]
tokens:
  - {name: wide, gitlab: one, token: glpat-wide-0123456789}
  - {name: team, gitlab: one, token: glpat-team-0123456789, projects: ['Team/**']}
  - {name: app, gitlab: one, token: glpat-app-01234567890, projects: ['team/app']}
targets: [{name: site, kind: http, url: 'https://site.example.com'}]
routes: [{sync: [site]}]
`
	c, _, err := config.Parse("remora.yaml", []byte(text), vars{"REMORA_GITLAB_REQUESTS": "auto"})
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := agent.NewTokens(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ instance, project, want string }{
		{"https://one.example.com", "group/x", "wide"},
		{"https://one.example.com/", "group/x", "wide"},
		{"https://one.example.com", "TEAM/x/y", "team"},
		{"https://one.example.com", "team/APP", "app"},
		{"https://two.example.com/git", "group/x", ""},
		{"https://three.example.com", "group/x", ""},
		{"http://one.example.com", "group/x", ""},
		{"https://one.example.com.evil.example", "group/x", ""},
		{"", "group/x", ""},
	} {
		if got := tokens.NameFor(tc.instance, tc.project); got != tc.want {
			t.Errorf("%s %s: got token %q, want %q", tc.instance, tc.project, got, tc.want)
		}
		if has := tokens.For(tc.instance, tc.project) != nil; has != (tc.want != "") {
			t.Errorf("%s %s: got a client %v", tc.instance, tc.project, has)
		}
	}
}

// Two agents on one PostgreSQL share the work, and one of them is killed.
func TestTwoAgents(t *testing.T) {
	t.Parallel()
	s := newStage(t, storetest.Postgres(t))
	kill := s.spawn()
	first := s.url
	s.spawn()
	second := s.url
	heads := map[string]string{"feature": s.scene.SHA}
	branches := []string{"feature", "b1", "b2", "b3", "b4", "b5"}
	for i := range 60 {
		s.url = second
		if i < 30 && i%2 == 0 {
			s.url = first
		}
		if i == 30 {
			kill()
		}
		s.pushTo(branches[i%len(branches)], heads)
	}
	s.until("rest", func() bool {
		return s.idle() && !slices.ContainsFunc(s.eventStates(), func(state string) bool { return strings.Contains(state, "received") })
	})
	s.checkConverged(heads)
}
