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

	_ "modernc.org/sqlite" // the driver "sqlite"

	"gitlab.com/remora-ci/remora/component/delivery"
)

const (
	fileName = "remora.db"

	// quickCheckBelow is the size up to which the whole file is checked at start:
	// the time that takes grows with it.
	quickCheckBelow = 64 << 20
)

// pragmas of every connection. FULL syncs the log at each commit; NORMAL would
// not. Checkpoints are the keeper's; the automatic one is a net below it.
const pragmas = "_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)" +
	"&_pragma=wal_autocheckpoint(32768)&_pragma=journal_size_limit(67108864)&_pragma=temp_store(MEMORY)"

// openSQLite opens the file, with one connection that writes and a few that read.
func openSQLite(ctx context.Context, s *Store, c Config) error {
	dir, err := c.dir()
	if err != nil {
		return err
	}
	path := filepath.Join(dir, fileName)
	if c.AsIs {
		err = findFile(path)
	} else {
		err = makeFile(dir, path)
	}
	if err != nil {
		return err
	}
	writer, err := openFile(path, "&_pragma=auto_vacuum(INCREMENTAL)&_pragma=cache_size(-16384)&_txlock=immediate", 1)
	if err != nil {
		return err
	}
	if err := prepareFile(ctx, writer, path, c.AsIs); err != nil {
		_ = writer.Close()
		return err
	}
	keeper, err := openFile(path, "&_pragma=cache_size(-256)", 1)
	if err != nil {
		return errors.Join(err, writer.Close())
	}
	if s.read, err = openFile(path, "&_pragma=query_only(1)&_pragma=cache_size(-4096)", 4); err != nil {
		return errors.Join(err, writer.Close(), keeper.Close())
	}
	e := &sqliteEngine{store: s, db: writer, keeper: keeper, queue: newQueue(), tidy: make(chan struct{}, 1)}
	e.start()
	s.engine = e
	return nil
}

// makeFile makes the folder and the file, for the eyes of their owner alone:
// payloads are not for everybody. The log beside it inherits the mode.
func makeFile(dir, path string) error {
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		var f *os.File
		if f, err = os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600); err == nil {
			err = f.Close()
		}
	}
	if err != nil {
		return &delivery.Fault{
			Summary: "data folder cannot be written", Cause: "the SQLite database lives in " + dir + ", which this process may not write",
			Remedy: "give it a folder on a local disk that it may write, with REMORA_DATA_DIR", Err: err,
		}
	}
	return nil
}

// findFile tells if there is no file that can be read and written.
func findFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	switch {
	case err == nil:
		return f.Close()
	case errors.Is(err, fs.ErrNotExist):
		return absent{delivery.Permanent(&delivery.Fault{Summary: "no database", Cause: "there is no " + path + ", which an agent makes when it starts", Remedy: whichOne, Err: err})}
	}
	return delivery.Permanent(&delivery.Fault{
		Summary: "database cannot be read", Cause: "this process may not read and write " + path + ", or the folder that it is in", Remedy: "run this as the user that the agent runs as", Err: err,
	})
}

func openFile(path, options string, conns int) (*sql.DB, error) {
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath(), RawQuery: pragmas + options}
	db, err := sql.Open("sqlite", u.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

// prepareFile checks a file that is not too large, and brings its tables up to
// date, or takes them as they are.
func prepareFile(ctx context.Context, db *sql.DB, path string, asIs bool) error {
	var answer string
	query := "PRAGMA quick_check(1)"
	if info, err := os.Stat(path); err == nil && info.Size() > quickCheckBelow {
		query = "SELECT CASE WHEN count(*) >= 0 THEN 'ok' END FROM sqlite_schema"
	}
	err := db.QueryRowContext(ctx, query).Scan(&answer)
	if err == nil && answer != "ok" {
		err = errors.New(answer)
	}
	if err != nil {
		return &delivery.Fault{
			Summary: "database cannot be read", Cause: "SQLite does not accept " + path,
			Remedy: "put back a copy of the folder REMORA_DATA_DIR, or move the file away to start anew", Err: err,
		}
	}
	var mode string
	if err := db.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return &delivery.Fault{
			Summary: "no write-ahead log", Cause: fmt.Sprintf("SQLite keeps the journal mode %s for %s", mode, path),
			Remedy: "REMORA_DATA_DIR must be a folder on a local disk, not on a network file system",
		}
	}
	if asIs {
		return checkTables(ctx, db, false)
	}
	return migrate(ctx, db, false)
}
