package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"gitlab.com/remora-ci/remora/component/delivery"
)

const (
	subjectDatabase = "database"
	subjectDisk     = "disk"

	littleRoom = 1 << 30   // bytes: time to look
	noRoom     = 100 << 20 // bytes: a busy agent fills that in minutes
)

// Inspect looks at the database that c names and changes nothing in it; above all
// it does not bring the tables up to date, for an older agent may be at work. usable
// says that [Open] would find nothing to bring up to date.
func Inspect(ctx context.Context, c Config) (found []delivery.Finding, usable bool) {
	if err := c.Validate(); err != nil {
		return []delivery.Finding{delivery.Wrong(subjectDatabase, delivery.Fail, &delivery.Fault{Summary: "settings are wrong", Cause: err.Error(), Remedy: "correct them; remora config validate tells them all"})}, false
	}
	if c.postgres() {
		return inspectPostgres(ctx, c)
	}
	return inspectSQLite(ctx, c)
}

func inspectSQLite(ctx context.Context, c Config) (found []delivery.Finding, usable bool) {
	path, err := c.File()
	if err != nil {
		return []delivery.Finding{delivery.Wrong(subjectDatabase, delivery.Fail, err)}, false
	}
	found = append(found, inspectDisk(filepath.Dir(path)))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return append(found, delivery.Finding{Subject: subjectDatabase, Level: delivery.Warn, Text: "SQLite: there is no file " + path + " yet", Remedy: "start the agent, which makes it; or run this with the agent's own REMORA_DATA_DIR or REMORA_DATABASE_URL, as the user that it runs as"}), false
	case err != nil:
		return append(found, delivery.Wrong(subjectDatabase, delivery.Fail, &delivery.Fault{Summary: "file cannot be written", Cause: err.Error(), Remedy: "let the user that the agent runs as read and write REMORA_DATA_DIR"})), false
	}
	if err := f.Close(); err != nil {
		return append(found, delivery.Wrong(subjectDatabase, delivery.Fail, err)), false
	}
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath(), RawQuery: "mode=ro&_pragma=busy_timeout(5000)&_pragma=query_only(1)"}
	db, err := sql.Open("sqlite", u.String())
	if err != nil {
		return append(found, delivery.Wrong(subjectDatabase, delivery.Fail, err)), false
	}
	defer func() { _ = db.Close() }()
	one, usable := inspectTables(ctx, db, goose.DialectSQLite3, "SQLite in "+path)
	return append(found, one), usable
}

func inspectPostgres(ctx context.Context, c Config) (found []delivery.Finding, usable bool) {
	cfg, err := pgx.ParseConfig(c.URL)
	if err != nil {
		// The text of the error may hold parts of the address.
		return []delivery.Finding{delivery.Wrong(subjectDatabase, delivery.Fail, &delivery.Fault{Summary: "address is wrong", Cause: "PostgreSQL's driver does not understand it", Remedy: "look at REMORA_DATABASE_URL: postgres://user:password@host:5432/name"})}, false
	}
	cfg.ConnectTimeout = patience
	probe := &Store{}
	if err := probe.checkServer(ctx, cfg); err != nil {
		return []delivery.Finding{delivery.Wrong(subjectDatabase, delivery.Fail, err)}, false
	}
	db := stdlib.OpenDB(*cfg)
	defer func() { _ = db.Close() }()
	var version string
	if err := db.QueryRowContext(ctx, "SHOW server_version").Scan(&version); err != nil {
		return []delivery.Finding{delivery.Wrong(subjectDatabase, delivery.Fail, err)}, false
	}
	version, _, _ = strings.Cut(version, " ")
	one, usable := inspectTables(ctx, db, goose.DialectPostgres, "PostgreSQL "+version+" at "+cfg.Host)
	found = append(found, one)
	for _, text := range probe.warnings {
		found = append(found, delivery.Finding{Subject: subjectDatabase, Level: delivery.Warn, Text: text, Remedy: "set both synchronous_commit and fsync to on in postgresql.conf"})
	}
	return found, usable
}

// inspectTables compares the version of the tables with the one that this program
// knows.
func inspectTables(ctx context.Context, db *sql.DB, d goose.Dialect, where string) (delivery.Finding, bool) {
	folder := "migrations/sqlite"
	if d == goose.DialectPostgres {
		folder = "migrations/postgres"
	}
	have, want, err := tableVersions(ctx, db, d, folder)
	f := delivery.Finding{Subject: subjectDatabase, Level: delivery.Warn}
	switch {
	case err != nil:
		return delivery.Wrong(subjectDatabase, delivery.Fail, &delivery.Fault{Summary: "cannot be read", Cause: err.Error(), Remedy: "put back a copy, or see what the database says"}), false
	case have == 0:
		f.Text, f.Remedy = where+": there are no tables yet", "start the agent, which makes them"
	case have < want:
		f.Text, f.Remedy = fmt.Sprintf("%s: its tables have version %d, this program knows %d", where, have, want), "restart the agents with this version: the first brings them up to date"
	case have > want:
		f.Level, f.Text = delivery.Fail, fmt.Sprintf("%s: its tables have version %d, this program knows only %d", where, have, want)
		f.Remedy = "run the newer remora, or put back the database of the older one"
	default:
		f.Level, f.Text = delivery.Pass, fmt.Sprintf("%s: tables of version %d", where, have)
	}
	return f, have == want
}

// tableVersions reads what goose wrote down; have is 0 if it wrote nothing.
func tableVersions(ctx context.Context, db *sql.DB, d goose.Dialect, folder string) (have, want int64, err error) {
	files, err := fs.Sub(migrations, folder)
	if err != nil {
		return 0, 0, err
	}
	p, err := goose.NewProvider(d, db, files, goose.WithDisableGlobalRegistry(true), goose.WithTableName("remora_version"))
	if err != nil {
		return 0, 0, err
	}
	for _, source := range p.ListSources() {
		want = max(want, source.Version)
	}
	tables := "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'remora_version'"
	if d == goose.DialectPostgres {
		tables = "SELECT count(*) FROM pg_class WHERE oid = to_regclass('remora_version')"
	}
	var n int
	if err := db.QueryRowContext(ctx, tables).Scan(&n); err != nil || n == 0 {
		return 0, want, err
	}
	err = db.QueryRowContext(ctx, "SELECT COALESCE(max(version_id), 0) FROM remora_version").Scan(&have)
	return have, want, err
}

// inspectDisk says how much room there is in the folder, or in the nearest one
// above it that is there.
func inspectDisk(dir string) delivery.Finding {
	for dir != filepath.Dir(dir) {
		if _, err := os.Stat(dir); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	free, ok := freeBytes(dir)
	f := delivery.Finding{Subject: subjectDisk, Level: delivery.Pass, Text: fmt.Sprintf("%.1f GiB are free in %s", float64(free)/(1<<30), dir)}
	switch {
	case !ok:
		f.Text = "how much is free in " + dir + " is not told on this system"
	case free < noRoom:
		f.Level, f.Text = delivery.Fail, fmt.Sprintf("only %d MiB are free in %s", free>>20, dir)
	case free < littleRoom:
		f.Level, f.Text = delivery.Warn, fmt.Sprintf("only %d MiB are free in %s", free>>20, dir)
	}
	if f.Level != delivery.Pass {
		f.Remedy = "make room: an event that cannot be stored is refused; or keep less with REMORA_RETENTION"
	}
	return f
}
