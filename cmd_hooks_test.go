package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

// gitlabCommand changes the GitLab of a script:
//
//	gitlab owner GROUP          add a group that the bot owns; the id goes to GROUP_ID
//	gitlab maintainer           make the bot Maintainer of acme/app
//	gitlab edition EDITION      premium, free or community
//	gitlab drift GROUP          take an event from our hook, add it a second time, and one of others
//	gitlab forbid GROUP         the next listing of its hooks is refused
//	gitlab hooks GROUP FILE     write its hooks to FILE, "id url: events", without secrets
//	gitlab answers CODE         what AGENT_URL answers to hooks
func gitlabCommand(ts *testscript.TestScript, _ bool, args []string) {
	w := worldOf(ts)
	switch args[0] {
	case "owner":
		g := w.gitlab.AddGroup(gitlabtest.Group{Path: args[1]})
		w.gitlab.AddGroupMember(g.ID, w.scene.Bot.ID, gitlabtest.Owner)
		ts.Setenv(strings.ToUpper(args[1])+"_ID", fmt.Sprint(g.ID))
	case "maintainer":
		w.gitlab.AddMember(w.scene.Project.ID, w.scene.Bot.ID, gitlabtest.Maintainer)
	case "edition":
		w.gitlab.SetEdition(gitlabtest.Edition(args[1]))
	case "drift":
		place := groupOf(ts, args[1])
		ours := w.gitlab.Hooks(place)[0]
		w.gitlab.ChangeHook(ours.ID, func(h *gitlabtest.Hook) { h.Events = h.Events[1:] })
		w.gitlab.AddHook(gitlabtest.Hook{Of: place, URL: ours.URL, Events: ours.Events, VerifyTLS: true})
		w.gitlab.AddHook(gitlabtest.Hook{Of: place, URL: "https://chat.example.com/?key=canary", Events: []string{"job_events"}})
	case "forbid":
		w.gitlab.Fail(fmt.Sprintf("GET /groups/%d/hooks", groupOf(ts, args[1]).Group), gitlabtest.Answer{Code: 403})
	case "hooks":
		var lines []string
		for _, h := range w.gitlab.Hooks(groupOf(ts, args[1])) {
			lines = append(lines, fmt.Sprintf("%d %s: %s, secrets %v %v", h.ID, h.URL, strings.Join(h.Events, " "), h.Token != "", h.SigningToken != ""))
		}
		ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	case "answers":
		code, err := strconv.Atoi(args[1])
		ts.Check(err)
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }))
		ts.Defer(s.Close)
		ts.Setenv("AGENT_URL", s.URL)
	default:
		ts.Fatalf("gitlab: unknown %q", args[0])
	}
}

func groupOf(ts *testscript.TestScript, path string) gitlabtest.HookOf {
	id, err := strconv.ParseInt(ts.Getenv(strings.ToUpper(path)+"_ID"), 10, 64)
	ts.Check(err)
	return gitlabtest.HookOf{Group: id}
}

// An agent that runs may be older than this command: its tables are left alone.
func TestHooksLeaveTheTablesOfAnOlderAgentAlone(t *testing.T) {
	t.Parallel()
	place := store.Config{Dir: filepath.Join(t.TempDir(), "data")}
	s, err := openBeside(t.Context(), place) // there is none: it is made
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	versions := func() (n int) {
		t.Helper()
		if err := s.Query(t.Context(), func(r store.Row) error { return r.Scan(&n) }, "SELECT count(*) FROM remora_version"); err != nil {
			t.Fatal(err)
		}
		return n
	}
	err = s.Write(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec("DELETE FROM remora_version WHERE version_id = (SELECT MAX(version_id) FROM remora_version)")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	before := versions()
	again, err := openBeside(t.Context(), place)
	if err == nil {
		_ = again.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "older than this program") || versions() != before {
		t.Errorf("got %v and %d versions, want a refusal and %d", err, versions(), before)
	}
}
