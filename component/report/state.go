package report

import "regexp"

// state is that of a commit status, in GitLab's words.
type state string

const (
	none     state = "" // nothing was posted yet
	pending  state = "pending"
	running  state = "running"
	success  state = "success"
	failed   state = "failed"
	canceled state = "canceled"
	skipped  state = "skipped"
)

// rank orders states by time: a status only ever moves to a higher rank. States
// that a job passes before it is pending count as nothing.
func (s state) rank() int {
	switch s {
	case pending:
		return 1
	case running:
		return 2
	case success, failed, canceled, skipped, "canceling":
		return 3
	}
	return 0
}

func (s state) final() bool { return s.rank() == 3 }

// transition finds the step that GitLab refused in the words of a 400, such as
// "Cannot transition status via :run from :running".
var transition = regexp.MustCompile(`Cannot transition status via :[a-z_]+ from :([a-z_]+)`)

// refusedFrom is the state that a status has, from the words of a refusal.
func refusedFrom(words string) (state, bool) {
	if m := transition.FindStringSubmatch(words); m != nil {
		return state(m[1]), true
	}
	return none, false
}

// message is what a status is to say.
type message struct {
	state       state
	description string
	url         string
}

// row is the local state machine of one status name at one site. A generation is
// one attempt at the delivery: within it the state only moves forward and is
// final once; a later attempt may begin anew.
type row struct {
	site   *site
	target string // empty for the row that stands for many
	name   string

	generation int
	attempt    int      // the highest whose end was told
	goal       state    // the highest that was asked for in this generation
	sent       state    // what GitLab shows of this generation, as far as it is known
	want       *message // the newest that was not sent
	queued     bool
	closed     bool // in this generation nothing more can be shown

	id      int64 // of the status in GitLab, 0 if not known
	counted bool
}

// open asks for a state before the final one. It says whether there is something
// new to send.
func (r *row) open(m message) bool {
	if r.goal.final() {
		r.renew()
	}
	if m.state.rank() <= r.goal.rank() || r.closed {
		return false
	}
	r.goal, r.want = m.state, &m
	return true
}

// finish asks for the final state of an attempt, counted from 1. The end of an
// attempt that is not newer than one already ended comes too late and is
// dropped. What was not sent yet is replaced.
func (r *row) finish(attempt int, m message) bool {
	attempt = max(attempt, 1)
	if attempt <= r.attempt {
		return false
	}
	r.attempt = attempt
	if r.goal.final() {
		r.renew()
	}
	if r.closed {
		return false
	}
	r.goal, r.want = m.state, &m
	return true
}

// renew begins a generation. A status that is still open in GitLab goes on in it;
// one that has ended is followed by a new one.
func (r *row) renew() {
	r.generation++
	r.goal, r.want, r.closed = none, nil, false
	if r.sent.final() {
		r.sent, r.id = none, 0
	}
}

// next is what must be sent now, if anything: never what is shown already, never
// what lies behind it.
func (r *row) next() (message, bool) {
	m := r.want
	r.want = nil
	if m == nil || r.closed || m.state.rank() <= r.sent.rank() {
		return message{}, false
	}
	return *m, true
}

// shown notes that GitLab shows s. It says whether this is the first that GitLab
// shows of the row at all. The end of an earlier generation is none of this one's.
func (r *row) shown(generation int, s state, id int64) (first bool) {
	first, r.counted = !r.counted, true
	if generation != r.generation && s.final() {
		r.sent, r.id = none, 0
		return first
	}
	r.sent = s
	if id != 0 {
		r.id = id
	}
	return first
}
