package route

import (
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
)

// The kinds of event that a route can be switched on by.
const (
	Push         = "push"
	TagPush      = "tag_push"
	MergeRequest = "merge_request"
	Pipeline     = "pipeline"
	Deployment   = "deployment"
	Release      = "release"
	Job          = "job" // a CI job asks, see package trigger
)

// Kinds of which this package knows more than their name.
const (
	Note             = "note" // a comment, which may be a command
	repositoryUpdate = "repository_update"
)

// Fact is what a body says, as far as it matters here. A field that the body does
// not have is empty.
type Fact struct {
	Kind     string // object_kind, else event_name, else as given to Decode
	Instance string // base URL that the body's own addresses begin with; the caller may fill it in from the request's header
	Project  delivery.Project
	UserID   int64     // who did it
	UserName string    // of that user, for people to read
	At       time.Time // when the event was received; Decode leaves it to the caller

	Action string // of a merge request, note or release
	Status string // of a pipeline or deployment; the state of a merge request, also of a note's

	System     bool   // a note that GitLab wrote
	Text       string // of a note
	NoteID     int64
	Noteable   string // what the note is on, as GitLab names it: MergeRequest, Issue, Commit, …
	Discussion string // id of the thread that the note is in

	NewCommits bool // of a merge request: its source branch moved
	Ready      bool // of a merge request: it is no draft any more

	Changes      []Change // one, but for the update of a whole repository
	MergeRequest *delivery.MergeRequest
	Source       delivery.Project // of a fork's merge request: where its branch is
	SourceGone   bool             // of a merge request: that project is no more
	Allowed      bool             // of a fork's merge request: somebody who may has allowed its head commit
	Protected    bool             // of a job: its ref is protected
	Pipeline     *delivery.Pipeline
}

// Change is a ref that has moved.
type Change struct {
	Ref     string // full name: refs/heads/main
	SHA     string // empty if the body does not tell it: the head is to be read
	Before  string
	Deleted bool
}
