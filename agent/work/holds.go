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
