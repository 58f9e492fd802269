package api

import (
	"context"

	"gitlab.com/remora-ci/remora/agent/auth"
	"gitlab.com/remora-ci/remora/component/trigger"
)

// Desk does what callers ask for. Package agent implements it. Its refusals are
// *[Refused]; every other error is a fault of ours or of the database.
type Desk interface {
	// Deliver stores what a job asks for, and returns after it is on disk. The same
	// key of the same job is the same delivery; of another job it is refused.
	Deliver(ctx context.Context, job auth.Job, key string, r trigger.Request) (trigger.Delivery, error)

	// Report stores what a build system reports, and waits a moment for GitLab to
	// take it. The same key of the same project is the same report.
	Report(ctx context.Context, who Reporter, key string, r trigger.Report) (trigger.Delivery, error)

	// Delivery is what is known of an event's deliveries, and whose it is.
	Delivery(ctx context.Context, id int64) (trigger.Delivery, Owner, error)
}

// Watcher tells when something about an event may have changed. It may be
// implemented together with [Desk].
type Watcher interface {
	// Watch has a value in the channel after a change, in any agent, within a second
	// or so. stop lets go of it.
	Watch(event int64) (changed <-chan struct{}, stop func())
}

// Reporter is who reports: a job, or the holder of a project token.
type Reporter struct {
	Job    *auth.Job   // nil with a project token
	Caller auth.Caller // with a project token: what it speaks for
}

// Owner is whose delivery it is: who may ask about it.
type Owner struct {
	Instance string
	Job      int64  // that asked; 0 if no job did
	Project  string // full path
	Report   bool   // it is a report: who may report about the project may ask
}

// Refused is a refusal that the caller may read.
type Refused struct {
	Status int    // HTTP status
	Title  string // few words
	Detail string // one sentence: what did not hold
	Remedy string // what helps, in the words of who has to do it; may be empty
	Log    string // in full, for the log; never a token
}

func (r *Refused) Error() string { return r.Title + ": " + r.Detail }
