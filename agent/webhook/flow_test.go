package webhook_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gitlab.com/remora-ci/remora/agent/webhook"
)

// W20 the same Idempotency-Key twice.
func TestADuplicateIsAnswered2xxAndStoredOnce(t *testing.T) {
	t.Parallel()
	h := newHook(t, webhook.Options{})
	for i := range 3 {
		w := h.do(request(pushBody, "Idempotency-Key", "k"))
		got := replyOf(t, w.Body)
		want := []int{202, 200, 200}[i]
		if w.Code != want || got.Event != 1 || got.Duplicate != (i > 0) {
			t.Errorf("call %d: got %d %+v, want %d", i, w.Code, got, want)
		}
	}
	if w := h.do(request(pushBody)); replyOf(t, w.Body).Event != 2 {
		t.Error("the body's hash is another key")
	}
	if w := h.do(request(pushBody)); !replyOf(t, w.Body).Duplicate {
		t.Error("the same body without a key is a duplicate")
	}
	if w := h.do(request(pushBody + " ")); replyOf(t, w.Body).Duplicate {
		t.Error("another body is none")
	}
}

// W20 the same Idempotency-Key at once.
func TestDuplicatesAtOnce(t *testing.T) {
	t.Parallel()
	h := newHook(t, webhook.Options{})
	const calls, keys = 200, 10
	var first sync.Map
	var wg sync.WaitGroup
	for i := range calls {
		wg.Go(func() {
			w := h.do(request(pushBody, "Webhook-Id", strconv.Itoa(i%keys)))
			if r := replyOf(t, w.Body); !r.Duplicate {
				if _, twice := first.LoadOrStore(i%keys, true); twice {
					t.Errorf("key %d was new twice", i%keys)
				}
			}
		})
	}
	wg.Wait()
	if n := len(h.store.all()); n != keys {
		t.Errorf("got %d events, want %d", n, keys)
	}
}

func TestASignedCallIsKeyedByWhatIsSigned(t *testing.T) {
	t.Parallel()
	h := newHook(t, webhook.Options{})
	now := strconv.FormatInt(time.Now().Unix(), 10)
	key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(signingToken, "whsec_"))
	mac := hmac.New(sha256.New, key)
	_, _ = io.WriteString(mac, "id-1."+now+"."+pushBody)
	signature := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	for i, unsigned := range []string{"a", "b"} {
		r := request(pushBody, "X-Gitlab-Token", "", "Idempotency-Key", unsigned, "Webhook-Id", "id-1", "Webhook-Timestamp", now, "Webhook-Signature", signature)
		if got := replyOf(t, h.do(r).Body); got.Duplicate != (i == 1) {
			t.Errorf("replay with another Idempotency-Key: got %+v", got)
		}
	}
	w := h.do(request(pushBody+" ", "X-Gitlab-Token", "", "Webhook-Id", "id-1", "Webhook-Timestamp", now, "Webhook-Signature", signature))
	if w.Code != http.StatusUnauthorized {
		t.Errorf("another body under the signature: got %d, want 401", w.Code)
	}
}

// W23 the store away: it waits up to 5 s, then 503 and Retry-After.
func TestAStoreThatIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHook(t, webhook.Options{})
		h.store.before = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		from := time.Now()
		w := h.do(request(pushBody))
		if took := time.Since(from); took != 5*time.Second {
			t.Errorf("waited %v, want 5 s", took)
		}
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || replyOf(t, w.Body).Error == "" {
			t.Errorf("got %d %v, want 503 and Retry-After", w.Code, w.Header())
		}
		h.store.before = nil
		if w := h.do(request(pushBody)); w.Code != http.StatusAccepted {
			t.Errorf("the store is back: got %d, want 202", w.Code)
		}
	})
}

func TestAFaultOfTheStoreIsNo2xx(t *testing.T) {
	t.Parallel()
	h := newHook(t, webhook.Options{})
	h.store.before = func(context.Context) error { return errDiskFull }
	w := h.do(request(pushBody))
	if w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "disk") || h.observed()[0].Outcome != webhook.OutcomeNoStore {
		t.Errorf("got %d %s, want 503 that tells nothing of our side", w.Code, w.Body)
	}
	if log := h.logs.String(); !strings.Contains(log, `"level":"error"`) || !strings.Contains(log, "disk full") {
		t.Errorf("got log %q, want the fault", log)
	}
}

func TestWhatArrivedIsStoredThoughTheCallerHungUp(t *testing.T) {
	t.Parallel()
	h := newHook(t, webhook.Options{})
	ctx, hangUp := context.WithCancel(t.Context())
	h.store.before = func(storing context.Context) error { hangUp(); return storing.Err() }
	h.do(request(pushBody).WithContext(ctx))
	if n := len(h.store.all()); n != 1 {
		t.Errorf("got %d events, want 1: GitLab does not send it again", n)
	}
}

// hold has one call in the store, with size bytes of room, until release.
func hold(t *testing.T, h *hook, size int) (release func()) {
	inside, end, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	h.store.before = func(context.Context) error { close(inside); <-end; return nil }
	go func() {
		defer close(done)
		h.do(request(`{"a":"` + strings.Repeat("x", size-8) + `"}`))
	}()
	<-inside
	h.store.before = nil
	return sync.OnceFunc(func() { close(end); <-done })
}

// W23 no room for bytes: it waits up to 5 s, then 503 and Retry-After.
func TestRoomInMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHook(t, webhook.Options{MaxBody: 1000, MemoryBudget: 1000})
		release := hold(t, h, 900)
		if w := h.do(request(`{}`)); w.Code != http.StatusAccepted {
			t.Errorf("a small one has room: got %d", w.Code)
		}
		from := time.Now()
		w := h.do(request(pushBody))
		if took := time.Since(from); took != 5*time.Second || w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("without room: got %d after %v, want 503 after 5 s", w.Code, took)
		}
		if o := h.observed(); o[len(o)-1].Outcome != webhook.OutcomeNoRoom {
			t.Errorf("got %+v", o)
		}
		waiting := make(chan int)
		go func() { waiting <- h.do(request(pushBody)).Code }()
		synctest.Wait()
		release()
		if code := <-waiting; code != http.StatusAccepted {
			t.Errorf("room was made while it waited: got %d, want 202", code)
		}
		if w := h.do(request(`{"a":"` + strings.Repeat("x", 992) + `"}`)); w.Code != http.StatusAccepted {
			t.Errorf("all room is free again: got %d", w.Code)
		}
	})
}

func TestWaitingForRoomLeavesLessForTheStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHook(t, webhook.Options{MaxBody: 1000, MemoryBudget: 1000})
		release := hold(t, h, 900)
		time.AfterFunc(3*time.Second, release)
		h.store.before = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		from := time.Now()
		w := h.do(request(pushBody))
		if took := time.Since(from); took != 5*time.Second || w.Code != http.StatusServiceUnavailable {
			t.Errorf("got %d after %v, want 503 after 5 s in all", w.Code, took)
		}
	})
}

func TestStrangersTakeNoRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHook(t, webhook.Options{MaxBody: 1000, MemoryBudget: 1000})
		release := hold(t, h, 1000)
		defer release()
		from := time.Now()
		w := h.do(request(pushBody, "X-Gitlab-Token", "wrong"))
		if w.Code != http.StatusUnauthorized || time.Since(from) != 0 {
			t.Errorf("got %d after %v, want 401 at once", w.Code, time.Since(from))
		}
	})
}

func TestACallerThatLeavesWhileItWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHook(t, webhook.Options{MaxBody: 1000, MemoryBudget: 1000})
		release := hold(t, h, 1000)
		defer release()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		w := h.do(request(pushBody).WithContext(ctx))
		if o := h.observed(); o[0].Outcome != webhook.OutcomeGone || w.Code != http.StatusServiceUnavailable {
			t.Errorf("got %d %+v: whoever is still there must not read a 200", w.Code, o)
		}
	})
}

// dial opens a connection to a server of h and sends text.
func dial(base context.Context, t *testing.T, h http.Handler, text string) net.Conn {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.BaseContext = func(net.Listener) context.Context { return base }
	server.Start()
	t.Cleanup(server.Close)
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return conn
}

func slowPost(length int) string {
	return fmt.Sprintf("POST /hooks/gitlab HTTP/1.1\r\nHost: x\r\nX-Gitlab-Token: %s\r\nContent-Length: %d\r\n\r\n{", secret, length)
}

func TestASlowBodyIsGivenUp(t *testing.T) {
	t.Parallel()
	h := newHook(t, webhook.Options{BodyTimeout: 20 * time.Millisecond})
	conn := dial(t.Context(), t, h, slowPost(100))
	answer, err := io.ReadAll(conn) // the connection is closed, too
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 408") {
		t.Errorf("got %q, %v, want 408 and the end", answer, err)
	}
}

func TestABodyIsNotWaitedForAfterTheEnd(t *testing.T) {
	t.Parallel()
	base, end := context.WithCancel(t.Context())
	started := make(chan struct{})
	h := newHook(t, webhook.Options{})
	conn := dial(base, t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(started)
		h.ServeHTTP(w, r)
	}), slowPost(100))
	<-started
	end()
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 503") {
		t.Errorf("got %q, %v, want 503", answer, err)
	}
}

func TestOverTheWire(t *testing.T) {
	t.Parallel()
	h := newHook(t, webhook.Options{BodyTimeout: 5 * time.Second})
	server := httptest.NewServer(h)
	defer server.Close()
	defer http.DefaultClient.CloseIdleConnections()
	send := func(body io.Reader, length int64) (int, reply) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/hooks/gitlab", body)
		if err != nil {
			t.Fatal(err)
		}
		r.ContentLength = length
		r.Header.Set("X-Gitlab-Token", secret)
		response, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		return response.StatusCode, replyOf(t, response.Body)
	}
	for i := range 3 { // on one connection
		if code, r := send(strings.NewReader(pushBody+strings.Repeat(" ", i)), int64(len(pushBody)+i)); code != 202 || r.Event != int64(i+1) {
			t.Errorf("call %d: got %d %+v", i, code, r)
		}
	}
	if code, _ := send(strings.NewReader(pushBody+"    "), -1); code != 202 {
		t.Errorf("in chunks: got %d", code)
	}
	big := `{"object_kind":"push","x":"` + strings.Repeat("y", 25<<20) + `"}`
	if code, _ := send(strings.NewReader(big), int64(len(big))); code != 202 {
		t.Errorf("25 MB: got %d", code)
	}
	big += strings.Repeat(" ", 2<<20)
	if code, _ := send(strings.NewReader(big), -1); code != 413 {
		t.Errorf("27 MB in chunks: got %d", code)
	}
}

// A body costs its own size and little more.
func TestALargeBodyIsInMemoryOnce(t *testing.T) { // not parallel: it counts what is allocated
	h := newHook(t, webhook.Options{})
	h.store.before = func(context.Context) error { return errDiskFull } // the double would copy it
	body := `{"object_kind":"push","x":"` + strings.Repeat("y", 25<<20) + `"}`
	r := request(body)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	h.do(r)
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > uint64(len(body))+1<<20 {
		t.Errorf("%d bytes were allocated for a body of %d", got, len(body))
	}
}
