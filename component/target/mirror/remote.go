package mirror

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/transport"
)

// The two services of a Git server.
const (
	uploadPack  = transport.UploadPackServiceName  // reads
	receivePack = transport.ReceivePackServiceName // writes
)

const (
	maxRefs   = 64 << 20 // bytes of a list of refs: some 700,000 of them
	maxReport = 4 << 20  // bytes of the answer to a push
	maxForest = 64 << 20 // bytes of what only the remote has, read to compare
)

// stall is how long a connection may be silent. Git servers send a sign of life
// every few seconds while they work.
const stall = 2 * time.Minute

// remote is a Git server to talk to.
type remote interface {
	// open starts a conversation with a service and reads the refs it offers.
	open(ctx context.Context, service string) (*talk, error)
	// evidence names a request for a person.
	evidence(service string) string
}

// line carries one request of a conversation.
type line interface {
	// exchange sends the one request and gives the answer, to be closed.
	exchange(ctx context.Context, body io.Reader, size int64) (io.ReadCloser, error)
	// close ends the conversation; nothing of it is left when it returns.
	close()
}

// talk is a conversation with one service, which has told its refs.
type talk struct {
	line
	refs *packp.AdvRefs
}

// ref is what the server has under a full name.
func (t *talk) ref(name string) (plumbing.Hash, bool) {
	h, ok := t.refs.References[name]
	return h, ok
}

// tips are all commits and tags that the server has refs for.
func (t *talk) tips() []plumbing.Hash {
	tips := make([]plumbing.Hash, 0, len(t.refs.References))
	for _, h := range t.refs.References {
		tips = append(tips, h)
	}
	return tips
}

// readRefs reads the refs that a service offers. An empty repository offers none.
func readRefs(r io.Reader) (*packp.AdvRefs, error) {
	refs := packp.NewAdvRefs()
	seen := &start{Reader: &limited{r, maxRefs, "list of refs"}}
	err := refs.Decode(seen)
	if offersSHA256(refs, seen.bytes) {
		return nil, errSHA256
	}
	if err != nil && !errors.Is(err, packp.ErrEmptyAdvRefs) {
		return nil, fmt.Errorf("read refs: %w", err)
	}
	transport.FilterUnsupportedCapabilities(refs.Capabilities)
	return refs, nil
}

// start keeps the first bytes that are read, in which the server tells its
// abilities.
type start struct {
	io.Reader
	bytes []byte
}

func (s *start) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if room := 4096 - len(s.bytes); room > 0 {
		s.bytes = append(s.bytes, p[:min(n, room)]...)
	}
	return n, err
}

// limited fails, rather than ends, when more is read than allowed.
type limited struct {
	io.Reader
	left int64
	what string
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, &largeError{l.what}
	}
	n, err := l.Reader.Read(p[:min(int64(len(p)), l.left)])
	l.left -= int64(n)
	return n, err
}

type largeError struct{ what string }

func (e *largeError) Error() string { return e.what + " is too large" }

// stalling is a connection that fails when nothing moves for the stall time, so
// that a server that hangs cannot hang us where nobody set a deadline.
type stalling struct {
	net.Conn
	after time.Duration
}

func (c stalling) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.after)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c stalling) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.after)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// dial connects within 15 s.
func dial(after time.Duration, dialer *net.Dialer) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return stalling{conn, after}, nil
	}
}

func newDialer() *net.Dialer {
	return &net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}
}
