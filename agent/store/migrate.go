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
	dialect, folder := goose.DialectSQLite3, "migrations/sqlite"
	if postgres {
		dialect, folder = goose.DialectPostgres, "migrations/postgres"
	}
	files, err := fs.Sub(migrations, folder)
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

func migrateOnce(ctx context.Context, db *sql.DB, dialect goose.Dialect, files fs.FS) error {
	p, err := goose.NewProvider(dialect, db, files, goose.WithDisableGlobalRegistry(true), goose.WithTableName("remora_version"))
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
		return delivery.Permanent(&delivery.Fault{
			Summary: "database is newer than this program",
			Cause:   fmt.Sprintf("its tables have version %d; this program knows version %d", have, want),
			Remedy:  "run the newer remora, or put back the database of the older one",
		})
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate tables: %w", err)
	}
	return nil
}
