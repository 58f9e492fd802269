package main

import (
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"gitlab.com/remora-ci/remora/component/trigger"
	"gitlab.com/remora-ci/remora/component/trigger/triggertest"
)

// agentCommand is the command agent of the scripts: a stand-in of an agent, and a
// project that has no secret but the job's ID token.
//
//	agent on [hold]         set the variables of agent mode; hold: deliveries wait
//	agent finish            let them end
//	agent fail              let them end with a failure
//	agent followed          wait until a job follows one
//	agent refuse SENTENCE   the next request is refused by policy
//	agent restart           stop, and start with all that was known
//	agent log FILE          write method, path and key of each request to FILE
func agentCommand(ts *testscript.TestScript, _ bool, args []string) {
	w := worldOf(ts)
	switch args[0] {
	case "on":
		w.agentOn(ts, len(args) > 1)
	case "finish":
		w.agent.Finish()
	case "fail":
		w.agent.Change(trigger.Target{Delivery: 1, Target: "flows", State: "failed", Done: true, Attempts: 3, Summary: "reference not found", Cause: "the ref does not exist", Remedy: "push it"})
	case "followed":
		<-w.agent.Followed()
	case "refuse":
		w.agent.Fail(triggertest.Fault{Code: 403, Detail: args[1]})
	case "restart":
		w.agent.Stop()
		w.agent.Start()
	case "log":
		var b strings.Builder
		for _, r := range w.agent.Requests() {
			b.WriteString(r.Method + " " + r.Path + " " + r.Key + "\n")
		}
		ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(b.String()), 0o600))
	default:
		ts.Fatalf("agent: unknown %q", args[0])
	}
}

func (w *world) agentOn(ts *testscript.TestScript, hold bool) {
	w.agent = triggertest.NewServer(triggertest.Options{
		IDToken: "id-token-canary", ProjectToken: "project-token-canary", JobID: 7001, PipelineID: w.scene.Pipeline.ID, SHA: w.scene.SHA, Project: "acme/app", Hold: hold,
		Results: []trigger.Target{{Delivery: 1, Target: "flows", Place: "demo", State: "done", Done: true, Attempts: 1, Result: "4 files", Revision: w.scene.SHA, TookMS: 1200}},
	})
	ts.Defer(w.agent.Close)
	ts.Setenv("REMORA_AGENT_URL", w.agent.URL)
	ts.Setenv("REMORA_ID_TOKEN", "id-token-canary")
	ts.Setenv("REMORA_GITLAB_TOKEN", "")
}
