package report

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab"
)

// sender owns the goroutine that posts statuses, one after the other.
type sender struct {
	gl    *gitlab.Client
	ev    delivery.Event
	o     Options
	name  string // of the statuses, before the slash
	sites []*site

	single bool // one message of a job that may say more later: nothing is ended
	level  bool // single, and what GitLab shows is read before anything is sent: see [Show]

	mu       sync.Mutex // guards all below, and the rows of sites
	work     sync.Cond
	queue    []*row
	outcomes map[string]delivery.Outcome
	closing  bool
	running  bool
	problems problems
	aside    problems // what no merge request needs to know
	shown    int      // rows that GitLab shows

	// Only the goroutine uses these, and who closes the sender after its end.
	journal *journal
	author  int64
	waited  time.Duration // between tries, all in all
	cancel  context.CancelFunc
	ended   chan struct{}
}

// mostWaiting bounds what all pauses between tries may take, in paces.
const mostWaiting = 60

func newSender(c Config, gl *gitlab.Client, ev delivery.Event, o Options) *sender {
	s := &sender{gl: gl, ev: ev, o: o, name: c.Name, sites: sitesOf(c, ev), outcomes: map[string]delivery.Outcome{}, ended: make(chan struct{})}
	s.work.L = &s.mu
	journal, err := openJournal(o.Journal)
	if err != nil {
		s.tellAside(err)
	}
	s.journal = journal
	return s
}

func journalFault(path string, err error) *delivery.Fault {
	return &delivery.Fault{
		Summary: "no journal", Cause: "statuses left open by a killed job cannot be ended later: " + err.Error(),
		Remedy: "let the job write the file " + path, Err: err,
	}
}

// mostRows is how many targets have a status of their own; GitLab limits the jobs
// of a pipeline, and statuses count.
const mostRows = 20

// row is the row of a target at a site, nil if the target is folded into the one
// that stands for many. The caller holds mu.
func (s *sender) row(at *site, target string) *row {
	if at.folded[target] {
		return nil
	}
	if at.rows[target] == nil {
		at.rows[target] = &row{site: at, target: target, name: s.name + "/" + target, generation: 1}
	}
	return at.rows[target]
}

// open asks for "running" at every site.
func (s *sender) open(ctx context.Context, targets []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return
	}
	m := message{state: running, url: link(addressOf(s.ev)...)}
	for _, at := range s.sites {
		for _, target := range targets {
			if at.rows[target] == nil && (len(targets) > mostRows || len(at.rows) >= mostRows) {
				s.fold(at, target)
			} else if r := s.row(at, target); r != nil && r.open(m) {
				s.put(r)
			}
		}
	}
	s.start(ctx)
}

// finish asks for the final state of a target at every site.
func (s *sender) finish(ctx context.Context, o delivery.Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return
	}
	if before, ok := s.outcomes[o.Target]; !ok || before.Attempt < o.Attempt {
		s.outcomes[o.Target] = o
	}
	for _, at := range s.sites {
		if len(at.rows) >= mostRows && at.rows[o.Target] == nil && !at.folded[o.Target] {
			s.fold(at, o.Target)
		}
		if r := s.row(at, o.Target); r != nil && r.finish(o.Attempt, messageOf(o, addressOf(s.ev)...)) {
			s.put(r)
		}
	}
	s.start(ctx)
}

// fold moves a target into the row that stands for many. The caller holds mu.
func (s *sender) fold(at *site, target string) {
	at.folded[target] = true
	if at.total == nil {
		at.total = &row{site: at, name: s.name + "/all", generation: 1} // a job may well be called s.name
	}
	if at.total.open(message{state: running, description: "several targets in one status", url: link(addressOf(s.ev)...)}) {
		s.put(at.total)
	}
}

// overflow moves the target of r, which the full pipeline did not take, into an
// open row, which then stands for both and ends last. It says whether there is
// one. The caller holds mu.
func (s *sender) overflow(r *row) bool {
	at := r.site
	at.full, r.closed, at.folded[r.target] = true, true, true
	if r == at.total {
		return false
	}
	for _, target := range slices.Sorted(maps.Keys(at.rows)) {
		host := at.rows[target]
		if at.total == nil && !host.closed && host.sent == running {
			at.total, host.goal, host.want = host, running, nil
			at.folded[target] = true
		}
	}
	return at.total != nil
}

// put queues r. The caller holds mu.
func (s *sender) put(r *row) {
	if !r.queued {
		r.queued = true
		s.queue = append(s.queue, r)
	}
	s.work.Signal()
}

// start sees to it that the goroutine runs if there is work. It outlives ctx: a
// signal must not leave statuses open. The caller holds mu.
func (s *sender) start(ctx context.Context) {
	if s.running || len(s.queue) == 0 {
		return
	}
	s.running = true
	ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go s.run(ctx)
}

// run posts until the sender is closed and nothing is left.
func (s *sender) run(ctx context.Context) {
	defer close(s.ended)
	for {
		t, ok := s.take()
		if !ok {
			return
		}
		s.deliver(ctx, t)
	}
}

// task is a message to be sent, and its row as it was when it was taken.
type task struct {
	r          *row
	m          message
	generation int
	sent       state
	id         int64
}

// take waits for the next message; ok is false when there will be none.
func (s *sender) take() (t task, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		for len(s.queue) == 0 {
			if s.closing {
				if !s.sumUp() {
					return task{}, false
				}
				continue
			}
			s.work.Wait()
		}
		r := s.queue[0]
		s.queue, r.queued = s.queue[1:], false
		if r.site.full && r != r.site.total && r.sent == none {
			r.closed, r.site.folded[r.target] = true, true
			continue
		}
		m, pending := r.next()
		if pending && (m.state.final() || s.o.Gauge.room(s.unfinished()+reserve)) {
			return task{r: r, m: m, generation: r.generation, sent: r.sent, id: r.id}, true
		}
	}
}

// reserve is how many requests are kept for the note.
const reserve = 10

// unfinished counts the rows that still need a final state. The caller holds mu.
func (s *sender) unfinished() int {
	n := 0
	for _, at := range s.sites {
		for _, r := range at.rows {
			if !r.closed && !r.sent.final() {
				n++
			}
		}
	}
	return n
}

// sumUp queues the final state of every row that stands for many. It says
// whether there was one.
func (s *sender) sumUp() (more bool) {
	for _, at := range s.sites {
		if len(at.folded) == 0 || at.total == nil || at.total.goal.final() || s.level && !s.allKnown(at) {
			continue
		}
		var of []delivery.Outcome
		for _, target := range slices.Sorted(maps.Keys(at.folded)) {
			o, ok := s.outcomes[target]
			if !ok {
				o = delivery.Outcome{Target: target, State: delivery.Retry, Err: context.Canceled}
			}
			of = append(of, o)
		}
		if at.total.finish(at.total.attempt+1, sumOf(of, addressOf(s.ev)...)) {
			s.put(at.total)
			more = true
		}
	}
	return more
}

// close ends what is open, waits until everything is sent or ctx ends, and
// closes the journal.
func (s *sender) close(ctx context.Context) {
	s.mu.Lock()
	for _, at := range s.sites {
		for _, r := range at.rows {
			if r.goal == none || r.goal.final() || r == at.total || s.single {
				continue
			}
			end := message{state: canceled, description: "ended before there was a result", url: link(addressOf(s.ev)...)}
			if o, ok := s.outcomes[r.target]; ok { // opened again, and nothing came of it
				end = messageOf(o, addressOf(s.ev)...)
			}
			if r.finish(r.attempt+1, end) {
				s.put(r)
			}
		}
	}
	s.closing = true
	s.start(ctx)
	s.work.Signal()
	started := s.running
	if started && ctx.Err() != nil {
		s.cancel()
	}
	s.mu.Unlock()
	if started {
		stop := context.AfterFunc(ctx, s.cancel)
		<-s.ended
		stop()
		s.cancel()
	}
	if err := s.journal.close(); err != nil {
		s.tellAside(err)
	}
}

func (s *sender) tell(f *delivery.Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.problems.add(f)
}

// tellAside tells a fault of the journal.
func (s *sender) tellAside(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.aside.add(journalFault(s.o.Journal, err))
}

// pause waits before the given try, counted from 1; false if there is no time.
func (s *sender) pause(ctx context.Context, try int) bool {
	d := s.o.pace << min(try-1, 3)
	d = d/2 + rand.N(d)
	if s.waited += d; s.waited > mostWaiting*s.o.pace {
		return false
	}
	return delivery.Wait(ctx, d) == nil
}
