package gitlabtest

import "slices"

// Discussion is a thread, or a note that stands alone.
type Discussion struct {
	ID    string
	Notes []Note
}

// Resolvable says whether it is a thread that can be resolved.
func (d Discussion) Resolvable() bool {
	return slices.ContainsFunc(d.Notes, func(n Note) bool { return n.Resolvable })
}

// Resolved says whether all of it is resolved.
func (d Discussion) Resolved() bool {
	return d.Resolvable() && !slices.ContainsFunc(d.Notes, func(n Note) bool { return n.Resolvable && !n.Resolved })
}

// Discussions are the threads of a merge request, oldest first.
func (s *Server) Discussions(projectID, iid int64) (out []Discussion) {
	s.in(projectID, func(p *project) {
		for _, notes := range p.mustMR(iid).threads() {
			d := Discussion{ID: notes[0].Discussion}
			for _, n := range notes {
				d.Notes = append(d.Notes, *n)
			}
			out = append(out, d)
		}
	})
	return out
}

// Resolve resolves a thread, or opens it again, as a person would.
func (s *Server) Resolve(projectID, iid int64, discussion string, resolved bool) {
	s.in(projectID, func(p *project) { p.mustMR(iid).resolve(discussion, resolved) })
}

func (m *mergeRequest) resolve(discussion string, resolved bool) {
	for _, n := range m.notes {
		if n.Discussion == discussion && n.Resolvable {
			n.Resolved = resolved
		}
	}
}

// threads are the notes by thread, in the order of their first notes.
func (m *mergeRequest) threads() [][]*Note {
	var out [][]*Note
	at := map[string]int{}
	for _, n := range m.notes {
		i, seen := at[n.Discussion]
		if !seen {
			i = len(out)
			at[n.Discussion] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], n)
	}
	return out
}

func (c *call) listDiscussions() reply {
	return paged(c, c.mr.threads(), func(notes []*Note) any { return c.showThread(notes) })
}

func (c *call) showThread(notes []*Note) any {
	shown := []any{}
	for _, n := range notes {
		shown = append(shown, c.showNote(n))
	}
	return fields{"id": notes[0].Discussion, "individual_note": !notes[0].Resolvable, "notes": shown}
}

// thread finds the thread in the path.
func (c *call) thread() ([]*Note, *reply) {
	for _, notes := range c.mr.threads() {
		if notes[0].Discussion == c.req.PathValue("discussion") {
			return notes, nil
		}
	}
	return nil, refuse(notFound("Discussion"))
}

func (c *call) getDiscussion() reply {
	notes, refused := c.thread()
	if refused != nil {
		return *refused
	}
	return ok(c.showThread(notes))
}

func (c *call) postDiscussion() reply {
	n, refused := c.write(Note{Resolvable: true})
	if refused != nil && refused.code == 202 {
		return created(fields{"id": "", "individual_note": false, "notes": []any{unwritten}})
	}
	if refused != nil {
		return *refused
	}
	return created(c.showThread([]*Note{n}))
}

func (c *call) replyDiscussion() reply {
	notes, refused := c.thread()
	if refused != nil {
		return *refused
	}
	n, refused := c.write(Note{Discussion: notes[0].Discussion})
	if refused != nil && refused.code == 202 {
		return created(unwritten)
	}
	if refused != nil {
		return *refused
	}
	return created(c.showNote(n))
}

// unwritten is what a thread answers to quick actions alone, where a note
// answers 202: a note that was not kept.
var unwritten = fields{"id": nil, "type": "DiscussionNote", "body": "", "system": false, "resolvable": true}

// resolveDiscussion needs a developer, or the author of the merge request.
func (c *call) resolveDiscussion() reply {
	notes, refused := c.thread()
	resolved, isBool := c.params["resolved"].(bool)
	switch {
	case !c.params.given("resolved"):
		return invalid("resolved is missing")
	case !isBool:
		return invalid("resolved is invalid")
	case refused != nil:
		return *refused
	case !notes[0].Resolvable, !c.mayComment(), c.level() < Developer && c.mr.AuthorID != c.user.ID:
		return forbidden()
	}
	c.mr.resolve(notes[0].Discussion, resolved)
	return ok(c.showThread(notes))
}

// putDiscussionNote takes exactly one of body and resolved.
func (c *call) putDiscussionNote() reply {
	if c.params.given("body") == c.params.given("resolved") {
		return invalid("body, resolved are mutually exclusive and one of them must be provided")
	}
	if c.params.given("resolved") {
		return c.resolveDiscussion()
	}
	return c.putNote()
}
