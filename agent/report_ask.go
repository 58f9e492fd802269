package agent

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"gitlab.com/remora-ci/remora/agent/api"
	"gitlab.com/remora-ci/remora/agent/auth"
	"gitlab.com/remora-ci/remora/agent/config"
	"gitlab.com/remora-ci/remora/agent/route"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/report"
	"gitlab.com/remora-ci/remora/component/trigger"
)

// reportPatience is how long a caller waits for GitLab to take a report, before it
// is sent away to follow it.
const reportPatience = 10 * time.Second

// aheadOfTime is how far a build system's clock may run ahead: a report from the
// future would never be followed by another.
const aheadOfTime = 5 * time.Minute

// maxReportText bounds the texts of a report but for its note, in bytes.
const maxReportText = 4 << 10

// said is the body of an event of kind report. Only an agent makes it.
type said struct {
	Job       *auth.Job // nil with a project token
	Caller    string    // of a project token: what it speaks for
	Report    trigger.Report
	ProjectID int64 // 0 if GitLab could not be asked
	Timed     bool  // the caller said when the state was reached
}

// Report stores what a build system reports, and waits a moment for GitLab to take
// it.
func (a *Agent) Report(ctx context.Context, who api.Reporter, key string, r trigger.Report) (trigger.Delivery, error) {
	s := a.current()
	instance, q, err := s.reporter(who, r)
	if err != nil {
		return trigger.Delivery{}, err
	}
	if s.tokens.For(instance, q.Report.Project) == nil {
		return trigger.Delivery{}, forbidden("no token of the agent is for the project " + q.Report.Project)
	}
	if q.ProjectID == 0 {
		q.ProjectID = s.tokens.projectID(ctx, instance, q.Report.Project)
	}
	if r.At.Sub(a.o.now()) > aheadOfTime {
		return trigger.Delivery{}, invalid("at: is in the future; look at the clock of the build system")
	}
	if q.Timed = !r.At.IsZero(); !q.Timed {
		q.Report.At = a.o.now().UTC()
	}
	if q.Job != nil {
		if err := a.bindToken(ctx, *q.Job); err != nil {
			return trigger.Delivery{}, err
		}
	}
	body, err := json.Marshal(q)
	if err != nil {
		return trigger.Delivery{}, fmt.Errorf("encode report: %w", err)
	}
	id, again, err := a.store.Append(ctx, store.Event{
		IdempotencyKey: fmt.Sprintf("%sreport:%s/%s:%s", store.OwnPrefix, instance, strings.ToLower(q.Report.Project), key), Kind: kindReport, Instance: instance,
		Project: q.Report.Project, ProjectID: q.ProjectID, Ref: q.Report.Ref, SHA: q.Report.SHA, Body: body, TraceParent: traceParent(ctx),
	})
	if err != nil {
		return trigger.Delivery{}, err
	}
	if again {
		if err := a.sameReport(ctx, id, q); err != nil {
			return trigger.Delivery{}, err
		}
	}
	return a.await(ctx, id)
}

// sameReport refuses a key that stands for another report.
func (a *Agent) sameReport(ctx context.Context, id int64, q said) error {
	e, err := a.store.Event(ctx, id)
	if err != nil {
		return err
	}
	var known said
	if err := json.Unmarshal(e.Body, &known); err != nil {
		return fmt.Errorf("read report %d: %w", id, err)
	}
	known.Report.At, q.Report.At = time.Time{}, time.Time{}
	if known.Report != q.Report {
		return &api.Refused{Status: http.StatusConflict, Title: "key in use", Detail: "this Idempotency-Key was used for another report of the project", Remedy: "take a new key for each state that is reported"}
	}
	return nil
}

// await waits a moment for the end of what an event led to.
func (a *Agent) await(ctx context.Context, id int64) (trigger.Delivery, error) {
	ctx, cancel := context.WithTimeout(ctx, reportPatience)
	defer cancel()
	changed, stop := a.Watch(id)
	defer stop()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		got, _, err := a.Delivery(context.WithoutCancel(ctx), id)
		if err != nil || got.Done {
			return got, err
		}
		select {
		case <-changed:
		case <-tick.C:
		case <-ctx.Done():
			return got, nil
		}
	}
}

func forbidden(detail string) *api.Refused {
	return &api.Refused{Status: http.StatusForbidden, Title: "not allowed", Detail: detail}
}

// reporter checks who reports what, and completes it.
func (s *setup) reporter(who api.Reporter, r trigger.Report) (instance string, q said, err error) {
	q = said{Job: who.Job, Report: r}
	if job := who.Job; job != nil {
		if err := s.jobReports(*job, &q); err != nil {
			return "", q, err
		}
		instance = job.Instance
	} else {
		q.Report.Project, q.Caller = strings.Trim(r.Project, "/"), who.Caller.Scope.Path
		switch {
		case q.Report.Project == "":
			return "", q, invalid("project: missing; a project token may be good for several, so name one by its full path")
		case !s.verifier.Covers(who.Caller, q.Report.Project):
			return "", q, forbidden(auth.OutOfScope(who.Caller, q.Report.Project).Error())
		case len(s.Instances) != 1:
			return "", q, forbidden("the agent serves several GitLab instances, and a project token does not say which; report with a job's ID token")
		}
		instance = s.Instances[0].URL
	}
	if s.isOwnStatus(q.Report.Name) {
		return "", q, invalid(fmt.Sprintf("name: %.80q is what the agent's own deliveries are shown as; choose another", q.Report.Name))
	}
	return instance, q, validReport(q.Report)
}

// isOwnStatus says whether a status of that name tells what became of a delivery: a
// build that reports under it would make a failed one look good.
func (s *setup) isOwnStatus(name string) bool {
	return slices.ContainsFunc(s.Routes, func(r config.Route) bool {
		target, ok := strings.CutPrefix(name, r.Report.Name+"/")
		return ok && (target == "all" || slices.Contains(r.Sync, target))
	})
}

// jobReports checks that a job reports about its own commit.
func (s *setup) jobReports(job auth.Job, q *said) error {
	r := &q.Report
	q.ProjectID = job.ProjectID
	switch {
	case job.Fork():
		return forbidden("project_id and job_project_id of the ID token differ: the job of a fork's merge request reports nothing about this project")
	case r.Project != "" && !strings.EqualFold(strings.Trim(r.Project, "/"), job.ProjectPath):
		return forbidden("the ID token is for the project " + job.ProjectPath + ", not for the one that is named")
	}
	r.Project, r.SHA, r.Ref = job.ProjectPath, cmp.Or(r.SHA, job.SHA), cmp.Or(r.Ref, job.Ref)
	if r.SHA != job.SHA && job.PipelineSource != mergeRequestPipeline {
		return forbidden("the claim sha of the ID token is another commit than the one that is reported")
	}
	return nil
}

var commitID = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

func invalid(detail string) *api.Refused {
	return &api.Refused{Status: http.StatusUnprocessableEntity, Title: "not valid", Detail: detail}
}

// validReport says what keeps a report from being shown.
func validReport(r trigger.Report) error {
	if !commitID.MatchString(r.SHA) {
		return invalid("sha: want a full commit id in small letters")
	}
	if strings.ContainsFunc(r.Ref, unicode.IsControl) {
		return invalid("ref: has control characters")
	}
	for _, f := range []struct{ name, text string }{{"project", r.Project}, {"ref", r.Ref}, {"name", r.Name}, {"description", r.Description}, {"url", r.URL}} {
		if len(f.text) > maxReportText {
			return invalid(f.name + ": longer than " + strconv.Itoa(maxReportText) + " bytes")
		}
	}
	single := report.Single{Name: r.Name, State: r.State, Description: r.Description, URL: r.URL, NoteText: r.Note}
	if err := single.Validate(); err != nil {
		return invalid(strings.ReplaceAll(strings.ReplaceAll(err.Error(), "--", ""), "\n", "; "))
	}
	if r.MergeRequest < 0 {
		return invalid("merge_request: want the iid of a merge request")
	}
	return nil
}

// decideReport is the decision about an event of kind report.
func (s *setup) decideReport(d *decision) {
	var q said
	if err := json.Unmarshal(d.event.Body, &q); err != nil {
		d.reason = "the report cannot be read"
		return
	}
	r := q.Report
	ev := delivery.Event{
		Cause: delivery.CauseCI, Instance: d.event.Instance, Ref: r.Ref, RefType: delivery.Branch, SHA: r.SHA, At: d.event.ReceivedAt,
		Project: delivery.Project{ID: q.ProjectID, Path: r.Project, URL: d.event.Instance + "/" + r.Project},
	}
	if job := q.Job; job != nil && r.SHA == job.SHA { // else it is the pipeline of another commit
		ev.Pipeline = &delivery.Pipeline{ID: job.PipelineID, SHA: job.SHA, Source: job.PipelineSource}
	}
	if q.Job != nil {
		ev.Job = &delivery.Job{ID: q.Job.JobID, URL: jobURL(*q.Job)}
	}
	if r.MergeRequest != 0 {
		ev.MergeRequest = &delivery.MergeRequest{IID: r.MergeRequest, ProjectID: q.ProjectID, ProjectPath: r.Project, SourceProjectID: q.ProjectID, SourceBranch: r.Ref}
	}
	// By the path, which every caller proves: the id is not known while GitLab is away,
	// and a commit with two keys would have its reports in any order.
	key := kindReport + ":" + hostOf(d.event.Instance) + "/" + strings.ToLower(r.Project) + ":" + r.SHA
	d.works = []route.Work{{Key: key, Target: r.Name, Project: strings.ToLower(r.Project), Event: ev, Rule: kindReport}}
	d.single = &single{Report: r, Timed: q.Timed, Job: q.Job}
}
