package agent

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"gitlab.com/remora-ci/remora/agent/api"
	"gitlab.com/remora-ci/remora/agent/route"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/trigger"
)

// Delivery is what is known of an event's deliveries, and whose it is; an
// [api.Refused] if there is no such event.
func (a *Agent) Delivery(ctx context.Context, id int64) (trigger.Delivery, api.Owner, error) {
	e, err := a.store.Event(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return trigger.Delivery{}, api.Owner{}, &api.Refused{Status: http.StatusNotFound, Title: "not found", Detail: "there is no such delivery"}
	}
	if err != nil {
		return trigger.Delivery{}, api.Owner{}, err
	}
	newest := map[string]store.Delivery{} // by work: a run may have made a row of its own
	for d, err := range a.store.Deliveries(ctx, store.DeliveryFilter{Event: id, Limit: maxReported}) {
		if err != nil {
			return trigger.Delivery{}, api.Owner{}, err
		}
		if known, ok := newest[d.Target+" "+d.Key]; !ok || d.ID > known.ID {
			newest[d.Target+" "+d.Key] = d
		}
	}
	got := trigger.Delivery{ID: id, Project: e.Project, Ref: e.Ref, SHA: e.SHA, Reason: e.Reason, Targets: []trigger.Target{}}
	for _, d := range newest {
		got.Targets = append(got.Targets, targetOf(d))
	}
	slices.SortFunc(got.Targets, func(a, b trigger.Target) int {
		return cmp.Or(strings.Compare(a.Target, b.Target), cmp.Compare(a.Delivery, b.Delivery))
	})
	got.State, got.Done = stateOf(e, got.Targets)
	return got, ownerOf(e), nil
}

// targetOf is a row as callers see it. What another run covers has its result.
func targetOf(d store.Delivery) trigger.Target {
	o, known := outcomeOf(d)
	by := ""
	if covering, sha, ok := coveringOf(d); ok {
		o, by = covering, sha
	}
	t := trigger.TargetOf(o)
	t.Delivery, t.Attempts, t.OvertakenBy = d.ID, d.Attempts, by
	switch d.State {
	case store.Waiting, store.Running:
		t.State, t.Done = d.State, false
	case store.Retry:
		t.State, t.Done = d.State, false
		if !known {
			t.Summary = d.Error
		}
	default:
		t.Done = true
	}
	return t
}

// stateOf is the state of the whole: the worst of what is not optional. A job that
// asked and got nothing has failed; of other events nothing was to be done.
func stateOf(e store.Event, targets []trigger.Target) (state string, done bool) {
	switch {
	case e.State == store.Received:
		return store.Waiting, false
	case len(targets) == 0 && isOwn(e) && (e.Kind == route.Job || e.Kind == kindReport):
		return store.Failed, true
	case len(targets) == 0:
		return store.Skipped, true
	}
	state, done = store.Skipped, true
	for _, t := range targets {
		done = done && t.Done
		switch {
		case t.State == store.Failed && !t.Optional:
			state = store.Failed
		case t.State != store.Skipped && state == store.Skipped:
			state = store.Done
		}
	}
	if !done {
		state = store.Waiting
		if slices.ContainsFunc(targets, func(t trigger.Target) bool { return t.State != store.Waiting }) {
			state = store.Running
		}
	}
	return state, done
}

// isOwn says whether an event was made by an agent, and not taken in from outside.
func isOwn(e store.Event) bool { return strings.HasPrefix(e.IdempotencyKey, store.OwnPrefix) }

// ownerOf is whose the deliveries of an event are.
func ownerOf(e store.Event) api.Owner {
	o := api.Owner{Instance: e.Instance, Project: e.Project, Report: isOwn(e) && e.Kind == kindReport}
	if !isOwn(e) || e.Kind != route.Job && e.Kind != kindReport {
		return o
	}
	var asked struct {
		Job *struct{ JobID int64 }
	}
	if json.Unmarshal(e.Body, &asked) == nil && asked.Job != nil {
		o.Job = asked.Job.JobID
	}
	return o
}

// firstText is the first line of an error for a caller.
func firstText(err error) string {
	text, _, _ := strings.Cut(delivery.Explain(err).Error(), "\n")
	return text
}
