package agent_test

import (
	"context"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/agent/auth"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

// keys are the keys of work of all deliveries, oldest first.
func (s *stage) keys() []string {
	s.Helper()
	db := s.open()
	defer func() { _ = db.Close() }()
	var out []string
	for d, err := range db.Deliveries(context.Background(), store.DeliveryFilter{}) {
		if err != nil {
			s.Fatal(err)
		}
		out = append(out, d.Key)
	}
	slices.Reverse(out)
	return out
}

// A project whose hooks prove its path, and other hooks its id, is one project.
func TestAProjectHasOneKeyWhicheverHookTellsOfIt(t *testing.T) {
	t.Parallel()
	key := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))
	issued, err := auth.Issue(delivery.Secret(key), auth.Grant{Path: "acme/app", Issued: time.Now(), Expires: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		fault []gitlabtest.Answer
		same  bool
	}{
		"GitLab says the id":            {nil, true},
		"GitLab cannot be asked for it": {slices.Repeat([]gitlabtest.Answer{{Code: 404}}, 20), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, sqlite(t))
			s.hooks = ", token_key: " + strconv.Quote(key)
			s.git.Fail("GET /projects/acme%2Fapp", tc.fault...)
			s.git.Fail("GET /projects/acme/app", tc.fault...)
			s.start()
			s.hook(s.push(s.scene.Base, s.scene.SHA))
			s.until("first delivery", func() bool { return len(s.place.got()) == 1 && s.idle() })
			s.secret = issued.Token.Reveal()
			head := s.commit("a.txt")
			s.hook(s.push(s.scene.SHA, head))
			s.until("second delivery", func() bool { return len(s.place.got()) == 2 && s.idle() })
			keys := s.keys()
			if got := keys[0] == keys[1]; got != tc.same {
				t.Errorf("got the keys %q, want the same: %v", keys, tc.same)
			}
		})
	}
}

// What comes close together is one delivery, if the route waits for it.
func TestARouteThatWaitsForMoreDeliversOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t, sqlite(t))
	s.route = ", debounce: 1s"
	s.start()
	s.hook(s.push(s.scene.Base, s.scene.SHA))
	s.hook(s.mergeRequest("open", "", s.scene.SHA))
	s.until("delivery", func() bool { return len(s.place.got()) > 0 && s.idle() })
	s.same("delivered", s.place.shas(), []string{s.scene.SHA})
	if mr := s.place.got()[0].MergeRequest; mr == nil || mr.IID != 7 {
		t.Errorf("the target was told of merge request %+v, want 7", mr)
	}
	s.same("deliveries", len(s.deliveries()), 2)
}
