package component_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	"github.com/sethvargo/go-envconfig"

	"gitlab.com/remora-ci/remora/component"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/trigger"
	"gitlab.com/remora-ci/remora/component/trigger/triggertest"
)

const (
	idToken = "id-token-canary"
	commit  = "c0ffee1200000000000000000000000000000002"
)

var (
	flows  = trigger.Target{Delivery: 1, Target: "flows", Place: "demo", State: "done", Done: true, Attempts: 1, Result: "4 files", Revision: commit, URL: "https://direktiv.example.com/1", TookMS: 1200}
	broken = trigger.Target{Delivery: 2, Target: "site", Place: "ops.example.com", State: "failed", Done: true, Attempts: 3, Summary: "status 500", Cause: "the server says no", Remedy: "look at its log", Request: "POST https://ops.example.com (500)"}
)

// asker is a job that has an agent and no secret.
type asker struct {
	agent *triggertest.Server
	vars  map[string]string
	log   strings.Builder
}

func newAsker(t *testing.T, o triggertest.Options) *asker {
	t.Helper()
	o.IDToken, o.JobID, o.PipelineID, o.SHA, o.Project = idToken, 7001, 1001, commit, "acme/app"
	a := &asker{agent: triggertest.New(t, o)}
	a.vars = map[string]string{
		"CI_SERVER_URL": "http://127.0.0.1:1", "CI_PROJECT_ID": "42", "CI_PROJECT_PATH": "acme/app", "CI_PROJECT_DIR": t.TempDir(),
		"CI_COMMIT_REF_NAME": "feature", "CI_COMMIT_SHA": commit, "CI_PIPELINE_ID": "1001", "CI_JOB_ID": "7001", "CI_OPEN_MERGE_REQUESTS": "acme/app!7",
		"GITLAB_USER_LOGIN": "dora", "CI_PROJECT_ROOT_NAMESPACE": "acme",
		"REMORA_AGENT_URL": a.agent.URL, "REMORA_ID_TOKEN": idToken, "REMORA_LOG": "debug",
	}
	return a
}

func (a *asker) set(vars map[string]string) *asker {
	for k, v := range vars {
		a.vars[k] = v
	}
	return a
}

func (a *asker) context(ctx context.Context) context.Context {
	return zerolog.New(zerolog.SyncWriter(&a.log)).WithContext(ctx)
}

func (a *asker) load(t *testing.T) component.Config {
	t.Helper()
	c, err := component.Load(t.Context(), nil, envconfig.MapLookuper(a.vars))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (a *asker) run(t *testing.T) component.Result {
	t.Helper()
	r, err := component.Run(a.context(t.Context()), a.load(t), "1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func table(t *testing.T, r component.Result) string {
	t.Helper()
	var b strings.Builder
	if err := r.Print(&b, component.Style{}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTheAgentsResultIsTheJobs(t *testing.T) {
	t.Parallel()
	optional := broken
	optional.Optional = true
	covered := flows
	covered.OvertakenBy = "deadbeef00000000000000000000000000000001"
	slow := broken
	slow.Overdue = true
	skipped := trigger.Target{Delivery: 3, Target: "flows", State: "skipped", Done: true, Summary: "no path of the change matches"}
	unknown := trigger.Target{Delivery: 4, Target: "flows", State: "fine", Done: true}
	for name, tt := range map[string]struct {
		o     triggertest.Options
		set   map[string]string
		state string
		code  int
		table []string
	}{
		"done":                       {triggertest.Options{Results: []trigger.Target{flows}}, nil, "done", 0, []string{"remora sync  acme/app  feature  c0ffee12  !7", "flows demo  done  1.2s  4 files c0ffee12", "report      by the agent"}},
		"two targets, one fails":     {triggertest.Options{Results: []trigger.Target{flows, broken}}, nil, "failed", 1, []string{"flows demo            done", "site ops.example.com  failed", "site: the server says no", "try: look at its log", "request: POST https://ops.example.com (500)"}},
		"the failing one optional":   {triggertest.Options{Results: []trigger.Target{flows, optional}}, nil, "done", 0, []string{"failed (optional)", "try: look at its log"}},
		"optional for this job":      {triggertest.Options{Results: []trigger.Target{flows, broken}}, map[string]string{"REMORA_OPTIONAL": "site"}, "done", 0, []string{"failed (optional)"}},
		"overtaken":                  {triggertest.Options{Results: []trigger.Target{covered}}, nil, "done", 0, []string{"4 files (by the run of deadbeef)"}},
		"the agent's own deadline":   {triggertest.Options{Results: []trigger.Target{slow}}, nil, "failed", 3, []string{"status 500"}},
		"skipped":                    {triggertest.Options{Results: []trigger.Target{skipped}}, nil, "skipped", 0, []string{"no path of the change matches"}},
		"nothing to do":              {triggertest.Options{Reason: "no route leads anywhere"}, nil, "skipped", 0, []string{"agent 127.0.0.1:", "skipped", "no route leads anywhere"}},
		"nothing, and that is wrong": {triggertest.Options{Reason: "the request of the job cannot be read", Nothing: "failed"}, nil, "failed", 1, []string{"nothing was delivered", "agent: the request of the job cannot be read"}},
		"an end without a result":    {triggertest.Options{Results: []trigger.Target{{Target: "flows", State: "running"}}}, nil, "failed", 1, []string{"result unknown"}},
		"a state that is not known":  {triggertest.Options{Results: []trigger.Target{unknown}}, nil, "failed", 1, []string{"unknown state", "use the version of remora that the agent has"}},
		"while the job waits":        {triggertest.Options{Results: []trigger.Target{flows}, Hold: true}, nil, "done", 0, []string{"flows demo  done"}},
		"by polling":                 {triggertest.Options{Results: []trigger.Target{flows}, Hold: true, NoStreams: true}, nil, "done", 0, []string{"flows demo  done"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAsker(t, tt.o).set(tt.set)
			if tt.o.Hold {
				go func() { <-a.agent.Followed(); a.agent.Finish() }()
			}
			r := a.run(t)
			if r.State != tt.state || r.ExitCode != tt.code || r.Report.By != "agent" || r.Agent == nil || r.Agent.Event != 100 || r.Agent.URL != a.agent.URL+"/api/v1/deliveries/100" {
				t.Errorf("got %s, exit %d, %+v, %+v; want %s, exit %d", r.State, r.ExitCode, r.Report, r.Agent, tt.state, tt.code)
			}
			out := table(t, r)
			for _, want := range tt.table {
				if !strings.Contains(out, want) {
					t.Errorf("no %q in\n%s", want, out)
				}
			}
		})
	}
}

func TestFilesTellOfTheAgentsTargets(t *testing.T) {
	t.Parallel()
	a := newAsker(t, triggertest.Options{Results: []trigger.Target{flows, broken}})
	dir := t.TempDir()
	a.set(map[string]string{"REMORA_JUNIT": filepath.Join(dir, "j.xml"), "REMORA_DOTENV": filepath.Join(dir, "d.env"), "REMORA_ANNOTATIONS": filepath.Join(dir, "a.json")})
	a.run(t)
	for file, want := range map[string][]string{
		"j.xml":  {`name="flows demo"`, `<failure message="status 500"`},
		"d.env":  {"SYNC_STATE=failed", "SYNC_FLOWS_REVISION=" + commit, "SYNC_SITE_STATE=failed"},
		"a.json": {"https://direktiv.example.com/1"},
	} {
		content, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range want {
			if !strings.Contains(string(content), text) {
				t.Errorf("%s: no %q in\n%s", file, text, content)
			}
		}
	}
}

func TestAnAgentThatRefuses(t *testing.T) {
	t.Parallel()
	own := map[string]string{"GITLAB_USER_LOGIN": "acme"}
	for name, tt := range map[string]struct {
		prepare func(*asker)
		set     map[string]string
		state   string
		code    int
		want    []string
	}{
		"by policy":                  {func(a *asker) { a.agent.Fail(triggertest.Fault{Code: 403, Detail: "the ref is not protected"}) }, nil, "failed", 1, []string{"agent: the ref is not protected", "on: [job]", "(403)"}},
		"a claim":                    {nil, map[string]string{"CI_JOB_ID": "8"}, "failed", 1, []string{"the claim job_id is 7001, not 8"}},
		"a key of another job":       {func(a *asker) { a.agent.Take("job-7001") }, nil, "failed", 1, []string{"belongs to another job"}},
		"the token":                  {nil, map[string]string{"REMORA_ID_TOKEN": "other-canary"}, "failed", 1, []string{"the claim aud did not hold, in [secret]", "aud: 'remora:$REMORA_AGENT_URL'"}},
		"what may be a fork":         {func(a *asker) { a.agent.Fail(triggertest.Fault{Code: 403, Detail: "no route takes dora/app"}) }, own, "skipped", 0, []string{"as is right for a fork: no route takes dora/app"}},
		"a fork's token fails still": {nil, map[string]string{"GITLAB_USER_LOGIN": "acme", "REMORA_ID_TOKEN": "other-canary"}, "failed", 1, []string{"the claim aud"}},
		"what is no agent":           {func(a *asker) { a.agent.Fail(triggertest.Fault{Code: 404, Plain: "<html>"}) }, nil, "failed", 1, []string{"REMORA_AGENT_URL"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAsker(t, triggertest.Options{Results: []trigger.Target{flows}}).set(tt.set)
			if tt.prepare != nil {
				tt.prepare(a)
			}
			r := a.run(t)
			out := table(t, r)
			if r.State != tt.state || r.ExitCode != tt.code || r.Report.By != "" || r.Agent != nil {
				t.Errorf("got %s, exit %d, %+v\n%s", r.State, r.ExitCode, r.Report, out)
			}
			for _, want := range tt.want {
				if !strings.Contains(out, want) {
					t.Errorf("no %q in\n%s", want, out)
				}
			}
			if strings.Contains(out+a.log.String(), "canary") {
				t.Errorf("the token is told:\n%s\n%s", out, a.log.String())
			}
		})
	}
}

func TestAnAgentThatIsNotReadyIsWaitedFor(t *testing.T) {
	t.Parallel()
	a := newAsker(t, triggertest.Options{Results: []trigger.Target{flows}})
	a.agent.Fail(triggertest.Fault{Code: 503, Detail: "starting"}, triggertest.Fault{})
	r := a.run(t)
	if r.State != "done" || a.agent.Deliveries() != 1 {
		t.Errorf("got %s and %d deliveries", r.State, a.agent.Deliveries())
	}
}

func TestARestartWhileTheJobWaits(t *testing.T) {
	t.Parallel()
	a := newAsker(t, triggertest.Options{Results: []trigger.Target{flows}, Hold: true})
	go func() {
		<-a.agent.Followed()
		a.agent.Stop()
		a.agent.Finish() // the result is reached while nobody listens
		a.agent.Start()
	}()
	if r := a.run(t); r.State != "done" || r.ExitCode != 0 {
		t.Errorf("got %s\n%s", r.State, table(t, r))
	}
}

func TestAProcessThatIsStartedAgainAsksForNothingNew(t *testing.T) {
	t.Parallel()
	a := newAsker(t, triggertest.Options{Results: []trigger.Target{flows, broken}})
	for range 2 {
		a.run(t)
	}
	if got := a.agent.Deliveries(); got != 1 {
		t.Errorf("got %d deliveries of one job, want one", got)
	}
	for _, targets := range []string{"flows", "site, flows", "flows,site,flows"} {
		a.set(map[string]string{"REMORA_AGENT_TARGETS": targets}).run(t)
	}
	if got := a.agent.Deliveries(); got != 3 {
		t.Errorf("got %d deliveries, want one for each set of targets", got)
	}
	if last := a.agent.Requests(); !strings.Contains(last[len(last)-1].Body, `"targets":["flows","site"]`) {
		t.Errorf("asked %s", last[len(last)-1].Body)
	}
}

func TestTheAgentIsToldOfTheJob(t *testing.T) {
	t.Parallel()
	a := newAsker(t, triggertest.Options{Results: []trigger.Target{flows}}).set(map[string]string{
		"CI_JOB_NAME": "remora-sync", "CI_JOB_URL": "https://gitlab.example.com/-/jobs/7001", "CI_PIPELINE_URL": "https://gitlab.example.com/-/pipelines/1001",
		"CI_COMMIT_BEFORE_SHA": strings.Repeat("a", 40), "CI_MERGE_REQUEST_IID": "7", "CI_MERGE_REQUEST_PROJECT_ID": "42",
		"CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "43", "CI_MERGE_REQUEST_SOURCE_BRANCH_SHA": strings.Repeat("b", 40), "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "feature",
	})
	a.run(t)
	want := `{"job_id":7001,"pipeline_id":1001,"sha":"` + commit + `","job_name":"remora-sync","job_url":"https://gitlab.example.com/-/jobs/7001",` +
		`"pipeline_url":"https://gitlab.example.com/-/pipelines/1001","before":"` + strings.Repeat("a", 40) + `",` +
		`"merge_request":{"iid":7,"project_id":42,"source_project_id":43,"source_sha":"` + strings.Repeat("b", 40) + `"}}`
	if diff := cmp.Diff(want, a.agent.Requests()[0].Body); diff != "" {
		t.Error(diff)
	}
}

func TestNotWaitingAsksOnly(t *testing.T) {
	t.Parallel()
	a := newAsker(t, triggertest.Options{Results: []trigger.Target{flows}, Hold: true}).set(map[string]string{"REMORA_WAIT": "false"})
	r := a.run(t)
	if r.State != "done" || r.Targets[0].Summary != "started, result not awaited" || !strings.Contains(r.Targets[0].Request, "/api/v1/deliveries/100") {
		t.Errorf("got %s %+v", r.State, r.Targets)
	}
	if n := a.agent.Asked("GET"); n != 0 {
		t.Errorf("followed %d times", n)
	}
}

func TestTheDeadlineEndsTheJobAndNotTheDelivery(t *testing.T) {
	t.Parallel()
	t.Run("while the agent works", func(t *testing.T) {
		t.Parallel()
		optional := broken
		optional.Optional = true
		a := newAsker(t, triggertest.Options{Results: []trigger.Target{flows, optional}, Hold: true}).set(map[string]string{"REMORA_TIMEOUT": "2s"})
		go func() {
			<-a.agent.Followed()
			a.agent.Change(flows, trigger.Target{Delivery: 2, Target: "site", State: "retry", Attempts: 2, Summary: "status 502"})
		}()
		r := a.run(t)
		out := table(t, r)
		if r.ExitCode != component.ExitDeadline || r.Targets[0].State != "done" || r.Targets[1].State != "failed" {
			t.Errorf("got %s, exit %d\n%s", r.State, r.ExitCode, out)
		}
		for _, want := range []string{"no result after 2s", "the agent goes on, and had not finished: retry, attempt 2: status 502", "remora events show 100", "REMORA_TIMEOUT"} {
			if !strings.Contains(out, want) {
				t.Errorf("no %q in\n%s", want, out)
			}
		}
		if len(r.Notices) != 1 || !strings.Contains(r.Notices[0], "the agent goes on with event 100") {
			t.Errorf("notices %q", r.Notices)
		}
	})
	t.Run("while no agent answers", func(t *testing.T) {
		t.Parallel()
		a := newAsker(t, triggertest.Options{}).set(map[string]string{"REMORA_TIMEOUT": "300ms", "REMORA_AGENT_URL": "http://127.0.0.1:1"})
		r := a.run(t)
		out := table(t, r)
		if r.ExitCode != component.ExitDeadline || !strings.Contains(out, "the agent has not said that it takes it: no connection") || !strings.Contains(out, "REMORA_AGENT_URL") {
			t.Errorf("got exit %d\n%s", r.ExitCode, out)
		}
	})
}

func TestASignalEndsTheJobAndNotTheDelivery(t *testing.T) {
	t.Parallel()
	a := newAsker(t, triggertest.Options{Results: []trigger.Target{flows}, Hold: true})
	ctx, cancel := context.WithCancel(a.context(t.Context()))
	go func() { <-a.agent.Followed(); cancel() }()
	r, err := component.Run(ctx, a.load(t), "1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	if r.State != "canceled" || r.Targets[0].State != "canceled" || len(r.Notices) != 1 || !strings.Contains(r.Notices[0], "remora events show 100") {
		t.Errorf("got %s %+v, notices %q", r.State, r.Targets, r.Notices)
	}
	n, err := component.Finish(a.context(t.Context()), a.load(t), "1.0.0")
	if n != 0 || err != nil {
		t.Errorf("finish: %d, %v; there is nothing to end", n, err)
	}
}

func TestMisuseIsToldBeforeTheAgentIsAsked(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		set  map[string]string
		want []string
	}{
		"no ID token":                         {map[string]string{"REMORA_ID_TOKEN": ""}, []string{"REMORA_ID_TOKEN: missing", "id_tokens: {REMORA_ID_TOKEN: {aud: 'remora:$REMORA_AGENT_URL'}}"}},
		"no job":                              {map[string]string{"CI_JOB_ID": "", "CI_PIPELINE_ID": ""}, []string{"CI_JOB_ID: missing", "CI_PIPELINE_ID: missing"}},
		"an address with a password":          {map[string]string{"REMORA_AGENT_URL": "https://user:canary@x"}, []string{"REMORA_AGENT_URL: want no user"}},
		"several things at once":              {map[string]string{"REMORA_AGENT_URL": "ftp://x", "REMORA_WAIT": "perhaps", "CI_COMMIT_SHA": "main", "REMORA_NOTE": "loud"}, []string{"REMORA_AGENT_URL", "REMORA_WAIT", "CI_COMMIT_SHA", "REMORA_NOTE"}},
		"an optional target nobody asked for": {map[string]string{"REMORA_AGENT_TARGETS": "flows", "REMORA_OPTIONAL": "site"}, []string{`REMORA_OPTIONAL: "site"`}},
	} {
		a := newAsker(t, triggertest.Options{}).set(tt.set)
		_, err := component.Run(a.context(t.Context()), a.load(t), "1.0.0")
		_, planned := component.PlanOf(a.context(t.Context()), a.load(t), "1.0.0")
		var misuse *component.Misuse
		if !errors.As(err, &misuse) || !errors.As(planned, &misuse) {
			t.Errorf("%s: got %v and %v", name, err, planned)
			continue
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: no %q in %v", name, want, err)
			}
		}
		if len(a.agent.Requests()) > 0 || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: asked %v, said %v", name, a.agent.Requests(), err)
		}
	}
}

func TestWhatHasNoSayIsNamedOnce(t *testing.T) {
	t.Parallel()
	a := newAsker(t, triggertest.Options{Results: []trigger.Target{flows}}).set(map[string]string{
		"DIREKTIV_URL": "http://127.0.0.1:1", "DIREKTIV_TOKEN": "direktiv-canary", "REMORA_MIRROR_SSH_KEY": "no-key-canary", "REMORA_GITLAB_TOKEN": "bot-canary",
		"REMORA_PATHS": "docs/**", "REMORA_NOTE": "off", "REMORA_STATUS_ON": "pipeline", "DIREKTIV_ANY_REF": "false",
	})
	r := a.run(t)
	want := []string{
		"the agent delivers; DIREKTIV_URL, DIREKTIV_TOKEN, REMORA_MIRROR_SSH_KEY are not used",
		"the agent's route decides about paths and reports; REMORA_PATHS, REMORA_NOTE are not used",
	}
	if diff := cmp.Diff(want, r.Notices); diff != "" || r.State != "done" {
		t.Errorf("%s (-want +got):\n%s", r.State, diff)
	}
	one := newAsker(t, triggertest.Options{Results: []trigger.Target{flows}}).set(map[string]string{"DIREKTIV_URL": "http://127.0.0.1:1"})
	if diff := cmp.Diff([]string{"the agent delivers; DIREKTIV_URL is not used"}, one.run(t).Notices); diff != "" {
		t.Error(diff)
	}
	if got := newAsker(t, triggertest.Options{Results: []trigger.Target{flows}}).run(t).Notices; got != nil {
		t.Errorf("got %q, want no notice", got)
	}
}

func TestATokenInTheClearIsTold(t *testing.T) {
	t.Parallel()
	for url, told := range map[string]bool{"http://remora.example.com": true, "https://remora.example.com": false, "http://localhost:8080": false, "http://[::1]": false} {
		a := newAsker(t, triggertest.Options{}).set(map[string]string{"REMORA_AGENT_URL": url})
		if _, err := component.PlanOf(a.context(t.Context()), a.load(t), "1.0.0"); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(a.log.String(), "begins with http"); got != told {
			t.Errorf("%s: told is %v, want %v", url, got, told)
		}
	}
}

func TestThePlanSaysThatTheAgentWouldBeAsked(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		set  map[string]string
		want []string
	}{
		"all of its route": {nil, []string{"POST %s/api/v1/deliveries, Idempotency-Key job-7001, for all targets that its route leads to", "then follow it until the true result"}},
		"some, not awaited": {map[string]string{"REMORA_AGENT_TARGETS": "flows", "REMORA_WAIT": "false"},
			[]string{`POST %s/api/v1/deliveries, Idempotency-Key job-7001-2e9ecdb7a13c77ad, for ["flows"]`, "then go on, and not wait for the result"}},
	} {
		a := newAsker(t, triggertest.Options{}).set(tt.set)
		p, err := component.PlanOf(a.context(t.Context()), a.load(t), "1.0.0")
		if err != nil {
			t.Fatal(err)
		}
		tt.want[0] = fmt.Sprintf(tt.want[0], a.agent.URL)
		want := []component.TargetPlan{{Target: "agent", Place: strings.TrimPrefix(a.agent.URL, "http://"), Steps: tt.want}}
		if diff := cmp.Diff(want, p.Targets); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if len(a.agent.Requests()) > 0 || p.Report[0] != "by the agent, as its route says" {
			t.Errorf("%s: asked %v, report %q", name, a.agent.Requests(), p.Report)
		}
	}
}

// The debug log names each request, and no token is anywhere.
func TestAskingLeavesNoSecret(t *testing.T) {
	t.Parallel()
	echo := flows
	echo.Result, echo.URL = "you sent "+idToken, "https://x/?token="+idToken
	echo.Warnings, echo.Log = []string{idToken}, []delivery.LogLine{{Level: "ERROR", Text: "Bearer " + idToken}}
	echoed := broken
	echoed.Summary, echoed.Cause, echoed.Remedy, echoed.Request = idToken, idToken, idToken, idToken
	a := newAsker(t, triggertest.Options{Results: []trigger.Target{echo, echoed}, Hold: true})
	dir := t.TempDir()
	a.set(map[string]string{"REMORA_JUNIT": filepath.Join(dir, "j.xml"), "REMORA_DOTENV": filepath.Join(dir, "d.env"), "REMORA_ANNOTATIONS": filepath.Join(dir, "a.json")})
	go func() { <-a.agent.Followed(); a.agent.Finish() }()
	r := a.run(t)
	var out strings.Builder
	for _, style := range []component.Style{{}, {JSON: true}} {
		if err := r.Print(&out, style); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"j.xml", "d.env", "a.json"} {
		content, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		out.Write(content)
	}
	out.WriteString(a.log.String())
	if i := strings.Index(out.String(), "canary"); i >= 0 {
		t.Errorf("the token is told: …%s…", out.String()[max(0, i-200):i+20])
	}
	for _, want := range []string{`"method":"POST","url":"` + a.agent.URL + `/api/v1/deliveries","code":202`, `"method":"GET","url":"` + a.agent.URL + `/api/v1/deliveries/100","code":200`} {
		if !strings.Contains(a.log.String(), want) {
			t.Errorf("no %s in the log:\n%s", want, a.log.String())
		}
	}
}
