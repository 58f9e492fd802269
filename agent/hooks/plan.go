package hooks

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component/gitlab"
)

// Action is what is done with a hook.
type Action string

// The actions. Enable is an update and a test, whose answer brings a disabled hook
// back.
const (
	Create Action = "create"
	Update Action = "update"
	Enable Action = "enable"
	Delete Action = "delete"
	Keep   Action = "keep" // nothing: all is right
	Skip   Action = "skip" // nothing: it cannot be done; Why says it
)

// TellsSecrets says whether a change gives GitLab the secrets of the hook.
func (c Change) TellsSecrets() bool {
	return c.Action == Create || c.Action == Update || c.Action == Enable
}

// Scope is where a hook is wanted.
type Scope struct {
	Kind   string // Group, Project or System
	ID     int64  // of the group or project; 0 of an instance
	Path   string // of the group or project; the URL of an instance
	Token  string // name of the token that keeps it
	Events []string
}

// gitlab is the scope in the words of package gitlab. A path may move, an id
// does not.
func (s Scope) gitlab() gitlab.HookScope {
	switch s.Kind {
	case System:
		return gitlab.HookScope{System: true}
	case Project:
		return gitlab.HookScope{Project: gitlab.ProjectID(s.ID)}
	}
	return gitlab.HookScope{Group: string(gitlab.ProjectID(s.ID))}
}

// Want is the hook that a scope is to have.
type Want struct {
	Scope
	URL     string
	OldURLs []string // globs
	Paths   bool     // hooks at other paths of the same agent go, too: see earlier
	Pair    Pair
}

// Change is what is to be done about one hook of a scope.
type Change struct {
	Scope  Scope
	Action Action
	Hook   gitlab.Hook // as it is; its id alone where it is gone, zero where there was none
	Why    []string    // one reason each
	Diff   []string    // "+ push_events", "- http://old", one line each
}

// Plan compares the hooks that a scope has with the one it is to have; kept is
// what is remembered of it, the zero Hook if nothing is. Ours are the hook with
// the remembered id, those that send to the wanted URL, and those that send to
// one of an earlier installation; all others are left alone. One is brought to
// what is wanted; the rest of ours are deleted.
func Plan(want Want, actual []gitlab.Hook, kept store.Hook) []Change {
	actual = slices.Clone(actual)
	slices.SortFunc(actual, func(a, b gitlab.Hook) int { return int(a.ID - b.ID) })
	main := slices.IndexFunc(actual, func(h gitlab.Hook) bool { return h.ID == kept.Hook && kept.Hook != 0 })
	if main < 0 {
		main = slices.IndexFunc(actual, func(h gitlab.Hook) bool { return h.URL == want.URL })
	}
	var changes []Change
	if main < 0 {
		changes = append(changes, missing(want, kept))
	} else {
		changes = append(changes, compare(want, actual[main], kept))
	}
	for i, h := range actual {
		var why string
		switch {
		case i == main:
			continue
		case h.URL == want.URL:
			why = "it sends the same a second time"
		case isOld(h.URL, want):
			why = "it sends to an earlier installation"
		default:
			continue
		}
		changes = append(changes, Change{Scope: want.Scope, Action: Delete, Hook: h, Why: []string{why}, Diff: []string{"- " + shown(h.URL)}})
	}
	return changes
}

func missing(want Want, kept store.Hook) Change {
	c := Change{Scope: want.Scope, Action: Create, Why: []string{"there is none"}, Diff: []string{"+ " + want.URL}}
	if kept.Hook != 0 {
		c.Hook.ID, c.Why = kept.Hook, []string{"it is gone"}
	}
	for _, e := range want.Events {
		c.Diff = append(c.Diff, "+ "+e)
	}
	return c
}

// compare says what is to be changed at a hook of ours. An event that this GitLab
// does not have cannot be had.
func compare(want Want, h gitlab.Hook, kept store.Hook) Change {
	c := Change{Scope: want.Scope, Action: Update, Hook: h}
	add := func(why string, diff ...string) { c.Why, c.Diff = append(c.Why, why), append(c.Diff, diff...) }
	if h.URL != want.URL {
		add("it sends elsewhere", "- "+shown(h.URL), "+ "+want.URL)
	}
	var diff []string
	for _, e := range want.Events {
		if !slices.Contains(h.Events, e) && !slices.Contains(h.Unknown, e) {
			diff = append(diff, "+ "+e)
		}
	}
	if len(diff) > 0 {
		add("events are missing", diff...)
	}
	diff = nil
	for _, e := range h.Events {
		if !slices.Contains(want.Events, e) {
			diff = append(diff, "- "+e)
		}
	}
	if len(diff) > 0 {
		add("it has events that nobody needs", diff...)
	}
	if h.Branches != "" {
		add("it leaves out branches", "- push_events_branch_filter "+h.Branches)
	}
	if h.Template {
		add("it sends a payload of its own", "- custom_webhook_template")
	}
	if !h.VerifyTLS {
		add("it does not check the certificate", "+ enable_ssl_verification")
	}
	if why := secretDrift(want.Pair, h, kept); why != "" {
		add(why, "~ secrets")
	}
	switch {
	case disabled(h):
		c.Action = Enable
		add("GitLab has disabled it", "- "+h.AlertStatus)
	case len(c.Why) == 0:
		c.Action = Keep
	}
	return c
}

// secretDrift says what is wrong with the secrets of a hook. They cannot be read,
// so which it has is remembered.
func secretDrift(pair Pair, h gitlab.Hook, kept store.Hook) string {
	lacks := func(present *bool, wanted bool) bool { return present != nil && !*present && wanted }
	switch {
	case lacks(h.TokenPresent, !pair.Token.Empty()):
		return "it has no secret"
	case lacks(h.SigningPresent, !pair.Signing.Empty()):
		return "it has no signing token"
	case h.SigningPresent != nil && *h.SigningPresent && pair.Signing.Empty():
		return "it has a signing token that is not ours"
	case kept.Hook != h.ID || kept.Secret == "":
		return "its secrets are not known to be ours"
	case kept.Secret != pair.Version:
		return "its secrets were replaced"
	}
	return ""
}

// disabled says whether GitLab has stopped calling a hook.
func disabled(h gitlab.Hook) bool { return h.AlertStatus != "" && h.AlertStatus != "executable" }

// earlier are paths that webhooks of this agent, and of the integrations that it
// replaces, have or had, below the agent's base path.
var earlier = regexp.MustCompile(`^/(hooks/gitlab|integration/webhook|integration/hook/[^/]+|integration/system/hook|api/v1/webhooks/gitlab|api/webhooks/gitlab)/?$`)

// isOld says whether a URL is one of an earlier installation: one that fits a glob
// of the operator's, or another path of the same agent.
func isOld(address string, want Want) bool {
	for _, glob := range want.OldURLs {
		if doublestar.MatchUnvalidated(glob, address) {
			return true
		}
	}
	if !want.Paths {
		return false
	}
	old, err := url.Parse(address)
	wanted, wrong := url.Parse(want.URL)
	if err != nil || wrong != nil || !strings.EqualFold(old.Host, wanted.Host) {
		return false
	}
	at := len(wanted.Path)
	for at > 0 && !earlier.MatchString(wanted.Path[at:]) {
		at--
	}
	base := strings.TrimSuffix(wanted.Path[:at], "/")
	rest, below := strings.CutPrefix(old.Path, base)
	return earlier.MatchString(wanted.Path[at:]) && below && earlier.MatchString(rest)
}

// shown is a URL without what may be secret in it.
func shown(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "a URL that cannot be read"
	}
	u.User = nil
	if u.RawQuery != "" {
		u.RawQuery = "…"
	}
	return u.String()
}
