package agent

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"go.opentelemetry.io/otel/propagation"

	"gitlab.com/remora-ci/remora/agent/api"
	"gitlab.com/remora-ci/remora/agent/auth"
	"gitlab.com/remora-ci/remora/agent/route"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab"
	"gitlab.com/remora-ci/remora/component/trigger"
)

// mergeRequestPipeline is the source of pipelines of merge requests.
const mergeRequestPipeline = "merge_request_event"

// asked is the body of an event of kind job: what the token proved, and what was
// asked for. Only an agent makes it.
type asked struct {
	Job          *auth.Job
	Request      trigger.Request
	MergeRequest *delivery.MergeRequest // as GitLab confirmed it
	SHA          string                 // head of the ref; empty: to be read
	Allowed      bool                   // of a fork's merge request: somebody has allowed that commit
}

// Deliver stores what a job asks for.
func (a *Agent) Deliver(ctx context.Context, job auth.Job, key string, r trigger.Request) (trigger.Delivery, error) {
	if err := validRequest(r); err != nil {
		return trigger.Delivery{}, err
	}
	s := a.current()
	ask := asked{Job: &job, Request: r, SHA: job.SHA}
	if err := a.confirm(ctx, s, &ask); err != nil {
		return trigger.Delivery{}, err
	}
	var err error
	if ask.Allowed, err = a.isAllowed(ctx, job.Instance, ask.MergeRequest, ask.SHA); err != nil {
		return trigger.Delivery{}, err
	}
	if works, reason := s.ask(ask, time.Time{}); len(works) == 0 {
		return trigger.Delivery{}, &api.Refused{
			Status: http.StatusForbidden, Title: "not allowed", Detail: reason, Remedy: remedyOf(ask, reason),
			Log: fmt.Sprintf("job %d of %s: %s", job.JobID, job.ProjectPath, reason),
		}
	}
	if err := a.bindToken(ctx, job); err != nil {
		return trigger.Delivery{}, err
	}
	body, err := json.Marshal(ask)
	if err != nil {
		return trigger.Delivery{}, fmt.Errorf("encode request: %w", err)
	}
	id, again, err := a.store.Append(ctx, store.Event{
		IdempotencyKey: fmt.Sprintf("%sjob:%s/%d:%s", store.OwnPrefix, job.Instance, job.ProjectID, key), Kind: route.Job, Instance: job.Instance,
		Project: job.ProjectPath, ProjectID: job.ProjectID, Ref: job.Ref, SHA: ask.SHA, Body: body, TraceParent: traceParent(ctx),
	})
	if err != nil {
		return trigger.Delivery{}, err
	}
	if again {
		if err := a.sameRequest(ctx, id, ask); err != nil {
			return trigger.Delivery{}, err
		}
	}
	got, _, err := a.Delivery(ctx, id)
	return got, err
}

// sameRequest refuses a key that stands for the request of another job, or for other
// targets.
func (a *Agent) sameRequest(ctx context.Context, id int64, ask asked) error {
	e, err := a.store.Event(ctx, id)
	if err != nil {
		return err
	}
	var known asked
	if err := json.Unmarshal(e.Body, &known); err != nil || known.Job == nil {
		return fmt.Errorf("read request %d: %w", id, cmp.Or(err, errors.New("it names no job")))
	}
	r := &api.Refused{Status: http.StatusConflict, Title: "key in use", Log: fmt.Sprintf("job %d of %s used the key of job %d, for the targets %q", ask.Job.JobID, ask.Job.ProjectPath, known.Job.JobID, ask.Request.Targets)}
	switch {
	case known.Job.JobID != ask.Job.JobID:
		r.Detail, r.Remedy = "this Idempotency-Key belongs to another job", "let the job's id be part of the key"
	case !slices.Equal(known.Request.Targets, ask.Request.Targets):
		r.Detail, r.Remedy = "this Idempotency-Key was used by this job for other targets", "take a key of its own for each choice of targets"
	default:
		return nil
	}
	return r
}

// validRequest says what keeps a request from being kept: what the ID token does not
// prove is shown to people and sent to GitLab.
func validRequest(r trigger.Request) error {
	const longest, most = 255, 100
	switch {
	case r.Before != "" && !delivery.ZeroSHA(r.Before) && !commitID.MatchString(r.Before):
		return invalid("before: want a full commit id in small letters")
	case len(r.JobName) > longest || strings.ContainsFunc(r.JobName, unicode.IsControl):
		return invalid(fmt.Sprintf("job_name: want one line of %d bytes at most", longest))
	case len(r.Targets) > most:
		return invalid(fmt.Sprintf("targets: more than %d", most))
	}
	return nil
}

// remedyOf is what helps where the routes lead nowhere, for that reason.
func remedyOf(q asked, reason string) string {
	switch {
	case strings.HasPrefix(reason, noTarget):
		return "correct REMORA_AGENT_TARGETS (input agent-targets), or ask who runs the agent for a route with on: [job] that leads there"
	case q.MergeRequest.Fork():
		return "push the branch to the project itself, or ask who runs the agent about forks: in its route with on: [job]"
	case strings.HasPrefix(reason, route.NotProtected):
		return "protect the ref in the project's settings, or ask who runs the agent for a route with on: [job] and protected: false"
	}
	return "ask who runs the agent for a route with on: [job] that takes this project and ref"
}

// jobURL is where a job is shown, by what its token proves.
func jobURL(job auth.Job) string {
	return fmt.Sprintf("%s/%s/-/jobs/%d", job.Instance, job.ProjectPath, job.JobID)
}

// confirm asks GitLab about the merge request that a job says it runs for, which
// its token does not prove.
func (a *Agent) confirm(ctx context.Context, s *setup, ask *asked) error {
	job, said := ask.Job, ask.Request.MergeRequest
	foreign := said != nil && (said.ProjectID != job.ProjectID || said.SourceProjectID != 0 && said.SourceProjectID != said.ProjectID)
	if foreign && !job.Exact {
		return &api.Refused{Status: http.StatusForbidden, Title: "not allowed",
			Detail: "the ID token has no claim job_project_id, which GitLab has since 18.4; without it merge requests from forks are refused",
			Remedy: "push the branch to the project itself, or have GitLab updated"}
	}
	if said == nil || said.ProjectID != job.ProjectID || job.PipelineSource != mergeRequestPipeline {
		if job.Fork() {
			return &api.Refused{Status: http.StatusForbidden, Title: "not allowed", Detail: "project_id and job_project_id of the ID token differ, and the job names no merge request that would explain it",
				Remedy: "run the job in a merge request pipeline, with CI_MERGE_REQUEST_IID as GitLab sets it"}
		}
		return nil
	}
	gl := s.tokens.For(job.Instance, job.ProjectPath)
	if gl == nil {
		return unconfirmed(job, errors.New("no token for the project"))
	}
	mr, err := gl.MergeRequest(ctx, gitlab.ProjectID(job.ProjectID), said.IID)
	if err != nil {
		return unconfirmed(job, err)
	}
	if mr.SourceBranch != job.Ref || mr.SourceProjectID != job.SourceID {
		return &api.Refused{Status: http.StatusForbidden, Title: "not allowed", Detail: fmt.Sprintf("merge request !%d is not the one that the job runs for: ref and project_id of the ID token say another source branch", said.IID),
			Remedy: "leave CI_MERGE_REQUEST_IID as GitLab sets it"}
	}
	ask.MergeRequest = &delivery.MergeRequest{
		IID: mr.IID, ProjectID: job.ProjectID, ProjectPath: job.ProjectPath, SourceProjectID: mr.SourceProjectID,
		SourceBranch: mr.SourceBranch, TargetBranch: mr.TargetBranch, DiffBaseSHA: mr.DiffBaseSHA, URL: mr.URL,
	}
	if said.SourceSHA != "" { // a merged result: the token's commit is on no branch
		if ask.SHA = ""; said.SourceSHA == mr.SHA {
			ask.SHA = mr.SHA
		}
	}
	return nil
}

// unconfirmed lets a job go on without its merge request, but for a fork's: of that
// too little is known then.
func unconfirmed(job *auth.Job, err error) error {
	if !job.Fork() {
		return nil
	}
	return &api.Refused{Status: http.StatusServiceUnavailable, Title: "not now", Detail: "GitLab could not be asked about the merge request of the fork; try again later", Log: firstText(err)}
}

// fact is what a job's asking comes to for the routes.
func (q asked) fact(at time.Time) route.Fact {
	job := q.Job
	f := route.Fact{
		Kind: route.Job, Instance: job.Instance, At: at, Protected: job.RefProtected, MergeRequest: q.MergeRequest, Allowed: q.Allowed,
		Project:  delivery.Project{ID: job.ProjectID, Path: job.ProjectPath},
		Pipeline: &delivery.Pipeline{ID: job.PipelineID, SHA: job.SHA, Source: job.PipelineSource},
		Source:   delivery.Project{ID: job.SourceID, Path: job.SourcePath},
	}
	prefix := "refs/heads/"
	if job.RefType == delivery.Tag {
		prefix = "refs/tags/"
	}
	change := route.Change{Ref: prefix + job.Ref, SHA: q.SHA}
	if !delivery.ZeroSHA(q.Request.Before) {
		change.Before = q.Request.Before
	}
	f.Changes = []route.Change{change}
	return f
}

// noTarget begins the reason why a target that was asked for is out of reach.
const noTarget = "no route leads to the target "

// ask has the routes decide what a job gets.
func (s *setup) ask(q asked, at time.Time) (works []route.Work, reason string) {
	works, reason = s.table.Decide(q.fact(at))
	if len(q.Request.Targets) == 0 || len(works) == 0 {
		return works, reason
	}
	known := make([]string, 0, len(works))
	for _, w := range works {
		known = append(known, w.Target)
	}
	for _, name := range q.Request.Targets {
		if !slices.Contains(known, name) {
			return nil, fmt.Sprintf(noTarget+"%.80q for a job of %s on %s; there is %s", name, q.Job.ProjectPath, q.Job.Ref, strings.Join(known, ", "))
		}
	}
	return slices.DeleteFunc(works, func(w route.Work) bool { return !slices.Contains(q.Request.Targets, w.Target) }), ""
}

// decideJob is the decision about an event of kind job.
func (s *setup) decideJob(d *decision) {
	var q asked
	if err := json.Unmarshal(d.event.Body, &q); err != nil || q.Job == nil {
		d.reason = "the request of the job cannot be read"
		return
	}
	d.works, d.reason = s.ask(q, d.event.ReceivedAt)
	for i := range d.works {
		ev := &d.works[i].Event
		ev.Cause = delivery.CauseCI
		ev.Job = &delivery.Job{ID: q.Job.JobID, Name: q.Request.JobName, URL: jobURL(*q.Job)}
	}
}

// traceParent is the trace of ctx as it is stored with an event; empty without one.
func traceParent(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	w3c.Inject(ctx, carrier)
	return carrier.Get("traceparent")
}

// bindToken notes for which job the id of a token is, the first time it is seen.
// All calls of a job have one token, so it is not used up.
func (a *Agent) bindToken(ctx context.Context, job auth.Job) error {
	if job.TokenID == "" {
		return nil
	}
	var bound int64
	err := a.store.Write(ctx, func(tx *store.Tx) error {
		if _, err := tx.Exec("INSERT INTO id_token (instance, token_id, job, expires_at) VALUES (?, ?, ?, ?) ON CONFLICT (instance, token_id) DO NOTHING",
			job.Instance, job.TokenID, job.JobID, job.Expires.UnixMicro()); err != nil {
			return err
		}
		return tx.Query(func(row store.Row) error { return row.Scan(&bound) },
			"SELECT job FROM id_token WHERE instance = ? AND token_id = ?", job.Instance, job.TokenID)
	})
	if err != nil {
		return fmt.Errorf("bind ID token: %w", err)
	}
	if bound != job.JobID {
		return &api.Refused{Status: http.StatusForbidden, Title: "not allowed", Detail: "the jti of the ID token belongs to another job", Remedy: "give each job its own id_tokens",
			Log: fmt.Sprintf("job %d of %s: the jti is bound to job %d", job.JobID, job.ProjectPath, bound)}
	}
	return nil
}
