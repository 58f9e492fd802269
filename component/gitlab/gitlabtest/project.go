package gitlabtest

import (
	"maps"
	"slices"
)

// listProjects lists the projects that the user is a member of.
func (c *call) listProjects() reply {
	if c.user == nil {
		return unauthorized()
	}
	if c.params.text("membership") != "true" {
		return invalid("membership: this GitLab lists own projects only")
	}
	least, fine := c.params.number("min_access_level")
	if !fine {
		return invalid("min_access_level is invalid")
	}
	var own []*project
	for _, id := range slices.Sorted(maps.Keys(c.projects)) {
		p := c.projects[id]
		if p.level(c.user.ID) >= max(Level(least), 1) && !(p.Archived && c.params.text("archived") == "false") {
			own = append(own, p)
		}
	}
	return paged(c, own, func(p *project) any { return c.showProject(p) })
}

func (c *call) getProject() reply { return reply{code: 200, body: c.showProject(c.project)} }

func (c *call) showProject(p *project) fields {
	shown := fields{"id": p.ID, "path_with_namespace": p.Path, "default_branch": p.DefaultBranch, "web_url": c.URL + "/" + p.Path}
	shown["namespace"], shown["archived"] = c.namespace(p), p.Archived
	shown["only_allow_merge_if_all_discussions_are_resolved"] = p.ResolveThreads
	if c.user != nil && c.params.text("simple") != "true" {
		access := fields{"project_access": nil, "group_access": nil}
		if level := p.members[c.user.ID]; level > 0 {
			access["project_access"] = fields{"access_level": level, "notification_level": 3}
		}
		shown["permissions"] = access
	}
	return shown
}

func (c *call) listBranches() reply { return c.listRefs(c.project.branches) }

func (c *call) listTags() reply { return c.listRefs(c.project.tags) }

func (c *call) listRefs(refs map[string]string) reply {
	if !c.mayReadCode() {
		return forbidden()
	}
	return paged(c, slices.Sorted(maps.Keys(refs)), func(name string) any {
		return fields{"name": name, "commit": c.showCommit(refs[name])}
	})
}
