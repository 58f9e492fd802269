package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/work"
)

// storedCommand puts the lines of a file into the database in REMORA_DATA_DIR, as
// an agent leaves them: each is {"event": {…}, "ago": "3h", "deliveries": […]}, or
// {"audits": […]}.
func storedCommand(ts *testscript.TestScript, _ bool, args []string) {
	ctx := context.Background()
	s, err := store.Open(ctx, store.Config{Dir: ts.Getenv("REMORA_DATA_DIR")})
	ts.Check(err)
	defer func() { ts.Check(s.Close()) }()
	queue := work.New(s, work.Options{})
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		var row struct {
			Event      store.Event
			Ago        string
			Text       string
			Deliveries []store.Delivery
			Audits     []store.Audit
		}
		ts.Check(json.Unmarshal([]byte(line), &row))
		if row.Audits != nil {
			ts.Check(s.AddAudit(ctx, row.Audits...))
			continue
		}
		row.Event.Body = []byte(row.Text)
		if row.Ago != "" {
			ago, err := time.ParseDuration(row.Ago)
			ts.Check(err)
			row.Event.ReceivedAt = time.Now().Add(-ago)
		}
		id, _, err := s.Append(ctx, row.Event)
		ts.Check(err)
		ts.Check(s.Write(ctx, func(tx *store.Tx) error {
			for _, d := range row.Deliveries {
				d.Event = id
				if _, err := tx.AddDelivery(d); err != nil {
					return err
				}
				if err := queue.Put(tx, work.Put{Key: d.Key, Project: d.Project, Wanted: id, NotBefore: time.Now().Add(time.Hour)}); err != nil {
					return err
				}
			}
			if row.Event.State == "" {
				return nil
			}
			return tx.MarkRouted(id, row.Event.State, row.Event.Reason)
		}))
	}
}

func TestInertTextCannotSteerATerminal(t *testing.T) {
	t.Parallel()
	if got, want := inert("a\x1b[31mb\nc\u202ed\xff"), "a[31mb cd\uFFFD"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
