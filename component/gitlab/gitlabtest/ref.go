package gitlabtest

func (c *call) getBranch() reply { return c.getRef("Branch", c.project.branches) }

func (c *call) getTag() reply { return c.getRef("Tag", c.project.tags) }

// getRef answers a branch or tag by its whole name; a part of it is none.
func (c *call) getRef(what string, refs map[string]string) reply {
	if !c.mayReadCode() {
		return forbidden()
	}
	name := c.req.PathValue("ref")
	sha, known := refs[name]
	if !known {
		return notFound(what)
	}
	return ok(fields{"name": name, "commit": c.showCommit(sha), "protected": c.project.protected[name]})
}

// DeleteTag deletes a tag; its commit stays.
func (s *Server) DeleteTag(projectID int64, name string) {
	s.in(projectID, func(p *project) { delete(p.tags, name) })
}
