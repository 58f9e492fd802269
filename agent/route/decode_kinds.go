package route

import (
	"encoding/json"
	"path"
	"strings"

	"gitlab.com/remora-ci/remora/component/delivery"
)

// push reads a push of a branch or tag. The commits are not read: they are the
// newest twenty at most.
func (e *envelope) push() Change {
	c := Change{Ref: e.Ref, Before: sha(e.Before), SHA: sha(e.After), Deleted: gone(e.After)}
	// Of an annotated tag, after is the tag's own id; checkout_sha is the commit.
	if commit := sha(e.CheckoutSHA); commit != "" && (c.SHA == "" || strings.HasPrefix(e.Ref, tags)) && !c.Deleted {
		c.SHA = commit
	}
	return c
}

// gone says whether after is GitLab's word for a ref that is no more. A missing
// one says nothing.
func gone(after string) bool { return after != "" && delivery.ZeroSHA(after) }

// refs reads the update of a repository, which a system hook gets once for all
// refs of a push, also where GitLab sends no push hooks as there are too many.
//
// https://docs.gitlab.com/administration/system_hooks/#repository-update-events
func (e *envelope) refs() []Change {
	var moved []struct {
		Ref    string `json:"ref"`
		Before string `json:"before"`
		After  string `json:"after"`
	}
	_ = json.Unmarshal(e.Changes, &moved) // what is readable is there in spite of an error
	var changes []Change
	for _, m := range moved {
		changes = append(changes, Change{Ref: m.Ref, Before: sha(m.Before), SHA: sha(m.After), Deleted: gone(m.After)})
	}
	return changes
}

// mergeRequestBody is object_attributes of a merge request, and merge_request of
// a pipeline.
type mergeRequestBody struct {
	IID             id     `json:"iid"`
	State           string `json:"state"`
	Action          string `json:"action"`
	Draft           bool   `json:"draft"`
	WorkInProgress  bool   `json:"work_in_progress"`
	Title           string `json:"title"`
	OldRev          string `json:"oldrev"`
	LastCommit      commit `json:"last_commit"`
	HeadPipelineID  id     `json:"head_pipeline_id"`
	SourceBranch    string `json:"source_branch"`
	TargetBranch    string `json:"target_branch"`
	SourceProjectID id     `json:"source_project_id"`
	TargetProjectID id     `json:"target_project_id"`
	Source          *place `json:"source"`
	Target          *place `json:"target"`
}

func (e *envelope) mergeRequest(f *Fact) {
	var m mergeRequestBody
	_ = read(e.Attributes, &m)
	if f.Project.Path == "" && m.Target != nil {
		f.Project = m.Target.project()
		f.Instance = instanceOf(f.Project)
	}
	if f.Project.ID == 0 {
		f.Project.ID = int64(m.TargetProjectID)
	}
	if m.SourceProjectID == 0 && m.Source != nil {
		m.SourceProjectID = m.Source.ID
	}
	f.Action, f.NewCommits, f.Ready = m.Action, sha(m.OldRev) != "", e.madeReady(m)
	m.source(f)
	// The pipeline that a body with new commits names is that of the old ones.
	if m.HeadPipelineID != 0 && !f.NewCommits {
		f.Pipeline = &delivery.Pipeline{ID: int64(m.HeadPipelineID)}
	}
}

// source reads of a merge request what is to be delivered, and whose it is.
func (m mergeRequestBody) source(f *Fact) {
	f.Status, f.MergeRequest = m.State, m.mergeRequest(f.Project)
	f.Changes = []Change{{Ref: heads + m.SourceBranch, SHA: sha(m.LastCommit.ID), Before: sha(m.OldRev)}}
	if f.MergeRequest.Fork() && m.Source != nil {
		f.Source = m.Source.project()
		f.Source.ID = f.MergeRequest.SourceProjectID
	}
	f.SourceGone = m.SourceProjectID == 0 || f.MergeRequest.Fork() && f.Source.Path == ""
}

func (m mergeRequestBody) mergeRequest(shown delivery.Project) *delivery.MergeRequest {
	mr := &delivery.MergeRequest{
		IID: int64(m.IID), ProjectID: firstID(m.TargetProjectID, id(shown.ID)), SourceProjectID: int64(m.SourceProjectID),
		SourceBranch: m.SourceBranch, TargetBranch: m.TargetBranch,
	}
	if mr.ProjectID == shown.ID {
		mr.ProjectPath = shown.Path
	}
	return mr
}

// madeReady says whether the update ended the draft. GitLab before 13 names only
// the change of the title.
func (e *envelope) madeReady(m mergeRequestBody) bool {
	if m.Draft || m.WorkInProgress {
		return false
	}
	var changes struct {
		Draft          change[bool]   `json:"draft"`
		WorkInProgress change[bool]   `json:"work_in_progress"`
		Title          change[string] `json:"title"`
	}
	_ = read(e.Changes, &changes)
	return changes.Draft.Previous || changes.WorkInProgress.Previous ||
		draftTitle(changes.Title.Previous) && !draftTitle(m.Title)
}

// change is what a field was before the update.
type change[T any] struct {
	Previous T `json:"previous"`
}

func draftTitle(title string) bool {
	title = strings.ToLower(strings.TrimSpace(title))
	for _, mark := range []string{"draft:", "[draft]", "(draft)", "wip:", "[wip]"} {
		if strings.HasPrefix(title, mark) {
			return true
		}
	}
	return false
}

func (e *envelope) note(f *Fact) {
	var n struct {
		ID         id     `json:"id"`
		Action     string `json:"action"`
		System     bool   `json:"system"`
		Note       string `json:"note"`
		Author     id     `json:"author_id"`
		On         string `json:"noteable_type"`
		Discussion string `json:"discussion_id"`
	}
	_ = read(e.Attributes, &n)
	f.Action, f.System, f.Text, f.NoteID, f.Noteable, f.Discussion = n.Action, n.System, n.Note, int64(n.ID), n.On, n.Discussion
	if f.UserID == 0 {
		f.UserID = int64(n.Author)
	}
	var m mergeRequestBody
	if read(e.MergeRequest, &m) == nil && m.IID != 0 {
		if m.SourceProjectID == 0 && m.Source != nil {
			m.SourceProjectID = m.Source.ID
		}
		m.source(f)
	}
}

func (e *envelope) pipeline(f *Fact) {
	var p struct {
		ID     id     `json:"id"`
		Ref    string `json:"ref"`
		Tag    bool   `json:"tag"`
		SHA    string `json:"sha"`
		Before string `json:"before_sha"`
		Source string `json:"source"`
		Status string `json:"status"`
	}
	_ = read(e.Attributes, &p)
	f.Status = p.Status
	f.Pipeline = &delivery.Pipeline{ID: int64(p.ID), SHA: sha(p.SHA), Source: p.Source}
	c := Change{Ref: heads + p.Ref, SHA: sha(p.SHA), Before: sha(p.Before)}
	if p.Tag {
		c.Ref = tags + p.Ref
	}
	var m mergeRequestBody
	if read(e.MergeRequest, &m) == nil && m.IID != 0 {
		f.MergeRequest = m.mergeRequest(f.Project)
	}
	if p.Source == mergeRequestPipeline {
		// Its commit may be a merged result, which no branch contains, and its ref
		// one that is no branch.
		c.SHA, c.Before = "", ""
		if m.SourceBranch != "" {
			c.Ref = heads + m.SourceBranch
		}
	}
	f.Changes = []Change{c}
}

func (e *envelope) deployment(f *Fact) {
	f.Status = e.Status
	// The body has the short id of its commit, and the whole one in an address.
	f.Changes = []Change{{Ref: heads + strings.TrimPrefix(e.Ref, heads), SHA: sha(path.Base(e.CommitURL))}}
	if strings.HasPrefix(e.Ref, tags) {
		f.Changes[0].Ref = e.Ref
	}
}

func (e *envelope) release(f *Fact) {
	f.Action = e.Action
	f.Changes = []Change{{Ref: tags + e.Tag, SHA: sha(e.Commit.ID)}}
}
