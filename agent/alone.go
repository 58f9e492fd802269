package agent

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/rs/zerolog"

	"gitlab.com/remora-ci/remora/agent/store"
)

// alone says whether this agent has its database to itself, for as long as it
// runs: SQLite, and nobody else in its folder. Then what a killed agent left
// running goes on at once, without a wait for its lease.
func (a *Agent) alone(ctx context.Context, c store.Config) bool {
	file, err := c.File()
	if err != nil || file == "" {
		return false
	}
	release, mine, err := lockFolder(filepath.Dir(file))
	switch {
	case err != nil:
		zerolog.Ctx(ctx).Warn().Err(err).Msg("data folder not locked")
	case !mine:
		zerolog.Ctx(ctx).Warn().Msg("another agent uses the data folder")
	default:
		a.unlock = release
	}
	return mine
}

// close lets go of the store, then of its folder.
func (a *Agent) close() error {
	err := a.store.Close()
	if a.unlock != nil {
		err = errors.Join(err, a.unlock())
	}
	return err
}
