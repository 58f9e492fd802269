package webhook

import (
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	// smallBody is less than what net/http reads of a body that a handler has left
	// alone. Beyond that it closes the connection, and a caller who is still sending
	// sees a broken pipe instead of its answer.
	smallBody = 128 << 10

	lingerTime = 5 * time.Second
)

// linger ends the connection, once the answer is sent and the caller has sent what
// it was sending: most read no answer before. What comes is not kept.
func (c *call) linger() {
	connection := http.NewResponseController(c.w)
	if connection.Flush() != nil {
		return
	}
	_ = connection.SetReadDeadline(time.Now().Add(lingerTime)) // what has no deadline is a test
	_, _ = io.CopyN(io.Discard, c.r.Body, 2*c.o.MaxBody)       // the caller was answered: how it ends is its own
}

// lingers says whether a body is, or may be, on its way that nobody will read.
func (c *call) lingers(a answer) bool {
	switch a.outcome {
	case OutcomeOversize:
		return c.reading || !c.waitsForUs()
	case OutcomeNoRoom:
		if c.reading {
			return true
		}
		fallthrough
	case OutcomeRefused, OutcomeNoPath, OutcomeNoMethod:
		return !c.reading && !c.waitsForUs() && (c.r.ContentLength < 0 || c.r.ContentLength > smallBody)
	}
	return false
}

// waitsForUs says whether the caller sends its body only when it is asked to.
func (c *call) waitsForUs() bool { return strings.EqualFold(c.r.Header.Get("Expect"), "100-continue") }
