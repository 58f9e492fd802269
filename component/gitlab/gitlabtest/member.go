package gitlabtest

import (
	"fmt"
	"strconv"
)

// AddInheritedMember makes a user a member of a project by one of its groups; 0
// ends it. The higher of both levels counts.
func (s *Server) AddInheritedMember(projectID, userID int64, level Level) {
	s.in(projectID, func(p *project) { p.inherited[userID] = level })
}

// level is what a user may do in the project; 0 is nothing.
func (p *project) level(userID int64) Level { return max(p.members[userID], p.inherited[userID]) }

// getMember tells of a member, own or inherited; of anybody else, that he is not
// found.
func (c *call) getMember() reply {
	if c.user == nil {
		return unauthorized()
	}
	id, err := strconv.ParseInt(c.req.PathValue("user"), 10, 64)
	if err != nil {
		return invalid("user_id is invalid")
	}
	u, level := c.users[id], c.project.level(id)
	if u == nil || level == 0 {
		return missing()
	}
	state := "active"
	if u.Blocked {
		state = "blocked"
	}
	return ok(fields{
		"id": u.ID, "username": u.Username, "name": u.Username, "state": state, "access_level": int(level), "expires_at": nil,
		"membership_state": "active", "created_at": stamp(u.ID), "avatar_url": nil, "web_url": fmt.Sprintf("%s/%s", c.URL, u.Username),
	})
}

// ChangeProject changes the settings of a project.
func (s *Server) ChangeProject(projectID int64, change func(*Project)) {
	s.in(projectID, func(p *project) { change(&p.Project) })
}
