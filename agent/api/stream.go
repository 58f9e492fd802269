package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"gitlab.com/remora-ci/remora/agent/auth"
	"gitlab.com/remora-ci/remora/component/trigger"
)

// streams counts those that are open.
type streams struct {
	all, each int // how many there may be, and of one caller

	mu   sync.Mutex
	sum  int
	open map[string]int // by caller
}

// take makes room for a stream of who, or refuses; "" is a caller without a bound
// of its own. release lets go of it.
func (s *streams) take(who string) (release func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	log := fmt.Sprintf("%d streams are open, %d of them of this caller", s.sum, s.open[who])
	switch {
	case who != "" && s.open[who] >= s.each:
		return nil, &Refused{
			Status: http.StatusTooManyRequests, Title: "too many streams", Detail: fmt.Sprintf("This caller has %d streams open.", s.each),
			Remedy: "ask without a stream, or close one", Log: log,
		}
	case s.sum >= s.all:
		return nil, &Refused{Status: http.StatusServiceUnavailable, Title: "not now", Detail: "There are too many streams.", Remedy: "ask without one, or come back later", Log: log}
	}
	s.sum++
	s.open[who]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.sum--
		if s.open[who]--; s.open[who] == 0 {
			delete(s.open, who)
		}
	}, nil
}

// feed is one stream of server-sent events:
// https://html.spec.whatwg.org/multipage/server-sent-events.html.
type feed struct {
	w     http.ResponseWriter
	rc    *http.ResponseController
	limit time.Duration // of one write
	sent  int
	last  []byte
}

// stream tells the caller of a delivery at once and after each change, until it has
// ended, the caller is gone or the agent drains. The token's end does not end it.
func (s *server) stream(w http.ResponseWriter, r *http.Request, id int64) {
	ctx := r.Context()
	c := callOf(ctx)
	c.route += " stream"
	who := c.caller.Name
	if c.caller.Kind == auth.KindAdmin {
		who = ""
	}
	release, err := s.streams.take(who)
	if err != nil {
		c.refuse(w, err)
		return
	}
	defer release()
	var changed <-chan struct{}
	if s.watcher != nil {
		var stop func()
		changed, stop = s.watcher.Watch(id)
		defer stop()
	}
	d, err := s.look(ctx, id) // again: what changed before the watch began is seen
	if err != nil {
		c.refuse(w, problemOf(ctx, err))
		return
	}
	f := newFeed(w, s.o.writeTime)
	if f.tell(d) != nil || d.Done {
		return
	}
	s.pump(r, f, id, changed)
}

// pump sends until the stream ends.
func (s *server) pump(r *http.Request, f *feed, id int64, changed <-chan struct{}) {
	ctx := r.Context()
	heartbeat, recheck := time.NewTicker(s.o.heartbeat), time.NewTicker(s.o.recheck)
	defer heartbeat.Stop()
	defer recheck.Stop()
	unread := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.o.Draining:
			_ = f.send([]byte(": the agent stops\n\n")) // the end says it too
			return
		case <-heartbeat.C:
			if f.send([]byte(":\n\n")) != nil {
				return
			}
			continue
		case <-changed:
		case <-recheck.C:
		}
		d, err := s.look(ctx, id)
		switch {
		case err == nil:
			if f.tell(d) != nil || d.Done {
				return
			}
		case ctx.Err() != nil:
			return
		case problemOf(ctx, err).status == http.StatusNotFound:
			return // it is older than the retention; asked again, we say so
		case !unread:
			zerolog.Ctx(ctx).Error().Err(err).Int64("event", id).Msg("delivery not read")
		}
		unread = err != nil
	}
}

func newFeed(w http.ResponseWriter, limit time.Duration) *feed {
	f := &feed{w: w, rc: http.NewResponseController(w), limit: limit}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // nginx holds back what it could buffer
	w.WriteHeader(http.StatusOK)
	return f
}

// tell sends a delivery, unless it was sent as it is. An error says that the caller
// does not read any more.
func (f *feed) tell(d trigger.Delivery) error {
	text, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("encode delivery: %w", err)
	}
	if bytes.Equal(text, f.last) {
		return nil
	}
	f.last = text
	f.sent++
	event := make([]byte, 0, len(text)+64)
	event = append(event, "event: delivery\nid: "...)
	event = strconv.AppendInt(event, int64(f.sent), 10)
	event = append(append(event, "\ndata: "...), text...)
	return f.send(append(event, "\n\n"...))
}

// send writes and flushes within the time of one write.
func (f *feed) send(b []byte) error {
	_ = f.rc.SetWriteDeadline(time.Now().Add(f.limit)) // without it the server's own remains
	if _, err := f.w.Write(b); err != nil {
		return err
	}
	return f.rc.Flush()
}
