package rest_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/component/rest"
)

func TestCloseLetsGoOfIdleConnections(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	states := map[net.Conn]http.ConnState{}
	changed := make(chan struct{}, 100)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ConnState = func(c net.Conn, state http.ConnState) {
		mu.Lock()
		states[c] = state
		mu.Unlock()
		changed <- struct{}{}
	}
	server.Start()
	defer server.Close()
	count := func(want http.ConnState) (n int) {
		mu.Lock()
		defer mu.Unlock()
		for _, state := range states {
			if state == want {
				n++
			}
		}
		return n
	}
	wait := func(state http.ConnState, n int) {
		t.Helper()
		for deadline := time.After(10 * time.Second); count(state) != n; {
			select {
			case <-changed:
			case <-deadline:
				t.Fatalf("got %d connections in state %s, want %d", count(state), state, n)
			}
		}
	}
	c, err := rest.New(rest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	get := func() {
		t.Helper()
		if _, err := c.Do(t.Context(), rest.Call{Method: http.MethodGet, URL: server.URL}); err != nil {
			t.Fatal(err)
		}
	}
	get()
	wait(http.StateIdle, 1)
	c.Close()
	wait(http.StateClosed, 1)
	get() // it stays good
	wait(http.StateIdle, 1)
	c.Close()
	wait(http.StateClosed, 2)
}
