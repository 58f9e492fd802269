package hooks

import "time"

// Config is which webhooks are wanted in GitLab.
type Config struct {
	Kind    string        // group (default), project, system or off
	URL     string        // where GitLab sends: the agent's URL and /hooks/gitlab
	OldURLs []string      // globs of URLs of earlier installations, whose hooks are removed
	Events  []string      // names of GitLab's flags: push_events; empty: what the routes need
	Heal    time.Duration // how often they are put right; 0: never by itself
	Rotate  time.Duration // how often their secrets are replaced; 0: never by itself
	Groups  []Override    // chosen groups; empty: the root groups of every token
}

// Override is a group that is chosen for a token, with events of its own.
type Override struct {
	Token  string   // name of the token
	Group  string   // full path
	Events []string // empty: all that Config has
}
