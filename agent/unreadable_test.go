package agent_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"gitlab.com/remora-ci/remora/agent/store"
)

// A delivery that this version cannot read fails, and takes no other with it.
func TestADeliveryThatCannotBeRead(t *testing.T) {
	t.Parallel()
	s := newStage(t, sqlite(t))
	a, _ := s.start()
	key := fmt.Sprintf("sync:site:%s/42:refs/heads/feature", strings.TrimPrefix(s.git.URL, "http://"))
	err := a.Write(t.Context(), func(tx *store.Tx) error {
		_, err := tx.AddDelivery(store.Delivery{Event: 1, Key: key, Target: "site", Project: "acme/app", ProjectID: 42, Ref: "feature", SHA: s.scene.Base, Payload: []byte("{")})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	s.hook(s.push(s.scene.Base, s.scene.SHA))
	s.untilShown(s.scene.SHA, "sync/site success")
	s.until("rest", s.idle)
	rows := s.deliveries()
	if len(rows) != 2 || !strings.Contains(rows[0], " failed read work of delivery") || !slices.Contains(rows, "c0ffee12 done") {
		t.Errorf("got deliveries %q, want one that failed and one that is done", rows)
	}
}
