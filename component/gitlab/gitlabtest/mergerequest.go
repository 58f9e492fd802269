package gitlabtest

import (
	"fmt"
	"time"
)

func (c *call) getMergeRequest() reply {
	m := c.showMR(c.mr)
	var head any
	if all := c.project.pipelinesOf(c.mr); len(all) > 0 {
		head = c.showPipeline(all[0].project, all[0].pipeline)
	}
	m["head_pipeline"] = head
	base := c.project.base(c.mr.SHA, c.project.branches[c.mr.TargetBranch])
	m["diff_refs"] = fields{"base_sha": orNull(base), "head_sha": c.mr.SHA, "start_sha": orNull(c.project.branches[c.mr.TargetBranch])}
	return ok(m)
}

func (c *call) mergeRequestPipelines() reply {
	return paged(c, c.project.pipelinesOf(c.mr), func(l located) any { return c.showPipeline(l.project, l.pipeline) })
}

func (c *call) showMR(m *mergeRequest) fields {
	return fields{
		"id": 1000 + m.IID, "iid": m.IID, "project_id": c.project.ID, "target_project_id": c.project.ID, "source_project_id": m.SourceProjectID,
		"source_branch": m.SourceBranch, "target_branch": m.TargetBranch, "sha": m.SHA, "state": m.State,
		"title": "Merge request " + fmt.Sprint(m.IID), "labels": []any{}, "discussion_locked": m.Locked,
		"author": c.author(m.AuthorID), "web_url": fmt.Sprintf("%s/%s/-/merge_requests/%d", c.URL, c.project.Path, m.IID),
		"created_at": stamp(m.IID), "updated_at": stamp(m.IID),
	}
}

func (c *call) author(id int64) any {
	u := c.users[id]
	if u == nil {
		return nil
	}
	return fields{"id": u.ID, "username": u.Username, "name": u.Username, "state": "active", "web_url": c.URL + "/" + u.Username}
}

// stamp is a time that goes with an id, the same in every run.
func stamp(id int64) string {
	return time.Date(2026, 11, 20, 14, 0, 0, 0, time.UTC).Add(time.Duration(id) * time.Second).Format("2006-01-02T15:04:05.000Z")
}
