package webhook_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/agent/webhook"
)

// A caller that reads no answer before all is sent, as most do: Go's own client
// does not, so this one is written by hand.
func TestWhoIsRefusedGetsTheAnswerAlsoBehindALargeBody(t *testing.T) {
	t.Parallel()
	const size = 27 << 20
	block := strings.Repeat("x", 64<<10)
	plain := fmt.Sprintf("Content-Length: %d", size)
	for name, tc := range map[string]struct {
		first, header, token string
		chunked              bool
		status               int
	}{
		"too large, as it says":             {"POST /hooks/gitlab", plain, secret, false, 413},
		"too large, which it does not say":  {"POST /hooks/gitlab", "Transfer-Encoding: chunked", secret, true, 413},
		"a wrong secret":                    {"POST /hooks/gitlab", "Content-Length: 20971520", "wrong", false, 401},
		"a wrong secret, of unknown length": {"POST /hooks/gitlab", "Transfer-Encoding: chunked", "wrong", true, 401},
		"an unknown path":                   {"POST /hooks", "Content-Length: 20971520", secret, false, 404},
		"a wrong method":                    {"PUT /hooks/gitlab", "Content-Length: 20971520", secret, false, 405},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHook(t, webhook.Options{})
			conn := dial(t.Context(), t, h, fmt.Sprintf("%s HTTP/1.1\r\nHost: x\r\nX-Gitlab-Token: %s\r\n%s\r\n\r\n", tc.first, tc.token, tc.header))
			total := size
			if strings.HasSuffix(tc.header, "20971520") {
				total = 20971520
			}
			for sent := 0; sent < total; sent += len(block) {
				text := block
				if tc.chunked {
					text = fmt.Sprintf("%x\r\n%s\r\n", len(block), block)
				}
				if _, err := io.WriteString(conn, text); err != nil {
					t.Fatalf("after %d bytes: %v", sent, err)
				}
			}
			if tc.chunked {
				_, _ = io.WriteString(conn, "0\r\n\r\n") // what is missing, the answer tells
			}
			answer, err := io.ReadAll(conn)
			if want := fmt.Sprintf("HTTP/1.1 %d ", tc.status); err != nil || !strings.HasPrefix(string(answer), want) || !strings.Contains(string(answer), `{"error":`) {
				t.Errorf("got %q, %v, want %s", answer, err, want)
			}
			if n := len(h.store.all()); n != 0 {
				t.Errorf("%d events were stored", n)
			}
		})
	}
}

func TestWhoWaitsToBeAskedForTheBodyIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	h := newHook(t, webhook.Options{})
	begun := time.Now()
	conn := dial(t.Context(), t, h, fmt.Sprintf("POST /hooks/gitlab HTTP/1.1\r\nHost: x\r\nX-Gitlab-Token: %s\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", secret, 27<<20))
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 413") {
		t.Errorf("got %q, %v, want 413 and no 100", answer, err)
	}
	if took := time.Since(begun); took > 4*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestASmallRefusedBodyKeepsTheConnection(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(newHook(t, webhook.Options{}))
	t.Cleanup(server.Close)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/hooks/gitlab", strings.NewReader(pushBody))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusUnauthorized || resp.Close {
		t.Errorf("got %d, close %t, want 401 and an open connection", resp.StatusCode, resp.Close)
	}
}
