package component

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab"
)

// openMergeRequests reads CI_OPEN_MERGE_REQUESTS ("group/app!7,group/app!9"): in
// a branch pipeline it names up to four merge requests of the branch.
func openMergeRequests(list, instance string) []*delivery.MergeRequest {
	var out []*delivery.MergeRequest
	for entry := range strings.SplitSeq(list, ",") {
		path, iid, ok := strings.Cut(strings.TrimSpace(entry), "!")
		if n := number(iid); ok && n > 0 && path != "" {
			out = append(out, &delivery.MergeRequest{IID: n, ProjectPath: path, URL: mergeRequestURL(instance, path, n)})
		}
	}
	return out
}

// lookupTime bounds the search: a GitLab that hangs must not keep the targets
// waiting.
const lookupTime = 15 * time.Second

// findMergeRequest finds the merge request of a branch pipeline: what the
// variables name, else what GitLab lists for the commit. A fault is told, never
// fatal: the sync runs, only the note is missing. The lines are for the log.
func findMergeRequest(ctx context.Context, gl *gitlab.Client, ci CI, ev *delivery.Event) (told string) {
	if ev.MergeRequest != nil || ev.RefType == delivery.Tag {
		return ""
	}
	if open := openMergeRequests(ci.OpenMRs, ev.Instance); len(open) > 0 {
		// The bot is at home in this project, and perhaps a stranger in others.
		own := max(0, slices.IndexFunc(open, func(mr *delivery.MergeRequest) bool { return mr.ProjectPath == ev.Project.Path }))
		mr := open[own]
		mr.SourceBranch, mr.SourceProjectID = ev.Ref, ev.Project.ID
		if mr.ProjectPath == ev.Project.Path {
			mr.ProjectID = ev.Project.ID
		}
		ev.MergeRequest = mr
		if len(open) > 1 {
			return fmt.Sprintf("the branch has %d open merge requests; the note goes to %s!%d", len(open), mr.ProjectPath, mr.IID)
		}
		return ""
	}
	if gl == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	found, err := gl.CommitMergeRequests(ctx, gitlab.ProjectID(ev.Project.ID), ev.SHA)
	if err != nil {
		return "cannot look for the commit's merge request: " + err.Error()
	}
	for _, mr := range found {
		// A commit can be part of merge requests of other branches too.
		if mr.SourceBranch == ev.Ref && mr.SourceProjectID == ev.Project.ID {
			ev.MergeRequest = &delivery.MergeRequest{
				IID: mr.IID, ProjectID: mr.ProjectID, SourceProjectID: mr.SourceProjectID,
				SourceBranch: mr.SourceBranch, TargetBranch: mr.TargetBranch, URL: mr.URL,
			}
			return ""
		}
	}
	return ""
}
