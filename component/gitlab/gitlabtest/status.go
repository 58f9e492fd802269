package gitlabtest

import (
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// Status is a commit status as GitLab keeps it.
type Status struct {
	ID                     int64
	SHA, Ref, Name, State  string
	Description, TargetURL string
	PipelineID, UserID     int64
	Retried                bool // hidden by a newer one of the same name
	Coverage               any
	Posts                  int // that changed it
}

// Statuses are all statuses of a commit, also the retried ones, oldest first.
func (s *Server) Statuses(projectID int64, sha string) (out []Status) {
	s.in(projectID, func(p *project) {
		for _, st := range p.statuses {
			if st.SHA == sha {
				out = append(out, *st)
			}
		}
	})
	return out
}

// AddStatus adds a status as another tool or user left it. Without a Ref it has
// that of its pipeline.
func (s *Server) AddStatus(projectID int64, st Status) Status {
	s.in(projectID, func(p *project) {
		st.ID = s.id(st.ID)
		for _, pl := range p.pipelines {
			if pl.ID == st.PipelineID && st.Ref == "" {
				st.Ref = pl.Ref
			}
		}
		p.statuses = append(p.statuses, &st)
	})
	return st
}

var states = []string{"pending", "running", "success", "failed", "canceled", "skipped"}

// postStatus follows CreateCommitStatusService: check, take the lease, choose
// the pipeline, find or build the row, move it.
func (c *call) postStatus() reply {
	sha := c.req.PathValue("sha")
	if refused := c.checkStatus(); refused != nil {
		return *refused
	}
	if c.level() < Developer || c.project.Archived {
		return forbidden()
	}
	lease := c.project.Path + " " + sha
	if c.leases[lease] {
		return message(409, "Another update to this commit status is in progress")
	}
	c.leases[lease] = true
	if hook := c.leased; hook != nil {
		c.mu.Unlock()
		hook(c.entry)
		c.mu.Lock()
	}
	defer delete(c.leases, lease)
	switch _, known := c.project.commits[sha]; {
	case !known:
		return notFound("Commit")
	case c.params.text("state") == "":
		return message(400, "State is required")
	}
	return c.setStatus(sha)
}

func (c *call) checkStatus() *reply {
	if state := c.params.text("state"); state != "" && !has(states, state) {
		return refuse(invalid("state does not have a valid value"))
	}
	if _, fine := c.params.number("pipeline_id"); !fine {
		return refuse(invalid("pipeline_id is invalid"))
	}
	return nil
}

func (c *call) setStatus(sha string) reply {
	pl, refused := c.choosePipeline(sha)
	if refused != nil {
		return *refused
	}
	ref, name := pl.Ref, c.statusName()
	if c.project.protected[ref] && c.level() < Maintainer {
		return forbidden() // a pipeline made for it stays behind
	}
	if has(pl.Jobs, name) {
		return message(400, fields{"name": []string{"has already been taken"}})
	}
	if refused := c.invalidStatus(); refused != nil {
		return *refused // and so does it here
	}
	row := c.openRow(pl, name)
	built := row == nil
	if built {
		row = &Status{ID: c.id(0), SHA: sha, Ref: ref, Name: name, State: "created", PipelineID: pl.ID, UserID: c.user.ID}
	}
	to, refusal := move(row.State, c.params.text("state"))
	if refusal != "" {
		return message(400, refusal)
	}
	if built {
		c.hideOlder(row)
		c.project.statuses = append(c.project.statuses, row)
	}
	c.update(row, to)
	c.restate(pl)
	return created(c.show(row))
}

func (c *call) statusName() string {
	for _, key := range []string{"name", "context"} {
		if v := c.params.text(key); v != "" {
			return v
		}
	}
	return "default"
}

// openRow is the row that a post updates: same pipeline, ref, name and user, and
// not yet final.
func (c *call) openRow(pl *Pipeline, name string) *Status {
	for _, st := range c.project.statuses {
		if st.PipelineID == pl.ID && st.Ref == pl.Ref && st.Name == name && st.UserID == c.user.ID && !st.Retried &&
			(st.State == "pending" || st.State == "running") {
			return st
		}
	}
	return nil
}

// hideOlder marks what a new row stands in front of, whoever wrote it.
func (c *call) hideOlder(row *Status) {
	for _, st := range c.project.statuses {
		if st.PipelineID == row.PipelineID && st.Ref == row.Ref && st.Name == row.Name {
			st.Retried = true
		}
	}
}

// full says whether a pipeline can take no more jobs; retried ones count.
func (c *call) full(pl *Pipeline) bool {
	n := len(pl.Jobs)
	for _, st := range c.project.statuses {
		if st.PipelineID == pl.ID {
			n++
		}
	}
	return c.limits.jobs > 0 && n >= c.limits.jobs
}

func (c *call) invalidStatus() *reply {
	wrong := fields{}
	for _, name := range []string{"description", "target_url"} {
		if utf8.RuneCountInString(c.params.text(name)) > 255 {
			wrong[name] = []string{"is too long (maximum is 255 characters)"}
		}
	}
	if why := blocked(c.params.text("target_url")); why != "" && c.params.given("target_url") {
		wrong["target_url"] = []string{"is blocked: " + why}
	}
	if len(wrong) == 0 {
		return nil
	}
	return refuse(message(400, wrong))
}

// blocked says why GitLab does not take a URL, or nothing.
func blocked(raw string) string {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return "URI is invalid"
	case u.Scheme != "http" && u.Scheme != "https":
		return "Only allowed schemes are http, https"
	case u.Hostname() == "":
		return "Hostname or IP address invalid"
	case u.Hostname() == "localhost", strings.HasPrefix(u.Hostname(), "127."), u.Hostname() == "::1":
		return "Requests to localhost are not allowed"
	}
	return ""
}

// update gives an accepted post to its row; what was not sent stays.
func (c *call) update(row *Status, state string) {
	row.State = state
	row.Posts++
	if c.params.given("description") {
		row.Description = c.params.text("description")
	}
	if c.params.given("target_url") {
		row.TargetURL = c.params.text("target_url")
	}
	if c.params.given("coverage") {
		row.Coverage = c.params["coverage"]
	}
}

func (c *call) listStatuses() reply {
	sha := c.req.PathValue("sha")
	if !c.mayReadCode() {
		return forbidden()
	}
	if _, known := c.project.commits[sha]; !known {
		return notFound("Commit")
	}
	pipeline, fine := c.params.number("pipeline_id")
	if !fine {
		return invalid("pipeline_id is invalid")
	}
	var rows []*Status
	for _, st := range c.project.statuses {
		switch {
		case st.SHA != sha, st.Retried && c.params.text("all") != "true":
		case c.params.given("name") && st.Name != c.params.text("name"):
		case c.params.given("ref") && st.Ref != c.params.text("ref"):
		case pipeline != 0 && st.PipelineID != pipeline:
		default:
			rows = append(rows, st)
		}
	}
	if c.params.text("sort") == "desc" {
		slices.Reverse(rows)
	}
	return paged(c, rows, func(st *Status) any { return c.show(st) })
}

func (c *call) show(st *Status) any {
	var author any
	if u := c.users[st.UserID]; u != nil {
		author = c.author(u.ID)
	}
	return fields{
		"id": st.ID, "sha": st.SHA, "ref": st.Ref, "status": st.State, "name": st.Name, "allow_failure": false,
		"description": orNull(st.Description), "target_url": orNull(st.TargetURL), "coverage": st.Coverage,
		"pipeline_id": st.PipelineID, "author": author, "created_at": stamp(st.ID),
	}
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}
