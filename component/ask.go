package component

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/report"
	"gitlab.com/remora-ci/remora/component/rest"
	"gitlab.com/remora-ci/remora/component/trigger"
)

// agentName stands in the place of a target where the agent has named none.
const agentName = "agent"

// Asked is what an agent was asked for: where more is known about it.
type Asked struct {
	URL   string `json:"url"`   // of the delivery in the agent's API
	Event int64  `json:"event"` // as in remora events show
}

// runByAgent asks the agent to deliver, and waits for what becomes of it. It opens
// nothing, so a signal leaves nothing to end: the agent goes on.
func runByAgent(ctx context.Context, c Config, version string) (Result, error) {
	j, client, err := prepareAsking(ctx, c, version)
	if err != nil {
		return Result{}, err
	}
	a := asking{job: j, client: client, start: time.Now()}
	deadline, cancel := context.WithTimeout(ctx, c.Job.Deadline())
	defer cancel()
	stop := j.progress(deadline, []string{agentName})
	a.known, a.err = client.Deliver(deadline, c.key(), c.request())
	if a.err == nil {
		j.log.Info().Int64("event", a.known.ID).Str("agent", c.Agent.host()).Msg("asked")
		if c.Job.wait() && !a.known.Done {
			a.known, a.err = client.Follow(deadline, a.known.ID, a.told)
		}
	}
	stop("")
	a.ended = deadline.Err()
	outcomes := a.outcomes()
	for i := range outcomes {
		outcomes[i] = j.scrub.Outcome(outcomes[i])
		outcomes[i].Optional = outcomes[i].Optional || c.Job.optional()[outcomes[i].Target]
	}
	if a.known.ID == 0 {
		return j.result(outcomes, report.Result{}), nil
	}
	if a.ended != nil && !a.known.Done {
		j.notice(fmt.Sprintf("the agent goes on with event %d; what becomes of it: remora events show %d, where the agent runs", a.known.ID, a.known.ID))
	}
	r := j.result(outcomes, report.Result{})
	r.Report.By = agentName
	r.Agent = &Asked{URL: client.Where(a.known.ID), Event: a.known.ID}
	return r, nil
}

// prepareAsking checks the configuration and makes all that needs no request.
func prepareAsking(ctx context.Context, c Config, version string) (*job, *trigger.Client, error) {
	if err := c.Validate(); err != nil {
		return nil, nil, err
	}
	j, err := newJob(ctx, c, version)
	if err != nil {
		return nil, nil, err
	}
	findMergeRequest(ctx, nil, c.CI, &j.event) // for the heading; the agent finds its own
	for _, notice := range append(c.unused(), c.Agent.inTheClear()) {
		j.notice(notice)
	}
	client, err := trigger.New(c.Agent.URL, c.Agent.IDToken, j.outbound(0))
	if err != nil {
		return nil, nil, &Misuse{fmt.Errorf("CI_SERVER_TLS_CA_FILE: %w", err)}
	}
	return j, client, nil
}

// asking is one request to the agent, and what came of it.
type asking struct {
	*job
	client *trigger.Client
	start  time.Time
	known  trigger.Delivery // newest that the agent said; the zero one if it took nothing
	err    error            // why that is not the end
	ended  error            // of the deadline's context
	logged map[string]bool
}

// told logs each target whose end is new.
func (a *asking) told(d trigger.Delivery) {
	if a.logged == nil {
		a.logged = map[string]bool{}
	}
	for _, t := range d.Targets {
		if t.Done && !a.logged[t.Target] {
			a.logged[t.Target] = true
			a.log.Debug().Str("target", clean(t.Target)).Str("state", clean(t.State)).Msg("ended")
		}
	}
}

// outcomes are those of the agent's targets, or one of the agent itself where there
// are none.
func (a *asking) outcomes() []delivery.Outcome {
	if len(a.known.Targets) == 0 {
		o := delivery.Outcome{Target: agentName, Place: a.config.Agent.host(), Attempt: 1, Took: time.Since(a.start)}
		return []delivery.Outcome{a.whole(o)}
	}
	var outcomes []delivery.Outcome
	for _, t := range a.known.Targets {
		o := t.Outcome()
		if o.State == delivery.Retry {
			o.Took = time.Since(a.start)
			o = a.unfinished(o, t)
		}
		outcomes = append(outcomes, o)
	}
	return outcomes
}

// whole is the outcome of a delivery without targets.
func (a *asking) whole(o delivery.Outcome) delivery.Outcome {
	var status *rest.StatusError
	switch {
	case a.known.ID == 0 && a.config.CI.ownNamespace() && errors.As(a.err, &status) && status.Code == http.StatusForbidden:
		// A fork holds this job and not the right to it. That it is one cannot be
		// seen from inside; without an agent it would get no job at all.
		o.State = delivery.Skipped
		o.Err = delivery.Skip("the agent does not take it, as is right for a fork: " + delivery.Explain(a.err).Cause)
	case a.known.Done && a.known.State == string(delivery.Failed):
		o.State, o.Err = delivery.Failed, delivery.Permanent(&delivery.Fault{
			Summary: "nothing was delivered", Cause: a.known.Reason, Remedy: "look at the agent's routes, and at remora events show where it runs", Request: a.request(),
		})
	case a.known.Done:
		o.State, o.Err = delivery.Skipped, delivery.Skip(a.known.Reason)
	default:
		return a.unfinished(o, trigger.Target{})
	}
	return o
}

// unfinished is the outcome at a target whose end is not known: because we do not
// wait for it, or stopped doing so, or the agent says no more.
func (a *asking) unfinished(o delivery.Outcome, t trigger.Target) delivery.Outcome {
	switch {
	case a.known.Done:
		o.State, o.Err = delivery.Failed, delivery.Permanent(&delivery.Fault{
			Summary: "result unknown", Cause: "the agent says that the delivery has ended, and not how", Remedy: "use the version of remora that the agent has", Request: a.request(),
		})
	case a.err == nil: // asked, and not awaited
		o.State, o.Err = delivery.Done, nil
		o.Receipt.Started, o.Receipt.Request = true, a.request()
	case errors.Is(a.ended, context.Canceled):
		o.State, o.Err = delivery.Retry, context.Canceled
	case errors.Is(a.ended, context.DeadlineExceeded):
		o.State, o.Err = delivery.Failed, a.overdue(o, t)
	default:
		o.State, o.Err = delivery.Failed, delivery.Permanent(a.err)
	}
	return o
}

// overdue says what was known when the deadline passed.
func (a *asking) overdue(o delivery.Outcome, t trigger.Target) *delivery.Fault {
	f := &delivery.Fault{Summary: "no result after " + delivery.Span(o.Took.Round(time.Second)), Request: a.request(), Err: delivery.ErrNoResult}
	last := ""
	if explained := delivery.Explain(a.err); explained.Request != "" { // a call that failed
		last, f.Remedy, f.Request = join(explained.Summary, explained.Cause), explained.Remedy, explained.Request
	}
	if a.known.ID == 0 {
		f.Cause = join("the agent has not said that it takes it", last)
		if f.Remedy == "" {
			f.Remedy = "look whether the agent runs, or give it longer with REMORA_TIMEOUT"
		}
		return f
	}
	f.Cause = "the agent goes on, and had not finished"
	if t.State != "" {
		f.Cause += fmt.Sprintf(": %s, attempt %d", t.State, t.Attempts)
	}
	if said := join(t.Summary, t.Cause); said != "" {
		last = said
	}
	f.Cause = join(f.Cause, last)
	f.Remedy = fmt.Sprintf("see remora events show %d where the agent runs, or give it longer with REMORA_TIMEOUT", a.known.ID)
	return f
}

// request is where the agent can be asked about it.
func (a *asking) request() string {
	if a.known.ID == 0 {
		return ""
	}
	return "GET " + a.client.Where(a.known.ID)
}

// planOfAsking says what the agent would be asked for.
func planOfAsking(ctx context.Context, c Config, version string) (Plan, error) {
	j, _, err := prepareAsking(ctx, c, version)
	if err != nil {
		return Plan{}, err
	}
	what := "for all targets that its route leads to"
	if names := c.Agent.names(); len(names) > 0 {
		what = fmt.Sprintf("for %q", names)
	}
	then := "then follow it until the true result"
	if !c.Job.wait() {
		then = "then go on, and not wait for the result"
	}
	steps := []string{fmt.Sprintf("POST %s%s, Idempotency-Key %s, %s", strings.TrimRight(rest.Plain(c.Agent.URL), "/"), trigger.DeliveriesPath, c.key(), what), then}
	for i := range steps {
		steps[i] = j.scrub.Text(steps[i])
	}
	return Plan{
		DryRun: true, Event: j.event, Name: c.Report.Name, Report: []string{"by the agent, as its route says"},
		Targets: []TargetPlan{{Target: agentName, Place: c.Agent.host(), Steps: steps}},
	}, nil
}
