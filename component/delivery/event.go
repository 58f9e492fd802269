package delivery

import (
	"strings"
	"time"
)

// Cause says why an event is known.
type Cause string

// The causes of an event.
const (
	CauseCI       Cause = "ci"
	CauseWebhook  Cause = "webhook"
	CauseSchedule Cause = "schedule"
	CauseResync   Cause = "resync"
	CauseCommand  Cause = "command"
)

// RefType is the kind of a ref.
type RefType string

// The kinds of ref that are delivered.
const (
	Branch RefType = "branch"
	Tag    RefType = "tag"
)

// Event is a fact: in Project, Ref is at SHA. It is never a command. Its JSON
// form is what the http target's jq expressions see, and is kept stable.
type Event struct {
	Cause        Cause         `json:"cause"`
	Instance     string        `json:"instance"` // base URL of the GitLab, without trailing slash
	Project      Project       `json:"project"`
	Ref          string        `json:"ref"` // short name: main, not refs/heads/main
	RefType      RefType       `json:"ref_type"`
	SHA          string        `json:"sha"`              // head of the ref; of a merge request, its source head
	Before       string        `json:"before,omitempty"` // head before the change; empty if unknown
	Deleted      bool          `json:"deleted,omitempty"`
	MergeRequest *MergeRequest `json:"merge_request,omitempty"`
	Pipeline     *Pipeline     `json:"pipeline,omitempty"`
	Job          *Job          `json:"job,omitempty"`
	At           time.Time     `json:"at"`
}

// Project is the GitLab project an event happened in.
type Project struct {
	ID            int64  `json:"id"`
	Path          string `json:"path"` // group/sub/project
	URL           string `json:"url"`  // web URL
	DefaultBranch string `json:"default_branch,omitempty"`
}

// MergeRequest is the merge request an event belongs to.
type MergeRequest struct {
	IID             int64  `json:"iid"`
	ProjectID       int64  `json:"project_id"`                  // where it is shown: the target project
	ProjectPath     string `json:"project_path,omitempty"`      // path of the target project
	SourceProjectID int64  `json:"source_project_id,omitempty"` // differs from ProjectID in a fork
	SourceBranch    string `json:"source_branch,omitempty"`
	TargetBranch    string `json:"target_branch,omitempty"`
	DiffBaseSHA     string `json:"diff_base_sha,omitempty"`
	EventType       string `json:"event_type,omitempty"` // detached, merged_result, merge_train
	URL             string `json:"url,omitempty"`
}

// Fork says whether the merge request comes from another project.
func (m *MergeRequest) Fork() bool {
	return m != nil && m.SourceProjectID != 0 && m.SourceProjectID != m.ProjectID
}

// Pipeline is the pipeline an event belongs to. In merged results its SHA is a
// commit that no branch contains.
type Pipeline struct {
	ID     int64  `json:"id"`
	SHA    string `json:"sha"`
	Source string `json:"source,omitempty"` // push, merge_request_event, schedule, …
	URL    string `json:"url,omitempty"`
}

// Job is the CI job that runs the component.
type Job struct {
	ID        int64     `json:"id"`
	Name      string    `json:"name,omitempty"`
	URL       string    `json:"url,omitempty"`
	StartedAt time.Time `json:"started_at,omitzero"`
}

// FromFork says whether Ref is a branch of another project than Project, as when
// the merge request of a fork runs its pipeline in the project that shows it.
func (e Event) FromFork() bool {
	mr := e.MergeRequest
	return mr != nil && mr.SourceProjectID != 0 && e.Project.ID != 0 && mr.SourceProjectID != e.Project.ID
}

// FullRef is the ref as git names it: refs/heads/main, refs/tags/v1.
func (e Event) FullRef() string {
	if e.RefType == Tag {
		return "refs/tags/" + e.Ref
	}
	return "refs/heads/" + e.Ref
}

// ShortSHA is the first eight digits of a commit id, as GitLab shows it.
func ShortSHA(sha string) string {
	if len(sha) > 8 {
		return sha[:8]
	}
	return sha
}

// ZeroSHA says whether sha is empty or GitLab's "no commit" of forty zeros.
func ZeroSHA(sha string) bool {
	return strings.Trim(sha, "0") == ""
}
