package agent_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

// look is what the agent says at a path.
func (s *stage) look(path string) (code int, text string) {
	s.Helper()
	res, err := http.Get(s.url + path)
	if err != nil {
		s.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// An agent has started when it knows who its own users are, or knows that it cannot
// know; it lives before.
func TestStartedIsWhatHasLookedAround(t *testing.T) {
	t.Parallel()
	for name, code := range map[string]int{"the own user is known": 0, "GitLab has no answer": http.StatusForbidden} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, sqlite(t))
			silent := s.behind(s.git)
			if code != 0 {
				s.git.Fail("GET /user", gitlabtest.Answer{Code: code})
			}
			silent.shut()
			s.start()
			if code, text := s.look("/startupz"); code != http.StatusServiceUnavailable || text != "starting\n" {
				t.Errorf("got %d %q while GitLab is asked, want 503", code, text)
			}
			if code, _ := s.look("/livez"); code != http.StatusOK {
				t.Errorf("got %d of /livez, want 200", code)
			}
			silent.open()
			s.until("start", func() bool { code, text := s.look("/startupz"); return code == http.StatusOK && text == "ok\n" })
		})
	}
}

func TestVersionIsJSON(t *testing.T) {
	t.Parallel()
	s := newStage(t, sqlite(t))
	s.start()
	code, text := s.look("/version")
	var got map[string]string
	if err := json.Unmarshal([]byte(text), &got); err != nil || code != http.StatusOK {
		t.Fatalf("got %d %q, want JSON: %v", code, text, err)
	}
	if got["version"] != "1.0.0" || got["go"] != runtime.Version() || got["commit"] == "" {
		t.Errorf("got %v", got)
	}
}

// What net/http refuses by itself, no handler sees; it is counted all the same.
func TestRequestsThatNoHandlerSawAreCounted(t *testing.T) {
	t.Parallel()
	s := newStage(t, sqlite(t))
	s.start()
	address := strings.TrimPrefix(s.url, "http://")
	send := func(request string, want int) {
		t.Helper()
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if _, err := io.WriteString(conn, request); err != nil && want != http.StatusRequestHeaderFieldsTooLarge {
			t.Fatal(err) // what is too large is not read to its end
		}
		if want == 0 {
			return
		}
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("got %d, want %d", res.StatusCode, want)
		}
	}
	send("nonsense\r\n\r\n", http.StatusBadRequest)
	send("GET /livez HTTP/1.1\r\nHost: x\r\nX-Large: "+strings.Repeat("x", 80<<10)+"\r\n\r\n", http.StatusRequestHeaderFieldsTooLarge)
	send("GET /livez HTTP/1.1\r\nHo", 0)                                               // and away
	send("GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", http.StatusOK) // counts for nothing
	send("GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", http.StatusNotFound)
	send("", 0)
	s.until("count", func() bool {
		_, text := s.look("/metrics")
		return strings.Contains(text, fmt.Sprintf("\nremora_http_unread_requests_total %d\n", 3))
	})
	// A good request before a bad one, over one connection.
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	reader := bufio.NewReader(conn)
	for _, request := range []string{"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", "nonsense\r\n\r\n"} {
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
	}
	s.until("count", func() bool {
		_, text := s.look("/metrics")
		return strings.Contains(text, "\nremora_http_unread_requests_total 4\n")
	})
}
