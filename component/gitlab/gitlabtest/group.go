package gitlabtest

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Group is a group to add. Its parent and its projects are known by their paths.
type Group struct {
	ID       int64  // 0: the next free one
	Path     string // full path
	Public   bool
	Deleted  bool // marked for deletion
	Archived bool
	Plan     string // default default; on gitlab.com free, premium, ultimate
}

type group struct {
	Group
	members map[int64]Level
}

// AddGroup adds a group.
func (s *Server) AddGroup(g Group) Group {
	s.mu.Lock()
	defer s.mu.Unlock()
	g.ID = s.id(g.ID)
	if g.Plan == "" {
		g.Plan = "default"
	}
	s.groups[g.ID] = &group{Group: g, members: map[int64]Level{}}
	return g
}

// ChangeGroup changes a group, to mark it for deletion or to rename it; what lies
// below it is renamed with it.
func (s *Server) ChangeGroup(id int64, change func(*Group)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.mustGroup(id)
	from := g.Path
	change(&g.Group)
	renamed := func(p string) string {
		if below, ok := strings.CutPrefix(p, from+"/"); ok {
			return g.Path + "/" + below
		}
		return p
	}
	for _, other := range s.groups {
		other.Path = renamed(other.Path)
	}
	for _, p := range s.projects {
		if to := renamed(p.Path); to != p.Path {
			p.MovedFrom, p.Path = append(p.MovedFrom, p.Path), to
		}
	}
}

// DeleteGroup forgets a group; its projects stay.
func (s *Server) DeleteGroup(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.groups, id)
}

// AddGroupMember makes a user a member of a group, and of all that lies in it, or
// changes the level; 0 ends it.
func (s *Server) AddGroupMember(groupID, userID int64, level Level) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.mustGroup(groupID)
	g.members[userID] = level
	for _, p := range s.projects {
		if strings.HasPrefix(p.Path, g.Path+"/") {
			p.inherited[userID] = s.groupLevel(path.Dir(p.Path), userID)
		}
	}
}

func (s *Server) mustGroup(id int64) *group {
	g := s.groups[id]
	if g == nil {
		panic(fmt.Sprintf("gitlabtest: no group %d was added", id))
	}
	return g
}

// groupAt is the group with that path, nil if there is none.
func (s *Server) groupAt(full string) *group {
	for _, g := range s.groups {
		if strings.EqualFold(g.Path, full) {
			return g
		}
	}
	return nil
}

// above are the group with that path and those that it lies in, as far as they
// were added.
func (s *Server) above(full string) []*group {
	var list []*group
	for ; full != "." && full != "/"; full = path.Dir(full) {
		if g := s.groupAt(full); g != nil {
			list = append(list, g)
		}
	}
	return list
}

// groupLevel is what a user may do in the group with that path; 0 is nothing.
func (s *Server) groupLevel(full string, userID int64) Level {
	var most Level
	for _, g := range s.above(full) {
		most = max(most, g.members[userID])
	}
	return most
}

// heirs are the members of the groups that a new project lies in.
func (s *Server) heirs(project string) map[int64]Level {
	levels := map[int64]Level{}
	for _, g := range s.above(path.Dir(project)) {
		for user, level := range g.members {
			levels[user] = max(levels[user], level)
		}
	}
	return levels
}

func (s *Server) groupRoutes(handle func(pattern, known string, serve func(*call) reply)) {
	handle("GET /groups", "all_available min_access_level order_by sort "+paging, (*call).listGroups)
	handle("GET /groups/{group}", "with_projects", (*call).getGroup)
	handle("GET /groups/{group}/projects", "include_subgroups with_shared archived simple order_by sort "+paging, (*call).groupProjects)
	handle("GET /namespaces/{group}", "", (*call).getNamespace)
}

func (c *call) listGroups() reply {
	if c.user == nil {
		return unauthorized()
	}
	least, fine := c.params.number("min_access_level")
	if !fine {
		return invalid("min_access_level is invalid")
	}
	var list []*group
	for _, id := range slices.Sorted(maps.Keys(c.groups)) {
		g := c.groups[id]
		level := c.groupLevel(g.Path, c.user.ID)
		open := g.Public && c.params.text("all_available") == "true" && least == 0
		if open || level > 0 && level >= Level(least) {
			list = append(list, g)
		}
	}
	return paged(c, list, func(g *group) any { return c.showGroup(g) })
}

func (c *call) showGroup(g *group) fields {
	shown := fields{
		"id": g.ID, "full_path": g.Path, "path": path.Base(g.Path), "web_url": c.URL + "/groups/" + g.Path,
		"parent_id": nil, "marked_for_deletion_on": nil, "archived": g.Archived,
	}
	if parent := c.groupAt(path.Dir(g.Path)); parent != nil {
		shown["parent_id"] = parent.ID
	}
	if g.Deleted {
		shown["marked_for_deletion_on"] = "2026-11-20"
	}
	return shown
}

// findGroup finds the group by id or path. One that the user may not see is not
// there.
func (c *call) findGroup() (*group, *reply) {
	name := c.req.PathValue("group")
	g := c.groupAt(name)
	if id, err := strconv.ParseInt(name, 10, 64); err == nil {
		g = c.groups[id]
	}
	if g == nil || !g.Public && c.groupLevelOf(g) == 0 {
		return nil, refuse(notFound("Group"))
	}
	return g, nil
}

// groupLevelOf is what the user may do in the group.
func (c *call) groupLevelOf(g *group) Level {
	if c.user == nil {
		return 0
	}
	return c.groupLevel(g.Path, c.user.ID)
}

func (c *call) getGroup() reply {
	g, refused := c.findGroup()
	if refused != nil {
		return *refused
	}
	return ok(c.showGroup(g))
}

// groupProjects lists the projects of a group. None is shared with it here.
func (c *call) groupProjects() reply {
	g, refused := c.findGroup()
	if refused != nil {
		return *refused
	}
	if c.params.text("with_shared") != "false" {
		return invalid("with_shared: this GitLab has no shared projects")
	}
	var list []*project
	for _, id := range slices.Sorted(maps.Keys(c.projects)) {
		p := c.projects[id]
		inside := path.Dir(p.Path) == g.Path || c.params.text("include_subgroups") == "true" && strings.HasPrefix(p.Path, g.Path+"/")
		if inside && !(p.Archived && c.params.text("archived") == "false") {
			list = append(list, p)
		}
	}
	return paged(c, list, func(p *project) any { return c.showProject(p) })
}

// getNamespace tells Owners of the plan.
func (c *call) getNamespace() reply {
	if c.user == nil {
		return unauthorized()
	}
	g, refused := c.findGroup()
	if refused != nil {
		return notFound("Namespace")
	}
	shown := fields{"id": g.ID, "kind": "group", "full_path": g.Path, "path": path.Base(g.Path)}
	if c.groupLevelOf(g) >= Owner && c.edition != Community {
		shown["plan"] = g.Plan
	}
	return ok(shown)
}

// namespace is what a project lies in: a group, unless a user has that name.
func (c *call) namespace(p *project) fields {
	full := path.Dir(p.Path)
	shown := fields{"kind": "group", "full_path": full, "path": path.Base(full)}
	for _, u := range c.users {
		if c.groupAt(full) == nil && u.Username == full {
			shown["kind"], shown["id"] = "user", u.ID
		}
	}
	if g := c.groupAt(full); g != nil {
		shown["id"] = g.ID
	}
	return shown
}
