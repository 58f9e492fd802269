package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// readyAfter is how long a process may take until it answers.
const readyAfter = 20 * time.Second

// process is a server of ours that runs beside the stand.
type process struct {
	url  string
	cmd  *exec.Cmd
	log  tail
	done chan struct{} // closed when it has ended
}

// start runs a command that listens on address, and waits until it is ready.
func start(ctx context.Context, address, ready string, env []string, args ...string) (*process, error) {
	p := &process{url: "http://" + address, cmd: exec.Command(args[0], args[1:]...), done: make(chan struct{})}
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = env, &p.log, &p.log
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { // ends with the process, which kill and stop wait for
		_ = p.cmd.Wait()
		close(p.done)
	}()
	if err := p.await(ctx, ready); err != nil {
		p.kill()
		return nil, fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, p.log.String())
	}
	return p, nil
}

// startAgent runs "remora agent" with the given variables.
func startAgent(ctx context.Context, binary, address string, sets ...map[string]string) (*process, error) {
	env := environ(append(sets, map[string]string{"REMORA_LISTEN": address, "REMORA_GITLAB_REQUESTS": "auto"})...)
	return start(ctx, address, "/readyz", env, binary, "agent")
}

// await polls until the process answers 200.
func (p *process) await(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, readyAfter)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-p.done:
			return fmt.Errorf("it ended: %s", p.cmd.ProcessState)
		case <-ctx.Done():
			return errors.New("it does not become ready")
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+path, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			continue
		}
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<16))
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return nil
		}
	}
}

// kill ends the process as a power cut would, as far as it can tell.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.done
}

// stop asks the process to end and waits.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	select {
	case <-p.done:
	case <-time.After(readyAfter):
		p.kill()
		return errors.New("the process did not stop when it was asked to")
	}
	if !p.cmd.ProcessState.Success() {
		if status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.ExitStatus() != 128+int(syscall.SIGTERM) {
			return fmt.Errorf("the process stopped with %s\n%s", p.cmd.ProcessState, p.log.String())
		}
	}
	return nil
}

// address is where the process listens.
func (p *process) address() string { return strings.TrimPrefix(p.url, "http://") }

// freeAddress is a port of loopback that nobody listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b...)
	if over := len(t.text) - 16<<10; over > 0 {
		t.text = append(t.text[:0], t.text[over:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}
