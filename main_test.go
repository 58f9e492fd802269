package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
	"gitlab.com/remora-ci/remora/component/target/direktiv/direktivtest"
	"gitlab.com/remora-ci/remora/component/trigger/triggertest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"remora": main})
}

// world is what a script runs beside: a GitLab with a merge request, and a
// Direktiv that mirrors its branch.
type world struct {
	gitlab   *gitlabtest.Server
	scene    gitlabtest.Scene
	direktiv *direktivtest.Server
	agent    *triggertest.Server // nil until a script asks for one
	asked    int                 // GET requests that the Direktiv had seen when told to hang
}

// TestScripts runs testdata/script: the command line, as a user sees it. Each
// script begins in a merge-request job whose variables are set, with no target.
//
//	direktiv on             set the variables that switch the target on
//	direktiv fail CAUSE     the next sync fails
//	direktiv hang           the next sync never ends by itself
//	direktiv running        wait until that sync is followed and its status open
//	direktiv release        let it end
//	agent ...               see agent_mode_test.go
//	gitlab ...              see cmd_hooks_test.go
//	state FILE              write what GitLab shows to FILE, as JSON
//	stored FILE             put the events and deliveries of FILE into the agent's database
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		Setup:         setup,
		Cmds:          map[string]func(*testscript.TestScript, bool, []string){"direktiv": direktivCommand, "agent": agentCommand, "gitlab": gitlabCommand, "state": stateCommand, "stored": storedCommand},
		UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
	})
}

func setup(e *testscript.Env) error {
	w := &world{gitlab: gitlabtest.NewServer()}
	w.scene = w.gitlab.Populate()
	w.direktiv = direktivtest.NewServer(direktivtest.Options{
		Key: "direktiv-canary", Mirror: &direktivtest.Mirror{URL: w.gitlab.URL + "/acme/app.git", GitRef: "feature"},
	})
	e.Defer(w.gitlab.Close)
	e.Defer(w.direktiv.Close)
	e.Values["world"] = w
	project := fmt.Sprint(w.scene.Project.ID)
	for k, v := range map[string]string{
		"HOME": e.WorkDir, "CI_SERVER_URL": w.gitlab.URL, "CI_PROJECT_ID": project, "CI_PROJECT_PATH": "acme/app",
		"CI_PROJECT_URL": w.gitlab.URL + "/acme/app", "CI_PROJECT_DIR": e.WorkDir, "CI_DEFAULT_BRANCH": "main",
		"CI_COMMIT_REF_NAME": "feature", "CI_COMMIT_SHA": w.scene.SHA, "CI_PIPELINE_ID": fmt.Sprint(w.scene.Pipeline.ID),
		"CI_PIPELINE_SOURCE": "merge_request_event", "CI_JOB_ID": "7001", "CI_MERGE_REQUEST_IID": "7",
		"CI_MERGE_REQUEST_PROJECT_ID": project, "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": project, "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "feature",
		"REMORA_GITLAB_TOKEN": w.scene.Token, "DIREKTIV_ADDRESS": w.direktiv.URL,
	} {
		e.Setenv(k, v)
	}
	return nil
}

func worldOf(ts *testscript.TestScript) *world { return ts.Value("world").(*world) }

func direktivCommand(ts *testscript.TestScript, _ bool, args []string) {
	w := worldOf(ts)
	switch args[0] {
	case "on":
		ts.Setenv("DIREKTIV_URL", w.direktiv.URL)
		ts.Setenv("DIREKTIV_NAMESPACE", "demo")
		ts.Setenv("DIREKTIV_TOKEN", "direktiv-canary")
	case "fail":
		w.direktiv.Next(direktivtest.Script{Failure: args[1]})
	case "hang":
		w.direktiv.Next(direktivtest.Script{Polls: -1})
		w.asked = w.direktiv.Asked("GET ")
	case "release":
		w.direktiv.Release()
	case "running":
		w.awaitRunning(ts)
	default:
		ts.Fatalf("direktiv: unknown %q", args[0])
	}
}

// awaitRunning waits until another process follows a sync and has opened its
// status.
func (w *world) awaitRunning(ts *testscript.TestScript) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for range 5000 {
		<-tick.C
		open := slices.ContainsFunc(w.gitlab.Statuses(w.scene.Project.ID, w.scene.SHA), func(s gitlabtest.Status) bool { return s.State == "running" })
		if open && w.direktiv.Asked("GET ") > w.asked+4 {
			return
		}
	}
	ts.Fatalf("no sync is running")
}

func stateCommand(ts *testscript.TestScript, _ bool, args []string) {
	w := worldOf(ts)
	var lines []string
	for _, s := range w.gitlab.Statuses(w.scene.Project.ID, w.scene.SHA) {
		if !s.Retried {
			lines = append(lines, fmt.Sprintf("status %s %s: %s", s.Name, s.State, s.Description))
		}
	}
	for _, n := range w.gitlab.Notes(w.scene.Project.ID, w.scene.MergeRequest.IID) {
		body, err := json.Marshal(n.Body)
		ts.Check(err)
		lines = append(lines, "note "+string(body))
	}
	for _, leak := range w.gitlab.Leaks() {
		lines = append(lines, "LEAK "+leak)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Join(lines, "\n")+"\n"), 0o600))
}
