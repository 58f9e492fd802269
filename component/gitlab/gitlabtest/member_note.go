package gitlabtest

import "fmt"

// NoteHook is the webhook that GitLab sends when a note was written on a merge
// request: the note as it is now, and the merge request with it.
//
// https://docs.gitlab.com/user/project/integrations/webhook_events/#comment-events
func (s *Server) NoteHook(projectID, iid, noteID int64) (body map[string]any) {
	s.in(projectID, func(p *project) {
		m := p.mustMR(iid)
		var n *Note
		for _, one := range m.notes {
			if one.ID == noteID {
				n = one
			}
		}
		if n == nil {
			panic(fmt.Sprintf("gitlabtest: no note %d was added to %s!%d", noteID, p.Path, iid))
		}
		page := fmt.Sprintf("%s/%s/-/merge_requests/%d", s.URL, p.Path, iid)
		shown := fields{
			"id": n.ID, "note": n.Body, "description": n.Body, "noteable_type": "MergeRequest", "noteable_id": 1000 + iid, "author_id": n.AuthorID,
			"created_at": stamp(n.ID), "updated_at": stamp(n.ID), "project_id": p.ID, "attachment": nil, "line_code": nil, "commit_id": nil,
			"discussion_id": n.Discussion, "internal": false, "resolved_at": nil, "resolved_by_id": nil, "resolved_by_push": nil, "st_diff": nil,
			"system": n.System, "type": nil, "change_position": nil, "original_position": nil, "position": nil,
			"action": "create", "url": fmt.Sprintf("%s#note_%d", page, n.ID),
		}
		body = fields{
			"object_kind": "note", "event_type": "note", "user": s.hookUser(n.AuthorID), "project_id": p.ID, "project": s.hookProject(p),
			"object_attributes": shown, "merge_request": s.hookMergeRequest(p, m),
			"repository": fields{"name": p.Path, "url": s.URL + "/" + p.Path + ".git", "homepage": s.URL + "/" + p.Path},
		}
	})
	return body
}

func (s *Server) hookUser(id int64) any {
	u := s.users[id]
	if u == nil {
		return nil
	}
	return fields{"id": u.ID, "name": u.Username, "username": u.Username, "avatar_url": nil, "email": "[REDACTED]"}
}

func (s *Server) hookProject(p *project) fields {
	page := s.URL + "/" + p.Path
	return fields{
		"id": p.ID, "name": p.Path, "description": nil, "web_url": page, "avatar_url": nil, "git_ssh_url": "git@gitlab.example.com:" + p.Path + ".git",
		"git_http_url": page + ".git", "namespace": p.Path, "visibility_level": 0, "path_with_namespace": p.Path,
		"default_branch": p.DefaultBranch, "ci_config_path": nil, "homepage": page, "url": page + ".git", "http_url": page + ".git",
	}
}

func (s *Server) hookMergeRequest(p *project, m *mergeRequest) fields {
	source := s.projects[m.SourceProjectID]
	var sourceID, shownSource any
	if source != nil {
		sourceID, shownSource = source.ID, s.hookProject(source)
	}
	var head any
	if all := p.pipelinesOf(m); len(all) > 0 {
		head = all[0].pipeline.ID
	}
	return fields{
		"id": 1000 + m.IID, "iid": m.IID, "title": fmt.Sprintf("Merge request %d", m.IID), "description": "", "state": m.State, "draft": false,
		"work_in_progress": false, "author_id": m.AuthorID, "assignee_ids": []int64{}, "reviewer_ids": []int64{}, "labels": []any{},
		"source_branch": m.SourceBranch, "target_branch": m.TargetBranch, "source_project_id": sourceID, "target_project_id": p.ID,
		"source": shownSource, "target": s.hookProject(p), "head_pipeline_id": head, "merge_status": "can_be_merged",
		"last_commit": fields{"id": m.SHA, "message": "work", "title": "work", "url": s.URL + "/" + p.Path + "/-/commit/" + m.SHA},
		"url":         fmt.Sprintf("%s/%s/-/merge_requests/%d", s.URL, p.Path, m.IID), "created_at": stamp(m.IID), "updated_at": stamp(m.IID),
	}
}
