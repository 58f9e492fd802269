// Package storetest runs a test on both databases of a store.
//
// PostgreSQL is a private cluster that a test binary starts when it first needs
// one, from initdb and postgres of the machine, as another user where the tests
// run as root; or the server of REMORA_TEST_POSTGRES_URL, whose user may create
// databases. Where there is neither, the test is skipped and says so, or fails if
// REMORA_TEST_REQUIRE_POSTGRES is set. Each test has a database of its own.
package storetest

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"gitlab.com/remora-ci/remora/agent/store"
)

// Databases runs test on SQLite and on PostgreSQL, in parallel, each with the
// Config of an empty database.
func Databases(t *testing.T, test func(t *testing.T, c store.Config)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, SQLite(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, Postgres(t))
	})
}

// Open opens a store that is closed when the test ends.
func Open(t testing.TB, c store.Config) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), c)
	if err != nil {
		t.Fatalf("open store: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close store: %v", err)
		}
	})
	return s
}

// SQLite is the Config of a new file.
func SQLite(t testing.TB) store.Config {
	t.Helper()
	return store.Config{Dir: t.TempDir()}
}

// Postgres is the Config of a new database, dropped when the test ends. The test
// is skipped where there is no PostgreSQL.
func Postgres(t testing.TB) store.Config {
	t.Helper()
	s, err := sharedServer()
	if err != nil {
		absent(t, err)
	}
	return s.Config(t)
}

// absent skips a test for want of a PostgreSQL; or fails it, where the machine is
// meant to have one.
func absent(t testing.TB, err error) {
	t.Helper()
	if os.Getenv("REMORA_TEST_REQUIRE_POSTGRES") != "" {
		t.Fatalf("no PostgreSQL for this test, and REMORA_TEST_REQUIRE_POSTGRES is set: %v", err)
	}
	t.Skipf("no PostgreSQL for this test: %v", err)
}

// sharedServer is the server that all tests of the binary use. It is kept here
// because it ends when nobody holds it any more.
var sharedServer = sync.OnceValues(func() (*Server, error) {
	if address := os.Getenv("REMORA_TEST_POSTGRES_URL"); address != "" {
		return &Server{URL: address}, nil
	}
	return startServer()
})

var databases atomic.Int64

// newDatabase makes a database on a server and returns its address.
func newDatabase(t testing.TB, address string) string {
	t.Helper()
	name := fmt.Sprintf("remora_test_%d_%d", os.Getpid(), databases.Add(1))
	if err := command(t.Context(), address, "CREATE DATABASE "+name); err != nil {
		t.Fatalf("create database: %v", err)
	}
	t.Cleanup(func() {
		// The server may be gone by the will of the test; then so is the database.
		_ = command(context.Background(), address, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
	})
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal("REMORA_TEST_POSTGRES_URL is no URL")
	}
	u.Path = "/" + name
	return u.String()
}

// command runs one statement on a connection of its own.
func command(ctx context.Context, address, statement string) error {
	db, err := sql.Open("pgx", address)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	_, err = db.ExecContext(ctx, statement)
	return err
}
