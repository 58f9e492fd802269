package report

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"gitlab.com/remora-ci/remora/component/gitlab"
	"gitlab.com/remora-ci/remora/component/rest"
)

// pipelineTries is how often GitLab is asked for the pipeline of a commit. Soon
// after a push there may be none yet, and a status without one makes a second,
// external pipeline that stays beside the real one.
const pipelineTries = 4

// resolve finds the pipeline of a place: that which the merge request shows for
// the commit, else the commit's last, else none, and GitLab goes by the ref.
// Faults are no matter here: the post that follows will meet them again.
func (s *sender) resolve(ctx context.Context, p *place, patient bool) {
	if p.pipeline != 0 || p.asked {
		return
	}
	p.asked = true
	tries := 1
	if patient {
		tries = pipelineTries
	}
	for try := range tries {
		if try > 0 && !s.pause(ctx, min(try, 2)) {
			return
		}
		if s.ofMergeRequest(ctx, p) {
			return
		}
		commit, err := s.gl.Commit(ctx, p.project, p.sha)
		if last := commit.LastPipeline; err == nil && last != nil && last.ID != p.stale && last.SHA == p.sha {
			p.pipeline = last.ID
			return
		}
		if err != nil && !isNotFound(err) {
			return
		}
	}
}

// ofMergeRequest takes the pipeline that the merge request shows for the commit of p.
func (s *sender) ofMergeRequest(ctx context.Context, p *place) bool {
	mr := s.ev.MergeRequest
	if mr == nil || mr.IID == 0 {
		return false
	}
	project := projectOf(mr.ProjectID, mr.ProjectPath)
	if project == "" {
		return false
	}
	got, err := s.gl.MergeRequest(ctx, project, mr.IID)
	if err != nil {
		return false
	}
	if head := got.HeadPipeline; head != nil && s.takes(ctx, p, *head, got.SHA == p.sha) {
		return true
	}
	if got.HeadPipeline == nil && got.SHA == p.sha {
		return false // it has none yet
	}
	all, err := s.gl.MergeRequestPipelines(ctx, project, mr.IID)
	if err != nil {
		return false
	}
	if i := slices.IndexFunc(all, func(l gitlab.Pipeline) bool { return l.Source == mergeRequestEvent && s.takes(ctx, p, l, false) }); i >= 0 {
		return true
	}
	return slices.ContainsFunc(all, func(l gitlab.Pipeline) bool { return s.takes(ctx, p, l, false) })
}

const mergeRequestEvent = "merge_request_event"

// takes makes l the pipeline of p if it is one of its project and commit. A
// pipeline on a merged result is one of its commit too; only that of the newest
// commit is looked at.
func (s *sender) takes(ctx context.Context, p *place, l gitlab.Pipeline, newest bool) bool {
	if l.ID == 0 || l.ID == p.stale || !s.runsIn(p, l) {
		return false
	}
	if l.SHA == p.sha {
		p.pipeline = l.ID
		return true
	}
	if !p.merged || !newest || l.Source != mergeRequestEvent {
		return false
	}
	commit, err := s.gl.Commit(ctx, p.project, l.SHA)
	if err != nil || !slices.Contains(commit.ParentIDs, p.sha) {
		return false
	}
	p.sha, p.pipeline, p.ref = l.SHA, l.ID, ""
	return true
}

// runsIn says whether a pipeline of the merge request runs in the project of p.
// Only that of a fork can run elsewhere, and then its address tells.
func (s *sender) runsIn(p *place, l gitlab.Pipeline) bool {
	mr := s.ev.MergeRequest
	if len(withoutTwice(sourcePlaces(s.ev))) == 1 {
		return true
	}
	path := p.path
	if path == "" && p.project == projectOf(mr.ProjectID, mr.ProjectPath) {
		path = mr.ProjectPath
	}
	if path == "" {
		return false
	}
	return strings.Contains(l.URL, "/"+path+"/-/pipelines/")
}

func isNotFound(err error) bool {
	var status *rest.StatusError
	return errors.As(err, &status) && status.Code == http.StatusNotFound
}

// same says whether the statuses of s would be those of the other site again.
func (s *site) same() bool {
	return s.of != nil && s.of.here() != nil && s.here() != nil &&
		s.of.here().sha == s.here().sha && s.of.here().project == s.here().project
}
