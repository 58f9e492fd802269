package trigger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
)

// maxBrief is how many streams in a row may end quickly until we ask instead.
const maxBrief = 2

// errHeldBack says that a stream was opened and its first event did not come.
var errHeldBack = errors.New("the first event did not come: something on the way holds back what the agent sends")

// Follow waits until nothing will change any more about a delivery, and tells seen
// (which may be nil) of every state that it learns. It reads server-sent events,
// resumes after a connection that broke, as when the agent restarts, and asks from
// time to time instead where events do not get through.
//
// What is returned is the newest that is known, and an error if that is not the end:
// a refusal of the agent ([delivery.Permanent]), or that of ctx, with the last fault.
func (c *Client) Follow(ctx context.Context, id int64, seen func(Delivery)) (Delivery, error) {
	f := follower{client: c, id: id, seen: seen, last: Delivery{ID: id}}
	for pauses := 0; ; pauses++ {
		news, err := f.learn(ctx)
		switch {
		case f.last.Done:
			return f.last, nil
		case ctx.Err() != nil:
			return f.last, cutShort(ctx, f.fault)
		case refused(err):
			return f.last, err
		}
		f.fault = err
		if news {
			pauses = 0
		}
		if delivery.Wait(ctx, c.pause(pauses, err)) != nil {
			return f.last, cutShort(ctx, f.fault)
		}
	}
}

// follower is one Follow.
type follower struct {
	client *Client
	id     int64
	seen   func(Delivery)
	last   Delivery
	fault  error // of the last attempt
	brief  int   // streams in a row that ended quickly
	asks   bool  // events do not get through
}

// learn makes one attempt, by events while they get through. A stream that is refused
// says nothing of the delivery, as when too many are open: then it is asked plainly
// as well. news says whether something changed.
func (f *follower) learn(ctx context.Context) (news bool, err error) {
	if !f.asks {
		var status *rest.StatusError
		news, err = f.listen(ctx)
		if f.last.Done || ctx.Err() != nil || !f.asks && !errors.As(err, &status) {
			return news, err
		}
	}
	got, err := f.client.ask(ctx, f.client.call(http.MethodGet, f.client.path(f.id)))
	if err != nil {
		return news, err
	}
	changed, err := f.take(got)
	return news || changed, err
}

// take notes what the agent said of the delivery, and says whether that is new.
func (f *follower) take(got Delivery) (news bool, err error) {
	if got.ID != f.id {
		return false, fmt.Errorf("follow delivery %d: the answer is about %d", f.id, got.ID)
	}
	news = !reflect.DeepEqual(got, f.last)
	if f.last = got; f.seen != nil {
		f.seen(got)
	}
	return news, nil
}

// listen reads one stream to its end. Where it finds that events do not get through,
// asks is set.
func (f *follower) listen(ctx context.Context) (news bool, err error) {
	within, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	first := time.AfterFunc(f.client.pace.first, func() { giveUp(errHeldBack) })
	defer first.Stop()
	call := f.client.call(http.MethodGet, f.client.path(f.id))
	call.Header.Set("Accept", "text/event-stream")
	call.Header.Set("Cache-Control", "no-store")
	start := time.Now()
	stream, err := f.client.out.Stream(within, call, f.client.pace.idle)
	if err == nil {
		defer func() { _ = stream.Close() }()
		if kind, _, _ := mime.ParseMediaType(stream.Header.Get("Content-Type")); kind != "text/event-stream" {
			f.asks = true
			return false, fmt.Errorf("%s: the answer is not a stream of events", stream)
		}
		news, err = f.read(stream, first)
	}
	f.judge(within, err, time.Since(start))
	return news, f.client.explain(nil, err)
}

// judge decides after a stream, or the attempt to open one, whether there will be
// another.
func (f *follower) judge(within context.Context, err error, lived time.Duration) {
	var status *rest.StatusError
	var conn *rest.ConnError
	switch {
	case errors.Is(context.Cause(within), errHeldBack):
		f.asks = true
	case errors.As(err, &status):
		f.asks = !rest.Temporary(status.Code)
	case errors.As(err, &conn) && !conn.Sent():
		// Nobody is there, as while the agent restarts: that says nothing of streams.
	case lived > f.client.pace.brief:
		f.brief = 0
	default:
		f.brief++
		f.asks = f.brief >= maxBrief
	}
}

// read takes the events of a stream until the delivery has ended or the stream has.
func (f *follower) read(stream io.Reader, first *time.Timer) (news bool, err error) {
	lines := newEvents(stream)
	for !f.last.Done {
		name, data, err := lines.next()
		if err != nil {
			return news, err
		}
		if name != "delivery" {
			continue
		}
		var got Delivery
		if err := json.Unmarshal(data, &got); err != nil {
			return news, fmt.Errorf("follow delivery %d: broken event: %w", f.id, err)
		}
		changed, err := f.take(got)
		if err != nil {
			return news, err
		}
		first.Stop()
		news = news || changed
	}
	return news, nil
}
