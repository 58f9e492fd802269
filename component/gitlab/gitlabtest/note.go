package gitlabtest

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// mostNote is the length of the longest note, in characters.
const mostNote = 1_000_000

// Note is a note on a merge request.
type Note struct {
	ID         int64
	AuthorID   int64
	Body       string
	System     bool
	Discussion string // id of its thread; a note without thread has one to itself
	Resolvable bool
	Resolved   bool
	Edits      int // times that its body was sent again
}

// AddNote adds a note as someone left it. In a Discussion that exists it is a
// reply; with Resolvable a thread begins.
func (s *Server) AddNote(projectID, iid int64, n Note) Note {
	s.in(projectID, func(p *project) { n = *s.addNote(p.mustMR(iid), n) })
	return n
}

// addNote adds a note. A reply makes a thread of a single note, and leaves a
// resolved thread resolved.
func (s *Server) addNote(m *mergeRequest, n Note) *Note {
	n.ID = s.id(n.ID)
	for _, o := range m.notes {
		if n.Discussion != "" && o.Discussion == n.Discussion {
			o.Resolvable, n.Resolvable = true, true
			n.Resolved = o.Resolved
		}
	}
	if n.Discussion == "" {
		sum := sha1.Sum(fmt.Appendf(nil, "discussion %d", n.ID))
		n.Discussion = hex.EncodeToString(sum[:])
	}
	m.notes = append(m.notes, &n)
	return &n
}

// DeleteNote deletes a note.
func (s *Server) DeleteNote(projectID, iid, id int64) {
	s.in(projectID, func(p *project) { p.mustMR(iid).remove(id) })
}

func (m *mergeRequest) remove(id int64) {
	m.notes = slices.DeleteFunc(m.notes, func(n *Note) bool { return n.ID == id })
}

// Notes are the notes on a merge request, oldest first.
func (s *Server) Notes(projectID, iid int64) (out []Note) {
	s.in(projectID, func(p *project) {
		for _, n := range p.mustMR(iid).notes {
			out = append(out, *n)
		}
	})
	return out
}

func (c *call) listNotes() reply {
	var rows []*Note
	for _, n := range c.mr.notes {
		filter := c.params.text("activity_filter")
		if filter == "only_comments" && n.System || filter == "only_activity" && !n.System {
			continue
		}
		rows = append(rows, n)
	}
	if c.params.text("sort") != "asc" {
		slices.Reverse(rows)
	}
	return paged(c, rows, func(n *Note) any { return c.showNote(n) })
}

func (c *call) showNote(n *Note) fields {
	var kind any
	if n.Resolvable {
		kind = "DiscussionNote"
	}
	out := fields{
		"id": n.ID, "type": kind, "body": n.Body, "author": c.author(n.AuthorID), "system": n.System,
		"created_at": stamp(n.ID), "updated_at": stamp(n.ID), "noteable_type": "MergeRequest", "noteable_iid": c.mr.IID,
		"project_id": c.project.ID, "resolvable": n.Resolvable, "internal": false,
	}
	if n.Resolvable {
		out["resolved"] = n.Resolved
	}
	return out
}

// write checks and adds a note as the API does: refusals, limits, then quick
// actions, which are executed whatever becomes of the note. It gives nil and 202
// if nothing else was in the text.
func (c *call) write(n Note) (*Note, *reply) {
	body := c.params.text("body")
	switch {
	case !c.params.given("body"):
		return nil, refuse(invalid("body is missing"))
	case !c.mayComment():
		return nil, refuse(forbidden())
	case c.limits.notes == 0:
		return nil, refuse(reply{code: 429, body: "Retry later\n"})
	}
	if refused := checkBody(body); refused != nil {
		return nil, refused
	}
	if len(c.mr.notes) >= c.limits.perTarget {
		return nil, refuse(message(400, `400 Bad request - Note {:base=>["Maximum number of comments exceeded"]}`))
	}
	rest, found := extract(body, c.user.ID)
	c.execute(found)
	if c.limits.notes > 0 {
		c.limits.notes--
	}
	if strings.TrimSpace(rest) == "" {
		return nil, refuse(reply{code: 202, body: fields{"commands_changes": fields{}, "summary": []string{fmt.Sprintf("Applied %d commands.", len(found))}}})
	}
	n.AuthorID, n.Body = c.user.ID, strings.TrimSpace(rest)
	return c.addNote(c.mr, n), nil
}

func checkBody(body string) *reply {
	switch {
	case strings.TrimSpace(body) == "":
		return refuse(message(400, `400 Bad request - Note {:note=>["can't be blank"]}`))
	case utf8.RuneCountInString(body) > mostNote:
		return refuse(message(400, `400 Bad request - Note {:note=>["is too long (maximum is 1000000 characters)"]}`))
	}
	return nil
}

func (c *call) postNote() reply {
	n, refused := c.write(Note{})
	if refused != nil {
		return *refused
	}
	return created(c.showNote(n))
}

// note finds the note in the path.
func (c *call) note() (*Note, *reply) {
	id, err := strconv.ParseInt(c.req.PathValue("note"), 10, 64)
	if err != nil {
		return nil, refuse(invalid("note_id is invalid"))
	}
	thread := c.req.PathValue("discussion")
	for _, n := range c.mr.notes {
		if n.ID == id && (thread == "" || thread == n.Discussion) {
			return n, nil
		}
	}
	return nil, refuse(missing())
}

// mayEdit says whether the user may change a note: its author, or a maintainer.
func (c *call) mayEdit(n *Note) bool {
	return c.mayComment() && !n.System && (n.AuthorID == c.user.ID || c.level() >= Maintainer)
}

func (c *call) getNote() reply {
	n, refused := c.note()
	if refused != nil {
		return *refused
	}
	return ok(c.showNote(n))
}

func (c *call) putNote() reply {
	n, refused := c.note()
	switch {
	case !c.params.given("body"):
		return invalid("body is missing")
	case refused != nil:
		return *refused
	case !c.mayEdit(n):
		return forbidden()
	}
	if refused := checkBody(c.params.text("body")); refused != nil {
		return *refused
	}
	rest, found := extract(c.params.text("body"), c.user.ID)
	c.execute(found)
	n.Edits++
	n.Body = strings.TrimSpace(rest)
	if n.Body == "" {
		c.mr.remove(n.ID)
		return reply{code: 202, body: fields{"commands_changes": fields{}, "summary": []string{"Applied commands."}}}
	}
	return ok(c.showNote(n))
}

func (c *call) deleteNote() reply {
	n, refused := c.note()
	switch {
	case refused != nil:
		return *refused
	case !c.mayEdit(n):
		return forbidden()
	}
	c.mr.remove(n.ID)
	return reply{code: 204}
}
