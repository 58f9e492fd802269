package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"gitlab.com/remora-ci/remora/agent/command"
	"gitlab.com/remora-ci/remora/agent/route"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/work"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab"
)

// kindCommand is the kind of work of a command: command:<project>:<note>.
const kindCommand = "command"

// commandPool is the pool of the commands of an instance.
func commandPool(instance string) string { return kindCommand + ":" + hostOf(instance) }

// hostOf is the host of an instance and what follows it, as keys have it.
func hostOf(instance string) string {
	_, host, _ := strings.Cut(instance, "://")
	return strings.ToLower(host)
}

// projectName is a project as keys have it: <host>/<id>, or the path in small
// letters where the id is not known.
func projectName(instance string, p delivery.Project) string {
	if p.ID == 0 {
		return hostOf(instance) + "/" + strings.ToLower(p.Path)
	}
	return hostOf(instance) + "/" + strconv.FormatInt(p.ID, 10)
}

// order is a command as it was written, and as it was answered.
type order struct {
	Note       int64            `json:"note"`
	Discussion string           `json:"discussion,omitempty"` // empty: to be found
	Line       string           `json:"line"`                 // the first of the note
	Author     int64            `json:"author"`
	AuthorName string           `json:"author_name,omitempty"`
	Head       string           `json:"head,omitempty"` // of the merge request, when the note was written
	Source     delivery.Project `json:"source,omitzero"`
	Own        bool             `json:"own,omitempty"` // the sender of the webhook speaks for this project alone, and for no fork

	Verb    command.Verb `json:"verb,omitempty"`
	Decided bool         `json:"decided,omitempty"` // all was done but the answer
	Answer  string       `json:"answer,omitempty"`  // Markdown; empty for none
	Refused string       `json:"refused,omitempty"` // why it led to nothing
}

// decideNote is the decision about a note that is a command on instance.
func decideNote(d *decision, f route.Fact, instance string) {
	d.order = &order{
		Note: f.NoteID, Discussion: f.Discussion, Line: firstLine(f.Text), Author: f.UserID, AuthorName: f.UserName,
		Source: f.Source, Own: d.event.ProjectID == 0,
	}
	mr, p := *f.MergeRequest, f.Project
	p.URL = instance + "/" + p.Path
	mr.URL = p.URL + "/-/merge_requests/" + strconv.FormatInt(mr.IID, 10)
	ev := delivery.Event{Cause: delivery.CauseCommand, Instance: instance, Project: p, Ref: mr.SourceBranch, RefType: delivery.Branch, MergeRequest: &mr, At: f.At}
	if len(f.Changes) > 0 {
		ev.SHA, d.order.Head = f.Changes[0].SHA, f.Changes[0].SHA
	}
	d.works = []route.Work{{
		Key: kindCommand + ":" + projectName(instance, p) + ":" + strconv.FormatInt(f.NoteID, 10), Target: kindCommand,
		Project: strings.ToLower(p.Path), Event: ev, Rule: kindCommand,
	}}
}

// commandRun is one run of a command.
type commandRun struct {
	a     *Agent
	s     *setup
	it    work.Item
	log   zerolog.Logger
	start time.Time
	row   row   // the command
	again []row // the same one, told again
	order *order
	gl    *gitlab.Client
	self  int64 // id of our user

	written time.Time // when the note was, by GitLab's clock
}

// command obeys a command, or refuses it, and answers in the thread of its note,
// once.
func (a *Agent) command(ctx context.Context, it work.Item) work.Result {
	it, found, err := a.take(ctx, it)
	if err != nil || len(found) == 0 {
		return work.Result{Err: err}
	}
	r := &commandRun{a: a, s: a.current(), it: it, start: a.o.now()}
	for _, d := range found {
		one, err := readRow(d)
		switch {
		case err != nil || one.work.Order == nil:
			one.State, one.Error, one.EndedAt = store.Failed, "the command cannot be read", r.start
			return work.Result{After: time.Millisecond, Finish: func(tx *store.Tx) error { return tx.UpdateDelivery(one.Delivery) }}
		case r.order == nil:
			r.row, r.order = one, one.work.Order
		default:
			r.again = append(r.again, one)
		}
	}
	r.log = zerolog.Ctx(ctx).With().Str("key", it.Key).Int64("event", r.row.Event).Str("project", r.row.Project).Logger()
	ctx, end := a.trace.start(ctx, "command", r.row.work.Trace)
	defer end()
	ctx, cancel := context.WithTimeout(r.log.WithContext(ctx), reportTime)
	defer cancel()
	return r.run(ctx)
}

func (r *commandRun) run(ctx context.Context) work.Result {
	answered, err := r.answered(ctx)
	if err != nil {
		return work.Result{Err: err}
	}
	if answered {
		r.again = append(r.again, r.row)
		return work.Result{Finish: func(tx *store.Tx) error { return r.endAgain(tx) }}
	}
	if err := r.connect(ctx); err != nil {
		return r.failed(err)
	}
	if !r.order.Decided {
		d, err := r.decide(ctx)
		if err != nil {
			return r.failed(err)
		}
		if err := r.carryOut(ctx, d); err != nil {
			return work.Result{Err: err}
		}
	}
	url, err := r.reply(ctx)
	if err != nil && passing(err) && !r.it.Last {
		return r.failed(err)
	}
	return r.ended(url, err)
}

// answered says whether the note has its answer: GitLab tells of it once for each
// hook, and a replay tells of it again.
func (r *commandRun) answered(ctx context.Context) (bool, error) {
	for d, err := range r.a.store.Deliveries(ctx, store.DeliveryFilter{Key: r.it.Key, Limit: maxReported}) {
		if err != nil || d.State == store.Done || d.State == store.Skipped {
			return err == nil, err
		}
	}
	return false, nil
}

// connect finds the client that speaks for the project, and who that is.
func (r *commandRun) connect(ctx context.Context) error {
	ev := r.row.work.Event
	if r.gl = r.s.tokens.For(ev.Instance, ev.Project.Path); r.gl == nil {
		return delivery.Permanent(&delivery.Fault{
			Summary: "no token", Cause: "no token of the agent is for the project " + ev.Project.Path, Remedy: "add the project to the globs of a token in remora.yaml",
		})
	}
	user, err := r.gl.User(ctx)
	r.self = user.ID
	return err
}

// failed ends a run that could not be brought to its end.
func (r *commandRun) failed(err error) work.Result {
	if !passing(err) {
		err = delivery.Permanent(err)
		r.row.State, r.row.EndedAt = store.Failed, r.a.o.now()
	} else if r.it.Last {
		return work.Result{Err: err} // given up, unless it is asked for again
	} else {
		r.row.State = store.Retry
	}
	r.row.Attempts, r.row.Error = r.it.Attempts, r.s.scrub.Text(firstText(err))
	r.log.Warn().Str("reason", r.row.Error).Int("attempt", r.it.Attempts).Msg("command not carried out")
	return work.Result{Err: err, After: retryAfter(err), Finish: func(tx *store.Tx) error {
		if err := tx.UpdateDelivery(r.row.Delivery); err != nil {
			return err
		}
		return r.a.changed(tx, r.row.Event)
	}}
}

// ended ends a run whose deed is done. unanswered is why the answer was not
// written, which changes nothing about the deed.
func (r *commandRun) ended(url string, unanswered error) work.Result {
	o := delivery.Outcome{Target: kindCommand, State: delivery.Done, Receipt: delivery.Receipt{Result: "obeyed", URL: url}, Attempt: r.it.Attempts, Took: r.a.o.now().Sub(r.start)}
	if r.order.Verb != "" {
		o.Receipt.Result = string(r.order.Verb)
	}
	r.row.State = store.Done
	if r.order.Refused != "" {
		r.row.State, o.State, o.Err = store.Skipped, delivery.Skipped, delivery.Skip(r.order.Refused)
	}
	if unanswered != nil {
		o.Receipt.Warnings = []string{"not answered: " + firstText(unanswered)}
		r.log.Warn().Str("reason", r.s.scrub.Text(unanswered.Error())).Msg("command not answered")
	}
	o = r.s.scrub.Outcome(o)
	r.row.Attempts, r.row.Error, r.row.Result, r.row.EndedAt = r.it.Attempts, errorText(o), encodeOutcome(o), r.a.o.now()
	r.log.Info().Int64("author", r.order.Author).Str("command", string(r.order.Verb)).Str("state", r.row.State).Str("reason", r.row.Error).Dur("took", o.Took).Msg("command")
	return work.Result{Finish: func(tx *store.Tx) error {
		if err := r.keep(tx); err != nil {
			return err
		}
		return r.endAgain(tx)
	}}
}

// keep stores the row of the run.
func (r *commandRun) keep(tx *store.Tx) error {
	text, err := json.Marshal(r.row.work)
	if err != nil {
		return fmt.Errorf("encode command: %w", err)
	}
	r.row.Payload = text
	if err := tx.UpdateDelivery(r.row.Delivery); err != nil {
		return err
	}
	return r.a.changed(tx, r.row.Event)
}

// endAgain ends the rows that tell of the note once more.
func (r *commandRun) endAgain(tx *store.Tx) error {
	for _, one := range r.again {
		one.State, one.Error, one.EndedAt = store.Skipped, "the note has its answer", r.a.o.now()
		if err := tx.UpdateDelivery(one.Delivery); err != nil {
			return err
		}
		if err := r.a.changed(tx, one.Event); err != nil {
			return err
		}
	}
	return nil
}

// refusals counts whom this agent told that they may not command it, so that no
// stranger can have it write at will. The zero value is ready.
type refusals struct {
	mu   sync.Mutex
	told map[string][]time.Time
}

const (
	maxRefusals  = 5 // of a person in an hour
	refusalsTime = time.Hour
	maxRefused   = 10_000 // people who are remembered
)

// tell says whether who is to be told once more.
func (f *refusals) tell(who string, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.told == nil || len(f.told) >= maxRefused {
		f.told = map[string][]time.Time{}
	}
	var recent []time.Time
	for _, at := range f.told[who] {
		if now.Sub(at) < refusalsTime {
			recent = append(recent, at)
		}
	}
	ok := len(recent) < maxRefusals
	if ok {
		recent = append(recent, now)
	}
	f.told[who] = recent
	return ok
}
