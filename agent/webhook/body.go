package webhook

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"time"
)

// errNoRoom says that other bodies filled the memory all the time.
var errNoRoom = errors.New("no room in memory for the body")

// errSlow says that a body took longer than it may.
var errSlow = errors.New("it took too long")

// takeRoom waits until size bytes of memory are free. Who waits is served in
// order, so that a large body is not overtaken for ever by small ones.
func (c *call) takeRoom(ctx context.Context, size int64) error {
	if c.room.TryAcquire(size) {
		return nil
	}
	from := c.o.Now()
	waiting, cancel := context.WithTimeoutCause(ctx, c.o.Wait, errNoRoom)
	defer cancel()
	if err := c.room.Acquire(waiting, size); err != nil {
		return context.Cause(waiting)
	}
	c.waited = c.o.Now().Sub(from)
	return nil
}

// readBody reads the body into memory of its own size. It gives up when ctx ends
// and when the body takes too long, so that slow senders do not keep the room.
func (c *call) readBody(ctx context.Context, size int64) ([]byte, error) {
	c.reading = true
	from := time.Now()
	connection := http.NewResponseController(c.w)
	_ = connection.SetReadDeadline(from.Add(c.o.BodyTimeout)) // what has no deadline is a test
	stop := context.AfterFunc(ctx, func() { _ = connection.SetReadDeadline(time.Unix(1, 0)) })
	defer func() {
		if stop() {
			_ = connection.SetReadDeadline(time.Time{})
		}
	}()
	body, err := c.receive(size)
	if errors.Is(err, os.ErrDeadlineExceeded) && time.Since(from) >= c.o.BodyTimeout {
		err = errSlow
	}
	return body, err
}

func (c *call) receive(size int64) ([]byte, error) {
	if c.r.ContentLength < 0 {
		var b bytes.Buffer
		_, err := b.ReadFrom(http.MaxBytesReader(c.w, c.r.Body, c.o.MaxBody))
		return b.Bytes(), err
	}
	body := make([]byte, size)
	_, err := io.ReadFull(c.r.Body, body) // nothing is read for a size of 0
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return body, err
}

// noBody is the answer for a body that did not arrive. The context is asked last:
// a fault of the connection ends it too.
func (c *call) noBody(ctx context.Context, err error) answer {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return oversize(c.o.MaxBody)
	case errors.Is(err, errSlow):
		return slow(err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return broken(err)
	case ctx.Err() != nil:
		return gone(ctx.Err())
	}
	return broken(err)
}
