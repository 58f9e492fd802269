package trigger

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
)

const (
	maxEvent = 8 << 20      // bytes of one event's data: a result with the logs of all its targets
	maxLine  = maxEvent + 8 // bytes of one line, which holds all of them or a part
)

// events reads server-sent events:
// https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream.
// Lines end in LF or CRLF. Comments, which keep the connection open, and fields that
// we have no use for (id, retry) are passed over.
type events struct{ lines *bufio.Scanner }

func newEvents(r io.Reader) *events {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	return &events{lines}
}

// next is the next event that has data. The error is [io.EOF] at the end, where half
// an event is none.
func (e *events) next() (name string, data []byte, err error) {
	for e.lines.Scan() {
		line := e.lines.Bytes()
		if len(line) == 0 {
			if data != nil {
				return name, data, nil
			}
			name = ""
			continue
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "event":
			name = string(value)
		case "data":
			if len(data)+len(value) >= maxEvent {
				return "", nil, fmt.Errorf("an event is larger than %d MiB", maxEvent>>20)
			}
			if data != nil {
				data = append(data, '\n')
			}
			data = append(data, value...)
			if data == nil {
				data = []byte{}
			}
		}
	}
	if err := e.lines.Err(); err != nil {
		return "", nil, fmt.Errorf("read events: %w", err)
	}
	return "", nil, io.EOF
}
