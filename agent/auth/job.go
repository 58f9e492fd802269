package auth

import (
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
)

// Job is what the ID token of a CI job proves about it:
// https://docs.gitlab.com/ci/secrets/id_token_authentication/.
type Job struct {
	Instance string // URL of the instance that issued the token, without a slash at its end

	// Where the job runs: authorise on these. Before GitLab 18.4, which has no
	// job_project_id, they are project_id and project_path, and Exact is false:
	// fork merge requests are refused then.
	ProjectID   int64
	ProjectPath string
	Exact       bool

	// project_id and project_path. In the pipeline of a fork's merge request that
	// runs in the parent, it is the fork.
	SourceID   int64
	SourcePath string

	PipelineID     int64
	PipelineSource string // push, merge_request_event, …
	JobID          int64
	SHA            string // CI_COMMIT_SHA
	Ref            string // short; of a merge request its source branch
	RefType        delivery.RefType
	RefProtected   bool
	UserID         int64
	UserLogin      string

	TokenID string // jti
	Expires time.Time
}

// Fork says whether the job runs for the merge request of another project.
func (j Job) Fork() bool { return j.SourceID != j.ProjectID }
