package api

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"gitlab.com/remora-ci/remora/agent/auth"
	"gitlab.com/remora-ci/remora/component/trigger"
)

type deliverInput struct {
	Key  string `header:"Idempotency-Key" minLength:"1" maxLength:"255" pattern:"^[!-~]+$" patternDescription:"visible ASCII characters" doc:"asking again with it is the same delivery; default: the job's id"`
	Body trigger.Request
}

type reportInput struct {
	Key  string `header:"Idempotency-Key" minLength:"1" maxLength:"255" pattern:"^[!-~]+$" patternDescription:"visible ASCII characters" doc:"asking again with it is the same report; without it every call is a report of its own"`
	Body trigger.Report
}

type acceptedOutput struct {
	Status   int
	Location string `header:"Location" doc:"where to follow the delivery"`
	Body     trigger.Delivery
}

// deliver takes what a job asks for.
func (s *server) deliver(ctx context.Context, in *deliverInput) (*acceptedOutput, error) {
	job := callOf(ctx).job
	if err := compare(*job, in.Body); err != nil {
		return nil, fail(ctx, err)
	}
	key := in.Key
	if key == "" {
		key = strconv.FormatInt(job.JobID, 10)
	}
	d, err := s.o.Desk.Deliver(ctx, *job, key, in.Body)
	if err != nil {
		return nil, fail(ctx, err)
	}
	return &acceptedOutput{Status: http.StatusAccepted, Location: location(d.ID), Body: whole(d)}, nil
}

// compare refuses a token that strayed from another job, and names the claim.
func compare(job auth.Job, r trigger.Request) error {
	for _, c := range []struct{ claim, said, proved string }{
		{"job_id", strconv.FormatInt(r.JobID, 10), strconv.FormatInt(job.JobID, 10)},
		{"pipeline_id", strconv.FormatInt(r.PipelineID, 10), strconv.FormatInt(job.PipelineID, 10)},
		{"sha", r.SHA, job.SHA},
	} {
		if c.said != c.proved {
			return &Refused{
				Status: http.StatusForbidden, Title: "token of another job", Detail: "The claim " + c.claim + " of the ID token is not the " + c.claim + " that was sent.",
				Remedy: "give each job its own id_tokens; no variable or artifact may bring the token of another",
				Log:    fmt.Sprintf("%s is %.100q, the claim of the ID token is %q", c.claim, c.said, c.proved),
			}
		}
	}
	return nil
}

// report takes what a build system reports.
func (s *server) report(ctx context.Context, in *reportInput) (*acceptedOutput, error) {
	c := callOf(ctx)
	who := Reporter{Job: c.job}
	if c.job == nil {
		who.Caller = c.caller
	}
	key := in.Key
	if key == "" {
		key = rand.Text()
	}
	d, err := s.o.Desk.Report(ctx, who, key, in.Body)
	if err != nil {
		return nil, fail(ctx, err)
	}
	out := &acceptedOutput{Status: http.StatusAccepted, Location: location(d.ID), Body: whole(d)}
	if d.Done {
		out.Status = http.StatusOK
	}
	return out, nil
}

type followInput struct {
	ID int64 `path:"id" minimum:"1" doc:"of the delivery, which is that of its event"`
}

type followOutput struct {
	Body func(huma.Context)
}

// follow says what became of a delivery, once or as a stream.
func (s *server) follow(ctx context.Context, in *followInput) (*followOutput, error) {
	d, err := s.look(ctx, in.ID)
	if err != nil {
		return nil, fail(ctx, err)
	}
	return &followOutput{Body: func(hc huma.Context) {
		r, w := humago.Unwrap(hc)
		if r.Method == http.MethodGet && wantsEvents(r.Header) {
			s.stream(w, r, in.ID)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(d) // a caller that is gone needs no answer
	}}, nil
}

// look is a delivery that the caller may see. All others do not exist for it.
func (s *server) look(ctx context.Context, id int64) (trigger.Delivery, error) {
	absent := &Refused{Status: http.StatusNotFound, Title: "not found", Detail: "There is no such delivery.", Log: fmt.Sprintf("there is no delivery %d", id)}
	d, owner, err := s.o.Desk.Delivery(ctx, id)
	var r *Refused
	if errors.As(err, &r) && r.Status == http.StatusNotFound {
		return trigger.Delivery{}, absent
	}
	if err != nil {
		return trigger.Delivery{}, err
	}
	c := callOf(ctx)
	asker := c.job != nil && owner.Job != 0 && owner.Job == c.job.JobID && owner.Instance == c.job.Instance
	builder := owner.Report && (c.caller.Kind == auth.KindProjectToken && s.o.Verifier.Covers(c.caller, owner.Project) ||
		c.job != nil && !c.job.Fork() && owner.Instance == c.job.Instance && strings.EqualFold(owner.Project, c.job.ProjectPath)) // its key is the project's
	if c.caller.Kind == auth.KindAdmin || asker || builder {
		return whole(d), nil
	}
	absent.Log = fmt.Sprintf("delivery %d is of job %d of %s", id, owner.Job, owner.Instance)
	return trigger.Delivery{}, absent
}

// whole is d with a list where there is none.
func whole(d trigger.Delivery) trigger.Delivery {
	if d.Targets == nil {
		d.Targets = []trigger.Target{}
	}
	return d
}

func location(id int64) string {
	return trigger.DeliveriesPath + "/" + strconv.FormatInt(id, 10)
}

// wantsEvents says whether a caller takes server-sent events.
func wantsEvents(h http.Header) bool {
	for _, line := range h.Values("Accept") {
		for part := range strings.SplitSeq(line, ",") {
			if kind, _, err := mime.ParseMediaType(part); err == nil && kind == "text/event-stream" {
				return true
			}
		}
	}
	return false
}
