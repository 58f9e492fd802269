package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

// seenEvent and seenDelivery are what the command line tells of them.
type seenEvent struct {
	ID     int64  `json:"id"`
	Key    string `json:"idempotency_key"`
	SHA    string `json:"sha"`
	State  string `json:"state"`
	Reason string `json:"reason"`
}

type seenDelivery struct {
	Event int64  `json:"event"`
	SHA   string `json:"sha"`
	State string `json:"state"`
	Error string `json:"error"`
}

// ask runs a command that lists things, one JSON object a line, while the agent
// runs.
func ask[T any](c *chaos, args ...string) []T {
	c.t.Helper()
	cmd := exec.CommandContext(c.t.Context(), c.binary, append(args, "--output", "json")...)
	cmd.Env = environ(c.vars)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		c.t.Fatalf("remora %v: %v\n%s%s", args, err, out, stderr.String())
	}
	var list []T
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var one T
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			c.t.Fatalf("remora %v: %v in %s", args, err, lines.Bytes())
		}
		list = append(list, one)
	}
	return list
}

// patience is how long all may take to be delivered and reported: the lease of a
// run that was killed has to end first.
const patience = 2 * time.Minute

// settle waits until nothing is left to do.
func (c *chaos) settle() {
	c.t.Helper()
	for end := time.Now().Add(patience); ; c.wait(200 * time.Millisecond) {
		left := c.left()
		if left == "" {
			return
		}
		if time.Now().After(end) {
			c.t.Fatalf("after %s there is still %s\n%s", patience, left, c.tell())
		}
	}
}

// tell is what the agent says of its newest deliveries and the end of its log.
func (c *chaos) tell() string {
	var text strings.Builder
	for _, what := range []string{"events", "deliveries"} {
		cmd := exec.CommandContext(c.t.Context(), c.binary, what, "list", "--limit", "30")
		cmd.Env = environ(c.vars)
		out, err := cmd.CombinedOutput()
		fmt.Fprintf(&text, "remora %s list: %v\n%s", what, err, out)
	}
	text.WriteString(c.tellWork())
	for _, p := range c.agents[max(0, len(c.agents)-2):] {
		fmt.Fprintf(&text, "log:\n%s", p.log.String())
	}
	return text.String()
}

// tellWork is what is in the table of work but idle keys.
func (c *chaos) tellWork() string {
	s, err := store.Open(c.t.Context(), store.Config{Dir: c.vars["REMORA_DATA_DIR"], URL: c.vars["REMORA_DATABASE_URL"]})
	if err != nil {
		return err.Error()
	}
	defer func() { _ = s.Close() }()
	var text strings.Builder
	err = s.Query(c.t.Context(), func(r store.Row) error {
		var key, state, owner, fault string
		var wanted, done, asked, seen, attempts, due, lease int64
		err := r.Scan(&key, &state, &owner, &fault, &wanted, &done, &asked, &seen, &attempts, &due, &lease)
		now := time.Now()
		fmt.Fprintf(&text, "%s %s: wanted %d, done %d, asked %d, seen %d, attempts %d, due in %s, lease %s, owner %q, error %q\n", key, state, wanted, done, asked, seen, attempts,
			time.UnixMicro(due).Sub(now).Round(time.Millisecond), time.UnixMicro(lease).Sub(now).Round(time.Millisecond), owner, fault)
		return err
	}, "SELECT key, state, owner, error, wanted, done, asked, seen, attempts, not_before, lease FROM work WHERE state <> 'idle' ORDER BY key LIMIT 50")
	if err != nil {
		return err.Error()
	}
	return "work:\n" + text.String()
}

// left is what is still to be done, or "".
func (c *chaos) left() string {
	c.t.Helper()
	for _, s := range c.statuses() {
		if !final(s.State) {
			return "a status " + s.State + " on " + s.SHA
		}
	}
	if n := len(ask[seenEvent](c, "events", "list", "--state", "received")); n > 0 {
		return "an event received"
	}
	for _, state := range []string{"waiting", "running", "retry"} {
		if len(ask[seenDelivery](c, "deliveries", "list", "--state", state)) > 0 {
			return "a delivery " + state
		}
	}
	for _, p := range c.projects {
		head := c.head(p)
		if !slices.ContainsFunc(c.shownOn(p, head), func(s gitlabtest.Status) bool { return s.State == "success" }) {
			return "no success on the head of " + p.Path
		}
		if notes := c.notes(p); len(notes) == 0 || !strings.Contains(notes[0], head[:8]) {
			return "no note of the head of " + p.Path
		}
	}
	return ""
}

// check holds what was told to what happened.
func (c *chaos) check() {
	c.t.Helper()
	events := map[string]seenEvent{}
	byID := map[int64][]seenDelivery{}
	for _, e := range ask[seenEvent](c, "events", "list") {
		if _, twice := events[e.Key]; twice {
			c.t.Errorf("event %s is stored twice", e.Key)
		}
		events[e.Key] = e
	}
	for _, d := range ask[seenDelivery](c, "deliveries", "list") {
		byID[d.Event] = append(byID[d.Event], d)
	}
	for key, sha := range c.acked {
		e, stored := events[key]
		if !stored || e.SHA != sha || e.State != "routed" {
			c.t.Errorf("push of %s was acknowledged: stored %v, as %+v", sha, stored, e)
			continue
		}
		if len(byID[e.ID]) == 0 {
			c.t.Errorf("event %d has no delivery", e.ID)
		}
		for _, d := range byID[e.ID] {
			c.checkDelivery(d)
		}
	}
	c.t.Logf("%d pushes, %d acknowledged, %d stored, %d deliveries", c.pushes(), len(c.acked), len(events), len(byID))
	if len(c.acked) < 10 {
		c.t.Errorf("only %d pushes were acknowledged: that proves nothing", len(c.acked))
	}
	for _, p := range c.projects {
		c.checkProject(p)
	}
	if leaks := c.gitlab.Leaks(); len(leaks) > 0 {
		c.t.Errorf("a secret went where it must not: %v", leaks)
	}
}

// checkDelivery holds one delivery to what the target saw.
func (c *chaos) checkDelivery(d seenDelivery) {
	c.t.Helper()
	by, overtaken := overtaker(d.Error)
	switch {
	case d.State == "done" && c.target.delivered(d.SHA) > 0:
	case d.State == "skipped" && overtaken && c.deliveredPrefix(by):
	default:
		c.t.Errorf("delivery of event %d ended %s (%s), and the target saw %s %d times", d.Event, d.State, d.Error, d.SHA, c.target.delivered(d.SHA))
	}
}

// checkProject looks at what the target and people see of a project's branch.
func (c *chaos) checkProject(p gitlabtest.Project) {
	c.t.Helper()
	heads := c.heads[p.ID]
	last := -1
	for _, sha := range c.target.came(p.Path, "work") {
		at := slices.Index(heads, sha)
		if at < last {
			c.t.Errorf("%s was rolled back from number %d to %d", p.Path, last, at)
		}
		last = at
	}
	if last != len(heads)-1 {
		c.t.Errorf("%s: the last delivery is number %d of %d", p.Path, last, len(heads)-1)
	}
	if notes := c.notes(p); len(notes) != 1 {
		c.t.Errorf("%s has %d notes, want one", p.Path, len(notes))
	}
}

func (c *chaos) deliveredPrefix(sha string) bool {
	c.target.mu.Lock()
	defer c.target.mu.Unlock()
	for seen := range c.target.seen {
		if sha != "" && strings.HasPrefix(seen, sha) {
			return true
		}
	}
	return false
}

func (c *chaos) pushes() (n int) {
	for _, heads := range c.heads {
		n += len(heads) - 1
	}
	return n
}

// statuses are all that people see on any commit.
func (c *chaos) statuses() []gitlabtest.Status {
	var all []gitlabtest.Status
	for _, p := range c.projects {
		for _, sha := range c.heads[p.ID] {
			all = append(all, c.shownOn(p, sha)...)
		}
	}
	return all
}

func (c *chaos) shownOn(p gitlabtest.Project, sha string) []gitlabtest.Status {
	return shown(c.gitlab.Statuses(p.ID, sha))
}

// notes are the bodies of the notes on the merge request.
func (c *chaos) notes(p gitlabtest.Project) []string {
	var bodies []string
	for _, n := range c.gitlab.Notes(p.ID, mergeIID) {
		bodies = append(bodies, n.Body)
	}
	return bodies
}
