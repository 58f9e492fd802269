package agent

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// conns is a listener that counts requests which no handler ever saw, because
// net/http answered them by itself or nobody could: the head was malformed (400),
// too large (431) or too slow, or the caller went away in the middle of it. net/http
// tells nobody about those; but a connection on which something came, and which
// ends without a call to a handler, had one of them. What comes close behind
// another request, in one packet, is not seen.
type conns struct {
	net.Listener
	unread prometheus.Counter
}

// conn is a connection and how far its request is.
type conn struct {
	net.Conn
	stage atomic.Int32
}

const (
	quiet   = iota // nothing has come since the last request
	begun          // something has
	handled        // a handler has it
)

// Accept is part of [net.Listener].
func (c *conns) Accept() (net.Conn, error) {
	one, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: one}, nil
}

// Read is part of [net.Conn].
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.stage.CompareAndSwap(quiet, begun)
	}
	return n, err
}

// CloseWrite ends our side of the connection, so that a caller who still sends
// reads the answer: net/http asks for it by an interface.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

type connKey struct{}

// begin is [http.Server.ConnContext].
func (c *conns) begin(ctx context.Context, one net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, one)
}

// changed is [http.Server.ConnState].
func (c *conns) changed(one net.Conn, state http.ConnState) {
	got, ok := one.(*conn)
	switch {
	case !ok:
	case state == http.StateIdle:
		got.stage.Store(quiet)
	case state == http.StateClosed && got.stage.Load() == begun:
		c.unread.Inc()
	}
}

// seen is next, which sees what was read.
func (c *conns) seen(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if one, ok := r.Context().Value(connKey{}).(*conn); ok {
			one.stage.Store(handled)
		}
		next.ServeHTTP(w, r)
	})
}
