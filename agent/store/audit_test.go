package store_test

import (
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/store/storetest"
)

// call is an audited call, n minutes after at.
func call(n int) store.Audit {
	return store.Audit{
		At: at.Add(time.Duration(n) * time.Minute), Token: "bot", Instance: "https://gitlab.example.com",
		Method: "GET", Route: "/api/v4/projects/:id", Status: 200, Took: 12345 * time.Microsecond,
	}
}

// all reads what a listing yields.
func all[T any](t *testing.T, rows iter.Seq2[T, error]) (got []T) {
	t.Helper()
	for row, err := range rows {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, row)
	}
	return got
}

func TestAuditedCallsAreFoundByWhatIsKnownOfThem(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		s := storetest.Open(t, c)
		rows := make([]store.Audit, 5)
		for i := range rows {
			rows[i] = call(i)
		}
		rows[1].Token, rows[1].Method, rows[1].Status = "lab", "POST", 403
		rows[2].Status, rows[2].Error = 0, "dial: refused\x00"
		rows[3].Instance = "https://lab.example.com"
		rows[4].Route, rows[4].Status = "/api/v4/user", 500
		if err := s.AddAudit(t.Context(), rows...); err != nil {
			t.Fatal(err)
		}
		for i := range rows {
			rows[i].ID = int64(i + 1)
		}
		rows[2].Error = "dial: refused\uFFFD"
		for name, tc := range map[string]struct {
			filter store.AuditFilter
			want   []int // of rows, newest first
		}{
			"all":               {store.AuditFilter{}, []int{4, 3, 2, 1, 0}},
			"the newest two":    {store.AuditFilter{Limit: 2}, []int{4, 3}},
			"the next page":     {store.AuditFilter{Limit: 2, Before: rows[3].ID}, []int{2, 1}},
			"since a time":      {store.AuditFilter{Since: rows[3].At}, []int{4, 3}},
			"of a token":        {store.AuditFilter{Token: "lab"}, []int{1}},
			"of an instance":    {store.AuditFilter{Instance: "https://lab.example.com"}, []int{3}},
			"of a method":       {store.AuditFilter{Method: "POST"}, []int{1}},
			"of a route":        {store.AuditFilter{Route: "/api/v4/user"}, []int{4}},
			"of a status":       {store.AuditFilter{Status: 403}, []int{1}},
			"those that failed": {store.AuditFilter{Failed: true}, []int{4, 2, 1}},
			"failed, of a page": {store.AuditFilter{Failed: true, Before: rows[4].ID, Token: "bot"}, []int{2}},
			"nobody's":          {store.AuditFilter{Token: "nobody"}, nil},
		} {
			var want []store.Audit
			for _, i := range tc.want {
				want = append(want, rows[i])
			}
			if diff := cmp.Diff(want, all(t, s.Audits(t.Context(), tc.filter))); diff != "" {
				t.Errorf("%s: want (-), got (+):\n%s", name, diff)
			}
		}
	})
}

func TestAnAuditOfNothingWritesNothing(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t, storetest.SQLite(t))
	before := s.Stats()
	if err := s.AddAudit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.Stats(); got != before {
		t.Errorf("got %+v, want no commit beyond %+v", got, before)
	}
	if err := s.AddAudit(t.Context(), store.Audit{Token: "bot"}); err != nil {
		t.Fatal(err)
	}
	if got := all(t, s.Audits(t.Context(), store.AuditFilter{})); len(got) != 1 || time.Since(got[0].At) > time.Minute {
		t.Errorf("got %+v, want one call of now", got)
	}
}

func TestOldCallsAreSweptAndYoungOnesStay(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		c.Retention = "P10D"
		s := storetest.Open(t, c)
		now := at.Add(20 * 24 * time.Hour)
		rows := make([]store.Audit, 450) // more than two steps
		for i := range rows {
			rows[i] = call(i)
			rows[i].Route = fmt.Sprint("/old/", i)
		}
		young := call(0)
		young.At, young.Route = now.Add(-time.Hour), "/young"
		edge := call(0)
		edge.At, edge.Route = now.Add(-10*24*time.Hour), "/edge"
		if err := s.AddAudit(t.Context(), slices.Concat(rows, []store.Audit{young, edge})...); err != nil {
			t.Fatal(err)
		}
		if n, err := s.Sweep(t.Context(), now); err != nil || n != len(rows) {
			t.Errorf("got %d, %v; want %d", n, err, len(rows))
		}
		var routes []string
		for _, a := range all(t, s.Audits(t.Context(), store.AuditFilter{})) {
			routes = append(routes, a.Route)
		}
		if diff := cmp.Diff([]string{"/edge", "/young"}, routes); diff != "" {
			t.Errorf("want (-), got (+):\n%s", diff)
		}
	})
}
