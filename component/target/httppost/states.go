package httppost

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

var (
	goodStates = []string{"success", "succeeded", "successful", "ok", "passed", "done", "complete", "completed", "finished"}
	badStates  = []string{
		"failure", "failed", "fail", "error", "errored", "canceled", "cancelled", "aborted", "rejected", "killed", "expired",
		"timeout", "timed_out", "timedout", "unstable", "not_built", "startup_failure", "action_required",
	}
)

// verdict is what a state means.
type verdict int

const (
	unknown verdict = iota // keep waiting
	good
	bad
)

// states tells final states from all others, in any case of letters.
type states map[string]verdict

// parseStates reads the two lists. A state that a person put on one list is
// taken off the default of the other.
func parseStates(success, failure string) (states, error) {
	wins, fails := list(success), list(failure)
	var errs []error
	for _, given := range []struct {
		name, text string
		states     []string
	}{{"REMORA_HTTP_SUCCESS", success, wins}, {"REMORA_HTTP_FAILURE", failure, fails}} {
		if given.text != "" && len(given.states) == 0 {
			errs = append(errs, fmt.Errorf("%s: names no state", given.name))
		}
	}
	for _, s := range wins {
		if slices.Contains(fails, s) {
			errs = append(errs, fmt.Errorf("REMORA_HTTP_FAILURE: %q is in REMORA_HTTP_SUCCESS too", s))
		}
	}
	m := states{}
	if success == "" {
		m.set(goodStates, good)
	}
	if failure == "" {
		m.set(badStates, bad)
	}
	m.set(wins, good)
	m.set(fails, bad)
	return m, errors.Join(errs...)
}

func (m states) set(names []string, v verdict) {
	for _, s := range names {
		m[s] = v
	}
}

func (m states) of(state string) verdict { return m[fold(state)] }

func list(text string) []string {
	var out []string
	for s := range strings.SplitSeq(text, ",") {
		if s = fold(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

func fold(s string) string { return strings.ToLower(strings.TrimSpace(s)) }

// plainState finds the state in an answer without an expression. Systems that
// have both a status and a conclusion say "completed" in the first whatever the
// end was, so the conclusion is asked first; a result counts only if it is a
// state that is known, for it is often text of another kind.
func (m states) plainState(answer any) string {
	if text, ok := answer.(string); ok {
		return text
	}
	object, _ := answer.(map[string]any)
	if s, _ := object["conclusion"].(string); s != "" {
		return s
	}
	if s, _ := object["result"].(string); m.of(s) != unknown {
		return s
	}
	for _, key := range []string{"status", "state"} {
		if s, _ := object[key].(string); s != "" {
			return s
		}
	}
	return ""
}
