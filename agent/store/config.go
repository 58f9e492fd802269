package store

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/sosodev/duration"

	"gitlab.com/remora-ci/remora/component/delivery"
)

// Config says where the store is and how long it remembers.
type Config struct {
	URL       string          `env:"REMORA_DATABASE_URL" usage:"PostgreSQL that several agents share, postgres://user:password@host/name; empty: SQLite in REMORA_DATA_DIR"`
	Dir       string          `env:"REMORA_DATA_DIR" usage:"folder of the SQLite database, on a local disk; default $XDG_STATE_HOME/remora, else ~/.local/state/remora"`
	Key       delivery.Secret `env:"REMORA_ENCRYPTION_KEY" usage:"key that encrypts stored tokens: base64 of 32 random bytes or of a tink AEAD keyset; without it none is stored"`
	Retention string          `env:"REMORA_RETENTION, default=P30D" usage:"how long ended events and deliveries are kept, as an ISO 8601 duration of weeks, days and times"`

	// AsIs opens only a store whose tables are those that this program knows, and
	// changes nothing about them: for commands beside an agent, which may be older.
	AsIs bool
}

// defaultRetention stands in for an empty Retention.
const defaultRetention = "P30D"

// Validate reports everything that is wrong with the configuration.
func (c Config) Validate() error {
	var faults []error
	if c.URL != "" {
		// The address may hold a password, so the reason is not repeated.
		if u, err := url.Parse(c.URL); err != nil || u.Host == "" && u.RawQuery == "" || !c.postgres() {
			faults = append(faults, errors.New("REMORA_DATABASE_URL: no address of a PostgreSQL; write postgres://user:password@host:5432/name, or leave it empty for SQLite"))
		}
	} else if _, err := c.dir(); err != nil {
		faults = append(faults, err)
	}
	if !c.Key.Empty() {
		if _, err := newVault(c.Key); err != nil {
			faults = append(faults, fmt.Errorf("REMORA_ENCRYPTION_KEY: %w", err))
		}
	}
	if _, err := c.retention(); err != nil {
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

func (c Config) postgres() bool {
	u, err := url.Parse(c.URL)
	return err == nil && (u.Scheme == "postgres" || u.Scheme == "postgresql")
}

// dir is the folder of the SQLite database.
func (c Config) dir() (string, error) {
	if c.Dir != "" {
		return c.Dir, nil
	}
	if state := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return filepath.Join(state, "remora"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", errors.New("REMORA_DATA_DIR: missing, and there is no home folder to fall back to")
	}
	return filepath.Join(home, ".local", "state", "remora"), nil
}

// retention is how long what has ended is kept.
func (c Config) retention() (time.Duration, error) {
	text := c.Retention
	if text == "" {
		text = defaultRetention
	}
	d, err := duration.Parse(text)
	if err != nil || d.Negative || d.Years != 0 || d.Months != 0 || d.ToTimeDuration() < time.Hour {
		return 0, fmt.Errorf("REMORA_RETENTION: %q is no duration of an hour or more in weeks, days and times; write P30D or PT12H", text)
	}
	return d.ToTimeDuration(), nil
}
