package gitlabtest

import (
	"fmt"
	"slices"
	"unicode/utf8"
)

// recentPipelines is how far back GitLab looks for one that fits.
const recentPipelines = 100

// Pipelines are all pipelines of a project, oldest first.
func (s *Server) Pipelines(projectID int64) (out []Pipeline) {
	s.in(projectID, func(p *project) {
		for _, pl := range p.pipelines {
			out = append(out, *pl)
		}
	})
	return out
}

// choosePipeline finds the pipeline that a status lands in, or makes one. One
// that is full takes no more, unless the status is in it already.
func (c *call) choosePipeline(sha string) (*Pipeline, *reply) {
	ref := c.params.text("ref")
	asked := c.params.given("pipeline_id")
	found := c.matching(sha, ref)
	switch {
	case found == nil && ref == "" && len(c.project.containing(sha)) == 0:
		return nil, refuse(notFound("References for commit"))
	case found == nil && asked:
		return nil, refuse(notFound("Pipeline for pipeline_id, sha and ref"))
	case found != nil && (!c.full(found) || c.openRow(found, c.statusName()) != nil):
		return found, nil
	case found != nil && asked:
		return nil, refuse(message(422, "The number of jobs has exceeded the limit"))
	case found != nil:
		ref = found.Ref
	case ref == "":
		ref = c.project.containing(sha)[0]
	}
	if utf8.RuneCountInString(ref) > 255 {
		return nil, refuse(message(400, fields{"ref": []string{"is too long (maximum is 255 characters)"}}))
	}
	return c.addPipeline(c.project, Pipeline{SHA: sha, Ref: ref, Source: "external", Status: "pending", UserID: c.user.ID}), nil
}

// matching is the newest pipeline of the commit, with the ref and the id if they
// are given.
func (c *call) matching(sha, ref string) *Pipeline {
	id, _ := c.params.number("pipeline_id")
	seen := 0
	for _, pl := range slices.Backward(c.project.pipelines) {
		if pl.SHA != sha || pl.Archived {
			continue
		}
		if seen++; id == 0 && seen > recentPipelines {
			return nil
		}
		if (ref == "" || pl.Ref == ref) && (id == 0 || pl.ID == id) {
			return pl
		}
	}
	return nil
}

// restate gives an external pipeline the state that its statuses make.
func (c *call) restate(pl *Pipeline) {
	if pl.Source != "external" {
		return
	}
	found := map[string]bool{}
	for _, st := range c.project.statuses {
		if st.PipelineID == pl.ID && !st.Retried {
			found[st.State] = true
		}
	}
	pl.Status = "skipped"
	for _, state := range []string{"running", "pending", "failed", "canceled", "success"} {
		if found[state] {
			pl.Status = state
			return
		}
	}
}

func (c *call) showPipeline(p *project, pl *Pipeline) any {
	if pl == nil {
		return nil
	}
	return fields{
		"id": pl.ID, "iid": pl.ID, "project_id": p.ID, "sha": pl.SHA, "ref": pl.Ref, "status": pl.Status, "source": pl.Source,
		"web_url": fmt.Sprintf("%s/%s/-/pipelines/%d", c.URL, p.Path, pl.ID), "created_at": stamp(pl.ID), "updated_at": stamp(pl.ID),
	}
}

// lastPipeline is the newest pipeline of a commit.
func (p *project) lastPipeline(sha string) *Pipeline {
	for _, pl := range slices.Backward(p.pipelines) {
		if pl.SHA == sha {
			return pl
		}
	}
	return nil
}

type located struct {
	project  *project
	pipeline *Pipeline
}

// pipelinesOf are those of a merge request: its own first, then those of its
// source branch, each newest first.
func (p *project) pipelinesOf(m *mergeRequest) []located {
	var own, branch []located
	for _, pl := range slices.Backward(p.pipelines) {
		if pl.MergeRequest == m.IID {
			own = append(own, located{p, pl})
		}
	}
	commits := m.source.ancestors(m.SHA)
	for sha := range p.ancestors(p.branches[m.TargetBranch]) {
		delete(commits, sha)
	}
	for _, pl := range slices.Backward(m.source.pipelines) {
		if pl.MergeRequest == 0 && pl.Ref == m.SourceBranch && commits[pl.SHA] {
			branch = append(branch, located{m.source, pl})
		}
	}
	return append(own, branch...)
}
