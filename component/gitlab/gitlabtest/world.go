package gitlabtest

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// User is someone with an account.
type User struct {
	ID       int64 // 0: the next free one
	Username string
	Bot      bool
	Blocked  bool // may not sign in any more
}

// Level is what a member may do in a project.
type Level int

// The levels of access.
const (
	Guest      Level = 10
	Reporter   Level = 20
	Developer  Level = 30
	Maintainer Level = 40
	Owner      Level = 50
)

// Project is a project to add.
type Project struct {
	ID            int64 // 0: the next free one
	Path          string
	DefaultBranch string // default main
	Public        bool   // anyone may read it, and any user may comment
	Archived      bool
	MovedFrom     []string // its earlier paths

	ResolveThreads bool // open threads keep merge requests from being merged
}

// Commit is a commit to add.
type Commit struct {
	SHA      string // empty: made up
	Parents  []string
	Paths    []string    // that it changed
	Renames  [][2]string // old and new path
	Branches []string    // that it becomes the head of
	Tags     []string    // that point to it
}

// Pipeline is a pipeline.
type Pipeline struct {
	ID           int64 // 0: the next free one
	SHA, Ref     string
	Source       string // default push
	Status       string // default running
	Archived     bool
	MergeRequest int64    // iid, of source merge_request_event
	Jobs         []string // names of the CI jobs in it
	UserID       int64
}

// MergeRequest is a merge request to add.
type MergeRequest struct {
	IID             int64 // 0: the next free one
	SourceProjectID int64 // 0: the same project
	SourceBranch    string
	TargetBranch    string // default: the default branch
	SHA             string // default: head of SourceBranch
	State           string // default opened
	AuthorID        int64
	Locked          bool // its discussion
}

type project struct {
	Project
	members   map[int64]Level // direct ones
	inherited map[int64]Level // of its groups, and of groups that it was shared with
	protected map[string]bool
	commits   map[string]Commit
	branches  map[string]string // name to head
	tags      map[string]string
	pipelines []*Pipeline // oldest first
	statuses  []*Status   // oldest first
	mrs       map[int64]*mergeRequest
}

type mergeRequest struct {
	MergeRequest
	notes  []*Note // oldest first
	emoji  []Emoji
	quick  []QuickAction
	source *project

	versions []version // of its head, oldest first
}

// AddUser adds a user with a token of kind [Bot]; an empty token adds none.
func (s *Server) AddUser(u User, token string) User {
	s.mu.Lock()
	defer s.mu.Unlock()
	u.ID = s.id(u.ID)
	if u.Username == "" {
		u.Username = fmt.Sprintf("user-%d", u.ID)
	}
	s.users[u.ID] = &u
	if token != "" {
		s.tokens[token] = credential{u.ID, Bot}
	}
	return u
}

// AddToken gives a user one more token.
func (s *Server) AddToken(userID int64, token string, kind Kind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[token] = credential{userID, kind}
}

// AddProject adds a project without commits.
func (s *Server) AddProject(p Project) Project {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.ID = s.id(p.ID)
	if p.DefaultBranch == "" {
		p.DefaultBranch = "main"
	}
	s.projects[p.ID] = &project{
		Project: p, members: map[int64]Level{}, inherited: s.heirs(p.Path), protected: map[string]bool{}, commits: map[string]Commit{},
		branches: map[string]string{}, tags: map[string]string{}, mrs: map[int64]*mergeRequest{},
	}
	return p
}

// AddMember makes a user a member of a project, or changes the level; 0 ends it.
func (s *Server) AddMember(projectID, userID int64, level Level) {
	s.in(projectID, func(p *project) { p.members[userID] = level })
}

// Protect lets only maintainers push and merge to a branch.
func (s *Server) Protect(projectID int64, branch string) {
	s.in(projectID, func(p *project) { p.protected[branch] = true })
}

// Archive makes a project read-only.
func (s *Server) Archive(projectID int64) {
	s.in(projectID, func(p *project) { p.Archived = true })
}

// AddCommit adds a commit and moves branches and tags to it.
func (s *Server) AddCommit(projectID int64, c Commit) Commit {
	s.in(projectID, func(p *project) {
		if c.SHA == "" {
			sum := sha1.Sum(fmt.Appendf(nil, "%d %d %v", projectID, s.id(0), c))
			c.SHA = hex.EncodeToString(sum[:])
		}
		p.commits[c.SHA] = c
		for _, name := range c.Branches {
			p.branches[name] = c.SHA
			s.followed(p, name, c.SHA)
		}
		for _, name := range c.Tags {
			p.tags[name] = c.SHA
		}
	})
	return c
}

// followed moves the merge requests of a branch that was pushed to.
func (s *Server) followed(p *project, branch, sha string) {
	for _, m := range p.mrs {
		if m.source == p && m.SourceBranch == branch && m.State == "opened" {
			m.SHA = sha
			s.versioned(m)
		}
	}
}

// DeleteBranch deletes a branch; its commits stay.
func (s *Server) DeleteBranch(projectID int64, name string) {
	s.in(projectID, func(p *project) { delete(p.branches, name) })
}

// DeleteCommit forgets a commit, as after a force push and garbage collection.
func (s *Server) DeleteCommit(projectID int64, sha string) {
	s.in(projectID, func(p *project) {
		delete(p.commits, sha)
		maps.DeleteFunc(p.branches, func(_, head string) bool { return head == sha })
	})
}

// AddPipeline adds a pipeline of the project's CI.
func (s *Server) AddPipeline(projectID int64, pl Pipeline) Pipeline {
	s.in(projectID, func(p *project) { pl = *s.addPipeline(p, pl) })
	return pl
}

func (s *Server) addPipeline(p *project, pl Pipeline) *Pipeline {
	pl.ID = s.id(pl.ID)
	if pl.Source == "" {
		pl.Source = "push"
	}
	if pl.Status == "" {
		pl.Status = "running"
	}
	p.pipelines = append(p.pipelines, &pl)
	return &pl
}

// AddMergeRequest opens a merge request in a project. The commits of a fork
// become known to the project, but no branch of it holds them.
func (s *Server) AddMergeRequest(projectID int64, m MergeRequest) MergeRequest {
	s.in(projectID, func(p *project) {
		if m.SourceProjectID == 0 {
			m.SourceProjectID = projectID
		}
		source := s.mustProject(m.SourceProjectID)
		if m.IID == 0 {
			m.IID = int64(len(p.mrs)) + 1
		}
		if m.TargetBranch == "" {
			m.TargetBranch = p.DefaultBranch
		}
		if m.SHA == "" {
			m.SHA = source.branches[m.SourceBranch]
		}
		if m.State == "" {
			m.State = "opened"
		}
		for sha := range source.ancestors(m.SHA) {
			if _, known := p.commits[sha]; !known {
				c := source.commits[sha]
				c.Branches, c.Tags = nil, nil
				p.commits[sha] = c
			}
		}
		p.mrs[m.IID] = &mergeRequest{MergeRequest: m, source: source}
		s.versioned(p.mrs[m.IID])
	})
	return m
}

// ChangeMergeRequest changes a merge request, to lock or merge it or to move its
// head.
func (s *Server) ChangeMergeRequest(projectID, iid int64, change func(*MergeRequest)) {
	s.in(projectID, func(p *project) {
		m := p.mustMR(iid)
		change(&m.MergeRequest)
		s.versioned(m)
	})
}

// in runs change on a project. One that was never added is a mistake in a test.
func (s *Server) in(projectID int64, change func(*project)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s.mustProject(projectID))
}

func (s *Server) mustProject(id int64) *project {
	p := s.projects[id]
	if p == nil {
		panic(fmt.Sprintf("gitlabtest: no project %d was added", id))
	}
	return p
}

func (p *project) mustMR(iid int64) *mergeRequest {
	m := p.mrs[iid]
	if m == nil {
		panic(fmt.Sprintf("gitlabtest: no merge request %d was added to %s", iid, p.Path))
	}
	return m
}

// resolve finds the commit that a SHA, branch or tag names.
func (p *project) resolve(ref string) (sha string, ok bool) {
	for _, names := range []map[string]string{p.branches, p.tags} {
		if head, named := names[strings.TrimPrefix(strings.TrimPrefix(ref, "refs/heads/"), "refs/tags/")]; named {
			ref = head
		}
	}
	if _, ok = p.commits[ref]; ok {
		return ref, true
	}
	for sha := range p.commits {
		if len(ref) >= 7 && strings.HasPrefix(sha, ref) {
			return sha, true
		}
	}
	return "", false
}

// ancestors are sha and all before it.
func (p *project) ancestors(sha string) map[string]bool {
	seen := map[string]bool{}
	for todo := []string{sha}; len(todo) > 0; {
		sha, todo = todo[0], todo[1:]
		c, known := p.commits[sha]
		if known && !seen[sha] {
			seen[sha] = true
			todo = append(todo, c.Parents...)
		}
	}
	return seen
}

// containing are the branches that hold sha, in the order of their names.
func (p *project) containing(sha string) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(p.branches)) {
		if p.ancestors(p.branches[name])[sha] {
			out = append(out, name)
		}
	}
	return out
}
