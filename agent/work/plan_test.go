package work_test

import (
	"regexp"
	"strings"
	"testing"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/store/storetest"
	"gitlab.com/remora-ci/remora/agent/work"
)

// small are the indexes that hold only what waits, runs or is dead: reading one of
// them whole costs what there is to do, however large the table is.
var small = regexp.MustCompile(`USING (COVERING )?INDEX work_(ready|later|running|dead)`)

func TestAClaimDoesNotScanTheTable(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t, storetest.SQLite(t))
	for name, query := range work.ClaimStatements() {
		var steps []string
		err := s.Write(t.Context(), func(tx *store.Tx) error {
			args := make([]any, strings.Count(query, "?"))
			for i := range args {
				args[i] = 1
			}
			return tx.Query(func(r store.Row) error {
				var id, parent, unused int
				var detail string
				err := r.Scan(&id, &parent, &unused, &detail)
				steps = append(steps, detail)
				return err
			}, "EXPLAIN QUERY PLAN "+query, args...)
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range steps {
			if regexp.MustCompile(`^(SCAN|SEARCH) (work|c|f|r|w)\b`).MatchString(step) &&
				!small.MatchString(step) && !strings.Contains(step, "PRIMARY KEY") {
				t.Errorf("%s: %q reads the table:\n%s", name, step, strings.Join(steps, "\n"))
			}
		}
		t.Logf("%s:\n  %s", name, strings.Join(steps, "\n  "))
	}
}
