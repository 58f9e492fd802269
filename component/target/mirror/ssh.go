package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
)

// sshRemote runs Git's services over SSH. It goes to the host directly, without
// a proxy, an agent or any file of the user's own configuration.
type sshRemote struct {
	at     address
	signer ssh.Signer
	hosts  *knownhosts.HostKeyDB
	after  time.Duration // see stall
}

// hostKeys reads known_hosts lines, or the file of them that an absolute path
// names.
func hostKeys(text string) (*knownhosts.HostKeyDB, error) {
	text = strings.TrimSpace(text)
	if filepath.IsAbs(text) && !strings.ContainsAny(text, "\n ") {
		raw, err := os.ReadFile(text)
		if err != nil {
			return nil, err
		}
		text = string(raw)
	}
	if len(text) > 1<<20 {
		return nil, errors.New("is larger than 1 MiB")
	}
	// The reader takes files only.
	file, err := os.CreateTemp("", "remora-known-hosts-*")
	if err != nil {
		return nil, fmt.Errorf("read host keys: %w", err)
	}
	defer func() { _ = os.Remove(file.Name()) }()
	_, err = file.WriteString(strings.ReplaceAll(text, "\r", "") + "\n")
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("read host keys: %w", err)
	}
	db, err := knownhosts.NewDB(file.Name())
	if err != nil {
		reason := strings.ReplaceAll(err.Error(), file.Name()+":", "line ")
		return nil, fmt.Errorf("is not what ssh-keyscan prints: %s", strings.TrimPrefix(reason, "knownhosts: "))
	}
	return db, nil
}

func (r *sshRemote) evidence(service string) string {
	return "ssh " + r.at.user + "@" + r.at.hostPort() + " " + service + " " + quote(r.at.path)
}

// hostKeyError is a host key that was not accepted.
type hostKeyError struct {
	unknown     bool // rather than another than expected
	fingerprint string
	err         error
}

func (e *hostKeyError) Error() string { return "host key " + e.fingerprint + ": " + e.err.Error() }
func (e *hostKeyError) Unwrap() error { return e.err }

// sshError is a conversation over SSH that failed, and what the server said.
type sshError struct {
	at   string
	said string
	err  error
}

func (e *sshError) Error() string {
	text := e.at + ": " + e.err.Error()
	if e.said != "" {
		text += ": " + e.said
	}
	return text
}
func (e *sshError) Unwrap() error { return e.err }

func (r *sshRemote) open(ctx context.Context, service string) (*talk, error) {
	at := "ssh " + r.at.hostPort()
	conn, err := dial(r.after, newDialer())(ctx, "tcp", r.at.hostPort())
	if err != nil {
		return nil, &sshError{at: at, err: err}
	}
	// The library knows no context: closing the connection ends whatever it does.
	l := &sshLine{at: at, conn: conn, unhook: context.AfterFunc(ctx, func() { _ = conn.Close() })}
	if err := l.start(r, service); err != nil {
		l.close()
		return nil, l.fault(ctx, err)
	}
	refs, err := readRefs(l.stdout)
	if err != nil {
		l.hangUp()
		l.close()
		return nil, l.fault(ctx, err)
	}
	return &talk{line: l, refs: refs}, nil
}

// sshLine is a running service. It ends with its one request.
type sshLine struct {
	at      string
	conn    net.Conn
	client  *ssh.Client
	session *ssh.Session
	stdin   io.WriteCloser
	stdout  io.Reader
	stderr  tail
	asked   bool // the one request was sent
	unhook  func() bool
}

func (l *sshLine) start(r *sshRemote, service string) (err error) {
	config := &ssh.ClientConfig{
		User:              r.at.user,
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(r.signer)},
		HostKeyCallback:   r.checkHostKey,
		HostKeyAlgorithms: r.hosts.HostKeyAlgorithms(r.at.hostPort()),
		ClientVersion:     "SSH-2.0-remora",
	}
	conn, channels, requests, err := ssh.NewClientConn(l.conn, r.at.hostPort(), config)
	if err != nil {
		return err
	}
	l.client = ssh.NewClient(conn, channels, requests)
	if l.session, err = l.client.NewSession(); err != nil {
		return err
	}
	l.session.Stderr = &l.stderr
	if l.stdin, err = l.session.StdinPipe(); err != nil {
		return err
	}
	if l.stdout, err = l.session.StdoutPipe(); err != nil {
		return err
	}
	return l.session.Start(service + " " + quote(r.at.path))
}

func (r *sshRemote) checkHostKey(host string, from net.Addr, key ssh.PublicKey) error {
	err := r.hosts.HostKeyCallback()(host, from, key)
	if err == nil {
		return nil
	}
	return &hostKeyError{unknown: knownhosts.IsHostUnknown(err), fingerprint: key.Type() + " " + ssh.FingerprintSHA256(key), err: err}
}

// quote makes one word of a path for the server's shell.
func quote(path string) string {
	return "'" + strings.NewReplacer("'", `'\''`, "!", `'\!'`).Replace(path) + "'"
}

func (l *sshLine) exchange(ctx context.Context, body io.Reader, _ int64) (io.ReadCloser, error) {
	l.asked = true
	_, sent := io.Copy(l.stdin, body)
	if err := l.stdin.Close(); sent == nil && err != nil && err != io.EOF {
		sent = err
	}
	if sent != nil && ctx.Err() != nil {
		return nil, l.fault(ctx, sent)
	}
	// A server that stops reading has said why: its answer tells more than the
	// broken pipe.
	return sshAnswer{l, ctx, sent}, nil
}

// sshAnswer is the rest of what the service says.
type sshAnswer struct {
	line *sshLine
	ctx  context.Context
	sent error
}

func (a sshAnswer) Read(p []byte) (int, error) {
	n, err := a.line.stdout.Read(p)
	if err == io.EOF && a.sent != nil {
		err = fmt.Errorf("send: %w", a.sent)
	}
	if err != nil && err != io.EOF {
		err = a.line.fault(a.ctx, err)
	}
	return n, err
}

func (a sshAnswer) Close() error { return nil }

// hangUp ends the service in good order and waits for its last words.
func (l *sshLine) hangUp() {
	if l.session == nil {
		return
	}
	_ = l.stdin.Close()
	last := time.AfterFunc(5*time.Second, func() { _ = l.conn.Close() })
	_, _ = io.Copy(io.Discard, io.LimitReader(l.stdout, maxReport))
	_ = l.session.Wait()
	last.Stop()
}

func (l *sshLine) close() {
	l.unhook()
	if l.stdin != nil && !l.asked {
		// An empty request: without it the server would log a fault.
		_, _ = io.WriteString(l.stdin, "0000")
		_ = l.stdin.Close()
	}
	if l.client != nil {
		_ = l.client.Close()
		_ = l.client.Wait()
	}
	_ = l.conn.Close()
}

// fault says why the conversation really ended.
func (l *sshLine) fault(ctx context.Context, err error) error {
	if ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		err = fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return &sshError{at: l.at, said: clean(l.stderr.String(), 500), err: err}
}

// tail keeps the last bytes that are written, for a person to read.
type tail struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf.Write(p[max(0, len(p)-4096):])
	if over := t.buf.Len() - 4096; over > 0 {
		t.buf.Next(over)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}
