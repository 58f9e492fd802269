package trigger

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
)

const (
	maxAnswer = 16 << 20         // bytes of an answer, and of one stream
	maxAsked  = 30 * time.Second // of a Retry-After that is obeyed
)

// Client asks one agent, as one caller. It is safe for use by several goroutines.
type Client struct {
	base  string // without slash at the end
	token delivery.Secret
	scrub *delivery.Scrubber
	out   *rest.Client
	pace  pace
}

// pace is how long a client waits for what.
type pace struct {
	shortest, longest time.Duration // pauses before the next attempt
	first             time.Duration // until the first event of a stream, which is sent at once: past it a proxy holds it back
	idle              time.Duration // between two bytes of a stream; heartbeats come every 15 s
	brief             time.Duration // a stream that lived no longer ended quickly
}

// New makes a client of the agent at agentURL, which has passed [CheckURL]. token is
// an ID token of the job or a project token of the agent. out bounds the calls; its
// Retries and MaxBody are set here. The error is that of [rest.New].
func New(agentURL string, token delivery.Secret, out rest.Config) (*Client, error) {
	out.Retries = -1 // we know better what may be sent again
	out.MaxBody = maxAnswer
	way, err := rest.New(out)
	if err != nil {
		return nil, err
	}
	return &Client{
		base: strings.TrimRight(agentURL, "/"), token: token, scrub: delivery.NewScrubber(token), out: way,
		pace: pace{shortest: 250 * time.Millisecond, longest: 5 * time.Second, first: 5 * time.Second, idle: 40 * time.Second, brief: 10 * time.Second},
	}, nil
}

// CheckURL says what keeps s from being the base URL of an agent.
func CheckURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return errors.New("want an http or https URL")
	case u.User != nil:
		return errors.New("want no user and no password in it; the job's ID token says who asks")
	case u.RawQuery != "" || u.Fragment != "":
		return errors.New("want no query and no fragment in it")
	}
	return nil
}

// Deliver asks for a delivery. Until ctx ends it asks again after a fault that may
// pass; the same key of the same job is the same delivery. A refusal is a
// [delivery.Permanent] fault with the agent's own words, and wraps the
// [rest.StatusError].
func (c *Client) Deliver(ctx context.Context, key string, r Request) (Delivery, error) {
	return c.post(ctx, DeliveriesPath, key, r)
}

// Report asks for a commit status, and perhaps a note. The rules are those of
// [Client.Deliver]; the same key of the same project is the same report.
func (c *Client) Report(ctx context.Context, key string, r Report) (Delivery, error) {
	return c.post(ctx, ReportsPath, key, r)
}

// Where is the address of a delivery, for a person.
func (c *Client) Where(id int64) string {
	return rest.Plain(c.base + c.path(id))
}

func (c *Client) path(id int64) string { return fmt.Sprintf("%s/%d", DeliveriesPath, id) }

// post sends body until the agent has answered for good. A POST must not be sent
// twice where its first sending may have arrived: here it may, after a connection
// that broke as after 502, 503 and 504, because the agent takes a key only once.
func (c *Client) post(ctx context.Context, path, key string, body any) (Delivery, error) {
	call := c.call(http.MethodPost, path)
	call.Header.Set("Idempotency-Key", key)
	call.Body = body
	var last error
	for attempt := 0; ; attempt++ {
		got, err := c.ask(ctx, call)
		switch {
		case err == nil:
			return got, nil
		case ctx.Err() != nil:
			return Delivery{}, cutShort(ctx, last, err)
		case delivery.StateOf(err) == delivery.Failed:
			return Delivery{}, err
		}
		last = err
		if delivery.Wait(ctx, c.pause(attempt, err)) != nil {
			return Delivery{}, cutShort(ctx, last, err)
		}
	}
}

func (c *Client) call(method, path string) rest.Call {
	return rest.Call{Method: method, URL: c.base + path, Header: http.Header{"Authorization": {"Bearer " + c.token.Reveal()}}}
}

// ask makes one attempt. The error is a fault for a person.
func (c *Client) ask(ctx context.Context, call rest.Call) (Delivery, error) {
	answer, err := c.out.Do(ctx, call)
	if err != nil {
		return Delivery{}, c.explain(answer, err)
	}
	var got Delivery
	if err := answer.JSON(&got); err != nil {
		return Delivery{}, c.explain(answer, err)
	}
	if got.ID <= 0 {
		return Delivery{}, delivery.Permanent(&delivery.Fault{
			Summary: "not an agent", Cause: "the answer is JSON but no delivery", Remedy: "set " + names.URL + " to the base URL of a Remora agent", Request: answer.String(),
		})
	}
	return got, nil
}

var names = rest.Names{URL: "REMORA_AGENT_URL", Token: "REMORA_ID_TOKEN"}

// cutShort is the error of a call that ctx ended: why it had not come to an end
// before, if that is known.
func cutShort(ctx context.Context, causes ...error) error {
	for _, cause := range causes {
		if cause != nil {
			return fmt.Errorf("%w: %w", ctx.Err(), cause)
		}
	}
	return ctx.Err()
}

// pause is how long to wait after the given attempt, from 0: twice as long each
// time, with jitter, and no less than the agent asked for, within bounds.
func (c *Client) pause(attempt int, err error) time.Duration {
	d := c.pace.longest
	if attempt < 8 {
		d = min(c.pace.shortest<<attempt, c.pace.longest)
	}
	d = d/2 + rand.N(d/2+1)
	var asked interface{ RetryAfter() time.Duration }
	if errors.As(err, &asked) {
		d = max(d, min(asked.RetryAfter(), maxAsked))
	}
	return d
}
