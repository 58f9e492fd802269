package webhook

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"time"
)

const (
	// firstStep is the room for the start of a body whose caller has proved nothing
	// yet: about what its connection costs anyway, and enough for most pushes. It is
	// doubled as bytes arrive.
	firstStep = 16 << 10

	// A body comes at this pace at least, after a grace: so who sends nothing, or a
	// byte now and then, does not keep its room.
	slowest = 64 << 10 // bytes a second
	grace   = 2 * time.Second
)

// errNoRoom says that other bodies filled the memory all the time.
var errNoRoom = errors.New("no room in memory for the body")

// errSlow says that a body took longer than it may.
var errSlow = errors.New("it took too long")

// arrival is a body that is being read.
type arrival struct {
	share
	connection http.ResponseController
	from       time.Time // when it began, later by what it waited for us
	due        time.Time // for the bytes up to expected
	received   int64
	expected   int64
}

// takeRoom waits until this call has n bytes of memory, in all for as long as one
// may wait.
func (c *call) takeRoom(ctx context.Context, n int64) error {
	if c.body.try(n) {
		return nil
	}
	from := time.Now()
	waiting, cancel := context.WithTimeoutCause(ctx, c.o.Wait-c.waited, errNoRoom)
	defer cancel()
	err := c.body.wait(waiting, n)
	took := time.Since(from)
	c.waited += took
	c.body.from, c.body.expected = c.body.from.Add(took), 0
	if err != nil {
		return context.Cause(waiting)
	}
	return nil
}

// most is how large the body may be: as large as it says, if it does.
func (c *call) most() int64 {
	if c.r.ContentLength < 0 {
		return c.o.MaxBody
	}
	return c.r.ContentLength
}

// first is the room that a body begins with: for who has proved itself, all that it
// may need.
func (c *call) first() int64 {
	if c.body.stranger {
		return min(c.most(), firstStep, c.room.half)
	}
	return c.most()
}

// readBody reads the body into memory, which it has room for already as far as
// [call.first] says. It gives up when ctx ends and when the body comes too slowly.
func (c *call) readBody(ctx context.Context) ([]byte, error) {
	c.reading = true
	c.body.connection, c.body.from = *http.NewResponseController(c.w), time.Now()
	stop := context.AfterFunc(ctx, func() { _ = c.body.connection.SetReadDeadline(time.Unix(1, 0)) })
	defer func() {
		if stop() {
			_ = c.body.connection.SetReadDeadline(time.Time{})
		}
	}()
	if c.r.ContentLength < 0 {
		c.r.Body = http.MaxBytesReader(c.w, c.r.Body, c.o.MaxBody)
		return c.readUnknown(ctx)
	}
	body := make([]byte, c.first())
	for {
		if err := c.fill(ctx, body[c.body.received:]); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		if c.body.received == c.most() {
			return body, nil
		}
		var err error
		if body, err = c.grow(ctx, body, c.most()); err != nil {
			return nil, err
		}
	}
}

// readUnknown reads a body that does not say how large it is.
func (c *call) readUnknown(ctx context.Context) ([]byte, error) {
	body := make([]byte, min(c.first(), firstStep))
	for {
		err := c.fill(ctx, body[c.body.received:])
		if err == io.EOF {
			return body[:c.body.received], nil
		}
		if err == nil { // one byte more than it may have shows that it has too many
			body, err = c.grow(ctx, body, c.o.MaxBody+1)
		}
		if err != nil {
			return nil, err
		}
	}
}

// grow doubles the memory of a body, up to most bytes.
func (c *call) grow(ctx context.Context, body []byte, most int64) ([]byte, error) {
	size := min(2*int64(len(body)), most)
	if err := c.takeRoom(ctx, min(size, c.o.MaxBody)); err != nil {
		return nil, err
	}
	larger := make([]byte, size)
	copy(larger, body)
	return larger, nil
}

// fill reads until p is full. The error is io.EOF if the body ends before.
func (c *call) fill(ctx context.Context, p []byte) error {
	b := &c.body
	for len(p) > 0 {
		if b.received >= b.expected {
			b.expected = b.received + min(int64(len(p)), slowest)
			b.due = b.from.Add(min(grace+time.Duration(b.expected)*time.Second/slowest, c.o.BodyTimeout))
			_ = b.connection.SetReadDeadline(b.due) // what has no deadline is a test
			if ctx.Err() != nil {
				return ctx.Err() // it ended before the deadline was set, which hid that
			}
		}
		n, err := c.r.Body.Read(p)
		b.received += int64(n)
		if p = p[n:]; err == nil || len(p) == 0 && err == io.EOF {
			continue
		}
		if errors.Is(err, os.ErrDeadlineExceeded) && !time.Now().Before(b.due) {
			return errSlow
		}
		return err
	}
	return nil
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
	case errors.Is(err, errNoRoom):
		return noRoom(ctx, err)
	case ctx.Err() != nil:
		return gone(ctx.Err())
	}
	return broken(err)
}
