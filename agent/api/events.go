package api

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"gitlab.com/remora-ci/remora/agent/store"
)

// maxDeliveries is how many deliveries of one event are shown, the newest.
const maxDeliveries = 500

// Choice is which events are meant.
type Choice struct {
	State   string `query:"state" enum:"received,routed,ignored" doc:"received (not looked at yet), routed or ignored"`
	Project string `query:"project" maxLength:"1024" doc:"by its full path"`
	Kind    string `query:"kind" maxLength:"64" doc:"push, tag_push, merge_request, note, pipeline, job, report, …"`
}

func (c Choice) filter() store.EventFilter {
	return store.EventFilter{State: c.State, Project: strings.Trim(c.Project, "/"), Kind: c.Kind}
}

// Event is an event as the command line shows it too.
type Event struct {
	ID         int64     `json:"id"`
	Key        string    `json:"idempotency_key"`
	Kind       string    `json:"kind"`
	Instance   string    `json:"instance"`
	Project    string    `json:"project"`
	ProjectID  int64     `json:"project_id"`
	Ref        string    `json:"ref"`
	SHA        string    `json:"sha"`
	ReceivedAt time.Time `json:"received_at"`
	State      string    `json:"state" enum:"received,routed,ignored"`
	Reason     string    `json:"reason" doc:"why it led to nothing"`
	TraceID    string    `json:"trace_id,omitempty"`
}

func eventOf(e store.Event) Event {
	row := Event{
		ID: e.ID, Key: e.IdempotencyKey, Kind: e.Kind, Instance: e.Instance, Project: e.Project, ProjectID: e.ProjectID,
		Ref: e.Ref, SHA: e.SHA, ReceivedAt: e.ReceivedAt.UTC(), State: e.State, Reason: e.Reason,
	}
	if parts := strings.Split(e.TraceParent, "-"); len(parts) == 4 {
		row.TraceID = parts[1]
	}
	return row
}

// eventDelivery is one delivery of an event.
type eventDelivery struct {
	ID           int64           `json:"id"`
	Target       string          `json:"target"`
	Ref          string          `json:"ref"`
	SHA          string          `json:"sha"`
	MergeRequest int64           `json:"merge_request,omitempty"`
	State        string          `json:"state" enum:"waiting,running,done,skipped,failed,retry,dead"`
	Attempts     int             `json:"attempts"`
	Error        string          `json:"error"`
	CreatedAt    time.Time       `json:"created_at"`
	StartedAt    time.Time       `json:"started_at,omitzero" required:"false"`
	EndedAt      time.Time       `json:"ended_at,omitzero" required:"false"`
	Key          string          `json:"key" doc:"of the work"`
	Result       json.RawMessage `json:"result,omitempty" doc:"the outcome"`
}

func eventDeliveryOf(d store.Delivery) eventDelivery {
	row := eventDelivery{
		ID: d.ID, Target: d.Target, Ref: d.Ref, SHA: d.SHA, MergeRequest: d.MergeRequest, State: d.State, Attempts: d.Attempts, Error: d.Error,
		CreatedAt: d.CreatedAt.UTC(), StartedAt: d.StartedAt, EndedAt: d.EndedAt, Key: d.Key,
	}
	if json.Valid(d.Result) {
		row.Result = d.Result
	}
	return row
}

type listEventsInput struct {
	Page
	Choice
}

type listEventsOutput struct {
	Body struct {
		Events []Event `json:"events" nullable:"false"`
		Next   string  `json:"next_cursor,omitempty" doc:"cursor of the next page; none on the last"`
	} `nameHint:"EventList"`
}

func (s *server) listEvents(ctx context.Context, in *listEventsInput) (*listEventsOutput, error) {
	f := in.filter()
	var err error
	if f.Since, f.Before, err = in.read(s.o.Now().UTC()); err != nil {
		return nil, fail(ctx, err)
	}
	f.Limit = in.Limit + 1
	rows, err := gather(s.o.Store.Events(ctx, f), eventOf)
	if err != nil {
		return nil, fail(ctx, err)
	}
	out := &listEventsOutput{}
	out.Body.Events, out.Body.Next = nextCursor(rows, in.Limit, func(e Event) int64 { return e.ID })
	return out, nil
}

// gather reads a list, each row as it is shown.
func gather[T, U any](rows iter.Seq2[T, error], show func(T) U) ([]U, error) {
	list := []U{}
	for row, err := range rows {
		if err != nil {
			return nil, err
		}
		list = append(list, show(row))
	}
	return list, nil
}

type eventInput struct {
	ID int64 `path:"id" minimum:"1"`
}

type showEventOutput struct {
	Body struct {
		Event
		Deliveries []eventDelivery `json:"deliveries" nullable:"false" doc:"the newest 500"`
	} `nameHint:"EventDetail"`
}

// findEvent is one event without its body, or [store.ErrNotFound].
func (s *server) findEvent(ctx context.Context, id int64) (store.Event, error) {
	for e, err := range s.o.Store.Events(ctx, store.EventFilter{IDs: []int64{id}, Limit: 1}) {
		return e, err
	}
	return store.Event{}, fmt.Errorf("event %d: %w", id, store.ErrNotFound)
}

func (s *server) showEvent(ctx context.Context, in *eventInput) (*showEventOutput, error) {
	e, err := s.findEvent(ctx, in.ID)
	if err != nil {
		return nil, fail(ctx, err)
	}
	out := &showEventOutput{}
	out.Body.Event = eventOf(e)
	out.Body.Deliveries, err = gather(s.o.Store.Deliveries(ctx, store.DeliveryFilter{Event: in.ID, Limit: maxDeliveries}), eventDeliveryOf)
	if err != nil {
		return nil, fail(ctx, err)
	}
	return out, nil
}

type replayOutput struct {
	Body struct {
		Replayed int `json:"replayed" doc:"how many were put back; those that wait to be routed need not be"`
	} `nameHint:"Replayed"`
}

func (s *server) replayEvent(ctx context.Context, in *eventInput) (*replayOutput, error) {
	if _, err := s.findEvent(ctx, in.ID); err != nil {
		return nil, fail(ctx, err)
	}
	return s.replay(ctx, store.EventFilter{IDs: []int64{in.ID}})
}

type replayEventsInput struct {
	Since string `query:"since" maxLength:"40" doc:"that old or younger: 90m, 2h, 7d, or a time such as 2026-11-20T14:00:00Z"`
	Limit int    `query:"limit" minimum:"1" maximum:"100000" doc:"how many, the newest; default: all"`
	Choice
}

func (s *server) replayEvents(ctx context.Context, in *replayEventsInput) (*replayOutput, error) {
	if *in == (replayEventsInput{}) {
		return nil, fail(ctx, &Refused{
			Status: http.StatusUnprocessableEntity, Title: "not valid", Detail: "Which events? Choose with since, state, project, kind or limit.", Log: "nothing was chosen",
		})
	}
	f := in.filter()
	since, err := store.ParseSince(in.Since, s.o.Now().UTC())
	if err := invalid(map[string]error{"query.since": err}); err != nil {
		return nil, fail(ctx, err)
	}
	f.Since, f.Limit = since, in.Limit
	return s.replay(ctx, f)
}

func (s *server) replay(ctx context.Context, f store.EventFilter) (*replayOutput, error) {
	out := &replayOutput{}
	var err error
	if out.Body.Replayed, err = s.o.Store.Replay(ctx, f); err != nil {
		return nil, fail(ctx, err)
	}
	zerolog.Ctx(ctx).Info().Int("events", out.Body.Replayed).Str("caller", callOf(ctx).caller.Name).Msg("events replayed")
	return out, nil
}
