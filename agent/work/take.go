package work

import (
	"fmt"

	"gitlab.com/remora-ci/remora/agent/store"
)

// Take says that the run it now deals with everything that was asked for so far,
// and returns it with the newest event of that. held is false when the run has
// lost its lease: then it changes nothing.
//
// Call it in the transaction that reads what waits for the key, before reading.
// What is put later is news: it is still there when the run ends, however that
// ends. Without Take, a delivery that arrives between the claim and the reading
// would be dealt with by this run and counted as news all the same, and if the
// run is given up, it would go down with the run while the key does not.
func (q *Queue) Take(tx *store.Tx, it Item) (taken Item, held bool, err error) {
	err = tx.Query(func(r store.Row) error {
		held = true
		return r.Scan(&it.Wanted)
	}, "UPDATE work SET seen = asked, taken = wanted WHERE key = ? AND fence = ? AND state = 'running' RETURNING wanted", it.Key, it.Fence)
	if err != nil {
		return it, false, fmt.Errorf("take %s: %w", it.Key, err)
	}
	return it, held, nil
}
