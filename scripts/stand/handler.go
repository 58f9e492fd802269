package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"
)

// handler serves one of the handlers that the agent is measured beside, in a
// process of its own: "nothing" reads the body and answers, "row" commits one row
// for each request, in SQLite in dir or in the PostgreSQL at databaseURL, with
// every commit synced.
func handler(ctx context.Context, kind, address, dir, databaseURL string) error {
	keep := func(context.Context, string, []byte) error { return nil }
	if kind == "row" {
		insert, closeDB, err := rows(ctx, dir, databaseURL)
		if err != nil {
			return err
		}
		defer closeDB()
		keep = insert
	} else if kind != "nothing" {
		return fmt.Errorf("unknown handler %q: nothing or row", kind)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /hooks/gitlab", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 26<<20))
		if err == nil {
			err = keep(r.Context(), r.Header.Get("Idempotency-Key"), body)
		}
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = io.WriteString(w, "{}\n")
	})
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// rows opens a database with one table and returns what inserts into it.
func rows(ctx context.Context, dir, databaseURL string) (insert func(context.Context, string, []byte) error, closeDB func(), err error) {
	driver, source, conns, blob := "sqlite", "file:"+filepath.Join(dir, "rows.db")+"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)", 1, "BLOB"
	query := "INSERT INTO row (id, body) VALUES (?, ?) ON CONFLICT (id) DO NOTHING"
	if databaseURL != "" {
		driver, source, conns, blob = "pgx", databaseURL, 16, "BYTEA"
		query = "INSERT INTO row (id, body) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING"
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		return nil, nil, err
	}
	closeDB = func() { _ = db.Close() }
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	if _, err = db.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS row (id TEXT PRIMARY KEY, body "+blob+" NOT NULL)"); err != nil {
		closeDB()
		return nil, nil, err
	}
	statement, err := db.PrepareContext(ctx, query) //nolint:sqlclosecheck // it ends with the database
	if err != nil {
		closeDB()
		return nil, nil, err
	}
	return func(ctx context.Context, id string, body []byte) error {
		_, err := statement.ExecContext(ctx, id, body)
		return err
	}, closeDB, nil
}
