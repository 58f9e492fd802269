package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component"
	"gitlab.com/remora-ci/remora/component/delivery"
)

func (p *program) eventsCommand() *cli.Command {
	return group("events", "what the agent has received, and what it led to", p.eventsList(), p.eventsShow(), p.eventsReplay())
}

func kindFlag() cli.Flag {
	return &cli.StringFlag{Name: "kind", Usage: "only those of this kind: push, tag_push, merge_request, note, pipeline, …"}
}

func (p *program) eventsList() *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "list events, newest first",
		Description: "An event is received (stored, not looked at yet), routed (work was made of it) or\n" +
			"ignored; the reason says why.\n\n" + storeHelp +
			`   remora events list
   remora events list --since 2h --state ignored
   remora events list --project acme/app --output json | jq -r .reason` + storeExits,
		Flags:  choiceFlags("50 in a table, all as JSON", kindFlag()),
		Action: p.listEvents,
	}
}

func (p *program) eventsShow() *cli.Command {
	return &cli.Command{
		Name:      "show",
		Usage:     "show an event and its deliveries",
		ArgsUsage: "ID",
		Description: storeHelp +
			`   remora events show 12
   remora events show 12 --body | jq .user_username` + storeExits,
		Flags:  storeFlags(&cli.BoolFlag{Name: "body", Usage: "print the body as it was received, and nothing else; with --output json, as a field"}),
		Action: p.showEvent,
	}
}

func (p *program) eventsReplay() *cli.Command {
	return &cli.Command{
		Name:      "replay",
		Usage:     "have the agent route events again, as if they came now",
		ArgsUsage: "[ID...]",
		Description: "Nothing is rolled back by an old event: the agent delivers what GitLab has now.\n\n" + storeHelp +
			`   remora events replay 12 13
   remora events replay --since 2h --project acme/app
   remora events replay --since 1d --state ignored --kind push` + storeExits,
		Flags:  choiceFlags("all", kindFlag()),
		Action: p.replayEvents,
	}
}

// eventLine is an event as JSON: what scripts read.
type eventLine struct {
	ID         int64           `json:"id"`
	Key        string          `json:"idempotency_key"`
	Kind       string          `json:"kind"`
	Instance   string          `json:"instance"`
	Project    string          `json:"project"`
	ProjectID  int64           `json:"project_id"`
	Ref        string          `json:"ref"`
	SHA        string          `json:"sha"`
	ReceivedAt time.Time       `json:"received_at"`
	State      string          `json:"state"`
	Reason     string          `json:"reason"`
	TraceID    string          `json:"trace_id,omitempty"`
	Deliveries []deliveryLine  `json:"deliveries,omitempty"`
	Body       json.RawMessage `json:"body,omitempty"`
}

func eventOf(e store.Event) eventLine {
	l := eventLine{
		ID: e.ID, Key: e.IdempotencyKey, Kind: e.Kind, Instance: e.Instance, Project: e.Project, ProjectID: e.ProjectID,
		Ref: e.Ref, SHA: e.SHA, ReceivedAt: e.ReceivedAt, State: e.State, Reason: e.Reason,
	}
	if parts := strings.Split(e.TraceParent, "-"); len(parts) == 4 {
		l.TraceID = parts[1]
	}
	return l
}

// eventFilter is what the flags choose.
func (p *program) eventFilter(c *cli.Context, tableLimit int) (store.EventFilter, error) {
	got, err := p.chosen(c, tableLimit, store.Received, store.Routed, store.Ignored)
	return store.EventFilter{Since: got.since, Limit: got.limit, State: got.state, Project: got.project, Kind: c.String("kind")}, err
}

func (p *program) listEvents(c *cli.Context) error {
	if err := p.format(c); err != nil {
		return err
	}
	if err := noArguments(c); err != nil {
		return err
	}
	filter, err := p.eventFilter(c, shownRows)
	if err != nil {
		return err
	}
	return p.withStore(c, func(s *store.Store) error {
		put, end := p.eventPrinter()
		return list(p, c, s.Events(c.Context, filter), put, end)
	})
}

// eventPrinter writes events, one by one.
func (p *program) eventPrinter() (put func(store.Event) error, end func() error) {
	if p.json {
		return func(e store.Event) error { return p.printLine(eventOf(e)) }, func() error { return nil }
	}
	t := p.table("ID", "RECEIVED", "KIND", "PROJECT", "REF", "SHA", "STATE", "REASON")
	return func(e store.Event) error {
		return t.row(fmt.Sprint(e.ID), local(e.ReceivedAt), e.Kind, e.Project, cut(shortRef(e.Ref), 40), delivery.ShortSHA(e.SHA), e.State, cut(e.Reason, 100))
	}, t.w.Flush
}

// shortRef is a ref as people call it.
func shortRef(ref string) string { return strings.TrimPrefix(ref, "refs/heads/") }

func (p *program) showEvent(c *cli.Context) error {
	id, err := oneID(c)
	if err := p.format(c); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	return p.withStore(c, func(s *store.Store) error {
		e, err := s.Event(c.Context, id)
		if err != nil {
			return absent("event", "remora events list", id, err)
		}
		if c.Bool("body") && !p.json {
			_, err := p.stdout.Write(append(e.Body, '\n'))
			return err
		}
		line := eventOf(e)
		if c.Bool("body") && json.Valid(e.Body) {
			line.Body = e.Body
		}
		var deliveries []store.Delivery
		for d, err := range s.Deliveries(c.Context, store.DeliveryFilter{Event: id}) {
			if err != nil {
				return component.Explained(err)
			}
			deliveries = append(deliveries, d)
			line.Deliveries = append(line.Deliveries, deliveryOf(d))
		}
		if p.json {
			return p.printLine(line)
		}
		return p.printEvent(line, len(e.Body), deliveries)
	})
}

func (p *program) printEvent(e eventLine, size int, deliveries []store.Delivery) error {
	if err := p.fields("event "+fmt.Sprint(e.ID)+"  "+e.State, [][2]string{
		{"reason", e.Reason}, {"kind", e.Kind}, {"project", e.Project}, {"ref", e.Ref}, {"sha", e.SHA}, {"received", local(e.ReceivedAt)},
		{"instance", e.Instance}, {"key", e.Key}, {"trace", e.TraceID}, {"body", fmt.Sprintf("%d bytes; --body prints them", size)},
	}); err != nil {
		return err
	}
	if len(deliveries) == 0 {
		return nil
	}
	_, _ = fmt.Fprintln(p.stdout)
	put, end := p.deliveryPrinter()
	for _, d := range deliveries {
		if err := put(d); err != nil {
			return err
		}
	}
	return end()
}

// fields prints one thing: its heading, then what is known of it.
func (p *program) fields(heading string, pairs [][2]string) error {
	t := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, inert(heading))
	for _, f := range pairs {
		if f[1] != "" {
			_, _ = fmt.Fprintf(t, "  %s\t%s\n", f[0], inert(f[1]))
		}
	}
	return t.Flush()
}

func (p *program) replayEvents(c *cli.Context) error {
	list, err := ids(c)
	if err := p.format(c); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	filter, err := p.eventFilter(c, 0)
	if err != nil {
		return err
	}
	if filter.IDs = list; len(list) == 0 && filter.Since.IsZero() && filter.State == "" && filter.Project == "" && filter.Kind == "" && filter.Limit == 0 {
		return misuse("which events? give ids, or choose with --since, --state, --project, --kind or --limit")
	}
	return p.withStore(c, func(s *store.Store) error {
		for _, id := range list {
			if _, err := s.Event(c.Context, id); err != nil {
				return absent("event", "remora events list", id, err)
			}
		}
		n, err := s.Replay(c.Context, filter)
		if err != nil {
			return component.Explained(err)
		}
		if p.json {
			return p.printLine(map[string]int{"replayed": n})
		}
		_, err = fmt.Fprintf(p.stdout, "remora events replay  %d put back; the agent routes them again\n", n)
		return err
	})
}
