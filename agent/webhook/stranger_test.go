package webhook_test

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gitlab.com/remora-ci/remora/agent/webhook"
)

// signature signs body as GitLab does, now.
func signature(id, body string) (timestamp, header string) {
	timestamp = strconv.FormatInt(time.Now().Unix(), 10)
	key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(signingToken, "whsec_"))
	mac := hmac.New(sha256.New, key)
	_, _ = io.WriteString(mac, id+"."+timestamp+"."+body)
	return timestamp, "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// pipes is a listener whose connections are made of memory, so that their deadlines
// follow the clock of the bubble.
type pipes struct {
	made chan net.Conn
	done chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.made:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.done); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 1} }

// listen serves h in the bubble until the function it returns is called.
func listen(h http.Handler) (dial func() net.Conn, end func()) {
	p := &pipes{made: make(chan net.Conn), done: make(chan struct{})}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = server.Serve(p) }()
	dial = func() net.Conn {
		ours, theirs := net.Pipe()
		p.made <- theirs
		return ours
	}
	return dial, func() { _ = server.Shutdown(context.Background()); <-ended }
}

// head is the head of a signed POST; what is signed is for the caller to choose.
func head(id, signed, length string) string {
	at, sig := signature(id, signed)
	return "POST /hooks/gitlab HTTP/1.1\r\nHost: x\r\nwebhook-id: " + id + "\r\nwebhook-timestamp: " + at + "\r\nwebhook-signature: " + sig + "\r\n" + length + "\r\n\r\n"
}

func contentLength(n int) string { return fmt.Sprintf("Content-Length: %d", n) }

// answered reads the answer of a connection, in a goroutine of its own.
func answered(c net.Conn) <-chan int {
	code := make(chan int, 1)
	go func() {
		defer func() { _ = c.Close() }()
		r, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			code <- 0
			return
		}
		_ = r.Body.Close()
		code <- r.StatusCode
	}()
	return code
}

// idle are n strangers who announce a body, and send nothing of it.
func idle(dial func() net.Conn, n, length int) []<-chan int {
	var codes []<-chan int
	for i := range n {
		c := dial()
		codes = append(codes, answered(c))
		_, _ = io.WriteString(c, head("stranger-"+strconv.Itoa(i), "something else", contentLength(length)))
	}
	return codes
}

// W23 for strangers: who has proved nothing takes no room from who has.
func TestIdleStrangersDoNotKeepAProvenCallerFromBeingStored(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		o      webhook.Options
		length int
		body   string
	}{
		"as it is configured by default": {webhook.Options{}, 26 << 20, pushBody},
		"with a large push":              {webhook.Options{}, 26 << 20, `{"object_kind":"push","x":"` + strings.Repeat("y", 25<<20) + `"}`},
		"where their half is full":       {webhook.Options{MaxBody: 64 << 10, MemoryBudget: 128 << 10}, 64 << 10, `{"object_kind":"push","x":"` + strings.Repeat("y", 60<<10) + `"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHook(t, tc.o)
				dial, end := listen(h)
				defer end()
				strangers := idle(dial, 100, tc.length)
				synctest.Wait()
				from := time.Now()
				for range 3 {
					if w := h.do(request(tc.body)); w.Code/100 != 2 || time.Since(from) != 0 {
						t.Errorf("got %d after %v, want it stored at once", w.Code, time.Since(from))
					}
				}
				ended := map[int]int{}
				for _, code := range strangers {
					ended[<-code]++
				}
				if took := time.Since(from); took > 10*time.Second || ended[http.StatusRequestTimeout]+ended[http.StatusServiceUnavailable] != 100 || ended[http.StatusRequestTimeout] == 0 {
					t.Errorf("got %v after %v, want the strangers gone", ended, took)
				}
			})
		})
	}
}

func TestIdleStrangersDoNotKeepASignedPushFromBeingStored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHook(t, webhook.Options{})
		dial, end := listen(h)
		defer end()
		strangers := idle(dial, 100, 26<<20)
		synctest.Wait()
		from := time.Now()
		body := push(t)
		c := dial()
		code := answered(c)
		_, _ = io.WriteString(c, head("gitlab-1", body, contentLength(len(body)))+body)
		if got := <-code; got != http.StatusAccepted || time.Since(from) != 0 {
			t.Errorf("got %d after %v, want it stored at once", got, time.Since(from))
		}
		for _, code := range strangers {
			if got := <-code; got != http.StatusRequestTimeout {
				t.Errorf("a stranger got %d, want 408", got)
			}
		}
		if took := time.Since(from); took < 2*time.Second || took > 3*time.Second {
			t.Errorf("the strangers stayed for %v, want 2 to 3 s", took)
		}
	})
}

func TestTricklingBytesEnd(t *testing.T) {
	t.Parallel()
	const plain = "POST /hooks/gitlab HTTP/1.1\r\nHost: x\r\nX-Gitlab-Token: " + secret + "\r\nContent-Length: 1048576\r\n\r\n"
	body := `{"object_kind":"push","x":"` + strings.Repeat("y", 1<<20-30) + `"} `
	for name, tc := range map[string]struct {
		head        string
		body        string
		piece       int // every 100 ms
		code        int
		least, most time.Duration
	}{
		"a byte now and then":                {"", body, 1, 408, 2 * time.Second, 3 * time.Second},
		"10 KiB a second":                    {"", body, 1 << 10, 408, 2 * time.Second, 3 * time.Second},
		"10 KiB a second, with the secret":   {plain, body, 1 << 10, 408, 2 * time.Second, 4 * time.Second},
		"128 KiB a second is honest":         {"", body, 13 << 10, 202, 7 * time.Second, 9 * time.Second},
		"with the secret it is honest too":   {plain, body, 13 << 10, 202, 7 * time.Second, 9 * time.Second},
		"a small push over a very slow line": {"", pushBody, 12, 202, 1 * time.Second, 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHook(t, webhook.Options{})
				dial, end := listen(h)
				defer end()
				c := dial()
				code := answered(c)
				if tc.head == "" {
					tc.head = head("id", tc.body, contentLength(len(tc.body)))
				}
				from := time.Now()
				_, err := io.WriteString(c, tc.head)
				for left := tc.body; left != "" && err == nil; {
					n := min(tc.piece, len(left))
					time.Sleep(100 * time.Millisecond) // of the bubble
					_, err = io.WriteString(c, left[:n])
					left = left[n:]
				}
				got, took := <-code, time.Since(from)
				if got != tc.code || took < tc.least || took > tc.most {
					t.Errorf("got %d after %v, want %d after %v to %v", got, took, tc.code, tc.least, tc.most)
				}
			})
		})
	}
}

func TestHonestLargeBodiesOfSignersPass(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHook(t, webhook.Options{})
		dial, end := listen(h)
		defer end()
		body := `{"object_kind":"push","x":"` + strings.Repeat("y", 25<<20) + `"}`
		const already = 16 << 20 // three times that is more than half of the memory
		from := time.Now()
		var begun, sent sync.WaitGroup
		for i := range 3 {
			begun.Add(1)
			sent.Go(func() {
				id := "large-" + strconv.Itoa(i)
				c := dial()
				code := answered(c)
				_, _ = io.WriteString(c, head(id, body, contentLength(len(body)))+body[:1<<20])
				begun.Done()
				begun.Wait()
				_, _ = io.WriteString(c, body[1<<20:already])
				_, _ = io.WriteString(c, body[already:])
				if got := <-code; got != http.StatusAccepted {
					t.Errorf("%s: got %d, want 202", id, got)
				}
			})
		}
		sent.Wait()
		if took := time.Since(from); took >= 5*time.Second {
			t.Errorf("they waited for each other for %v", took)
		}
		for _, e := range h.store.all() {
			if string(e.Body) != body {
				t.Errorf("%s was changed on the way", e.IdempotencyKey)
			}
		}
		if n := len(h.store.all()); n != 3 {
			t.Errorf("got %d events, want 3", n)
		}
	})
}

func TestABodyOfUnknownLength(t *testing.T) {
	t.Parallel()
	chunked := func(body string) string {
		return fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	}
	json := func(n int) string { return `{"a":"` + strings.Repeat("x", n-8) + `"}` }
	for name, tc := range map[string]struct {
		body   string
		signed string // "" for the same
		code   int
	}{
		"small":                     {json(100), "", 202},
		"as large as it may be":     {json(100_000), "", 202},
		"a byte more":               {json(100_001), "", 413},
		"a power of two":            {json(64 << 10), "", 202},
		"a power of two and a byte": {json(64<<10 + 1), "", 202},
		"of a stranger":             {json(90_000), "something else", 401},
		"too large, of a stranger":  {json(1_000_000), "something else", 413},
	} {
		for _, proved := range []bool{false, true} {
			if proved && tc.signed != "" {
				continue
			}
			t.Run(fmt.Sprintf("%s, proved %t", name, proved), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					h := newHook(t, webhook.Options{MaxBody: 100_000, MemoryBudget: 100_000})
					dial, end := listen(h)
					defer end()
					signed := tc.signed
					if signed == "" {
						signed = tc.body
					}
					text := head("id", signed, "Transfer-Encoding: chunked")
					if proved {
						text = "POST /hooks/gitlab HTTP/1.1\r\nHost: x\r\nX-Gitlab-Token: " + secret + "\r\nTransfer-Encoding: chunked\r\n\r\n"
					}
					c := dial()
					code := answered(c)
					_, _ = io.WriteString(c, text+chunked(tc.body))
					if got := <-code; got != tc.code {
						t.Errorf("got %d, want %d", got, tc.code)
					}
					synctest.Wait()
					if w := h.do(request(json(99_999))); w.Code != http.StatusAccepted {
						t.Errorf("all room is free again: got %d, want 202", w.Code)
					}
				})
			})
		}
	}
}

// What strangers hold is what they sent, so a half of the room that is full of
// strangers' bytes makes the next one wait, and nobody else.
func TestStrangersShareHalfOfTheRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHook(t, webhook.Options{MaxBody: 1000, MemoryBudget: 2000})
		dial, end := listen(h)
		defer end()
		first := idle(dial, 1, 1000)[0]
		synctest.Wait()
		from := time.Now()
		if w := h.do(request(`{"a":"` + strings.Repeat("x", 900) + `"}`)); w.Code != http.StatusAccepted || time.Since(from) != 0 {
			t.Errorf("with the secret: got %d after %v, want 202 at once", w.Code, time.Since(from))
		}
		body := `{"object_kind":"push","x":"` + strings.Repeat("y", 500) + `"}`
		c := dial()
		second := answered(c)
		_, _ = io.WriteString(c, head("id", body, contentLength(len(body))))
		synctest.Wait()
		select {
		case code := <-second:
			t.Fatalf("the second signer got %d, want it to wait", code)
		default:
		}
		if code := <-first; code != http.StatusRequestTimeout {
			t.Errorf("the stranger got %d, want 408", code)
		}
		if _, err := io.WriteString(c, body); err != nil {
			t.Fatal(err)
		}
		if code := <-second; code != http.StatusAccepted || time.Since(from) > 3*time.Second {
			t.Errorf("the second signer got %d after %v: its own time begins when it has room", code, time.Since(from))
		}
	})
}

// What a body waits for us is not its caller's time.
func TestABodyThatWaitsForRoomOnItsWayIsNotSlow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHook(t, webhook.Options{MaxBody: 64 << 10, MemoryBudget: 64 << 10})
		release := hold(t, h, 30<<10)
		time.AfterFunc(4*time.Second, release)
		dial, end := listen(h)
		defer end()
		body := `{"object_kind":"push","x":"` + strings.Repeat("y", 60<<10) + `"}`
		from := time.Now()
		c := dial()
		code := answered(c)
		_, _ = io.WriteString(c, head("id", body, contentLength(len(body)))+body)
		if got := <-code; got != http.StatusAccepted || time.Since(from) != 4*time.Second {
			t.Errorf("got %d after %v, want 202 after 4 s", got, time.Since(from))
		}
	})
}

func TestNoRoomOnTheWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHook(t, webhook.Options{MaxBody: 1 << 20, MemoryBudget: 1 << 20})
		release := hold(t, h, 600<<10)
		defer release()
		dial, end := listen(h)
		defer end()
		body := `{"object_kind":"push","x":"` + strings.Repeat("y", 1000<<10) + `"}`
		from := time.Now()
		c := dial()
		code := answered(c)
		if _, err := io.WriteString(c, head("id", body, contentLength(len(body)))+body); err != nil {
			t.Errorf("got %v: who is still sending reads no answer otherwise", err)
		}
		if got := <-code; got != http.StatusServiceUnavailable || time.Since(from) != 5*time.Second || h.observed()[0].Outcome != webhook.OutcomeNoRoom {
			t.Errorf("got %d %+v after %v, want 503 after 5 s", got, h.observed(), time.Since(from))
		}
		if w := h.do(request(`{"a":"` + strings.Repeat("x", 420<<10) + `"}`)); w.Code != http.StatusAccepted {
			t.Errorf("what it held is free again: got %d", w.Code)
		}
	})
}
