package store_test

import (
	"strings"
	"testing"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/store/storetest"
)

// plan is how SQLite goes about a statement.
func plan(t *testing.T, s *store.Store, query string, args ...any) string {
	t.Helper()
	var steps []string
	err := s.Query(t.Context(), func(r store.Row) error {
		var id, parent, unused int
		var detail string
		err := r.Scan(&id, &parent, &unused, &detail)
		steps = append(steps, detail)
		return err
	}, "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(steps, "\n")
}

func TestReadingWhatWaitsDoesNotScan(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t, storetest.SQLite(t))
	for name, tc := range map[string]struct {
		query string
		index string
	}{
		"received": {store.ReceivedSQL, "event_received"},
		"waiting":  {"SELECT id FROM delivery" + store.WaitingWhere, "delivery_open"},
	} {
		args := []any{"x"}
		got := plan(t, s, tc.query, args...)
		for line := range strings.Lines(got) {
			if strings.Contains(line, "SCAN") && !strings.Contains(line, tc.index) || strings.Contains(line, "TEMP B-TREE") {
				t.Errorf("%s scans or sorts:\n%s", name, got)
			}
		}
		if !strings.Contains(got, tc.index) {
			t.Errorf("%s does not use %s:\n%s", name, tc.index, got)
		}
	}
}
