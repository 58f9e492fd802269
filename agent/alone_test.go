package agent_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/store/storetest"
	"gitlab.com/remora-ci/remora/agent/work"
)

// left leaves a row of work as an agent does that dies in its midst.
func (s *stage) left(key string, attempts int) {
	s.Helper()
	db := s.open()
	defer func() { _ = db.Close() }()
	queue := work.New(db, work.Options{})
	err := db.Write(context.Background(), func(tx *store.Tx) error {
		if err := queue.Put(tx, work.Put{Key: key, Project: "acme/app", Wanted: 1}); err != nil {
			return err
		}
		_, err := tx.Exec("UPDATE work SET state = 'running', owner = 'dead', attempts = ?, seen = asked, lease = ? WHERE key = ?", attempts, time.Now().Add(time.Hour).UnixMicro(), key)
		return err
	})
	if err != nil {
		s.Fatal(err)
	}
}

// workStates are the keys of work with their states.
func (s *stage) workStates() map[string]string {
	s.Helper()
	db := s.open()
	defer func() { _ = db.Close() }()
	states := map[string]string{}
	err := db.Query(context.Background(), func(r store.Row) error {
		var key, state string
		err := r.Scan(&key, &state)
		states[key] = state
		return err
	}, "SELECT key, state FROM work")
	if err != nil {
		s.Fatal(err)
	}
	return states
}

func TestANewStartOnTheSameFolderWaitsForNoLease(t *testing.T) {
	t.Parallel()
	s := newStage(t, storetest.SQLite(t))
	key := "status:127.0.0.1/42:" + strings.Repeat("a", 40)
	s.left(key, 1)
	s.start()
	s.until("the work of the dead agent is done", func() bool { return s.workStates()[key] == "idle" })
	s.start() // a second one beside it
	if !strings.Contains(s.logs.String(), "another agent uses the data folder") {
		t.Errorf("nothing was said of a second agent:\n%s", s.logs)
	}
}

func TestAReportIsNotGivenUpWithTheAgentsThatDied(t *testing.T) {
	t.Parallel()
	s := newStage(t, storetest.SQLite(t))
	report, schedule := "status:127.0.0.1/42:"+strings.Repeat("a", 40), "schedule:gone"
	s.left(report, 20)
	s.left(schedule, 20)
	s.start()
	s.until("the report waits for its next try", func() bool { return s.workStates()[report] == "later" })
	if got := s.workStates()[schedule]; got != "dead" {
		t.Errorf("the schedule is %q, want dead", got)
	}
}
