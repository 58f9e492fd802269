package rest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Stream is an answer that is read as it comes, such as server-sent events. Close
// it. It is for one goroutine.
type Stream struct {
	Answer // without Body

	body io.ReadCloser
	ctx  context.Context // of this request alone: why it ended is asked of it
	end  context.CancelCauseFunc
	idle *time.Timer
	span time.Duration
}

// IdleError is a stream on which nothing came for the time that was allowed.
type IdleError struct{ For time.Duration }

func (e *IdleError) Error() string { return "nothing came for " + e.For.String() }

// Timeout implements [net.Error].
func (e *IdleError) Timeout() bool { return true }

// Temporary implements [net.Error].
func (e *IdleError) Temporary() bool { return true }

// Stream makes a call whose answer has no known end. It may take as long as ctx
// allows, but when idle passes without a byte, before the header or after, it ends
// with an [IdleError]. The size limit, the rules of redirects and the audit are
// those of every call. There is one attempt: who reads knows how to resume. Outside
// 2xx the error is a [StatusError], and there is nothing to close.
func (c *Client) Stream(ctx context.Context, call Call, idle time.Duration) (*Stream, error) {
	ctx, end := context.WithCancelCause(ctx)
	s := &Stream{ctx: ctx, end: end, span: idle, Answer: Answer{Method: call.Method, URL: Plain(call.URL)}}
	req, err := newRequest(ctx, call)
	if err != nil {
		end(nil)
		return nil, err
	}
	s.idle = time.AfterFunc(idle, func() { end(&IdleError{idle}) })
	res, err := c.live.Do(req) //nolint:bodyclose // Close does it
	if err != nil {
		err = s.fault(err)
		s.stop()
		return nil, err
	}
	s.Code, s.Header, s.body = res.StatusCode, res.Header, res.Body
	if s.Code >= http.StatusOK && s.Code < http.StatusMultipleChoices {
		return s, nil
	}
	defer func() { _ = s.Close() }()
	// What can be read of the reason is part of the error; the code alone will do.
	s.Body, _ = io.ReadAll(io.LimitReader(res.Body, 4<<10))
	return nil, statusError(&s.Answer)
}

// Read implements [io.Reader].
func (s *Stream) Read(p []byte) (int, error) {
	n, err := s.body.Read(p)
	if n > 0 {
		s.idle.Reset(s.span)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = s.fault(fmt.Errorf("read answer: %w", err))
	}
	return n, err
}

// Close lets go of the connection.
func (s *Stream) Close() error {
	s.stop()
	return s.body.Close()
}

func (s *Stream) stop() {
	s.idle.Stop()
	s.end(nil)
}

// fault is err, or that nothing came: net/http says of that only that the request
// was canceled.
func (s *Stream) fault(err error) error {
	var idle *IdleError
	if errors.As(context.Cause(s.ctx), &idle) {
		err = idle
	}
	return faultOf(s.Method, s.URL, err)
}
