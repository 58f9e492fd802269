package agent_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/agent"
	"gitlab.com/remora-ci/remora/agent/store"
)

// smallDisk names the folder that is to be a small file system, in a process that
// may mount one.
const smallDisk = "REMORA_TEST_SMALL_DISK"

// onSmallDisk runs the test once more in a process of its own, whose namespace of
// mounts nobody else sees, and gives the folder there; empty in the process that
// only waits. Where that is not allowed the test is skipped.
func onSmallDisk(t *testing.T, size string) string {
	t.Helper()
	if dir := os.Getenv(smallDisk); dir != "" {
		if err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
			t.Skipf("the namespace cannot be made private: %v", err)
		}
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
			t.Skipf("no file system can be mounted here: %v", err)
		}
		return dir
	}
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.count=1", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), smallDisk+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	var failed *exec.ExitError
	switch {
	case err != nil && !errors.As(err, &failed):
		t.Skipf("no namespace can be made here: %v", err)
	case err != nil:
		t.Fatalf("%v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skipf("%s", out)
	case !strings.Contains(string(out), "--- PASS: "+t.Name()):
		t.Fatalf("the test did not run:\n%s", out)
	}
	return ""
}

// fill takes all room that is left, and gives the way to make room again.
func fill(t *testing.T, dir string) (empty func()) {
	t.Helper()
	name := filepath.Join(dir, "ballast")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{64 << 10, 4 << 10, 1} {
		for err == nil {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("got %v, want a disk that is full", err)
		}
		err = nil
	}
	_ = f.Close() // what could be written was
	return func() {
		t.Helper()
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

// A file system that is full, and has room again, twice: 503 with a time, no false
// 2xx, bounded memory, and all that was accepted is delivered.
func TestAFileSystemThatIsFull(t *testing.T) {
	dir := onSmallDisk(t, "24m")
	if dir == "" {
		return
	}
	s := newStage(t, store.Config{Dir: filepath.Join(dir, "data")})
	s.start(func(o *agent.Options) { *o = agent.Hastened(*o, time.Minute) })
	s.hook(s.push(s.scene.Base, s.scene.SHA))
	s.untilShown(s.scene.SHA, "sync/site success")
	accepted, head := 1, s.scene.SHA
	for round := range 2 {
		s.until("rest", s.idle)
		empty := fill(t, dir)
		before, refused := heap(), 0
		for range 200 { // what was set aside before is used up first
			head = s.commit("a.txt")
			body := s.push("", head)
			body["noise"] = strings.Repeat(head, 500)
			switch code := s.send(body); {
			case code == http.StatusAccepted:
				accepted++
			case code == http.StatusServiceUnavailable && s.after != "":
				refused++
			default:
				t.Fatalf("got %d, Retry-After %q; want 202, or 503 and a time", code, s.after)
			}
			if refused == 3 {
				break
			}
		}
		if refused == 0 {
			t.Fatal("nothing was refused by a full disk")
		}
		var all sync.WaitGroup
		codes := make(chan int, 200)
		for i := range cap(codes) {
			all.Go(func() {
				body := s.push("", head)
				body["noise"] = strings.Repeat(fmt.Sprint(i), 200_000)
				codes <- s.post(body, fmt.Sprintf("crowd-%d-%d", round, i))
			})
		}
		all.Wait()
		close(codes)
		for code := range codes {
			switch code {
			case http.StatusAccepted:
				accepted++
			case http.StatusServiceUnavailable, http.StatusRequestTimeout: // a body was too slow, in the crowd
			default:
				t.Errorf("got %d of one in a crowd, want 202 or a refusal that asks for another try", code)
			}
		}
		if grown := heap() - before; grown > 32<<20 {
			t.Errorf("%d MiB more memory with a full disk", grown>>20)
		}
		if code, _ := s.look("/livez"); code != http.StatusOK {
			t.Errorf("livez: got %d; the agent lives on a full disk", code)
		}
		empty()
		head = s.commit("b.txt")
		s.until("recovery", func() bool { return s.send(s.push("", head)) == http.StatusAccepted })
		accepted++
		s.untilShown(head, "sync/site success")
	}
	s.until("rest", func() bool { return !s.unrouted() && s.idle() })
	if n := len(s.eventStates()); n != accepted {
		t.Errorf("%d events are stored, %d were acknowledged", n, accepted)
	}
	s.same("the last that the target got", s.place.shas()[len(s.place.shas())-1], head)
	for _, row := range s.deliveries() {
		if state := strings.Fields(row)[1]; state != store.Done && state != store.Skipped {
			t.Errorf("got delivery %q, want all of them ended well", row)
		}
	}
	s.same("notes", len(s.git.Notes(42, 7)), 1)
}
