package store_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/store/storetest"
	"gitlab.com/remora-ci/remora/component/delivery"
)

func TestManyOpenAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		var all sync.WaitGroup
		for i := range 4 {
			all.Go(func() {
				s, err := store.Open(context.Background(), c)
				if err != nil {
					t.Errorf("open: %v", err)
					return
				}
				if _, _, err := s.Append(context.Background(), push(fmt.Sprint(i))); err != nil {
					t.Errorf("append: %v", err)
				}
				if err := s.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
		}
		all.Wait()
		if n := count(t, storetest.Open(t, c), "event"); n != 4 {
			t.Errorf("got %d events, want 4", n)
		}
	})
}

func TestANewerDatabaseIsRefused(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		s := storetest.Open(t, c)
		err := s.Write(t.Context(), func(tx *store.Tx) error {
			now := "now()"
			if !tx.Postgres() {
				now = "datetime('now')"
			}
			truth := map[bool]string{true: "true", false: "1"}[tx.Postgres()]
			_, err := tx.Exec("INSERT INTO remora_version (version_id, is_applied, tstamp) VALUES (9999, " + truth + ", " + now + ")")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = store.Open(t.Context(), c)
		var fault *delivery.Fault
		if !errors.As(err, &fault) || fault.Summary != "database is newer than this program" {
			t.Errorf("got %v, want a refusal", err)
		}
	})
}

func TestAFileThatIsNoDatabaseIsRefused(t *testing.T) {
	t.Parallel()
	c := storetest.SQLite(t)
	if err := os.WriteFile(filepath.Join(c.Dir, "remora.db"), bytes.Repeat([]byte("no database "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := store.Open(t.Context(), c)
	var fault *delivery.Fault
	if !errors.As(err, &fault) || !strings.Contains(fault.Remedy, "REMORA_DATA_DIR") {
		t.Errorf("got %v, want a fault that names the variable", err)
	}
}

func TestADatabaseThatIsAwayIsNamedWithoutItsPassword(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := store.Open(ctx, store.Config{URL: "postgres://remora:hunter22@127.0.0.1:1/remora"})
	if err == nil || strings.Contains(err.Error(), "hunter22") || !strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("got %v, want an error with the host and without the password", err)
	}
}

func TestAServerThatComesBackIsWaitedFor(t *testing.T) {
	t.Parallel()
	server := storetest.NewServer(t)
	s := storetest.Open(t, server.Config(t))
	mustAppend(t, s, push("before"))
	server.Crash(t)

	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, _, err := s.Append(ctx, push("given up")); err == nil {
		t.Fatal("stored without a database")
	}
	waits := make(chan error, 2)
	go func() { _, _, err := s.Append(context.Background(), push("waited")); waits <- err }()
	go func() {
		waits <- s.Write(context.Background(), func(tx *store.Tx) error { _, err := tx.Fire("waited", at); return err })
	}()
	server.Start(t)
	for range 2 {
		if err := <-waits; err != nil {
			t.Errorf("after the server came back: %v", err)
		}
	}
	mustAppend(t, s, push("after"))
	if slot, err := s.LastFired(t.Context(), "waited"); err != nil || slot.IsZero() {
		t.Errorf("got %v, %v", slot, err)
	}
}

func TestADiskThatIsFullAnswersWithAnError(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t, storetest.SQLite(t))
	mustAppend(t, s, push("before"))
	limit := func(pages string) {
		t.Helper()
		err := s.Write(t.Context(), func(tx *store.Tx) error {
			return tx.Query(func(store.Row) error { return nil }, "PRAGMA max_page_count("+pages+")")
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	limit("1") // as many as there are
	var all sync.WaitGroup
	failed := make(chan error, 100)
	for i := range 100 {
		all.Go(func() {
			e := push(fmt.Sprint("full ", i))
			e.Body = bytes.Repeat(fmt.Append(nil, i, "%"), 10_000)
			e.Reason = strings.Repeat("x", 20_000)
			_, _, err := s.Append(context.Background(), e)
			failed <- err
		})
	}
	all.Wait()
	n := 0
	for range 100 {
		if <-failed != nil {
			n++
		}
	}
	if n == 0 {
		t.Fatal("nothing failed on a full disk")
	}
	limit("1000000")
	mustAppend(t, s, push("after"))
	if got := count(t, s, "event"); got != 102-n {
		t.Errorf("got %d events, want %d: those that were answered", got, 102-n)
	}
}

func TestLibcIsTheOneOfSQLite(t *testing.T) {
	t.Parallel()
	module := func(name string) (version, file string) {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-json", name).Output()
		if err != nil {
			t.Skipf("go list -m %s does not answer: %v", name, err)
		}
		var m struct{ Version, GoMod string }
		if err := json.Unmarshal(out, &m); err != nil {
			t.Fatal(err)
		}
		return m.Version, m.GoMod
	}
	have, _ := module("modernc.org/libc")
	_, file := module("modernc.org/sqlite")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Skipf("go.mod of modernc.org/sqlite is not here: %v", err)
	}
	want := regexp.MustCompile(`(?m)^\s*modernc\.org/libc (\S+)`).FindSubmatch(text)
	if want == nil || string(want[1]) != have {
		t.Errorf("modernc.org/libc is %s, and modernc.org/sqlite was made with %s: another module has raised it", have, want)
	}
}
