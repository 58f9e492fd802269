package config

import (
	"slices"
	"strings"

	"gitlab.com/remora-ci/remora/agent/hooks"
	"gitlab.com/remora-ci/remora/agent/route"
)

// checkPolicy tells of rules that nobody can ever satisfy, as faults, and of what
// has no effect, or less than it seems to have, as warnings. It says only what is
// certain.
func (l *loader) checkPolicy(c *Config) {
	for i, r := range c.Routes {
		path := item("routes", i)
		l.checkEmptied(path, "projects", r.Projects, normal)
		l.checkEmptied(path, "refs", r.Refs, trimmed)
		l.checkRefKinds(path, r)
		l.checkJobs(path, r, c)
		l.checkCovered(path, r.Projects, c.Tokens)
		l.checkSent(path, r, c)
	}
	for i, s := range c.Schedules {
		path := item("schedules", i)
		l.checkEmptied(path, "projects", s.Projects, normal)
		l.checkEmptied(path, "refs", s.Refs, trimmed)
		l.checkCovered(path, s.Projects, slices.DeleteFunc(slices.Clone(c.Tokens), func(t Token) bool { return t.Instance != s.Instance }))
	}
	l.checkTaken(c.Routes)
	l.checkGroups(c)
	if events := c.Hooks.Events; c.Commands.Enabled && c.Hooks.Enabled() && l.said("commands") && !sends(c.Hooks, events, "note") {
		l.warn("commands", "no hook sends notes; add note to hooks.events%s", ofSystem(c.Hooks))
	}
}

// said says whether somebody wrote the key at path.
func (l *loader) said(path string) bool {
	o, ok := l.origins[path]
	return ok && o != Origin{}
}

// compare counts a look at two globs; false if there were too many, so that a
// hostile file ends soon. What is not looked at is not told.
func (l *loader) compare() bool {
	l.compared++
	return l.compared <= maxCompared
}

// checkEmptied tells of globs whose exclusions leave nothing. form is how they are
// compared.
func (l *loader) checkEmptied(path, key string, globs []string, form func(string) string) {
	if i := l.emptied(globs, form); i >= 0 {
		l.fault(l.itemOr(join(path, key), i), "%q takes away all that the globs before it name, so nothing is left", clip(globs[i]))
	}
}

// takes says whether a route takes a kind of event.
func takes(r Route, kind string) bool {
	if len(r.On) == 0 {
		return kind == route.Push || kind == route.TagPush || kind == route.MergeRequest
	}
	return slices.ContainsFunc(r.On, func(on string) bool { return plainKind(on) == kind })
}

// takesOnly says whether a route takes none but these kinds.
func takesOnly(r Route, only ...string) bool {
	return !slices.ContainsFunc(kinds, func(kind string) bool { return takes(r, kind) && !slices.Contains(only, kind) })
}

// plainKind is a kind as package route compares it.
func plainKind(kind string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimSpace(kind)), "-", "_")
}

// checkRefKinds tells of events of branches where all refs are tags, and of the
// other way round.
func (l *loader) checkRefKinds(path string, r Route) {
	at := join(path, "refs")
	switch {
	case takesOnly(r, route.Push, route.MergeRequest) && allBegin(r.Refs, "refs/tags/"):
		l.fault(at, "names tags alone, and push and merge_request are of branches; add tag_push to `on`")
	case takesOnly(r, route.TagPush, route.Release) && allBegin(r.Refs, "refs/heads/"):
		l.fault(at, "names branches alone, and tag_push and release are of tags; add push to `on`")
	}
}

// allBegin says whether all that globs name begins so.
func allBegin(globs []string, with string) bool {
	if len(globs) == 0 || strings.HasPrefix(strings.TrimSpace(globs[0]), "!") {
		return false
	}
	return !slices.ContainsFunc(globs, func(g string) bool {
		g = strings.Trim(strings.TrimSpace(g), "/")
		return !strings.HasPrefix(g, "!") && !strings.HasPrefix(g, with)
	})
}

// checkJobs tells what is wrong with a route about the jobs that ask, and with
// what it says of forks.
func (l *loader) checkJobs(path string, r Route, c *Config) {
	jobs, requests := takes(r, route.Job), takes(r, route.MergeRequest)
	protected, forks := join(path, "protected"), join(path, "forks")
	if i := slices.IndexFunc(r.On, func(on string) bool { return plainKind(on) == route.Job }); i >= 0 &&
		c.URL == "" && len(c.Audiences) == 0 && !l.bad["url"] && !l.bad["id_tokens.audience"] {
		l.fault(l.itemOr(join(path, "on"), i), "no ID token of a job could ever be good; set url (REMORA_URL), or id_tokens.audience")
	}
	if !jobs && l.said(protected) {
		l.warn(protected, "no effect: it is about jobs, and `on` does not name job")
	}
	switch {
	case !l.said(forks):
	case !jobs && !requests:
		l.warn(forks, "no effect: it is about merge requests, and `on` names neither merge_request nor job")
	case jobs && !r.Open && r.Forks == route.ForksAll:
		l.warn(forks, "jobs of forks are refused all the same: the ref of a fork is not protected here; protected: false takes them, and all other refs too")
	}
	if l.said(join(path, "debounce")) && r.Debounce > 0 && takesOnly(r, route.Job) {
		l.warn(join(path, "debounce"), "no effect: a job that asks is not kept waiting")
	}
}

// checkCovered tells of projects that no token speaks for.
func (l *loader) checkCovered(path string, projects []string, tokens []Token) {
	if len(tokens) == 0 {
		return // told as a whole
	}
	for i, glob := range projects {
		if strings.HasPrefix(strings.TrimSpace(glob), "!") {
			continue
		}
		covered := slices.ContainsFunc(tokens, func(t Token) bool {
			return slices.ContainsFunc(t.Projects, func(of string) bool { return !l.compare() || !disjoint(of, glob) })
		})
		if !covered {
			l.warn(l.itemOr(join(path, "projects"), i), "no token is for %q: nothing is shown there, and the newest commit of a ref is not known", clip(glob))
		}
	}
}

// checkSent tells of events that no hook brings.
func (l *loader) checkSent(path string, r Route, c *Config) {
	if !c.Hooks.Enabled() || len(r.On) == 0 {
		return
	}
	for i, on := range r.On {
		kind := plainKind(on)
		if !slices.Contains(kinds, kind) || kind == route.Job {
			continue
		}
		if !sends(c.Hooks, c.Hooks.Events, hooks.EventsFor([]string{kind}, false)[0]) {
			l.warn(l.itemOr(join(path, "on"), i), "no hook sends %s; add it to hooks.events%s", kind, ofSystem(c.Hooks))
		}
	}
}

// sends says whether some hook sends an event.
func sends(c hooks.Config, events []string, event string) bool {
	event = hooks.Event(event)
	if c.Kind == hooks.System && !slices.Contains(systemEvents, event) {
		return false
	}
	named := func(list []string) bool {
		return len(list) == 0 || slices.ContainsFunc(list, func(e string) bool { return hooks.Event(e) == event })
	}
	return named(events) || slices.ContainsFunc(c.Groups, func(g hooks.Override) bool { return len(g.Events) > 0 && named(g.Events) })
}

// systemEvents are all that a system hook can send, of what routes take:
// https://docs.gitlab.com/administration/system_hooks/.
var systemEvents = []string{"push_events", "tag_push_events", "merge_requests_events"}

func ofSystem(c hooks.Config) string {
	if c.Kind == hooks.System {
		return "; system hooks send push, tag_push and merge_request alone, so this needs kind group or project"
	}
	return ""
}

// checkGroups tells of chosen groups that lead to nothing, and of tokens that are
// not for them.
func (l *loader) checkGroups(c *Config) {
	for i, g := range c.Hooks.Groups {
		path := item("hooks.groups", i)
		below := strings.Trim(g.Group, "/") + "/**"
		if below == "/**" {
			continue
		}
		if t := slices.IndexFunc(c.Tokens, func(t Token) bool { return t.Name == g.Token }); t >= 0 &&
			!slices.ContainsFunc(c.Tokens[t].Projects, func(of string) bool { return !disjoint(of, below) }) {
			l.warn(join(path, "token"), "%q is for no project of %s", clip(g.Token), clip(g.Group))
		}
		used := slices.ContainsFunc(c.Routes, func(r Route) bool {
			return len(r.Projects) == 0 || strings.HasPrefix(r.Projects[0], "!") ||
				slices.ContainsFunc(r.Projects, func(p string) bool { return !strings.HasPrefix(p, "!") && !disjoint(p, below) })
		})
		if !used && len(c.Routes) > 0 {
			l.warn(join(path, "group"), "no route takes a project of %s, so its events would lead to nothing", clip(g.Group))
		}
	}
}
