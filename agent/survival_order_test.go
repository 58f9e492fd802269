package agent_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/store/storetest"
	"gitlab.com/remora-ci/remora/component/delivery"
)

// S30: whatever the order in which hooks come and workers of several agents begin
// and end, what a commit shows goes forward alone: open, then ended once.
func TestS30WhatIsShownGoesForwardAlone(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		s := newStage(t, c)
		s.start()
		urls := []string{s.url}
		if c.URL != "" { // several agents share this one
			s.start()
			urls = append(urls, s.url)
		}
		heads := map[string]string{}
		var bodies []map[string]any
		var shas []string
		send := func() {
			t.Helper()
			rand.Shuffle(len(bodies), func(i, j int) { bodies[i], bodies[j] = bodies[j], bodies[i] })
			for i, body := range bodies {
				s.url = urls[i%len(urls)]
				s.hook(body)
			}
		}
		for range 3 {
			release := s.place.block()
			calls := len(s.place.got())
			for _, branch := range []string{"b1", "b2", "b3"} {
				sha := s.commitTo(branch, heads)
				body := s.push("", sha)
				body["ref"] = "refs/heads/" + branch
				shas, bodies = append(shas, sha), append(bodies, body)
			}
			send() // with all that came before, once more
			s.until("deliveries in hand", func() bool { return len(s.place.got()) > calls })
			s.until("what is shown as running", func() bool {
				return slices.ContainsFunc(shas, func(sha string) bool { return slices.Contains(s.posts(sha), "running") })
			})
			send()
			release()
		}
		s.until("rest", func() bool { return !s.unrouted() && s.idle() })
		for _, sha := range shas {
			posts := s.posts(sha)
			ended := slices.IndexFunc(posts, func(state string) bool { return state != "pending" && state != "running" })
			if len(posts) > 0 && ended != len(posts)-1 {
				t.Errorf("%s: was shown as %q, want it to end once, and nothing after", delivery.ShortSHA(sha), posts)
			}
		}
		last := map[string]string{}
		for _, ev := range s.place.got() {
			last[ev.Ref] = ev.SHA
		}
		s.same("where the target is", last, heads)
		for branch, sha := range heads {
			s.same(branch, s.shown(sha), []string{"sync/site success"})
		}
	})
}
