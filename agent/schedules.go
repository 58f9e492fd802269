package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"gitlab.com/remora-ci/remora/agent/config"
	"gitlab.com/remora-ci/remora/agent/route"
	"gitlab.com/remora-ci/remora/agent/schedule"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/work"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab"
	"gitlab.com/remora-ci/remora/component/report"
)

// schedules waits for what is due, with the schedules of the current setup, until
// ctx ends.
func (a *Agent) schedules(ctx context.Context) {
	for reloaded := false; ctx.Err() == nil; reloaded = true {
		running, stop := context.WithCancel(ctx)
		var all sync.WaitGroup
		runner, err := schedule.NewRunner(a.store, schedulesOf(a.current().Config), a.putSchedule, schedule.Options{Now: a.o.now, Reloaded: reloaded})
		if err != nil {
			zerolog.Ctx(ctx).Error().Err(err).Msg("schedules not run") // they were checked when they were read
		} else {
			all.Go(func() { _ = runner.Run(running) }) // it returns nil
		}
		select {
		case <-a.reloaded:
		case <-ctx.Done():
		}
		stop()
		all.Wait()
	}
}

func schedulesOf(c *config.Config) []schedule.Config {
	var all []schedule.Config
	for _, s := range c.Schedules {
		all = append(all, s.Config)
	}
	return all
}

func (a *Agent) putSchedule(tx *store.Tx, c schedule.Config, _ time.Time) error {
	return a.queue.Put(tx, work.Put{Key: kindSchedule + ":" + c.Name})
}

// kindFiring is the kind of the event that a firing is kept as.
const kindFiring = "schedule"

// firingPrefix begins the idempotency keys of firings.
const firingPrefix = store.OwnPrefix + "schedule:"

// isFiring says whether an event is a firing. It is routed by the run that made
// it.
func isFiring(e store.Event) bool {
	return e.Kind == kindFiring && strings.HasPrefix(e.IdempotencyKey, firingPrefix)
}

// expand makes a delivery of each ref that a schedule names. Doing it again is
// harmless: deliveries of one ref meet in one key.
func (a *Agent) expand(ctx context.Context, _ work.Item, name string) work.Result {
	s := a.current()
	i := slices.IndexFunc(s.Schedules, func(c config.Schedule) bool { return c.Name == name })
	if i < 0 {
		return work.Result{} // it was taken out of the configuration meanwhile
	}
	n, err := a.expandOne(ctx, s, s.Schedules[i])
	if err != nil {
		err = errors.New(s.scrub.Text(err.Error()))
		zerolog.Ctx(ctx).Error().Err(err).Str("schedule", name).Msg("schedule not expanded")
		return work.Result{Err: err}
	}
	a.metrics.scheduleFired.WithLabelValues(name).SetToCurrentTime()
	zerolog.Ctx(ctx).Info().Str("schedule", name).Int("deliveries", n).Msg("schedule expanded")
	return work.Result{}
}

func (a *Agent) expandOne(ctx context.Context, s *setup, c config.Schedule) (n int, err error) {
	at := slices.IndexFunc(s.Instances, func(i config.Instance) bool { return i.Name == c.Instance })
	if at < 0 {
		return 0, fmt.Errorf("instance %q is not configured", c.Instance)
	}
	slot, err := a.store.LastFired(ctx, c.Name)
	if err != nil {
		return 0, err
	}
	id, _, err := a.store.Append(ctx, store.Event{
		IdempotencyKey: firingPrefix + c.Name + ":" + slot.Format(time.RFC3339), Kind: kindFiring, Instance: s.Instances[at].URL, Body: []byte("{}"),
	})
	if err != nil {
		return 0, err
	}
	table, err := route.New(route.Config{
		Instances: []route.Instance{{URL: s.Instances[at].URL}},
		Rules: []route.Rule{{Name: "schedule " + c.Name, On: []string{route.Push, route.TagPush}, Projects: c.Projects, Refs: c.Refs, Sync: c.Sync,
			Report: report.Config{Report: report.ReportStatus}}},
	})
	if err != nil {
		return 0, err
	}
	e := expansion{a: a, table: table, schedule: c, event: id, instance: s.Instances[at].URL}
	for _, who := range s.tokens.byName {
		if who.Instance != c.Instance {
			continue
		}
		for p, err := range who.gl.Projects(ctx) {
			if err != nil {
				return e.made, err
			}
			if s.tokens.For(e.instance, p.Path) != who.gl {
				continue // another token is for it
			}
			if err := e.project(ctx, who.gl, p); err != nil {
				return e.made, err
			}
		}
	}
	return e.made, nil
}

// expansion is a schedule on its way to deliveries.
type expansion struct {
	a        *Agent
	table    *route.Table
	schedule config.Schedule
	event    int64
	instance string
	made     int
}

// project makes the deliveries of one project: of its default branch where the
// schedule names no refs.
func (e *expansion) project(ctx context.Context, gl *gitlab.Client, p gitlab.ProjectInfo) error {
	f := route.Fact{Kind: route.Push, Instance: e.instance, At: e.a.o.now(),
		Project: delivery.Project{ID: p.ID, Path: p.Path, URL: p.URL, DefaultBranch: p.DefaultBranch},
		Changes: []route.Change{{Ref: "refs/heads/" + p.DefaultBranch}}}
	works, _ := e.table.Decide(f) // is the project one at all?
	if len(e.schedule.Refs) > 0 {
		works = nil
		if !e.projectFits(f) {
			return nil
		}
		for tags, prefix := range map[bool]string{false: "refs/heads/", true: "refs/tags/"} {
			for ref, err := range gl.Refs(ctx, gitlab.ProjectID(p.ID), tags) {
				if err != nil {
					return err
				}
				f.Changes = []route.Change{{Ref: prefix + ref.Name, SHA: ref.SHA}}
				more, _ := e.table.Decide(f)
				works = append(works, more...)
			}
		}
	} else if p.DefaultBranch == "" {
		return nil
	}
	return e.put(ctx, works)
}

// projectFits says whether the schedule is for a project, whatever the ref.
func (e *expansion) projectFits(f route.Fact) bool {
	table, err := route.New(route.Config{
		Instances: []route.Instance{{URL: e.instance}},
		Rules:     []route.Rule{{On: []string{route.Push}, Projects: e.schedule.Projects, Sync: e.schedule.Sync}},
	})
	if err != nil {
		return true
	}
	f.Changes = []route.Change{{Ref: "refs/heads/any"}}
	works, _ := table.Decide(f)
	return len(works) > 0
}

func (e *expansion) put(ctx context.Context, works []route.Work) error {
	slices.SortFunc(works, func(a, b route.Work) int { return strings.Compare(a.Key, b.Key) })
	for part := range slices.Chunk(works, batch) {
		err := e.a.store.Write(ctx, func(tx *store.Tx) error {
			for _, w := range part {
				w.Event.Cause = delivery.CauseSchedule
				if err := addDelivery(tx, store.Event{ID: e.event}, w, payload{}); err != nil {
					return err
				}
				if err := e.a.queue.Put(tx, work.Put{Key: w.Key, Pool: syncPool(w.Target), Project: w.Project, Wanted: e.event}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("put deliveries: %w", err)
		}
		e.made += len(part)
	}
	return nil
}
