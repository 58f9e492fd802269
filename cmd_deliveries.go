package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/work"
	"gitlab.com/remora-ci/remora/component"
	"gitlab.com/remora-ci/remora/component/delivery"
)

func (p *program) deliveriesCommand() *cli.Command {
	return group("deliveries", "what the agent brings to its targets, and how that went", p.deliveriesList(), p.deliveriesShow(), p.deliveriesRetry())
}

func (p *program) deliveriesList() *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "list deliveries, newest first",
		Description: "A delivery is waiting, running, done, skipped, failed, retry (tried, and to be\n" +
			"tried again) or dead (given up, until somebody retries it).\n\n" + storeHelp +
			`   remora deliveries list --state failed
   remora deliveries list --since 1d --target direktiv --output json | jq .error` + storeExits,
		Flags: choiceFlags("50 in a table, all as JSON",
			&cli.StringFlag{Name: "target", Usage: "only those to this target"},
			&cli.StringFlag{Name: "event", Usage: "only those of this event, by its id"}),
		Action: p.listDeliveries,
	}
}

func (p *program) deliveriesShow() *cli.Command {
	return &cli.Command{
		Name:      "show",
		Usage:     "show a delivery: the result, the cause and what helps",
		ArgsUsage: "ID",
		Description: storeHelp +
			`   remora deliveries show 7
   remora deliveries show 7 --output json | jq .result` + storeExits,
		Flags:  storeFlags(),
		Action: p.showDelivery,
	}
}

func (p *program) deliveriesRetry() *cli.Command {
	return &cli.Command{
		Name:      "retry",
		Usage:     "have the agent try deliveries again that failed, or that wait for their next try",
		ArgsUsage: "ID...",
		Description: "What is delivered is what GitLab has now. All deliveries of one target, project and\n" +
			"ref are one piece of work: the newest of them that failed is tried.\n\n" + storeHelp +
			`   remora deliveries retry 7
   remora deliveries list --state dead --output json | jq .id | xargs remora deliveries retry` + storeExits,
		Flags:  storeFlags(),
		Action: p.retryDeliveries,
	}
}

// deliveryLine is a delivery as JSON: what scripts read.
type deliveryLine struct {
	ID           int64           `json:"id"`
	Event        int64           `json:"event"`
	Target       string          `json:"target"`
	Project      string          `json:"project"`
	ProjectID    int64           `json:"project_id"`
	Ref          string          `json:"ref"`
	SHA          string          `json:"sha"`
	MergeRequest int64           `json:"merge_request,omitempty"`
	State        string          `json:"state"`
	Attempts     int             `json:"attempts"`
	Error        string          `json:"error"`
	CreatedAt    time.Time       `json:"created_at"`
	StartedAt    time.Time       `json:"started_at,omitzero"`
	EndedAt      time.Time       `json:"ended_at,omitzero"`
	Key          string          `json:"key"`
	Result       json.RawMessage `json:"result,omitempty"`
}

func deliveryOf(d store.Delivery) deliveryLine {
	return deliveryLine{
		ID: d.ID, Event: d.Event, Target: d.Target, Project: d.Project, ProjectID: d.ProjectID, Ref: d.Ref, SHA: d.SHA, MergeRequest: d.MergeRequest,
		State: d.State, Attempts: d.Attempts, Error: d.Error, CreatedAt: d.CreatedAt, StartedAt: d.StartedAt, EndedAt: d.EndedAt, Key: d.Key,
	}
}

func (p *program) listDeliveries(c *cli.Context) error {
	if err := p.format(c); err != nil {
		return err
	}
	if err := noArguments(c); err != nil {
		return err
	}
	got, err := p.chosen(c, shownRows, store.Waiting, store.Running, store.Done, store.Skipped, store.Failed, store.Retry, store.Dead)
	if err != nil {
		return err
	}
	filter := store.DeliveryFilter{Since: got.since, Limit: got.limit, State: got.state, Project: got.project, Target: c.String("target")}
	if text := c.String("event"); text != "" {
		if _, err := fmt.Sscan(text, &filter.Event); err != nil || filter.Event <= 0 {
			return misuse("--event: want the id of an event, not %q", text)
		}
	}
	return p.withStore(c, func(s *store.Store) error {
		put, end := p.deliveryPrinter()
		return list(p, c, s.Deliveries(c.Context, filter), put, end)
	})
}

// deliveryPrinter writes deliveries, one by one.
func (p *program) deliveryPrinter() (put func(store.Delivery) error, end func() error) {
	if p.json {
		return func(d store.Delivery) error { return p.printLine(deliveryOf(d)) }, func() error { return nil }
	}
	t := p.table("ID", "EVENT", "TARGET", "PROJECT", "REF", "SHA", "STATE", "ATTEMPTS", "TOOK", "ERROR")
	return func(d store.Delivery) error {
		return t.row(fmt.Sprint(d.ID), fmt.Sprint(d.Event), d.Target, d.Project, cut(shortRef(d.Ref), 40), delivery.ShortSHA(d.SHA), d.State, fmt.Sprint(d.Attempts), took(d), cut(d.Error, 100))
	}, t.w.Flush
}

// took is how long the last attempt took.
func took(d store.Delivery) string {
	if d.StartedAt.IsZero() || d.EndedAt.Before(d.StartedAt) {
		return ""
	}
	return fmt.Sprintf("%.1fs", d.EndedAt.Sub(d.StartedAt).Seconds())
}

func (p *program) showDelivery(c *cli.Context) error {
	id, err := oneID(c)
	if err := p.format(c); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	return p.withStore(c, func(s *store.Store) error {
		d, err := s.Delivery(c.Context, id)
		if err != nil {
			return absent("delivery", "remora deliveries list", id, err)
		}
		if p.json {
			line := deliveryOf(d)
			if json.Valid(d.Result) {
				line.Result = d.Result
			}
			return p.printLine(line)
		}
		return p.printDelivery(d)
	})
}

// printDelivery tells first the answer, then the cause, the remedy and the rest.
func (p *program) printDelivery(d store.Delivery) error {
	var result map[string]any
	_ = json.Unmarshal(d.Result, &result) // none is told, too
	pairs := [][2]string{{"error", d.Error}}
	for _, name := range []string{"summary", "cause", "remedy"} {
		if text, ok := result[name].(string); ok && text != d.Error {
			pairs = append(pairs, [2]string{name, text})
		}
	}
	mr := ""
	if d.MergeRequest != 0 {
		mr = fmt.Sprintf("!%d", d.MergeRequest)
	}
	return p.fields(fmt.Sprintf("delivery %d  %s  %s", d.ID, d.Target, d.State), append(pairs, [][2]string{
		{"project", d.Project}, {"ref", d.Ref}, {"sha", d.SHA}, {"merge request", mr}, {"event", fmt.Sprint(d.Event)}, {"attempts", fmt.Sprint(d.Attempts)},
		{"created", local(d.CreatedAt)}, {"started", local(d.StartedAt)}, {"ended", local(d.EndedAt)}, {"took", took(d)}, {"key", d.Key},
	}...))
}

func (p *program) retryDeliveries(c *cli.Context) error {
	list, err := ids(c)
	if err := p.format(c); err != nil {
		return err
	}
	if err == nil && len(list) == 0 {
		err = misuse("which deliveries? give their ids")
	}
	if err != nil {
		return err
	}
	return p.withStore(c, func(s *store.Store) error {
		queue := work.New(s, work.Options{})
		for _, id := range list {
			d, err := s.Delivery(c.Context, id)
			if err != nil {
				return absent("delivery", "remora deliveries list", id, err)
			}
			if err := retriable(d); err != nil {
				return err
			}
			if err := queue.Retry(c.Context, d.Key); err != nil {
				return component.Explained(err)
			}
			if d, err = s.Delivery(c.Context, id); err != nil {
				return absent("delivery", "remora deliveries list", id, err)
			}
			if p.json {
				err = p.printLine(deliveryOf(d))
			} else {
				_, err = fmt.Fprintf(p.stdout, "remora deliveries retry  %d  %s  the agent tries it now\n", d.ID, inert(d.Target))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// retriable says why there is nothing to retry, if there is nothing.
func retriable(d store.Delivery) error {
	switch d.State {
	case store.Done, store.Skipped:
		return fmt.Errorf("delivery %d is %s: there is nothing to retry; remora events replay %d delivers again", d.ID, d.State, d.Event)
	case store.Running:
		return fmt.Errorf("delivery %d is running", d.ID)
	}
	return nil
}
