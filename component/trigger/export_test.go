package trigger

import (
	"io"
	"time"
)

// Hasten shortens all that a client waits for.
func (c *Client) Hasten(first, idle, brief time.Duration) {
	c.pace = pace{shortest: time.Millisecond, longest: 5 * time.Millisecond, first: first, idle: idle, brief: brief}
}

// Pause is how long a client waits after an attempt.
func (c *Client) Pause(attempt int, err error) time.Duration { return c.pause(attempt, err) }

// ReadEvents is every event of r and the error that ended it.
func ReadEvents(r io.Reader) (names, data []string, err error) {
	for e := newEvents(r); ; {
		name, text, err := e.next()
		if err != nil {
			return names, data, err
		}
		names, data = append(names, name), append(data, string(text))
	}
}

// MaxEvent is the largest event.
const MaxEvent = maxEvent
