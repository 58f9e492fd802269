package agent

import (
	"context"
	"errors"
	"slices"
	"time"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab"
	"gitlab.com/remora-ci/remora/component/paths"
	"gitlab.com/remora-ci/remora/component/rest"
)

// patientAttempts is how many attempts wait for a GitLab that is in trouble,
// before the newest stored event has to do.
const patientAttempts = 3

// headTime is how long one attempt waits for GitLab: one that takes calls and does
// not answer must not keep the workers of a target, which serve others too.
const headTime = 20 * time.Second

// head is what a ref is now.
type head struct {
	sha     string // empty: what the newest stored event says
	gone    bool   // there is no such ref any more
	instead string // not empty: nothing is to be delivered, for this covers all that waits
	result  []byte // with instead: the outcome of the delivery that covers it, if there was one
}

// head is what the ref is now, as far as that may be delivered. The error is one
// that may pass.
func (r *syncRun) head(ctx context.Context) (head, error) {
	h, err := r.points(ctx)
	if err != nil {
		return head{}, err
	}
	return r.guard(ctx, h)
}

// points asks GitLab where the ref points to.
func (r *syncRun) points(ctx context.Context) (head, error) {
	ev := r.last.work.Event
	gl := r.s.tokens.For(ev.Instance, ev.Project.Path)
	if gl == nil {
		return r.stored(ctx)
	}
	asking, cancel := context.WithTimeout(ctx, r.a.o.headTime)
	defer cancel()
	sha, err := gl.Head(asking, gitlabProject(ev.Project), ev.Ref, ev.RefType == delivery.Tag)
	switch {
	case err == nil:
		return head{sha: sha}, nil
	case errors.Is(err, gitlab.ErrNoRef) && slices.ContainsFunc(r.rows, row.deletes):
		return head{gone: true}, nil
	case errors.Is(err, gitlab.ErrNoRef):
		return head{instead: "the deletion of the " + string(ev.RefType)}, nil
	case ctx.Err() != nil:
		return head{}, ctx.Err()
	}
	if passing(err) && r.it.Attempts <= patientAttempts && !r.it.Last {
		return head{}, err
	}
	r.log.Warn().Err(err).Msg("head not read, the newest event stands for it")
	return r.stored(ctx)
}

// stored is the newest stored event, unless something newer was delivered: then
// what waits is a replay of the past.
func (r *syncRun) stored(ctx context.Context) (head, error) {
	for d, err := range r.a.store.Deliveries(ctx, store.DeliveryFilter{Key: r.it.Key, State: store.Done, Limit: 1}) {
		if err != nil {
			return head{}, err
		}
		if d.Event > r.last.Event && d.SHA != r.last.SHA {
			return head{instead: d.SHA, result: d.Result}, nil
		}
	}
	if r.last.SHA == "" && !r.last.work.Event.Deleted {
		return head{instead: "nothing: the event names no commit, and GitLab cannot be asked for it"}, nil
	}
	return head{}, nil
}

// passing says whether a fault of GitLab may be over soon.
func passing(err error) bool {
	return delivery.StateOf(rest.Fault(err, rest.Names{URL: "REMORA_GITLAB_URL", Token: "REMORA_GITLAB_TOKEN"})) == delivery.Retry
}

func gitlabProject(p delivery.Project) gitlab.Project {
	if p.ID != 0 {
		return gitlab.ProjectID(p.ID)
	}
	return gitlab.Project(p.Path)
}

// untouched says why nothing is to be delivered: it is proved that no path of the
// change matches. The change begins where the target is, and that is known only
// while no delivery has failed since.
func (r *syncRun) untouched(ctx context.Context) (why string) {
	w := r.row.work
	byHand := func(one row) bool { return one.work.Event.Cause == delivery.CauseCommand }
	if w.Paths == "" || w.Event.Deleted || slices.ContainsFunc(r.rows, byHand) {
		return ""
	}
	base, known, err := r.inStep(ctx)
	if err != nil || !known {
		return ""
	}
	filter, err := paths.New(paths.Config{Paths: w.Paths}, "", r.s.tokens.For(w.Event.Instance, w.Event.Project.Path))
	if err != nil {
		return ""
	}
	ev := w.Event
	ev.Cause, ev.Pipeline, ev.Before = delivery.CauseWebhook, nil, base
	decision := filter.Decide(ctx, ev)
	if decision.Run {
		r.log.Debug().Str("reason", decision.Why).Msg("paths")
		return ""
	}
	return decision.Why
}

// inStep is the commit that the target is known to be in step with: that of its
// last delivery, or, if this is the first, the one before the oldest event that
// waits; empty for a new branch.
func (r *syncRun) inStep(ctx context.Context) (sha string, known bool, err error) {
	seen := 0
	for d, err := range r.a.store.Deliveries(ctx, store.DeliveryFilter{Key: r.it.Key, Limit: maxReported}) {
		seen++
		switch {
		case err != nil:
			return "", false, err
		case d.State == store.Waiting, d.State == store.Running, d.State == store.Retry, overtaken(d):
			continue
		}
		return d.SHA, d.State == store.Done || d.State == store.Skipped, nil
	}
	return r.rows[0].work.Event.Before, seen < maxReported, nil
}
