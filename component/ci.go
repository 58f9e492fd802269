package component

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
)

// CI holds the predefined variables that an event is made of.
//
// https://docs.gitlab.com/ci/variables/predefined_variables/
type CI struct {
	ServerURL     string `env:"CI_SERVER_URL" usage:"base URL of the GitLab that runs the job"`
	CAFile        string `env:"CI_SERVER_TLS_CA_FILE" usage:"PEM file of authorities to trust besides the system's"`
	ProjectID     string `env:"CI_PROJECT_ID" usage:"id of the project"`
	ProjectPath   string `env:"CI_PROJECT_PATH" usage:"path of the project: group/project"`
	ProjectURL    string `env:"CI_PROJECT_URL" usage:"web URL of the project"`
	ProjectDir    string `env:"CI_PROJECT_DIR" usage:"directory of the job's clone"`
	DefaultBranch string `env:"CI_DEFAULT_BRANCH" usage:"default branch of the project"`
	CommitSHA     string `env:"CI_COMMIT_SHA" usage:"commit that the pipeline runs for"`
	CommitBefore  string `env:"CI_COMMIT_BEFORE_SHA" usage:"commit that the branch was at before"`
	CommitRef     string `env:"CI_COMMIT_REF_NAME" usage:"branch or tag"`
	CommitTag     string `env:"CI_COMMIT_TAG" usage:"tag, in tag pipelines"`
	OpenMRs       string `env:"CI_OPEN_MERGE_REQUESTS" usage:"open merge requests of the branch: group/project!7,…"`
	DebugTrace    string `env:"CI_DEBUG_TRACE"`
	RootNamespace string `env:"CI_PROJECT_ROOT_NAMESPACE"`
	UserLogin     string `env:"GITLAB_USER_LOGIN"`

	PipelineID     string `env:"CI_PIPELINE_ID" usage:"id of the pipeline that statuses belong to"`
	PipelineSource string `env:"CI_PIPELINE_SOURCE" usage:"why the pipeline runs: push, merge_request_event, schedule, …"`
	PipelineURL    string `env:"CI_PIPELINE_URL" usage:"web URL of the pipeline"`
	JobID          string `env:"CI_JOB_ID" usage:"id of the job"`
	JobName        string `env:"CI_JOB_NAME" usage:"name of the job"`
	JobURL         string `env:"CI_JOB_URL" usage:"web URL of the job"`
	JobStarted     string `env:"CI_JOB_STARTED_AT"`

	MRIID          string `env:"CI_MERGE_REQUEST_IID" usage:"number of the merge request"`
	MRProjectID    string `env:"CI_MERGE_REQUEST_PROJECT_ID" usage:"id of the project that the merge request is shown in"`
	MRProjectPath  string `env:"CI_MERGE_REQUEST_PROJECT_PATH" usage:"path of the project that the merge request is shown in"`
	MRSourceID     string `env:"CI_MERGE_REQUEST_SOURCE_PROJECT_ID" usage:"id of the project that the merge request comes from"`
	MRSourceBranch string `env:"CI_MERGE_REQUEST_SOURCE_BRANCH_NAME" usage:"source branch of the merge request"`
	MRSourceSHA    string `env:"CI_MERGE_REQUEST_SOURCE_BRANCH_SHA" usage:"head of the source branch, in merged results pipelines"`
	MRTargetBranch string `env:"CI_MERGE_REQUEST_TARGET_BRANCH_NAME" usage:"target branch of the merge request"`
	MRDiffBase     string `env:"CI_MERGE_REQUEST_DIFF_BASE_SHA" usage:"base of the merge request's diff"`
	MREventType    string `env:"CI_MERGE_REQUEST_EVENT_TYPE" usage:"detached, merged_result or merge_train"`
}

var commitID = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

func (c CI) validate() error {
	var errs []error
	missing := func(name, value string) bool {
		if value == "" {
			errs = append(errs, fmt.Errorf("%s: missing; run in a GitLab CI job, or give --%s", name, flagName(name)))
		}
		return value == ""
	}
	if !missing("CI_SERVER_URL", c.ServerURL) {
		if u, err := url.Parse(c.ServerURL); err != nil || u.Host == "" || u.User != nil || (u.Scheme != "https" && u.Scheme != "http") {
			errs = append(errs, errors.New("CI_SERVER_URL: want an http or https URL without user and password"))
		}
	}
	missing("CI_PROJECT_PATH", c.ProjectPath)
	missing("CI_COMMIT_REF_NAME", c.CommitRef)
	missing("CI_PROJECT_ID", c.ProjectID)
	missing("CI_COMMIT_SHA", c.CommitSHA)
	for _, sha := range []pair{{"CI_COMMIT_SHA", c.CommitSHA}, {"CI_MERGE_REQUEST_SOURCE_BRANCH_SHA", c.MRSourceSHA}} {
		if sha.value != "" && !commitID.MatchString(sha.value) {
			errs = append(errs, fmt.Errorf("%s: want a full commit id, not %.80q", sha.name, sha.value))
		}
	}
	for _, id := range []pair{{"CI_PROJECT_ID", c.ProjectID}, {"CI_PIPELINE_ID", c.PipelineID}, {"CI_JOB_ID", c.JobID},
		{"CI_MERGE_REQUEST_IID", c.MRIID}, {"CI_MERGE_REQUEST_PROJECT_ID", c.MRProjectID}, {"CI_MERGE_REQUEST_SOURCE_PROJECT_ID", c.MRSourceID}} {
		if id.value != "" && number(id.value) <= 0 {
			errs = append(errs, fmt.Errorf("%s: want a number, not %.80q", id.name, id.value))
		}
	}
	return errors.Join(errs...)
}

type pair struct{ name, value string }

// number is s as an id, or 0.
func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// event is what the variables say happened.
func (c CI) event(now time.Time) delivery.Event {
	started, _ := time.Parse(time.RFC3339, c.JobStarted)
	instance := strings.TrimRight(c.ServerURL, "/")
	projectURL := c.ProjectURL
	if projectURL == "" {
		projectURL = instance + "/" + c.ProjectPath
	}
	ev := delivery.Event{
		Cause: delivery.CauseCI, Instance: instance, At: now.UTC().Truncate(time.Second),
		Project: delivery.Project{ID: number(c.ProjectID), Path: c.ProjectPath, URL: projectURL, DefaultBranch: c.DefaultBranch},
		Ref:     c.CommitRef, RefType: delivery.Branch, SHA: c.CommitSHA,
	}
	if !delivery.ZeroSHA(c.CommitBefore) {
		ev.Before = c.CommitBefore
	}
	if c.CommitTag != "" {
		ev.Ref, ev.RefType = c.CommitTag, delivery.Tag
	}
	if c.PipelineID != "" {
		ev.Pipeline = &delivery.Pipeline{ID: number(c.PipelineID), SHA: c.CommitSHA, Source: c.PipelineSource, URL: c.PipelineURL}
	}
	if c.JobID != "" {
		ev.Job = &delivery.Job{ID: number(c.JobID), Name: c.JobName, URL: c.JobURL, StartedAt: started}
	}
	if c.MRIID != "" {
		ev.MergeRequest = c.mergeRequest(instance)
		if c.MRSourceBranch != "" {
			ev.Ref = c.MRSourceBranch
		}
		if c.MRSourceSHA != "" {
			ev.SHA = c.MRSourceSHA
		}
	}
	return ev
}

func (c CI) mergeRequest(instance string) *delivery.MergeRequest {
	mr := &delivery.MergeRequest{
		IID: number(c.MRIID), ProjectID: number(c.MRProjectID), ProjectPath: c.MRProjectPath, SourceProjectID: number(c.MRSourceID),
		SourceBranch: c.MRSourceBranch, TargetBranch: c.MRTargetBranch, DiffBaseSHA: c.MRDiffBase, EventType: c.MREventType,
	}
	if mr.ProjectID == 0 && mr.ProjectPath == "" {
		mr.ProjectID = number(c.ProjectID)
	}
	if mr.ProjectPath == "" && mr.ProjectID == number(c.ProjectID) {
		mr.ProjectPath = c.ProjectPath
	}
	if mr.ProjectPath != "" {
		mr.URL = mergeRequestURL(instance, mr.ProjectPath, mr.IID)
	}
	return mr
}

func mergeRequestURL(instance, project string, iid int64) string {
	return fmt.Sprintf("%s/%s/-/merge_requests/%d", instance, project, iid)
}
