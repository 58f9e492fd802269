package api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// readBody reads a body of fewer than limit bytes, within its time. Afterwards the
// connection has no deadline for reading, which would end the call.
func (s *server) readBody(w http.ResponseWriter, r *http.Request, limit int64) error {
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(s.o.bodyTime)) // without it the server's own remains
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit-1))
	if err != nil {
		return noBody(err, limit)
	}
	_ = rc.SetReadDeadline(time.Time{})
	r.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}

// noBody is the refusal of a body that was not read to its end: the connection
// cannot be used again.
func noBody(err error, limit int64) error {
	p := &problem{status: http.StatusBadRequest, title: "not valid", detail: "The body ended early.", reason: "read the body: " + err.Error(), header: http.Header{"Connection": {"close"}}}
	var tooLarge *http.MaxBytesError
	var slow net.Error
	switch {
	case errors.As(err, &tooLarge):
		p.status, p.detail = http.StatusRequestEntityTooLarge, fmt.Sprintf("The body has %d bytes or more.", limit)
	case errors.As(err, &slow) && slow.Timeout():
		p.status, p.detail = http.StatusRequestTimeout, "The body took too long."
	}
	return p
}
