package gitlabtest

import "slices"

// Emoji is an award on a merge request or on one of its notes.
type Emoji struct {
	Name   string
	NoteID int64 // 0: on the merge request
	UserID int64
}

// Emoji are the awards of a merge request and of its notes.
func (s *Server) Emoji(projectID, iid int64) (out []Emoji) {
	s.in(projectID, func(p *project) { out = slices.Clone(p.mustMR(iid).emoji) })
	return out
}

func (c *call) listEmoji() reply {
	own := slices.DeleteFunc(slices.Clone(c.mr.emoji), func(e Emoji) bool { return e.NoteID != 0 })
	return paged(c, own, c.showEmoji)
}

func (c *call) showEmoji(e Emoji) any {
	kind := "MergeRequest"
	if e.NoteID != 0 {
		kind = "Note"
	}
	return fields{"id": 1, "name": e.Name, "user": c.author(e.UserID), "awardable_type": kind, "awardable_id": max(e.NoteID, c.mr.IID)}
}

// postEmoji awards once: a second time is a 404, of all codes.
func (c *call) postEmoji() reply {
	award := Emoji{Name: c.params.text("name")}
	if award.Name == "" {
		return invalid("name is missing")
	}
	if c.req.PathValue("note") != "" {
		n, refused := c.note()
		if refused != nil {
			return *refused
		}
		award.NoteID = n.ID
	}
	if !c.mayComment() {
		return notFound("Award Emoji")
	}
	award.UserID = c.user.ID
	if slices.Contains(c.mr.emoji, award) {
		return notFound("Award Emoji Name has already been taken")
	}
	c.mr.emoji = append(c.mr.emoji, award)
	return created(c.showEmoji(award))
}
