package agent_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/agent"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/store/storetest"
	"gitlab.com/remora-ci/remora/agent/work"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

// refuseCalls has calls to the place refused until the function it returns is called.
func (s *stage) refuseCalls() (up func()) {
	s.Helper()
	address, handler := s.place.Listener.Addr().String(), s.place.Config.Handler
	s.place.Server.Close()
	return func() {
		s.Helper()
		l, err := net.Listen("tcp", address)
		if err != nil {
			s.Fatal(err)
		}
		s.place.Server = &httptest.Server{Listener: l, Config: &http.Server{Handler: handler}}
		s.place.Start()
		s.Cleanup(s.place.Server.Close)
	}
}

// A target that is down for an hour, by the clock of an agent with the pauses of a
// real one: refused connections, then 503, then all is well.
func TestATargetThatIsDownForAnHour(t *testing.T) {
	t.Parallel()
	s := newStage(t, sqlite(t))
	up := s.refuseCalls()
	var ahead atomic.Int64
	s.start(func(o *agent.Options) {
		*o = agent.Patient(*o, func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) })
	})
	// pass lets time pass, minute by minute, whenever nothing is due.
	pass := func(d time.Duration) {
		for end := ahead.Load() + int64(d); ahead.Load() < end; {
			s.until("pause", func() bool {
				return !slices.ContainsFunc(s.workRows(), func(r string) bool { return strings.HasSuffix(r, "ready") || strings.HasSuffix(r, "running") })
			})
			ahead.Add(int64(time.Minute))
		}
	}
	s.hook(s.push(s.scene.Base, s.scene.SHA))
	s.untilShown(s.scene.SHA, "sync/site running")
	pass(30 * time.Minute)
	up()
	s.place.answer(http.StatusServiceUnavailable)
	head, before := "", s.scene.SHA
	for range 10 {
		head = s.commit("a.txt")
		s.hook(s.push(before, head))
		before = head
	}
	s.until("routing", func() bool { return len(s.eventStates()) == 11 && !slices.Contains(s.eventStates(), "push received") })
	pass(35 * time.Minute)
	if n := len(s.workRows()); n > 13 {
		t.Errorf("got %d rows of work after an hour, want one for the ref and one for each commit at most: %q", n, s.workRows())
	}
	s.place.answer(0)
	pass(13 * time.Minute)
	s.untilShown(head, "sync/site success")
	pass(13 * time.Minute)
	s.until("rest", s.idle)
	s.same("first", s.shown(s.scene.SHA), []string{"sync/site canceled"})
	rows, done := s.deliveries(), 0
	for _, row := range rows {
		if row == delivery.ShortSHA(head)+" done" {
			done++
		} else if !strings.HasSuffix(row, " skipped overtaken by "+head) {
			t.Errorf("got delivery %q, want it done or overtaken", row)
		}
	}
	for _, st := range s.git.Requests("POST /statuses/") {
		sha := st.Path[strings.LastIndexByte(st.Path, '/')+1:]
		if got := s.shown(sha); sha != head && !slices.Equal(got, []string{"sync/site canceled"}) {
			t.Errorf("%s is shown as %q, want its status ended", sha, got)
		}
	}
	if done != 1 || len(rows) > 2*11 {
		t.Errorf("got %d deliveries, %d of them done; want one of the newest commit, and not many more than events: %q", len(rows), done, rows)
	}
	if n := len(s.place.got()); n > 40 {
		t.Errorf("the target was called %d times in an hour", n)
	}
	s.same("posts", s.posts(head), []string{"running", "success"})
}

// workRows are all rows of work: "key state".
func (s *stage) workRows() []string {
	s.Helper()
	out := []string{}
	for key, state := range s.workStates() {
		out = append(out, key+" "+state)
	}
	return out
}

// PostgreSQL goes away under a running agent, in good order and by a crash, and
// comes back.
func TestADatabaseThatGoesAndComesBack(t *testing.T) {
	t.Parallel()
	server := storetest.NewServer(t)
	s := newStage(t, server.Config(t))
	s.start()
	heads := map[string]string{"feature": s.scene.SHA}
	branches := []string{"feature", "b1", "b2"}
	accepted := 0
	for _, down := range []func(testing.TB){server.Stop, server.Crash} {
		s.until("rest", s.idle)
		release, calls := s.place.block(), len(s.place.got())
		for _, b := range branches {
			s.pushTo(b, heads)
			accepted++
		}
		s.until("deliveries in hand", func() bool { return len(s.place.got()) > calls })
		down(t)
		release()
		body := s.push("", heads["feature"])
		code := s.send(body)
		for ; code == http.StatusAccepted && accepted < 50; code = s.send(body) {
			accepted++ // a server that shuts down may still end what it has in hand
		}
		if code != http.StatusServiceUnavailable || s.after == "" {
			t.Errorf("got %d, Retry-After %q without a database; want 503 and a time", code, s.after)
		}
		res, err := http.Get(s.url + "/livez")
		if err != nil || res.StatusCode != http.StatusOK {
			t.Errorf("livez: %v %v; the agent lives without its database", res, err)
		} else {
			_ = res.Body.Close()
		}
		server.Start(t)
		s.until("recovery", func() bool { return s.send(s.push("", heads["feature"])) == http.StatusAccepted })
		accepted++
	}
	for _, b := range branches {
		s.pushTo(b, heads)
		accepted++
	}
	s.until("rest", func() bool {
		return s.idle() && !slices.ContainsFunc(s.eventStates(), func(state string) bool { return strings.Contains(state, "received") })
	})
	if n := len(s.eventStates()); n < accepted {
		t.Errorf("%d events are stored, %d were acknowledged", n, accepted)
	}
	s.checkConverged(heads)
}

// A disk that is full: no false 2xx, and all is well when there is room.
func TestADiskThatIsFull(t *testing.T) {
	t.Parallel()
	s := newStage(t, sqlite(t))
	a, _ := s.start()
	s.hook(s.push(s.scene.Base, s.scene.SHA))
	s.untilShown(s.scene.SHA, "sync/site success")
	s.until("rest", s.idle)
	if err := a.LimitDisk(t.Context(), 1); err != nil { // as many as there are
		t.Fatal(err)
	}
	accepted, refused := 1, 0
	head, before := "", s.scene.SHA
	for range 30 {
		head = s.commit("a.txt")
		body := s.push(before, head)
		noise := make([]byte, 100_000)
		_, _ = rand.Read(noise)
		body["noise"], before = hex.EncodeToString(noise), head
		switch code := s.send(body); {
		case code == http.StatusAccepted:
			accepted++
		case code == http.StatusServiceUnavailable && s.after != "":
			refused++
		default:
			t.Fatalf("got %d, Retry-After %q; want 503 and a time", code, s.after)
		}
		if refused == 2 {
			break
		}
	}
	if refused == 0 {
		t.Fatal("nothing was refused by a full disk")
	}
	if err := a.LimitDisk(t.Context(), 1_000_000); err != nil {
		t.Fatal(err)
	}
	s.hook(s.push(before, head))
	s.untilShown(head, "sync/site success")
	s.until("rest", s.idle)
	if n := len(s.eventStates()); n != accepted+1 {
		t.Errorf("%d events are stored, %d were acknowledged", n, accepted+1)
	}
	s.same("notes", len(s.git.Notes(42, 7)), 1)
}

// GitLab refuses, breaks and hangs: the report comes, and no delivery is repeated.
func TestAReportThatGitLabDoesNotTake(t *testing.T) {
	t.Parallel()
	for name, answers := range map[string][]gitlabtest.Answer{
		"429 with a pause":       slices.Repeat([]gitlabtest.Answer{{Code: 429, Header: map[string]string{"Retry-After": "1"}}}, 3),
		"429 without a word":     slices.Repeat([]gitlabtest.Answer{{Code: 429}}, 2),
		"500":                    slices.Repeat([]gitlabtest.Answer{{Code: 500}}, 4),
		"500 after its effect":   {{Code: 500, After: true}, {Code: 500, After: true}},
		"a cut":                  slices.Repeat([]gitlabtest.Answer{{Drop: true}}, 4),
		"a cut after its effect": {{Drop: true, After: true}, {Drop: true, After: true}},
	} {
		for _, at := range []string{"POST /statuses/", "GET /statuses", "POST /notes", "GET /notes"} {
			t.Run(name+" to "+at, func(t *testing.T) {
				t.Parallel()
				s := newStage(t, sqlite(t))
				s.git.Fail(at, answers...)
				s.start()
				s.hook(s.push(s.scene.Base, s.scene.SHA))
				s.untilShown(s.scene.SHA, "sync/site success")
				s.until("note", func() bool { return len(s.git.Notes(42, 7)) == 1 })
				s.until("rest", s.idle)
				s.same("calls", len(s.place.got()), 1)
				s.same("deliveries", s.deliveries(), []string{"c0ffee12 done"})
				s.same("statuses", len(s.git.Statuses(42, s.scene.SHA)), 1)
				s.same("notes", len(s.git.Notes(42, 7)), 1)
				if n := len(s.git.Requests()); n > 150 {
					t.Errorf("it took %d requests", n)
				}
			})
		}
	}
}

// PostgreSQL gives out ids before it commits: what has a lower id and comes later
// is not ended by a run that has not read it.
func TestOnlyWhatWasReadIsOvertaken(t *testing.T) {
	t.Parallel()
	s := newStage(t, storetest.Postgres(t))
	release := s.place.block()
	defer release()
	a, _ := s.start()
	key := fmt.Sprintf("sync:site:%s/42:refs/heads/feature", strings.TrimPrefix(s.git.URL, "http://"))
	numbered, proceed, committed := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	tell := sync.OnceFunc(func() { close(numbered) })
	go func() {
		committed <- a.Write(context.Background(), func(tx *store.Tx) error {
			_, err := tx.AddDelivery(store.Delivery{Event: 99, Key: key, Target: "site", Project: "acme/app", ProjectID: 42, Ref: "feature", SHA: s.scene.SHA,
				Payload: fmt.Appendf(nil, `{"key":%q,"target":"site","project":"acme/app","event":{"instance":%q,"project":{"id":42,"path":"acme/app"},"ref":"feature","ref_type":"branch","sha":%q}}`, key, s.git.URL, s.scene.SHA)})
			if err != nil {
				return err
			}
			tell()
			<-proceed
			return a.Put(tx, work.Put{Key: key, Project: "acme/app", Wanted: 99})
		})
	}()
	<-numbered
	s.hook(s.push(s.scene.Base, s.scene.SHA))
	s.until("a run", func() bool { return len(s.place.got()) == 1 })
	close(proceed)
	if err := <-committed; err != nil {
		t.Fatal(err)
	}
	release()
	s.until("a run for what came late", func() bool { return len(s.place.got()) == 2 && s.idle() })
	s.same("deliveries", s.deliveries(), []string{"c0ffee12 done", "c0ffee12 done"})
}

// The last attempt fails while something newer waits: the key lives on, and so
// does the delivery.
func TestTheLastAttemptGivesUpNothingThatLivesOn(t *testing.T) {
	t.Parallel()
	s := newStage(t, sqlite(t))
	s.yaml = "limits: {max_attempts: 2}"
	s.place.answer(http.StatusServiceUnavailable)
	s.start(func(o *agent.Options) { *o = agent.Attempts(*o) })
	s.hook(s.push(s.scene.Base, s.scene.SHA))
	s.until("its end", func() bool {
		rows := s.deliveries()
		return len(rows) == 1 && strings.HasPrefix(rows[0], "c0ffee12 dead given up after 2 attempts: ")
	})
	s.untilShown(s.scene.SHA, "sync/site failed")

	head := s.commit("a.txt")
	calls, step := len(s.place.got()), s.place.steps()
	s.hook(s.push(s.scene.SHA, head))
	s.until("first attempt", func() bool { return len(s.place.got()) == calls+1 })
	step <- struct{}{}
	s.until("last attempt", func() bool { return len(s.place.got()) == calls+2 })
	s.hook(s.push(s.scene.SHA, head)) // the same once more
	s.until("routing", func() bool { return len(s.deliveries()) == 3 })
	step <- struct{}{}
	s.until("another attempt", func() bool { return len(s.place.got()) == calls+3 })
	for _, row := range s.deliveries()[1:] {
		if strings.Contains(row, "dead") {
			t.Errorf("got %q while its key lives", row)
		}
	}
	s.place.answer(0)
	close(step)
	s.untilShown(head, "sync/site success")
}

// steps has each call wait for a value, and none after it is closed.
func (p *place) steps() chan<- struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	step := make(chan struct{})
	p.hold = step
	return step
}
