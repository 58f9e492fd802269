package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/remora-ci/remora/agent/api"
	"gitlab.com/remora-ci/remora/component/trigger"
)

// tape is a caller that reads all it is sent, and notes when.
type tape struct {
	header http.Header
	status int
	text   strings.Builder
	chunks chan string
}

func newTape() *tape { return &tape{header: http.Header{}, chunks: make(chan string, 100)} }

func (w *tape) Header() http.Header    { return w.header }
func (w *tape) WriteHeader(status int) { w.status = status }
func (w *tape) FlushError() error      { w.chunks <- w.text.String(); w.text.Reset(); return nil }
func (w *tape) Write(b []byte) (int, error) {
	return w.text.Write(b)
}

// follow begins a stream of delivery 12; ended is closed at its end.
func follow(ctx context.Context, r *rig, w http.ResponseWriter, token string) (ended chan struct{}) {
	req := httptest.NewRequestWithContext(ctx, http.MethodGet, "/api/v1/deliveries/12", nil)
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "text/event-stream")
	ended = make(chan struct{})
	go func() {
		defer close(ended)
		r.handler.ServeHTTP(w, req)
	}()
	return ended
}

// state is what an event says of a delivery; a comment as it is.
func state(t *testing.T, chunk string) string {
	t.Helper()
	head, data, ok := strings.Cut(chunk, "\ndata: ")
	if !ok {
		return chunk
	}
	var d trigger.Delivery
	if err := json.Unmarshal([]byte(strings.TrimSuffix(data, "\n\n")), &d); err != nil || !strings.HasSuffix(data, "}\n\n") {
		t.Errorf("%v: %q", err, chunk)
	}
	return strings.ReplaceAll(head, "\n", " ") + " " + d.State
}

func TestAStreamTellsEachChangeUntilTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, w := newRig(t, nil), newTape()
		r.desk.put(12, "waiting")
		start := time.Now()
		ended := follow(t.Context(), r, w, idToken("good"))
		next := func(want string, after time.Duration) {
			t.Helper()
			if got := state(t, <-w.chunks); got != want || time.Since(start) != after {
				t.Errorf("got %q after %v, want %q after %v", got, time.Since(start), want, after)
			}
		}
		next("event: delivery id: 1 waiting", 0)
		r.desk.put(12, "waiting") // told again, it is no news
		synctest.Wait()
		r.desk.put(12, "running")
		next("event: delivery id: 2 running", 0)
		next(":\n\n", 15*time.Second)
		next(":\n\n", 30*time.Second)
		r.desk.put(12, "done")
		next("event: delivery id: 3 done", 30*time.Second)
		<-ended
		if n := r.desk.watchers(); n != 0 || len(w.chunks) != 0 {
			t.Errorf("%d watch and %d parts are left", n, len(w.chunks))
		}
		want := http.Header{"Cache-Control": {"no-store"}, "Content-Type": {"text/event-stream"}, "X-Accel-Buffering": {"no"}, "X-Content-Type-Options": {"nosniff"}}
		if diff := cmp.Diff(want, w.header); diff != "" || w.status != http.StatusOK {
			t.Errorf("status %d; want (-), got (+):\n%s", w.status, diff)
		}
		if got := r.seen.last(); got != "GET /api/v1/deliveries/{id} stream 200" {
			t.Errorf("observed %q", got)
		}
	})
}

func TestAStreamOfWhatHasEndedEndsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, w := newRig(t, nil), newTape()
		r.desk.put(12, "failed")
		<-follow(t.Context(), r, w, admin)
		if got := state(t, <-w.chunks); got != "event: delivery id: 1 failed" || len(w.chunks) != 0 {
			t.Errorf("got %q and %d more", got, len(w.chunks))
		}
	})
}

func TestAStreamFindsWhatItWasNotToldOf(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*api.Options){
		"another agent's signal is lost": func(o *api.Options) { o.Desk.(*desk).mute = true },
		"nobody signals at all":          func(o *api.Options) { o.Desk = struct{ api.Desk }{o.Desk} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r, w := newRig(t, change), newTape()
				r.desk.put(12, "running")
				ended := follow(t.Context(), r, w, admin)
				<-w.chunks
				start := time.Now()
				r.desk.put(12, "done")
				if got := state(t, <-w.chunks); got != "event: delivery id: 2 done" || time.Since(start) > 5*time.Second {
					t.Errorf("got %q after %v", got, time.Since(start))
				}
				<-ended
			})
		})
	}
}

func TestAChangeBetweenTwoLooksIsSeen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(o *api.Options) { o.Desk = ending{o.Desk.(*desk)} })
		r.desk.put(12, "running")
		w := newTape()
		<-follow(t.Context(), r, w, admin)
		if got := state(t, <-w.chunks); got != "event: delivery id: 1 done" {
			t.Errorf("got %q", got)
		}
	})
}

// ending has deliveries end just before somebody watches, without a signal.
type ending struct{ *desk }

func (d ending) Watch(id int64) (<-chan struct{}, func()) {
	d.put(id, "done")
	return d.desk.Watch(id)
}

func TestAStreamOutlivesTheTokenAndADatabaseThatIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, w := newRig(t, nil), newTape()
		r.desk.put(12, "running")
		ended := follow(t.Context(), r, w, idToken("good")) // asked once: nobody looks at the token again
		<-w.chunks
		r.desk.set(func(d *desk) { d.err = errors.New("database is away") })
		for range 8 {
			if got := state(t, <-w.chunks); got != ":\n\n" {
				t.Errorf("got %q, want comments only", got)
			}
		}
		if n := strings.Count(r.logs.String(), "database is away"); n != 1 {
			t.Errorf("it was logged %d times, want once:\n%s", n, r.logs)
		}
		r.desk.set(func(d *desk) { d.err = nil })
		r.desk.put(12, "done")
		if got := state(t, <-w.chunks); got != "event: delivery id: 2 done" {
			t.Errorf("got %q", got)
		}
		<-ended
	})
}

func TestAStreamEndsWhenTheDeliveryIsNoMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, w := newRig(t, nil), newTape()
		r.desk.put(12, "running")
		ended := follow(t.Context(), r, w, admin)
		<-w.chunks
		r.desk.set(func(d *desk) { delete(d.deliveries, 12) })
		<-ended
		if len(w.chunks) != 0 || r.logs.String() != "" {
			t.Errorf("got %d parts more and %q", len(w.chunks), r.logs)
		}
	})
}

func TestADrainEndsStreams(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		draining := make(chan struct{})
		r, w := newRig(t, func(o *api.Options) { o.Draining = draining }), newTape()
		r.desk.put(12, "running")
		ended := follow(t.Context(), r, w, admin)
		<-w.chunks
		start := time.Now()
		close(draining)
		<-ended
		if got := <-w.chunks; !strings.HasPrefix(got, ":") || time.Since(start) != 0 || r.desk.watchers() != 0 {
			t.Errorf("got %q after %v, %d watch", got, time.Since(start), r.desk.watchers())
		}
		late := newTape() // what comes during a drain is told what is known
		<-follow(t.Context(), r, late, admin)
		if got := state(t, <-late.chunks); got != "event: delivery id: 1 running" {
			t.Errorf("got %q", got)
		}
	})
}

func TestACallerThatGoesAwayFreesItsStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, w := newRig(t, func(o *api.Options) { *o = o.Streams(1, 1) }), newTape()
		r.desk.put(12, "running")
		ctx, leave := context.WithCancel(t.Context())
		ended := follow(ctx, r, w, idToken("good"))
		<-w.chunks
		leave()
		<-ended
		if r.desk.watchers() != 0 {
			t.Error("somebody still watches")
		}
		ctx, leave = context.WithCancel(t.Context())
		defer leave()
		ended = follow(ctx, r, w, idToken("good")) // there is room again
		if got := state(t, <-w.chunks); got != "event: delivery id: 1 running" {
			t.Errorf("got %q", got)
		}
		leave()
		<-ended
	})
}

func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		all, each int
		token     string // of the streams and of the one too many
		others    string // still has room; "" nobody
		status    int    // of the refusal
	}{
		"of all":        {2, 10, admin, "", http.StatusServiceUnavailable},
		"of one caller": {3, 2, idToken("good"), admin, http.StatusTooManyRequests},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, func(o *api.Options) { *o = o.Streams(tc.all, tc.each) })
				r.desk.put(12, "running")
				ctx, leave := context.WithCancel(t.Context())
				defer leave()
				var open []chan struct{}
				begin := func(token string) {
					w := newTape()
					open = append(open, follow(ctx, r, w, token))
					if got := state(t, <-w.chunks); got != "event: delivery id: 1 running" {
						t.Errorf("got %q", got)
					}
				}
				begin(tc.token)
				begin(tc.token)
				resp := r.send(t, http.MethodGet, "/api/v1/deliveries/12", tc.token, "", "Accept", "text/event-stream")
				refusal(t, r, resp, tc.status)
				if resp.Header.Get("Retry-After") == "" {
					t.Error("the caller does not learn when to come back")
				}
				decoded[trigger.Delivery](t, r.send(t, http.MethodGet, "/api/v1/deliveries/12", tc.token, ""), http.StatusOK) // polling goes on
				if tc.others != "" {
					begin(tc.others)
				}
				leave()
				for _, ended := range open {
					<-ended
				}
			})
		})
	}
}

// TestACallerThatDoesNotReadIsLetGo needs a connection whose buffers are full.
func TestACallerThatDoesNotReadIsLetGo(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	r := newRig(t, func(o *api.Options) {
		*o = o.Pace(time.Hour, time.Millisecond, 50*time.Millisecond, 0)
		o.Desk = &growing{desk: o.Desk.(*desk)}
	})
	r.desk.put(12, "running")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		defer close(ended)
		r.handler.ServeHTTP(w, req)
	}))
	defer server.Close()
	conn := dial(t, server)
	if _, err := fmt.Fprintf(conn, "GET /api/v1/deliveries/12 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nAccept: text/event-stream\r\n\r\n", admin); err != nil {
		t.Fatal(err)
	}
	<-ended
	if n := r.desk.watchers(); n != 0 {
		t.Errorf("%d still watch", n)
	}
}

// growing has news of a megabyte whenever it is asked.
type growing struct {
	*desk
	looks atomic.Int64
}

func (g *growing) Delivery(ctx context.Context, id int64) (trigger.Delivery, api.Owner, error) {
	d, owner, err := g.desk.Delivery(ctx, id)
	d.Reason = fmt.Sprint(g.looks.Add(1), strings.Repeat("x", 1<<20))
	return d, owner, err
}

func TestAStreamOutlivesTheTimesOfTheServer(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(o *api.Options) { *o = o.Pace(5*time.Millisecond, time.Hour, 0, 0) })
	r.desk.put(12, "running")
	server := httptest.NewUnstartedServer(r.handler)
	server.Config.ReadTimeout, server.Config.WriteTimeout = 50*time.Millisecond, 50*time.Millisecond
	server.Start()
	defer server.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/api/v1/deliveries/12", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+admin)
	req.Header.Set("Accept", "application/json;q=0.1, text/event-stream; charset=utf-8")
	resp, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	for start, comments := time.Now(), 0; lines.Scan(); {
		if lines.Text() == ":" {
			comments++
		}
		if comments > 20 && time.Since(start) > 150*time.Millisecond {
			r.desk.put(12, "done")
		}
		if strings.Contains(lines.Text(), `"state":"done"`) {
			return
		}
	}
	t.Errorf("the stream ended early: %v", lines.Err())
}
