package hooks

import (
	"fmt"
	"slices"
	"strings"

	"gitlab.com/remora-ci/remora/component/gitlab"
)

// eventsOf are the events that a kind of hook has, by GitLab's names of their
// flags.
func eventsOf(kind string) []string {
	switch kind {
	case System:
		return gitlab.HookEvents(gitlab.HookScope{System: true})
	case Project:
		return gitlab.HookEvents(gitlab.HookScope{Project: "any"})
	}
	return gitlab.HookEvents(gitlab.HookScope{Group: "any"})
}

// Event is the name of the flag that a person means: "push", "merge_request" and
// "merge_requests_events" all have one; "" is unknown.
func Event(text string) string {
	name := strings.ToLower(strings.TrimSpace(text))
	for _, flag := range slices.Concat(eventsOf(Group), eventsOf(System)) {
		short := strings.TrimSuffix(flag, "_events")
		if name == flag || name == short || name+"s" == short || name == short+"s" {
			return flag
		}
	}
	return ""
}

// flags are the names of the flags of events, each once and in order, as far as
// hooks of that kind have them.
func flags(kind string, events []string) []string {
	var list []string
	for _, e := range events {
		if flag := Event(e); slices.Contains(eventsOf(kind), flag) {
			list = append(list, flag)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func checkEvents(key, kind string, events []string) []error {
	var errs []error
	known := eventsOf(kind)
	for i, e := range events {
		at := fmt.Sprintf("%s[%d]", key, i)
		switch flag := Event(e); {
		case flag == "":
			errs = append(errs, fmt.Errorf("%s: %q is no event of a webhook%s", at, e, meant(e, known)))
		case !slices.Contains(known, flag):
			errs = append(errs, fmt.Errorf("%s: %q is no event of a %s hook; it has %s", at, e, kind, strings.Join(known, ", ")))
		case slices.ContainsFunc(events[:i], func(other string) bool { return Event(other) == flag }):
			errs = append(errs, fmt.Errorf("%s: %q is named twice", at, e))
		}
	}
	return errs
}

// meant is "; did you mean …?" if one of names is near, with or without the word
// that all flags end with.
func meant(text string, names []string) string {
	text = strings.ToLower(strings.TrimSuffix(strings.TrimSpace(text), "_events"))
	best, least := "", 1+min(3, len(text)/2)
	for _, name := range names {
		if d := apart(text, strings.TrimSuffix(strings.ToLower(name), "_events")); d < least {
			best, least = name, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// apart is how many letters to change, add or drop make b of a.
func apart(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			least := corner
			if a[i] != b[j] {
				least = 1 + min(corner, row[j], row[j+1])
			}
			corner, row[j+1] = row[j+1], least
		}
	}
	return row[len(b)]
}

// EventsFor are the events that routes need: the kinds of event that they take,
// in the words of package route, and notes where commands are read.
func EventsFor(kinds []string, commands bool) []string {
	flag := map[string]string{
		"push": "push_events", "tag_push": "tag_push_events", "merge_request": "merge_requests_events",
		"pipeline": "pipeline_events", "deployment": "deployment_events", "release": "releases_events",
	}
	var list []string
	for _, kind := range kinds {
		if flag[kind] != "" { // a job asks by itself
			list = append(list, flag[kind])
		}
	}
	if commands {
		list = append(list, "note_events")
	}
	slices.Sort(list)
	return slices.Compact(list)
}
