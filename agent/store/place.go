package store

import "path/filepath"

// File is where the SQLite database lies, whether it is there or not; it is empty
// for PostgreSQL.
func (c Config) File() (string, error) {
	if c.URL != "" {
		return "", nil
	}
	dir, err := c.dir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, fileName), nil
}
