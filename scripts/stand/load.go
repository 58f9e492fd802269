package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of a load, whatever is asked for.
const (
	maxConns    = 1024
	maxEvents   = 5_000_000
	maxDuration = 10 * time.Minute
)

const webhookSecret = "webhook-secret-0123456789"

// load is push webhooks over connections that are kept, each sending its next
// when the last was answered. It goes to loopback alone.
type load struct {
	address string
	conns   int
	events  int           // at most; 0: as many as the time allows
	lasts   time.Duration // at most; 0: until the events are sent
	bytes   int           // of a payload, about
	prefix  string        // of the idempotency keys; unique to a load
}

// loaded is what a load found.
type loaded struct {
	accepted  int // answered with 2xx
	refused   int // answered with anything else
	took      time.Duration
	latencies []time.Duration // of those accepted, sorted
}

func (l loaded) rate() float64 { return float64(l.accepted) / l.took.Seconds() }

// quantile is the latency that a share q of the accepted stay below.
func (l loaded) quantile(q float64) time.Duration {
	if len(l.latencies) == 0 {
		return 0
	}
	return l.latencies[min(len(l.latencies)-1, int(q*float64(len(l.latencies))))]
}

// run sends until the time or the events are over. A connection that breaks ends
// the load with an error.
func (l load) run(ctx context.Context) (loaded, error) {
	host, _, err := net.SplitHostPort(l.address)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		return loaded{}, fmt.Errorf("load goes to loopback alone, not to %s", l.address)
	}
	l.conns = min(l.conns, maxConns)
	if l.events <= 0 || l.events > maxEvents {
		l.events = maxEvents
	}
	if l.lasts <= 0 || l.lasts > maxDuration {
		l.lasts = maxDuration
	}
	conns, err := l.dial(ctx)
	defer func() {
		for _, conn := range conns {
			_ = conn.Close()
		}
	}()
	if err != nil {
		return loaded{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, l.lasts)
	defer cancel()
	var sent atomic.Int64
	var all sync.WaitGroup
	parts, errs := make([]loaded, l.conns), make([]error, l.conns)
	start := time.Now()
	for i, conn := range conns {
		all.Go(func() { parts[i], errs[i] = l.connection(ctx, conn, &sent) })
	}
	all.Wait()
	sum := loaded{took: time.Since(start)}
	for _, part := range parts {
		sum.accepted += part.accepted
		sum.refused += part.refused
		sum.latencies = append(sum.latencies, part.latencies...)
	}
	slices.Sort(sum.latencies)
	return sum, errors.Join(errs...)
}

// dial opens the connections, before the time of the load begins.
func (l load) dial(ctx context.Context) (conns []net.Conn, err error) {
	d := &net.Dialer{Timeout: 10 * time.Second}
	for range l.conns {
		conn, err := d.DialContext(ctx, "tcp", l.address)
		if err != nil {
			return conns, err
		}
		conns = append(conns, conn)
	}
	return conns, nil
}

// connection sends one webhook after the other.
func (l load) connection(ctx context.Context, conn net.Conn, sent *atomic.Int64) (loaded, error) {
	var got loaded
	answers := bufio.NewReader(conn)
	m := l.message()
	for ctx.Err() == nil {
		n := sent.Add(1)
		if n > int64(l.events) {
			break
		}
		m.number(n)
		start := time.Now()
		if err := conn.SetDeadline(start.Add(30 * time.Second)); err != nil {
			return got, err
		}
		if _, err := conn.Write(m.text); err != nil {
			return got, err
		}
		status, err := readAnswer(answers)
		if err != nil {
			return got, err
		}
		if status/100 != 2 {
			got.refused++
			continue
		}
		got.accepted++
		got.latencies = append(got.latencies, time.Since(start))
	}
	return got, nil
}

// message is a request whose key and commit are changed in place for each event:
// the generator must cost less than what it measures.
type message struct {
	text   []byte
	places []int // of the numbers, 16 digits each
}

const unnumbered = "0000000000000000"

func (l load) message() *message {
	after := strings.Repeat("a", 24) + unnumbered
	p := push{instance: "https://gitlab.example.com", project: "load/app", projectID: 4711, userID: 7, branch: "main", before: strings.Repeat("b", 40), after: after, commits: 1}
	body := p.body()
	for p.commits < 20 && len(body) < l.bytes {
		p.commits++
		body = p.body()
	}
	key := l.prefix + "-" + unnumbered
	var b bytes.Buffer
	fmt.Fprintf(&b, "POST /hooks/gitlab HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nUser-Agent: GitLab/19.2.1\r\nX-Gitlab-Event: Push Hook\r\n"+
		"X-Gitlab-Instance: %s\r\nX-Gitlab-Token: %s\r\nIdempotency-Key: %s\r\nContent-Length: %d\r\n\r\n", l.address, p.instance, webhookSecret, key, len(body))
	b.Write(body)
	m := &message{text: b.Bytes()}
	for _, mark := range []string{key, after} {
		for at := 0; ; {
			i := bytes.Index(m.text[at:], []byte(mark))
			if i < 0 {
				break
			}
			at += i + len(mark)
			m.places = append(m.places, at-len(unnumbered))
		}
	}
	return m
}

// number writes n into all places.
func (m *message) number(n int64) {
	var digits [len(unnumbered)]byte
	copy(digits[:], unnumbered)
	text := strconv.AppendInt(nil, n, 16)
	copy(digits[len(digits)-len(text):], text)
	for _, at := range m.places {
		copy(m.text[at:], digits[:])
	}
}

// readAnswer reads one answer with a Content-Length and returns its status.
func readAnswer(r *bufio.Reader) (int, error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return 0, fmt.Errorf("no answer of HTTP/1.1: %q", line)
	}
	status, err := strconv.Atoi(string(line[9:12]))
	if err != nil {
		return 0, err
	}
	length := 0
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		if name, value, ok := bytes.Cut(line, []byte(":")); ok && bytes.EqualFold(name, []byte("content-length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return 0, err
			}
		}
	}
	_, err = io.CopyN(io.Discard, r, int64(length))
	return status, err
}
