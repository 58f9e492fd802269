package agent_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/agent"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/store/storetest"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

// commandFaults: when something fails on the way …
var commandFaults = map[string]func(s *stage){
	"an answer whose receipt was lost is not written twice": func(s *stage) {
		s.git.Fail("POST /discussions/", gitlabtest.Answer{Code: 502, After: true})
		s.start()
		s.answers(s.say("/remora sync"), "⏳ **On its way**")
		s.until("delivery", func() bool { return len(s.place.got()) == 1 && s.idle() })
		s.same("unused faults", s.git.Pending(), 0)
	},
	"a deed is done once, however often its answer fails": func(s *stage) {
		s.git.Fail("POST /discussions/", slices.Repeat([]gitlabtest.Answer{{Code: 502}}, 4)...)
		s.start()
		s.answers(s.say("/remora sync"), "⏳ **On its way**")
		s.until("rest", s.idle)
		s.same("calls", len(s.place.got()), 1)
		s.same("unused faults", s.git.Pending(), 0)
	},
	"an answer that GitLab refuses takes nothing back": func(s *stage) {
		s.git.Fail("POST /discussions/", gitlabtest.Answer{Code: 403, Body: `{"message":"403 Forbidden"}`})
		s.start()
		n := s.say("/remora sync")
		s.until("delivery", func() bool { return len(s.place.got()) == 1 && s.idle() })
		s.same("answers", len(s.replies(7, n)), 0)
		s.same("deliveries", s.deliveries(), []string{"c0ffee12 done", "c0ffee12 done"})
		s.same("log", strings.Contains(s.logs.String(), "command not answered"), true)
	},
	"GitLab in trouble is asked for the role again, and nothing is done before": func(s *stage) {
		s.git.Fail("GET /members/all/", slices.Repeat([]gitlabtest.Answer{{Code: 500}}, 4)...)
		s.start()
		s.untilReply(7, s.say("/remora sync"))
		s.until("delivery", func() bool { return len(s.place.got()) == 1 && s.idle() })
		s.same("unused faults", s.git.Pending(), 0)
	},
	"a role that cannot be read is none": func(s *stage) {
		s.git.Fail("GET /members/all/", gitlabtest.Answer{Code: 403, Body: `{"message":"403 Forbidden"}`})
		s.start()
		n := s.say("/remora sync")
		s.until("end", func() bool { return len(s.deliveries()) == 1 && s.idle() })
		s.same("answers", len(s.replies(7, n)), 0)
		s.same("calls", len(s.place.got()), 0)
		if got := s.deliveries()[0]; !strings.HasPrefix(got, "c0ffee12 failed ") || !strings.Contains(got, "403") {
			s.Errorf("got delivery %q, want that it failed", got)
		}
	},
	"N16 an emoji that a run before has left is fine": func(s *stage) {
		s.git.Fail("GET /merge_requests/7", append([]gitlabtest.Answer{{}}, slices.Repeat([]gitlabtest.Answer{{Code: 502}}, 4)...)...) // the note is read first
		s.start()
		s.answers(s.say("/remora sync"), "⏳ **On its way**")
		s.until("rest", s.idle)
		var codes []int
		for _, r := range s.git.Requests("POST /award_emoji") {
			codes = append(codes, r.Code)
		}
		s.same("awards", codes, []int{201, 404})
	},
	"an emoji that is refused keeps nobody from being obeyed": func(s *stage) {
		s.git.Fail("POST /award_emoji", gitlabtest.Answer{Code: 403, Body: `{"message":"403 Forbidden"}`})
		s.start()
		s.answers(s.say("/remora sync"), "⏳ **On its way**")
		s.until("delivery", func() bool { return len(s.place.got()) == 1 && s.idle() })
	},
	"commands that are not enabled any more are not obeyed": func(s *stage) {
		s.git.Fail("GET /members/all/", slices.Repeat([]gitlabtest.Answer{{Code: 500}}, 4)...)
		_, stop := s.start(func(o *agent.Options) { *o = agent.Patient(*o, time.Now) })
		n := s.say("/remora sync")
		s.until("first attempt", func() bool { return len(s.deliveries()) == 1 && strings.Contains(s.deliveries()[0], " retry ") })
		stop()
		s.yaml = "commands: {enabled: false}"
		s.start()
		s.until("end", func() bool {
			return slices.Equal(s.deliveries(), []string{"c0ffee12 skipped commands are not enabled"})
		})
		s.same("answers", len(s.replies(7, n)), 0)
	},
	"a command that is given up is told as dead, and a person retries it": func(s *stage) {
		s.yaml = "limits: {max_attempts: 2}"
		s.git.Fail("GET /members/all/", slices.Repeat([]gitlabtest.Answer{{Code: 500}}, 8)...) // four calls of each attempt
		a, _ := s.start(func(o *agent.Options) { *o = agent.Attempts(*o) })
		n := s.say("/remora sync")
		s.until("end", func() bool {
			rows := s.deliveries()
			return len(rows) == 1 && strings.Contains(rows[0], " dead given up after 2 attempts: ")
		})
		s.same("unused faults", s.git.Pending(), 0)
		key := fmt.Sprintf("command:%s/42:%d", strings.TrimPrefix(s.git.URL, "http://"), n.ID)
		if err := a.Retry(s.Context(), key); err != nil {
			s.Fatal(err)
		}
		s.answers(n, "⏳ **On its way**")
		s.until("delivery", func() bool { return len(s.place.got()) == 1 && s.idle() })
	},
}

func TestCommandsInTrouble(t *testing.T) {
	t.Parallel()
	for name, flow := range commandFaults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			flow(newStage(t, sqlite(t)))
		})
	}
}

// An agent that is killed after it wrote the answer, and before it stored that, does
// neither the deed nor the answer twice.
func TestKilledBetweenTheAnswerAndItsCommit(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		s := newStage(t, c)
		// The receipt of the answer is lost, and the agent dies when it looks again.
		s.git.Fail("POST /discussions/", gitlabtest.Answer{Drop: true, After: true})
		var once sync.Once
		written, dead := make(chan struct{}), make(chan struct{})
		posted := false
		s.git.Before(func(r gitlabtest.Request) {
			switch {
			case r.Method == "POST" && strings.Contains(r.Path, "/discussions/"):
				posted = true
			case r.Method == "GET" && strings.Contains(r.Path, "/discussions/") && posted:
				once.Do(func() {
					close(written)
					select {
					case <-dead:
					case <-time.After(20 * time.Second):
					}
				})
			}
		})
		kill := s.spawn()
		n := s.say("/remora sync")
		select {
		case <-written:
		case <-time.After(20 * time.Second):
			t.Fatal("the answer was not written")
		}
		kill()
		close(dead)
		s.same("answers of the first", len(s.replies(7, n)), 1)
		s.spawn()
		s.untilReply(7, n)
		s.until("rest", func() bool { return len(s.place.got()) > 0 && s.idle() })
		s.same("deliveries", s.deliveries(), []string{"c0ffee12 done", "c0ffee12 done"})
	})
}
