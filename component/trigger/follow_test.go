package trigger_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
	"gitlab.com/remora-ci/remora/component/trigger"
	"gitlab.com/remora-ci/remora/component/trigger/triggertest"
)

// followed is a Follow in the background.
type followed struct {
	got  chan trigger.Delivery
	err  chan error
	seen chan trigger.Delivery
}

func follow(ctx context.Context, c *trigger.Client, id int64) followed {
	f := followed{make(chan trigger.Delivery, 1), make(chan error, 1), make(chan trigger.Delivery, 10_000)}
	go func() {
		got, err := c.Follow(ctx, id, func(d trigger.Delivery) { f.seen <- d })
		f.got <- got
		f.err <- err
	}()
	return f
}

// running is an agent whose one delivery waits.
func running(t *testing.T, o triggertest.Options) (*triggertest.Server, *trigger.Client, int64) {
	t.Helper()
	o.Hold = true
	agent := triggertest.New(t, o)
	c := client(t, agent.URL, token)
	d, err := c.Deliver(within(t, time.Minute), "job-7001", request)
	if err != nil || d.Done {
		t.Fatalf("got %+v, %v; want one that waits", d, err)
	}
	return agent, c, d.ID
}

// ends holds that the true result came.
func (f followed) ends(t *testing.T) {
	t.Helper()
	got, err := <-f.got, <-f.err
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]trigger.Target{synced}, got.Targets); diff != "" || got.State != "done" || !got.Done {
		t.Errorf("got %+v\n%s", got, diff)
	}
}

func TestTheTrueResultComes(t *testing.T) {
	t.Parallel()
	with := func(change func(*triggertest.Options)) triggertest.Options {
		o := options()
		change(&o)
		return o
	}
	for name, tt := range map[string]struct {
		o     triggertest.Options
		hurry func(*trigger.Client)
	}{
		"by events":                               {options(), nil},
		"between heartbeats":                      {with(func(o *triggertest.Options) { o.Heartbeat = time.Millisecond }), nil},
		"where a proxy holds events back":         {with(func(o *triggertest.Options) { o.HoldBack = true }), func(c *trigger.Client) { c.Hasten(20*time.Millisecond, time.Minute, 0) }},
		"where only heartbeats get through":       {with(func(o *triggertest.Options) { o.HeartsOnly, o.Heartbeat = true, time.Millisecond }), func(c *trigger.Client) { c.Hasten(20*time.Millisecond, time.Minute, 0) }},
		"where nothing comes, not even hearts":    {with(func(o *triggertest.Options) { o.HoldBack = true }), func(c *trigger.Client) { c.Hasten(time.Minute, 20*time.Millisecond, time.Minute) }},
		"where there are too many streams":        {with(func(o *triggertest.Options) { o.FullHouse = true }), nil},
		"where JSON is answered":                  {with(func(o *triggertest.Options) { o.NoStreams = true }), nil},
		"where each stream breaks after an event": {with(func(o *triggertest.Options) { o.CutAfter = 1 }), func(c *trigger.Client) { c.Hasten(time.Minute, time.Minute, time.Minute) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			agent, c, id := running(t, tt.o)
			if tt.hurry != nil {
				tt.hurry(c)
			}
			f := follow(within(t, time.Minute), c, id)
			<-agent.Followed()
			agent.Finish()
			f.ends(t)
		})
	}
}

func TestStreamsThatKeepBreakingAreGivenUp(t *testing.T) {
	t.Parallel()
	o := options()
	o.CutAfter = 1
	agent, c, id := running(t, o)
	c.Hasten(time.Minute, time.Minute, time.Minute)
	f := follow(within(t, time.Minute), c, id)
	for range 5 {
		<-f.seen
	}
	agent.Finish()
	f.ends(t)
	streams, plain := 0, 0
	for _, r := range agent.Requests() {
		switch {
		case r.Stream:
			streams++
		case r.Method == http.MethodGet:
			plain++
		}
	}
	if streams != 2 || plain < 3 {
		t.Errorf("got %d streams and %d plain requests, want two and the rest", streams, plain)
	}
}

func TestAnAgentThatCannotSayNowIsAskedAgain(t *testing.T) {
	t.Parallel()
	o := options()
	o.NoStreams = true
	agent, c, id := running(t, o)
	agent.Fail(triggertest.Fault{Code: 503, Detail: "not now"}, triggertest.Fault{Code: 503, Detail: "not now"}, triggertest.Fault{Code: 429, Detail: "too many"})
	f := follow(within(t, time.Minute), c, id)
	<-agent.Followed()
	agent.Finish()
	f.ends(t)
}

func TestAChangeIsSeenAtOnceByEvents(t *testing.T) {
	t.Parallel()
	agent, c, id := running(t, options())
	f := follow(within(t, time.Minute), c, id)
	if first := <-f.seen; first.State != "waiting" {
		t.Errorf("got %s, want waiting first", first.State)
	}
	agent.Change(trigger.Target{Delivery: 1, Target: "flows", State: "retry", Attempts: 1, Summary: "status 502"})
	if second := <-f.seen; second.State != "running" || second.Targets[0].Summary != "status 502" {
		t.Errorf("got %+v, want the retry", second)
	}
	agent.Finish()
	f.ends(t)
	if n := agent.Asked("GET"); n != 1 {
		t.Errorf("got %d requests, want one stream", n)
	}
}

func TestAStreamThatIsCutIsResumed(t *testing.T) {
	t.Parallel()
	agent, c, id := running(t, options())
	f := follow(within(t, time.Minute), c, id)
	for range 5 {
		<-f.seen
		agent.Cut()
	}
	<-f.seen
	agent.Finish()
	f.ends(t)
	if n := agent.Asked("GET"); n < 6 {
		t.Errorf("got %d requests, want a stream for each that was cut", n)
	}
}

func TestAnAgentThatRestartsIsWaitedFor(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(*triggertest.Server){
		"at once":                         func(*triggertest.Server) {},
		"behind an ingress that says 404": func(s *triggertest.Server) { s.Fail(triggertest.Fault{Code: 404, Plain: "404 page not found"}) },
		"behind one that says 503":        func(s *triggertest.Server) { s.Fail(triggertest.Fault{Code: 503, Plain: "<html>"}) },
		"behind one that breaks off":      func(s *triggertest.Server) { s.Fail(triggertest.Fault{}, triggertest.Fault{}, triggertest.Fault{}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			agent, _, id := running(t, options())
			unreached := make(chan struct{}, 10_000)
			c, err := trigger.New(agent.URL, token, rest.Config{Audit: func(a rest.Attempt) {
				if a.Err != nil {
					unreached <- struct{}{}
				}
			}})
			if err != nil {
				t.Fatal(err)
			}
			c.Hasten(5*time.Second, 5*time.Second, 0)
			f := follow(within(t, time.Minute), c, id)
			<-f.seen
			agent.Stop()
			for range 3 {
				<-unreached // while it is gone
			}
			prepare(agent)
			agent.Start()
			<-f.seen // it found back
			agent.Finish()
			f.ends(t)
		})
	}
}

func TestWhatEndsAFollowBeforeTheResult(t *testing.T) {
	t.Parallel()
	t.Run("a deadline keeps what is known", func(t *testing.T) {
		t.Parallel()
		_, c, id := running(t, options())
		got, err := c.Follow(within(t, 50*time.Millisecond), id, nil)
		if !errors.Is(err, context.DeadlineExceeded) || got.ID != id || got.State != "waiting" {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	t.Run("a signal ends it at once", func(t *testing.T) {
		t.Parallel()
		_, c, id := running(t, options())
		ctx, cancel := context.WithCancel(t.Context())
		f := follow(ctx, c, id)
		<-f.seen
		cancel()
		if err := <-f.err; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("the deadline tells the last fault", func(t *testing.T) {
		t.Parallel()
		_, err := client(t, "http://127.0.0.1:1", token).Follow(within(t, 50*time.Millisecond), 7, nil)
		if !errors.Is(err, context.DeadlineExceeded) || delivery.Explain(err).Summary != "no connection" {
			t.Errorf("got %v", err)
		}
	})
	t.Run("the agent refuses", func(t *testing.T) {
		t.Parallel()
		agent := triggertest.New(t, options())
		_, err := client(t, agent.URL, token).Follow(within(t, time.Minute), 7, nil)
		if delivery.StateOf(err) != delivery.Failed || !strings.Contains(err.Error(), "there is no such delivery") || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the agent's refusal at once", err)
		}
	})
}

// Whatever an address sends, following it ends in time and believes nothing that is
// not about the delivery.
func TestGarbageIsNeverAResult(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"no event at all":          "hello\n\n",
		"another delivery":         "event: delivery\ndata: {\"id\":8,\"done\":true,\"state\":\"done\"}\n\n",
		"broken JSON":              "event: delivery\ndata: {\"id\":7,\"done\":tr\n\n",
		"half an event":            "event: delivery\ndata: {\"id\":7,\"done\":true,\"state\":\"done\"}\n",
		"another kind of event":    "event: news\ndata: {\"id\":7,\"done\":true,\"state\":\"done\"}\n\n",
		"a line without end":       "data: " + strings.Repeat("x", trigger.MaxEvent+100),
		"comments that never end":  ": " + strings.Repeat("x", trigger.MaxEvent+100),
		"an event of many lines":   "event: delivery\n" + strings.Repeat("data: "+strings.Repeat("x", 1<<20)+"\n", 9) + "\n",
		"bytes that are no text":   "event: delivery\ndata: \xff\xfe\x00\n\n",
		"a delivery that is a row": "event: delivery\ndata: [7]\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(within(t, time.Minute))
			var asked atomic.Int32
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if asked.Add(1) > 3 { // two streams, and plainly
					cancel()
				}
				if r.Header.Get("Accept") == "text/event-stream" {
					w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
					_, _ = io.WriteString(w, body)
					return
				}
				w.Header().Set("Content-Type", "application/json")
				_, _ = fmt.Fprint(w, `{"id":9,"done":true}`)
			}))
			t.Cleanup(s.Close)
			c := client(t, s.URL, token)
			c.Hasten(time.Second, time.Second, time.Minute)
			if got, err := c.Follow(ctx, 7, nil); !errors.Is(err, context.Canceled) || got.Done {
				t.Errorf("got %+v, %v; want nothing until it was stopped", got, err)
			}
		})
	}
}
