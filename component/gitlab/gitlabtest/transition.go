package gitlabtest

import (
	"fmt"
	"slices"
)

// event is what the state machine does when a state is posted.
type event struct {
	name string
	from []string
}

var events = map[string]event{
	"pending":  {"enqueue", []string{"created", "skipped", "manual", "scheduled"}},
	"running":  {"run", []string{"created", "pending"}}, // created is enqueued on the way
	"success":  {"success", []string{"created", "pending", "running"}},
	"failed":   {"drop", []string{"created", "pending", "running", "manual"}},
	"canceled": {"cancel", []string{"created", "waiting_for_resource", "preparing", "pending", "running", "manual", "scheduled"}},
	"skipped":  {"skip", []string{"created", "waiting_for_resource", "preparing", "pending"}},
}

// move is the state after a post, or GitLab's words when it refuses.
func move(from, state string) (to, refusal string) {
	e := events[state]
	if slices.Contains(e.from, from) {
		return state, ""
	}
	return "", fmt.Sprintf(`Cannot transition status via :%s from :%s (Reason(s): Status cannot transition via "%s")`, e.name, from, e.name)
}
