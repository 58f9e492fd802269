package api_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/remora-ci/remora/agent/api"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/store/storetest"
)

var at = time.Date(2026, 11, 20, 14, 3, 0, 0, time.UTC)

// stocked is an API whose store has five events, an hour apart, the newest at at.
func stocked(t *testing.T, c store.Config) (*rig, *store.Store) {
	t.Helper()
	s := storetest.Open(t, c)
	for i, e := range []store.Event{
		{Kind: "push", Project: "acme/app", Ref: "refs/heads/main", SHA: "c0ffee", TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
		{Kind: "push", Project: "acme/lib"},
		{Kind: "note", Project: "acme/app"},
		{Kind: "push", Project: "acme/app"},
		{Kind: "job", Project: "acme/app"},
	} {
		e.IdempotencyKey, e.ReceivedAt, e.Instance, e.Body = fmt.Sprint("key-", i+1), at.Add(time.Duration(i-4)*time.Hour), instance, []byte(`{"user_email":"canary"}`)
		if _, _, err := s.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	err := s.Write(t.Context(), func(tx *store.Tx) error {
		for _, id := range []int64{1, 3} {
			if err := tx.MarkRouted(id, store.Routed, ""); err != nil {
				return err
			}
		}
		for range 2 {
			if _, err := tx.AddDelivery(store.Delivery{Event: 1, Key: "sync:direktiv:7:main", Target: "direktiv", State: store.Failed, Error: "reference not found", Attempts: 1, CreatedAt: at, EndedAt: at, Result: []byte(`{"summary":"reference not found"}`)}); err != nil {
				return err
			}
		}
		return tx.MarkRouted(2, store.Ignored, "no route matches")
	})
	if err != nil {
		t.Fatal(err)
	}
	return newRig(t, func(o *api.Options) { o.Store = s; o.Now = func() time.Time { return at } }), s
}

type eventList struct {
	Events []struct {
		ID int64 `json:"id"`
	} `json:"events"`
	Calls []struct {
		ID int64 `json:"id"`
	} `json:"calls"`
	Next string `json:"next_cursor"`
}

// ids are those of a page.
func (l eventList) ids() (ids []int64) {
	for _, row := range append(l.Events, l.Calls...) {
		ids = append(ids, row.ID)
	}
	return ids
}

func TestEventsAreChosen(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		r, _ := stocked(t, c)
		for query, want := range map[string]struct {
			ids  []int64
			next string
		}{
			"":                               {[]int64{5, 4, 3, 2, 1}, ""},
			"?limit=5":                       {[]int64{5, 4, 3, 2, 1}, ""},
			"?limit=2":                       {[]int64{5, 4}, "4"},
			"?limit=2&cursor=4":              {[]int64{3, 2}, "2"},
			"?limit=2&cursor=2":              {[]int64{1}, ""},
			"?since=90m":                     {[]int64{5, 4}, ""},
			"?since=2026-11-20T12:03:00Z":    {[]int64{5, 4, 3}, ""},
			"?since=2026-11-21":              {nil, ""},
			"?since=1d":                      {[]int64{5, 4, 3, 2, 1}, ""},
			"?state=ignored":                 {[]int64{2}, ""},
			"?state=received&kind=push":      {[]int64{4}, ""},
			"?project=/acme/app/&kind=push":  {[]int64{4, 1}, ""},
			"?project=acme/app&limit=1":      {[]int64{5}, "5"},
			"?project=nobody/nothing&since=": {nil, ""},
		} {
			resp := r.send(t, http.MethodGet, "/api/v1/events"+query, admin, "")
			got := decoded[eventList](t, resp, http.StatusOK)
			if diff := cmp.Diff(want.ids, got.ids()); diff != "" || got.Next != want.next || got.Events == nil {
				t.Errorf("%s: next %q, want %q; want (-), got (+):\n%s", query, got.Next, want.next, diff)
			}
		}
	})
}

func TestAnEventIsShownAsTheCommandLineShowsIt(t *testing.T) {
	t.Parallel()
	r, _ := stocked(t, storetest.SQLite(t))
	got := decoded[map[string]any](t, r.send(t, http.MethodGet, "/api/v1/events/1", admin, ""), http.StatusOK)
	d := map[string]any{
		"id": 1., "target": "direktiv", "ref": "", "sha": "", "state": "failed", "attempts": 1., "error": "reference not found", "key": "sync:direktiv:7:main",
		"created_at": "2026-11-20T14:03:00Z", "ended_at": "2026-11-20T14:03:00Z", "result": map[string]any{"summary": "reference not found"},
	}
	second := map[string]any{}
	for k, v := range d {
		second[k] = v
	}
	second["id"] = 2.
	want := map[string]any{
		"id": 1., "idempotency_key": "key-1", "kind": "push", "instance": instance, "project": "acme/app", "project_id": 0., "ref": "refs/heads/main", "sha": "c0ffee",
		"received_at": "2026-11-20T10:03:00Z", "state": "routed", "reason": "", "trace_id": "0af7651916cd43dd8448eb211c80319c", "deliveries": []any{second, d},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
	bare := content(t, r.send(t, http.MethodGet, "/api/v1/events/5", admin, ""))
	if !strings.Contains(bare, `"deliveries":[]`) || strings.Contains(bare, "canary") {
		t.Errorf("got %s, want an empty list and no body", bare)
	}
	refusal(t, r, r.send(t, http.MethodGet, "/api/v1/events/6", admin, ""), http.StatusNotFound)
}

func TestEventsAreReplayed(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		r, s := stocked(t, c)
		for _, step := range []struct {
			path string
			want int
			then map[int64]string // states afterwards
		}{
			{"/api/v1/events/2/replay", 1, map[int64]string{1: store.Routed, 2: store.Received, 3: store.Routed}},
			{"/api/v1/events/2/replay", 0, map[int64]string{2: store.Received}}, // it waits already
			{"/api/v1/events/replay?project=acme/lib", 0, map[int64]string{1: store.Routed}},
			{"/api/v1/events/replay?state=routed&kind=note", 1, map[int64]string{1: store.Routed, 3: store.Received}},
			{"/api/v1/events/replay?limit=4", 0, map[int64]string{1: store.Routed}},
			{"/api/v1/events/replay?since=1d", 1, map[int64]string{1: store.Received}},
		} {
			got := decoded[map[string]int](t, r.send(t, http.MethodPost, step.path, admin, ""), http.StatusOK)
			if got["replayed"] != step.want {
				t.Errorf("%s: got %v, want %d", step.path, got, step.want)
			}
			for id, want := range step.then {
				if e, err := s.Event(t.Context(), id); err != nil || e.State != want {
					t.Errorf("%s: event %d is %s, %v; want %s", step.path, id, e.State, err, want)
				}
			}
		}
		refusal(t, r, r.send(t, http.MethodPost, "/api/v1/events/6/replay", admin, ""), http.StatusNotFound)
	})
}

func TestTheAuditIsRead(t *testing.T) {
	t.Parallel()
	r, s := stocked(t, storetest.SQLite(t))
	call := store.Audit{At: at, Token: "bot", Instance: instance, Method: "GET", Route: "/api/v4/projects/:id", Status: 200, Took: 1500 * time.Microsecond}
	refused := call
	refused.Status, refused.Token = 403, "lab"
	lost := call
	lost.Status, lost.Error, lost.At, lost.Method, lost.Route = 0, "connection refused", at.Add(-2*time.Hour), "POST", "/api/v4/user"
	if err := s.AddAudit(t.Context(), lost, call, refused); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]struct {
		ids  []int64
		next string
	}{
		"":                  {[]int64{3, 2, 1}, ""},
		"?limit=1":          {[]int64{3}, "3"},
		"?limit=2&cursor=3": {[]int64{2, 1}, ""},
		"?since=1h":         {[]int64{3, 2}, ""},
		"?token=lab":        {[]int64{3}, ""},
		"?failed=true":      {[]int64{3, 1}, ""},
		"?status=200":       {[]int64{2}, ""},
		"?method=POST":      {[]int64{1}, ""},
		"?instance=" + url.QueryEscape(instance) + "&route=/api/v4/user": {[]int64{1}, ""},
		"?token=nobody": {nil, ""},
	} {
		got := decoded[eventList](t, r.send(t, http.MethodGet, "/api/v1/audit"+query, admin, ""), http.StatusOK)
		if diff := cmp.Diff(want.ids, got.ids()); diff != "" || got.Next != want.next || got.Calls == nil {
			t.Errorf("%s: next %q, want %q; want (-), got (+):\n%s", query, got.Next, want.next, diff)
		}
	}
	text := content(t, r.send(t, http.MethodGet, "/api/v1/audit?failed=true&method=POST", admin, ""))
	want := `{"calls":[{"id":1,"at":"2026-11-20T12:03:00Z","token":"bot","instance":"` + instance + `","method":"POST","route":"/api/v4/user","status":0,"took_ms":1,"error":"connection refused"}]}`
	if strings.TrimSpace(text) != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
}

func TestAStoreThatIsAwayIsNoAnswer(t *testing.T) {
	t.Parallel()
	s, err := store.Open(t.Context(), storetest.SQLite(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(o *api.Options) { o.Store = s })
	for path, method := range map[string]string{
		"/api/v1/events": "GET", "/api/v1/events/1": "GET", "/api/v1/audit": "GET", "/api/v1/events/1/replay": "POST", "/api/v1/events/replay?since=1h": "POST",
	} {
		p := refusal(t, r, r.send(t, method, path, admin, ""), http.StatusServiceUnavailable)
		if strings.Contains(p.Detail, "sql") || strings.Contains(p.Detail, "closed") {
			t.Errorf("%s: told %q", path, p.Detail)
		}
	}
}
