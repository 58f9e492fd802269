// Package trigger is what a CI job and the agent say to each other: the job asks
// for a delivery or a report with its ID token, and learns what became of it.
//
// A [Delivery] is one event at all the targets that its route leads to; its id is
// the event's. The job asks with an Idempotency-Key, so that asking again after a
// broken connection is the same delivery, and follows by server-sent events or by
// polling, whichever gets through:
//
//	POST /api/v1/deliveries        Request  -> 202, Location, Delivery
//	GET  /api/v1/deliveries/{id}            -> 200, Delivery; with Accept: text/event-stream,
//	                                           "event: delivery" at once and for each change, the
//	                                           last one with done true; a comment every 15 s
//	POST /api/v1/reports           Report   -> 202 or 200, Location, Delivery (of kind report)
//
// Refusals are RFC 9457 problems ([Problem]). The documents of this package are
// the wire format: fields are added, never renamed.
//
// [Client] is the job's side of it.
package trigger

import (
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
)

// Paths of the agent's API.
const (
	DeliveriesPath = "/api/v1/deliveries"
	ReportsPath    = "/api/v1/reports"
)

// AudiencePrefix begins the audience of ID tokens for an agent; its URL follows.
// A token minted without an agent's URL has the prefix alone, which nobody takes.
const AudiencePrefix = "remora:"

// Request is what a job asks for. What the ID token proves is not asked: project,
// ref, pipeline and job are the token's. JobID, PipelineID and SHA are compared
// with it, so that a token that strayed from another job is noticed.
type Request struct {
	JobID        int64         `json:"job_id" doc:"CI_JOB_ID, which must be the token's"`
	PipelineID   int64         `json:"pipeline_id" doc:"CI_PIPELINE_ID, which must be the token's"`
	SHA          string        `json:"sha" doc:"CI_COMMIT_SHA, which must be the token's"`
	JobName      string        `json:"job_name,omitempty"`
	JobURL       string        `json:"job_url,omitempty"`
	PipelineURL  string        `json:"pipeline_url,omitempty"`
	Before       string        `json:"before,omitempty" doc:"CI_COMMIT_BEFORE_SHA, for paths"`
	MergeRequest *MergeRequest `json:"merge_request,omitempty" doc:"in a merge request pipeline; the agent asks GitLab whether it is so"`
	Targets      []string      `json:"targets,omitempty" doc:"names of targets; all that the route leads to, if empty"`
}

// MergeRequest is the merge request that a pipeline runs for, as the job knows it.
type MergeRequest struct {
	IID             int64  `json:"iid"`
	ProjectID       int64  `json:"project_id" doc:"of the project that shows it"`
	SourceProjectID int64  `json:"source_project_id,omitempty"`
	SourceSHA       string `json:"source_sha,omitempty" doc:"head of the source branch, where the pipeline runs on a merged result"`
}

// Delivery is what is known of a delivery so far.
type Delivery struct {
	ID      int64    `json:"id"`
	State   string   `json:"state" enum:"waiting,running,done,skipped,failed" doc:"the worst of its targets; skipped where nothing was to be done"`
	Done    bool     `json:"done" doc:"nothing will change any more"`
	Reason  string   `json:"reason,omitempty" doc:"why there are no targets"`
	Project string   `json:"project"`
	Ref     string   `json:"ref,omitempty"`
	SHA     string   `json:"sha,omitempty"`
	Targets []Target `json:"targets"`
}

// Target is what became of a delivery at one target. A delivery that another run
// covers has the result of that run: OvertakenBy names its commit.
type Target struct {
	Delivery    int64              `json:"delivery" doc:"id, as in remora deliveries show"`
	Target      string             `json:"target"`
	Place       string             `json:"place,omitempty" doc:"where it leads, in a word"`
	State       string             `json:"state" enum:"waiting,running,retry,done,skipped,failed"`
	Done        bool               `json:"done"`
	Optional    bool               `json:"optional,omitempty" doc:"its failure fails nothing"`
	Attempts    int                `json:"attempts"`
	OvertakenBy string             `json:"overtaken_by,omitempty"`
	Summary     string             `json:"summary,omitempty"`
	Cause       string             `json:"cause,omitempty"`
	Remedy      string             `json:"remedy,omitempty"`
	Request     string             `json:"request,omitempty" doc:"evidence: method, URL, status code"`
	ID          string             `json:"id,omitempty" doc:"the target's own id of the run"`
	URL         string             `json:"url,omitempty"`
	Result      string             `json:"result,omitempty"`
	Revision    string             `json:"revision,omitempty"`
	Started     bool               `json:"started,omitempty" doc:"it was started, its end was not awaited"`
	Overdue     bool               `json:"overdue,omitempty" doc:"failed because its deadline passed before there was a result"`
	Warnings    []string           `json:"warnings,omitempty"`
	Log         []delivery.LogLine `json:"log,omitempty"`
	TookMS      int64              `json:"took_ms"`
}

// Report is one commit status of any build system, and perhaps a note, shown by
// the bot. With a project token Project is needed; with an ID token it is the
// token's.
type Report struct {
	Project      string    `json:"project,omitempty" doc:"full path"`
	SHA          string    `json:"sha" doc:"commit"`
	Ref          string    `json:"ref,omitempty" doc:"branch or tag, short"`
	MergeRequest int64     `json:"merge_request,omitempty" doc:"iid, for the note; found by the commit if 0"`
	Name         string    `json:"name" doc:"of the status, and key of the note"`
	State        string    `json:"state" enum:"pending,running,success,failed,canceled,skipped"`
	Description  string    `json:"description,omitempty" doc:"one line"`
	URL          string    `json:"url,omitempty" doc:"where a person can look at it"`
	Note         string    `json:"note,omitempty" doc:"Markdown; none for no note"`
	At           time.Time `json:"at,omitzero" doc:"when the state was reached: an older one never overwrites a newer; default: now"`
}

// Problem is a refusal: https://www.rfc-editor.org/rfc/rfc9457.
type Problem struct {
	Title  string `json:"title,omitempty"`
	Status int    `json:"status"`
	Detail string `json:"detail"` // one sentence: what did not hold
	Remedy string `json:"remedy,omitempty"`
}
