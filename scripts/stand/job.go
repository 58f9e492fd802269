package main

import (
	"fmt"
	"net/http"
	"strconv"

	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
	"gitlab.com/remora-ci/remora/component/trigger"
)

// idToken is what id_tokens gives to a job of the merge request's pipeline.
func (w *world) idToken(job int64, agentURL string) string {
	return w.gitlab.IDToken(gitlabtest.JobClaims{
		ProjectID: w.scene.Project.ID, PipelineID: w.scene.Pipeline.ID, JobID: job, SHA: w.scene.SHA, Ref: w.scene.MergeRequest.SourceBranch, Protected: true,
		Audience: []string{trigger.AudiencePrefix + agentURL},
	})
}

// mint serves [world.idToken]: ?job=7001&agent=http://…
func (w *world) mint(rw http.ResponseWriter, r *http.Request) {
	job, err := strconv.ParseInt(r.FormValue("job"), 10, 64)
	if err != nil || r.FormValue("agent") == "" {
		http.Error(rw, "want ?job=ID&agent=URL", http.StatusBadRequest)
		return
	}
	_, _ = fmt.Fprint(rw, w.idToken(job, r.FormValue("agent"))) // who asked may be gone
}

// bare is the environment of a job of a project that holds no secret: it has the URL
// of an agent and its own ID token.
func (w *world) bare(job int64, agentURL string) map[string]string {
	vars := w.job()
	vars["CI_JOB_ID"] = strconv.FormatInt(job, 10)
	vars["REMORA_AGENT_URL"], vars["REMORA_ID_TOKEN"] = agentURL, w.idToken(job, agentURL)
	return vars
}
