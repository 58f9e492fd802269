package store_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/store/storetest"
	"gitlab.com/remora-ci/remora/component/delivery"
)

// versions are what the tables say of themselves.
func versions(t *testing.T, s *store.Store) (newest, rows int64) {
	t.Helper()
	err := s.Query(t.Context(), func(r store.Row) error { return r.Scan(&newest, &rows) }, "SELECT MAX(version_id), COUNT(*) FROM remora_version")
	if err != nil {
		t.Fatal(err)
	}
	return newest, rows
}

// A command beside an agent takes the tables as they are, or not at all.
func TestTablesAreTakenAsTheyAre(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		asIs := c
		asIs.AsIs = true
		refused := func(summary, remedy string) {
			t.Helper()
			_, err := store.Open(t.Context(), asIs)
			if is, want := errors.Is(err, store.ErrAbsent), strings.HasPrefix(summary, "no "); is != want {
				t.Errorf("%s: is absent %t, want %t", summary, is, want)
			}
			var fault *delivery.Fault
			if !errors.As(err, &fault) || fault.Summary != summary || !strings.Contains(fault.Remedy, remedy) || fault.Cause == "" || delivery.StateOf(err) != delivery.Failed {
				t.Fatalf("got %v, want the permanent fault %q with a remedy that says %q", err, summary, remedy)
			}
		}
		unused := map[bool]string{true: "no agent has used this database", false: "no database"}[c.URL != ""]
		refused(unused, "--config")
		refused(unused, "REMORA_DATA_DIR") // nothing was made
		if c.URL == "" {
			if err := os.WriteFile(filepath.Join(c.Dir, "remora.db"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			refused("no agent has used this database", "--config")
		}

		s := storetest.Open(t, c)
		mustAppend(t, s, push("one"))
		newest, rows := versions(t, s)
		beside, err := store.Open(t.Context(), asIs)
		if err != nil {
			t.Fatal(err)
		}
		if n := count(t, beside, "event"); n != 1 {
			t.Errorf("got %d events, want 1", n)
		}
		mustAppend(t, beside, push("two")) // it may write
		if err := beside.Close(); err != nil {
			t.Error(err)
		}

		change := func(statement string, args ...any) {
			t.Helper()
			if err := s.Write(t.Context(), func(tx *store.Tx) error { _, err := tx.Exec(statement, args...); return err }); err != nil {
				t.Fatal(err)
			}
		}
		change("DELETE FROM remora_version WHERE version_id = ?", newest)
		refused("database is older than this program", "start the agent in this version")
		if got, n := versions(t, s); got != newest-1 || n != rows-1 {
			t.Errorf("the tables are of version %d, %d rows; they were to be left alone", got, n)
		}
		change("UPDATE remora_version SET version_id = 9999 WHERE version_id = ?", newest-1)
		refused("database is newer than this program", "newer remora")
	})
}

func TestWhyADatabaseCannotBeReached(t *testing.T) {
	t.Parallel()
	server := storetest.NewServer(t)
	for name, tc := range map[string]struct{ url, want string }{
		"nobody listens":            {"postgres://remora:hunter22@127.0.0.1:1/remora", "dial: "},
		"there is no such database": {strings.Replace(server.URL, "/postgres?", "/nowhere?", 1), `fatal: database "nowhere" does not exist`},
		"there is no such user":     {strings.Replace(server.URL, "remora@", "nobody:hunter22@", 1), `fatal: role "nobody" does not exist`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := store.Open(t.Context(), store.Config{URL: tc.url + map[bool]string{true: "&", false: "?"}[strings.Contains(tc.url, "?")] + "connect_timeout=1", AsIs: true})
			var fault *delivery.Fault
			if !errors.As(err, &fault) || !strings.Contains(fault.Cause, tc.want) || !strings.Contains(fault.Remedy, "--config") {
				t.Fatalf("got %v, want the cause %q and a remedy", err, tc.want)
			}
			if strings.Contains(err.Error()+fault.Cause, "hunter22") {
				t.Error("the password is told")
			}
		})
	}
	if got := store.Why(fmt.Errorf("dial: %w", &net.DNSError{Err: "no such host", Name: "db"})); got != "no host has that name" {
		t.Errorf("of an unknown host: got %q", got)
	}
	if got := store.Why(fmt.Errorf("dial: %w", context.DeadlineExceeded)); got != "no answer in time" {
		t.Errorf("of a server that hangs: got %q", got)
	}
}
