package store_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/store/storetest"
	"gitlab.com/remora-ci/remora/component/delivery"
)

func inspected(t *testing.T, c store.Config) (text string, usable bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	found, usable := store.Inspect(ctx, c)
	var b strings.Builder
	for _, f := range found {
		b.WriteString(string(f.Level) + " " + f.Subject + ": " + f.Text + " | " + f.Remedy + "\n")
		if (f.Remedy == "") != (f.Level == delivery.Pass) {
			t.Errorf("finding %+v, want a remedy unless it passed", f)
		}
	}
	return b.String(), usable
}

func TestInspectSaysHowTheDatabaseIsAndLeavesItSo(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		// Before there are tables.
		if got, usable := inspected(t, c); usable || !strings.Contains(got, "warn database: ") || !strings.Contains(got, "start the agent") {
			t.Errorf("an empty one: usable %v, %s", usable, got)
		}
		if got, _ := inspected(t, c); !strings.Contains(got, "start the agent") {
			t.Errorf("the first look changed it: %s", got)
		}
		s := storetest.Open(t, c)
		if got, usable := inspected(t, c); !usable || !strings.Contains(got, "pass database: ") || !strings.Contains(got, "tables of version") {
			t.Errorf("one that is well: usable %v, %s", usable, got)
		}
		for _, tt := range []struct{ set, want string }{
			{"DELETE FROM remora_version WHERE version_id = (SELECT max(version_id) FROM remora_version)", "warn database: "},
			{"INSERT INTO remora_version (version_id, is_applied) VALUES (99999, TRUE)", "fail database: "},
		} {
			if err := s.Write(t.Context(), func(tx *store.Tx) error { _, err := tx.Exec(tt.set); return err }); err != nil {
				t.Fatal(err)
			}
			if got, usable := inspected(t, c); usable || !strings.Contains(got, tt.want) {
				t.Errorf("after %s: usable %v, %s", tt.set, usable, got)
			}
		}
	})
}

func TestInspectOfADatabaseThatIsAway(t *testing.T) {
	t.Parallel()
	const password = "canary-password-7f1a"
	got, usable := inspected(t, store.Config{URL: "postgres://remora:" + password + "@127.0.0.1:1/remora"})
	if usable || !strings.Contains(got, "fail database: database cannot be reached") || !strings.Contains(got, "REMORA_DATABASE_URL") {
		t.Errorf("usable %v, %s", usable, got)
	}
	if strings.Contains(got, password) {
		t.Errorf("the password is in %s", got)
	}
	got, usable = inspected(t, store.Config{URL: "mysql://" + password})
	if usable || !strings.Contains(got, "fail database: settings are wrong") || strings.Contains(got, password) {
		t.Errorf("usable %v, %s", usable, got)
	}
}

func TestInspectOfAFileThatIsNoDatabase(t *testing.T) {
	t.Parallel()
	c := storetest.SQLite(t)
	path, err := c.File()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Repeat("no database at all ", 500)), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, usable := inspected(t, c); usable || !strings.Contains(got, "fail database: cannot be read") || !strings.Contains(got, "disk: ") {
		t.Errorf("usable %v, %s", usable, got)
	}
}
