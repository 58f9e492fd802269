package gitlabtest

import (
	"fmt"
	"slices"
	"strings"
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

// version is a head that a merge request has had, since the newest thing that there
// was then.
type version struct {
	sha   string
	after int64
}

// versioned makes a version of a head that is new.
func (s *Server) versioned(m *mergeRequest) {
	if n := len(m.versions); m.SHA != "" && (n == 0 || m.versions[n-1].sha != m.SHA) {
		m.versions = append(m.versions, version{m.SHA, s.lastID})
	}
}

func (c *call) mergeRequestVersions() reply {
	all := slices.Clone(c.mr.versions)
	slices.Reverse(all)
	return paged(c, all, func(v version) any {
		return fields{
			"id": v.after, "head_commit_sha": v.sha, "merge_request_id": 1000 + c.mr.IID, "state": "collected",
			"created_at": strings.Replace(stamp(v.after), ".000Z", ".500Z", 1),
		}
	})
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
