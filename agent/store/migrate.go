package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"

	"gitlab.com/remora-ci/remora/component/delivery"
)

//go:embed migrations/sqlite/*.sql migrations/postgres/*.sql
var migrations embed.FS

// migrateTries is how often a migration is begun: when two processes start at
// once, one of them finds the tables made under its hands.
const migrateTries = 5

// migrate brings the tables up to date, each version in a transaction of its own.
// A database that is newer than this program is refused.
func migrate(ctx context.Context, db *sql.DB, postgres bool) error {
	dialect, files, err := migrationsOf(postgres)
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		err := migrateOnce(ctx, db, dialect, files)
		if err == nil || try == migrateTries || ctx.Err() != nil {
			return err
		}
		select {
		case <-time.After(time.Duration(try) * 100 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func migrationsOf(postgres bool) (goose.Dialect, fs.FS, error) {
	dialect, folder := goose.DialectSQLite3, "migrations/sqlite"
	if postgres {
		dialect, folder = goose.DialectPostgres, "migrations/postgres"
	}
	files, err := fs.Sub(migrations, folder)
	return dialect, files, err
}

// versionTable is where goose notes which migrations were made.
const versionTable = "remora_version"

func migrateOnce(ctx context.Context, db *sql.DB, dialect goose.Dialect, files fs.FS) error {
	p, err := goose.NewProvider(dialect, db, files, goose.WithDisableGlobalRegistry(true), goose.WithTableName(versionTable))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	have, want, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read version of the tables: %w", err)
	}
	switch {
	case have == want:
		return nil
	case have > want:
		return tooNew(have, want)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate tables: %w", err)
	}
	return nil
}

func tooNew(have, want int64) error {
	return delivery.Permanent(&delivery.Fault{
		Summary: "database is newer than this program",
		Cause:   fmt.Sprintf("its tables have version %d; this program knows version %d", have, want),
		Remedy:  "run the newer remora, or put back the database of the older one",
	})
}

// checkTables tells if the tables are not those that this program knows. It
// changes nothing.
func checkTables(ctx context.Context, db *sql.DB, postgres bool) error {
	dialect, files, err := migrationsOf(postgres)
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(dialect, db, files, goose.WithDisableGlobalRegistry(true), goose.WithTableName(versionTable))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	sources := p.ListSources()
	want := sources[len(sources)-1].Version
	exists := "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = '" + versionTable + "'"
	if postgres {
		exists = "SELECT count(*) FROM pg_class WHERE oid = to_regclass('" + versionTable + "')"
	}
	var tables, have int64
	if err := db.QueryRowContext(ctx, exists).Scan(&tables); err != nil {
		return fmt.Errorf("look for tables: %w", err)
	}
	if tables > 0 {
		if err := db.QueryRowContext(ctx, "SELECT COALESCE(MAX(version_id), 0) FROM "+versionTable).Scan(&have); err != nil {
			return fmt.Errorf("read version of the tables: %w", err)
		}
	}
	switch {
	case have > want:
		return tooNew(have, want)
	case have == 0:
		return absent{delivery.Permanent(&delivery.Fault{
			Summary: "no agent has used this database", Cause: "it has no tables of remora; an agent makes them when it starts", Remedy: whichOne,
		})}
	case have < want:
		return delivery.Permanent(&delivery.Fault{
			Summary: "database is older than this program",
			Cause:   fmt.Sprintf("its tables have version %d, and this program needs version %d; changing them is left to the agent, which may be running", have, want),
			Remedy:  "use the remora of the version that the agent has, or start the agent in this version first",
		})
	}
	return nil
}

// whichOne is the remedy where the database is not the agent's.
const whichOne = "run this as the agent runs: with its REMORA_DATA_DIR or REMORA_DATABASE_URL, or its file by --config (REMORA_CONFIG)"
