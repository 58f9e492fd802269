package work

import (
	"fmt"

	"gitlab.com/remora-ci/remora/agent/store"
)

// Holds says whether it is still the run of its key. A run asks it in every
// transaction of its own, so that one that has lost its lease changes nothing.
func (q *Queue) Holds(tx *store.Tx, it Item) (bool, error) {
	holds := false
	err := tx.Query(func(store.Row) error { holds = true; return nil },
		"SELECT 1 FROM work WHERE key = ? AND fence = ? AND state = 'running' FOR UPDATE", it.Key, it.Fence)
	if err != nil {
		return false, fmt.Errorf("ask for the run of %s: %w", it.Key, err)
	}
	return holds, nil
}

// GivenUp says whether the end of a run gave its key up. It does not when somebody
// asked for the key while it ran. Ask it in [Result].Finish.
func (q *Queue) GivenUp(tx *store.Tx, it Item) (bool, error) {
	dead := false
	err := tx.Query(func(store.Row) error { dead = true; return nil },
		"SELECT 1 FROM work WHERE key = ? AND fence = ? AND state = 'dead'", it.Key, it.Fence)
	if err != nil {
		return false, fmt.Errorf("ask for the end of %s: %w", it.Key, err)
	}
	return dead, nil
}
