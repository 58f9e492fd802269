package storetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/agent/store"
)

// patience is how long a server may take to start.
const patience = 30 * time.Second

// Server is a PostgreSQL of one's own, which may be stopped and started.
type Server struct {
	URL      string
	commands *os.File // to the shell that keeps the server
}

// keeper makes a cluster and keeps its server until its input ends, that is when
// the test binary does, in whatever way; then it cleans up.
const keeper = `
dir=$1
start() { "$2" -D "$dir/data" -k "$dir" -c listen_addresses= -c max_connections=200 -c fsync="${REMORA_TEST_FSYNC:-on}" >>"$dir/log" 2>&1 & pid=$!; }
"$3" -D "$dir/data" -U remora -A trust -E UTF8 --locale=C --no-sync >"$dir/log" 2>&1 && start "$@"
while read -r word; do
	case $word in
	stop) kill -INT "$pid"; wait "$pid" ;;
	crash) kill -QUIT "$pid"; wait "$pid" ;;
	start) start "$@" ;;
	esac
done
kill -INT "$pid" && wait "$pid"
rm -rf "$dir/data" "$dir"/.s.* "$dir/log"
rmdir "$dir"
`

// NewServer starts a server for one test, which may then take it away. The test
// is skipped where PostgreSQL is not installed.
func NewServer(t testing.TB) *Server {
	t.Helper()
	s, err := startServer()
	if err != nil {
		absent(t, err)
	}
	t.Cleanup(func() { _ = s.commands.Close() })
	return s
}

// Config is that of a new database on the server.
func (s *Server) Config(t testing.TB) store.Config {
	t.Helper()
	return store.Config{URL: newDatabase(t, s.URL)}
}

// Stop shuts the server down in good order and returns when it is gone.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	s.say(t, "stop")
	s.gone(t)
}

// Crash ends the server as a fault would: it has to recover when it starts.
func (s *Server) Crash(t testing.TB) {
	t.Helper()
	s.say(t, "crash")
	s.gone(t)
}

// Start starts the server again and returns when it answers.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	s.say(t, "start")
	if err := s.wait(); err != nil {
		t.Fatal(err)
	}
}

func (s *Server) say(t testing.TB, word string) {
	t.Helper()
	if _, err := io.WriteString(s.commands, word+"\n"); err != nil {
		t.Fatalf("tell PostgreSQL's keeper to %s: %v", word, err)
	}
}

// startServer starts the keeper and waits for the server.
func startServer() (*Server, error) {
	postgres, err := program("postgres")
	if err != nil {
		return nil, err
	}
	initdb, err := program("initdb")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "remora-pg")
	if err != nil {
		return nil, err
	}
	input, commands, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = input.Close() }()
	cmd := exec.Command("sh", "-c", keeper, "keeper", dir, postgres, initdb)
	cmd.Stdin, cmd.Dir = input, dir
	if err := asOther(cmd, dir); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start PostgreSQL's keeper: %w", err)
	}
	s := &Server{URL: "postgres://remora@/postgres?host=" + dir, commands: commands}
	if err := s.wait(); err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "log")) // what there is of it
		return nil, fmt.Errorf("%w: %s", err, log)
	}
	return s, nil
}

// asOther has the command run as another user when we are root: initdb refuses
// root. Nobody but that user may write the folder, anybody may reach the socket.
func asOther(cmd *exec.Cmd, dir string) error {
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if os.Getuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(uidErr, gidErr); err != nil {
			return err
		}
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		return os.Chown(dir, int(uid), int(gid))
	}
	return errors.New("initdb refuses root, and there is no other user to run it as")
}

// program finds a program of PostgreSQL, which Debian does not put in the path.
func program(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf("%s is not installed", name)
	}
	return found[len(found)-1], nil
}

// gone polls until the server does not answer.
func (s *Server) gone(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for command(ctx, s.URL, "SELECT 1") == nil {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	if ctx.Err() != nil {
		t.Fatal("PostgreSQL does not stop")
	}
}

// wait polls until the server answers.
func (s *Server) wait() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		err := command(ctx, s.URL, "SELECT 1")
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("PostgreSQL did not start: %w", err)
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}
