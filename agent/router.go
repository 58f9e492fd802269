package agent

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"gitlab.com/remora-ci/remora/agent/route"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/work"
)

// batch is how many events are routed in one transaction.
const batch = 256

// learnPatience is how long routing waits for the names of our own users.
const learnPatience = 3 * time.Second

// payload is what a delivery remembers of how it came to be.
type payload struct {
	route.Work
	Trace  string  `json:"trace,omitempty"`  // W3C trace context of the webhook
	Single *single `json:"single,omitempty"` // of kind report: what is shown
	Order  *order  `json:"order,omitempty"`  // of kind command: what was written
}

// routeEvents turns received events into work until ctx ends.
func (a *Agent) routeEvents(ctx context.Context) {
	select { // our own events are known as such from the first on, if GitLab is well
	case <-a.learned:
	case <-time.After(learnPatience):
	case <-ctx.Done():
	}
	pause := time.Duration(0)
	for ctx.Err() == nil {
		n, err := a.routeSome(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			zerolog.Ctx(ctx).Error().Err(err).Msg("events not routed")
			pause = min(max(2*pause, a.o.poll), time.Minute)
		case n > 0:
			pause = 0
			continue
		default:
			pause = a.o.poll
		}
		timer := time.NewTimer(pause)
		select {
		case <-a.store.Arrived():
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// routeSome routes the oldest received events and says how many. If one of them
// cannot be stored as routed, the others are all the same.
func (a *Agent) routeSome(ctx context.Context) (n int, err error) {
	events, err := a.store.Received(ctx, batch)
	if err != nil || len(events) == 0 {
		return 0, err
	}
	s := a.current()
	decisions := make([]decision, len(events))
	ids := s.identify(ctx, events)
	var unread error
	for i, e := range events {
		decisions[i] = s.decide(e, ids[i], a.allows(ctx, &unread))
	}
	if unread != nil {
		return 0, unread
	}
	if err := a.keep(ctx, s, decisions); err == nil || len(decisions) == 1 || ctx.Err() != nil {
		return len(decisions), err
	}
	var errs []error
	for _, d := range decisions {
		if err := a.keep(ctx, s, []decision{d}); err != nil {
			errs = append(errs, err)
			continue
		}
		n++
	}
	return n, errors.Join(errs...)
}

// decision is what an event leads to.
type decision struct {
	event  store.Event
	works  []route.Work
	reason string
	firing bool // of a schedule: its deliveries are there
	single *single
	order  *order
}

// decide asks the routes about one event. Its body is believed as far as its
// sender has proved what it says: see package webhook. id is that of the project
// whose path alone was proved, as GitLab says it; 0 if it is not known. allowed says
// which commits of forks somebody has allowed.
func (s *setup) decide(e store.Event, id int64, allowed func(instance string, f route.Fact) bool) (d decision) {
	d.event = e
	defer func() {
		if r := recover(); r != nil {
			d.works, d.reason = nil, fmt.Sprintf("the event cannot be read: %v", r)
		}
		if len(d.works) == 0 && d.reason == "" && !d.firing {
			d.reason = "no route matches"
		}
	}()
	if e.Instance != "" && !slices.Contains(s.InstanceURLs(), e.Instance) {
		d.reason = cmp.Or(e.Reason, "instance "+e.Instance+" is not configured")
		return d
	}
	if s.decideOwn(&d) {
		return d
	}
	f, err := route.Decode(e.Kind, e.Body)
	if err != nil {
		d.reason = "the body cannot be read: " + err.Error()
		return d
	}
	if s.tokens.isOwn(e.Instance, f.UserID) {
		d.reason = "the bot's own event"
		return d
	}
	instance := ""
	if f.Kind == route.Note {
		if instance, d.reason = s.table.Command(f); d.reason != "" {
			return d
		}
	}
	if e.ProjectID == 0 && !proved(&f, e.Project, id) {
		d.reason = "the token of the webhook does not speak for the source project of the merge request"
		return d
	}
	f.At = e.ReceivedAt
	if f.Kind == route.Note {
		decideNote(&d, f, instance)
		return d
	}
	f.Allowed = allowed(cmp.Or(e.Instance, f.Instance), f)
	d.works, d.reason = s.table.Decide(f)
	return d
}

// decideOwn decides about events that only an agent makes; false for any other.
func (s *setup) decideOwn(d *decision) bool {
	switch kind := d.event.Kind; {
	case isFiring(d.event):
		d.firing = true
	case isOwn(d.event) && kind == route.Job:
		s.decideJob(d)
	case isOwn(d.event) && kind == kindReport:
		s.decideReport(d)
	case kind == route.Job:
		d.reason = "a job asks through the API, not by a webhook"
	default:
		return false
	}
	return true
}

// proved leaves in f what a sender has proved that speaks for one path alone; false
// if that is not enough. A body without the ids of both projects proves no more than
// one with two.
func proved(f *route.Fact, path string, id int64) bool {
	if mr := f.MergeRequest; mr != nil && (mr.SourceProjectID == 0 || mr.Fork()) {
		return false
	}
	f.Project.ID, f.Project.Path = id, path
	if f.MergeRequest != nil {
		f.MergeRequest.ProjectID, f.MergeRequest.SourceProjectID, f.MergeRequest.ProjectPath = id, id, path
	}
	return true
}

// keep stores decisions: the state of the events, a delivery for each work, and
// the work itself, all or none. Events that another agent has routed are left
// to it.
func (a *Agent) keep(ctx context.Context, s *setup, decisions []decision) error {
	err := a.store.Write(ctx, func(tx *store.Tx) error {
		var puts []work.Put
		for _, d := range decisions {
			works, err := a.onceOnly(tx, &d)
			if err != nil {
				return err
			}
			state := store.Routed
			if len(works) == 0 && !d.firing {
				state = store.Ignored
			}
			if err := tx.MarkRouted(d.event.ID, state, d.reason); errors.Is(err, store.ErrNotReceived) {
				continue
			} else if err != nil {
				return err
			}
			for _, w := range works {
				if err := addDelivery(tx, d.event, w, payload{Single: d.single, Order: d.order}); err != nil {
					return err
				}
				puts = append(puts, a.putOf(s, d, w))
			}
			if err := a.changed(tx, d.event.ID); err != nil {
				return err
			}
		}
		slices.SortFunc(puts, func(a, b work.Put) int { return strings.Compare(a.Key, b.Key) })
		for _, p := range puts {
			if err := a.queue.Put(tx, p); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("route events: %w", err)
	}
	for _, d := range decisions {
		if line := zerolog.Ctx(ctx).Debug(); line.Enabled() {
			line.Int64("event", d.event.ID).Str("kind", d.event.Kind).Str("project", d.event.Project).Int("works", len(d.works)).Str("reason", d.reason).Msg("routed")
		}
	}
	return nil
}

// putOf asks for work. Nobody waits for more to come while a job waits.
func (a *Agent) putOf(s *setup, d decision, w route.Work) work.Put {
	p := work.Put{Key: w.Key, Pool: syncPool(w.Target), Project: w.Project, Wanted: d.event.ID, Debounce: a.o.debounce}
	r, ok := s.Route(w.Rule)
	switch {
	case d.single != nil:
		p.Pool, p.Debounce = kindReport+":"+hostOf(w.Event.Instance), 0
	case d.order != nil:
		p.Pool, p.Debounce = commandPool(w.Event.Instance), 0
	case d.event.Kind == route.Job:
		p.Debounce = 0
	case ok && r.Debounce > 0:
		p.Debounce = r.Debounce
	}
	return p
}

// onceOnly leaves out work that may be caused once and was. An event that is
// replayed may cause again what it has caused.
func (a *Agent) onceOnly(tx *store.Tx, d *decision) (works []route.Work, err error) {
	for _, w := range d.works {
		if w.Once != nil {
			first, err := tx.Fire(w.Once.Name, w.Once.Slot)
			if err != nil {
				return nil, err
			}
			replayed := false
			err = tx.Query(func(store.Row) error { replayed = true; return nil }, "SELECT 1 FROM delivery WHERE event = ? AND work_key = ?", d.event.ID, w.Key)
			if err != nil {
				return nil, err
			}
			if !first && !replayed {
				d.reason = "it was delivered for this pipeline before"
				continue
			}
		}
		works = append(works, w)
	}
	if len(works) > 0 {
		d.reason = ""
	}
	return works, nil
}

// addDelivery stores the delivery of work that an event leads to. p is what it
// remembers besides.
func addDelivery(tx *store.Tx, e store.Event, w route.Work, p payload) error {
	p.Work, p.Trace = w, e.TraceParent
	text, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encode work: %w", err)
	}
	d := store.Delivery{
		Event: e.ID, Key: w.Key, Target: w.Target, Project: w.Event.Project.Path, ProjectID: w.Event.Project.ID,
		Ref: w.Event.Ref, SHA: w.Event.SHA, Payload: text,
	}
	if w.Event.MergeRequest != nil {
		d.MergeRequest = w.Event.MergeRequest.IID
	}
	_, err = tx.AddDelivery(d)
	return err
}
