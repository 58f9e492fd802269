package agent

import (
	"context"
	"errors"

	"gitlab.com/remora-ci/remora/agent/route"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab"
)

// isAllowed says whether somebody let a commit of a fork's merge request be
// delivered.
func (a *Agent) isAllowed(ctx context.Context, instance string, mr *delivery.MergeRequest, sha string) (bool, error) {
	if !mr.Fork() || delivery.ZeroSHA(sha) {
		return false, nil
	}
	return a.store.Allowed(ctx, projectName(instance, delivery.Project{ID: mr.ProjectID}), mr.IID, sha)
}

// allows says of the merge requests of events whether their head is allowed. What
// cannot be read is added to unread.
func (a *Agent) allows(ctx context.Context, unread *error) func(instance string, f route.Fact) bool {
	return func(instance string, f route.Fact) bool {
		if f.Kind != route.MergeRequest || len(f.Changes) == 0 {
			return false
		}
		ok, err := a.isAllowed(ctx, instance, f.MergeRequest, f.Changes[0].SHA)
		*unread = errors.Join(*unread, err)
		return ok
	}
}

// unallowed is what covers deliveries of a fork whose branch has moved on.
const unallowed = "commits that nobody has allowed"

// onlyAllowed says whether all that waits was taken because its commit was allowed.
// Where something else waits too, a new row is made of that.
func (r *syncRun) onlyAllowed() bool {
	var free row
	for _, one := range r.rows {
		if !one.work.OnlyAllowed && (free.ID == 0 || one.later(free)) {
			free = one
		}
	}
	if free.ID != 0 && r.last.work.OnlyAllowed {
		r.last = free
	}
	return free.ID == 0
}

// guard holds a fork's commits back that nobody has allowed. h is what its branch
// is now; where that cannot be read, the merge request tells it. The delivery of an
// allowed commit ends when another is there: a target that looks at the branch
// itself would get that one.
func (r *syncRun) guard(ctx context.Context, h head) (head, error) {
	if h.instead != "" || h.gone || !r.onlyAllowed() {
		return h, nil
	}
	ev := r.last.work.Event
	mr := ev.MergeRequest
	if h.sha == "" {
		gl := r.s.tokens.For(ev.Instance, mr.ProjectPath)
		if gl == nil {
			return head{instead: "nothing: no token is for the project of the merge request"}, nil
		}
		asking, cancel := context.WithTimeout(ctx, r.a.o.headTime)
		defer cancel()
		found, err := gl.MergeRequest(asking, gitlab.ProjectID(mr.ProjectID), mr.IID)
		if err != nil {
			return head{}, err
		}
		h.sha = found.SHA
	}
	for _, one := range r.rows {
		if ok, err := r.a.isAllowed(ctx, ev.Instance, one.work.Event.MergeRequest, h.sha); ok || err != nil {
			return h, err
		}
	}
	return head{instead: unallowed}, nil
}
