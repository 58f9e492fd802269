package hooks

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
)

// The kinds of Config.
const (
	Group   = "group"   // one hook for each group, and for each project of a person
	Project = "project" // one for each project
	System  = "system"  // one for the instance, by its administrator
	Off     = "off"     // none are kept
)

var kinds = []string{Group, Project, System, Off}

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

// Enabled says whether hooks are kept at all.
func (c Config) Enabled() bool { return c.Kind != Off && c.URL != "" }

// kind is Kind, or its default.
func (c Config) kind() string {
	if c.Kind == "" {
		return Group
	}
	return c.Kind
}

const (
	leastHeal   = time.Minute
	leastRotate = 2 * previousFor // else secrets would be dropped while they are in use
)

// Validate tells everything that is wrong at once, each error beginning with its
// key: "groups[1].events[0]: …". What the tokens must be is for [Config.CheckTokens].
func (c Config) Validate() error {
	var errs []error
	wrong := func(key, format string, args ...any) { errs = append(errs, fmt.Errorf(key+": "+format, args...)) }
	if !slices.Contains(kinds, c.kind()) {
		wrong("kind", "%q is none of %s%s", c.Kind, strings.Join(kinds, ", "), meant(c.Kind, kinds))
	}
	if c.URL != "" {
		if problem := badURL(c.URL); problem != "" {
			wrong("url", "%s", problem)
		}
	}
	for i, glob := range c.OldURLs {
		switch {
		case !strings.Contains(glob, "://") && strings.Trim(glob, "*/:? ") != "":
			wrong(fmt.Sprintf("old_urls[%d]", i), "%q fits no URL; begin it with https://", glob)
		case !namesHost(glob):
			wrong(fmt.Sprintf("old_urls[%d]", i), "%q fits the hooks of everybody; write at least the host", glob)
		case !doublestar.ValidatePattern(glob):
			wrong(fmt.Sprintf("old_urls[%d]", i), "%q is no glob; a [, { or \\ in it is not closed", glob)
		case c.URL != "" && doublestar.MatchUnvalidated(glob, c.URL):
			wrong(fmt.Sprintf("old_urls[%d]", i), "%q fits the url that is wanted", glob)
		}
	}
	errs = append(errs, checkEvents("events", c.kind(), c.Events)...)
	if c.Heal < 0 || c.Heal > 0 && c.Heal < leastHeal {
		wrong("heal", "want PT1M or more, or nothing for never")
	}
	if c.Rotate < 0 || c.Rotate > 0 && c.Rotate < leastRotate {
		wrong("rotate", "want P2D or more: replaced secrets are taken for a day more")
	}
	return errors.Join(append(errs, c.checkGroups()...)...)
}

// checkGroups tells of groups that are named twice or contain each other, over all
// tokens: their events would come twice.
func (c Config) checkGroups() []error {
	var errs []error
	for i, g := range c.Groups {
		key := fmt.Sprintf("groups[%d]", i)
		path := plainPath(g.Group)
		if path == "" {
			errs = append(errs, fmt.Errorf("%s.group: missing; write the full path of the group", key))
		}
		if c.kind() == System {
			errs = append(errs, fmt.Errorf("%s.group: a system hook is for the whole instance; take the groups out, or set kind to group", key))
		}
		for j, other := range c.Groups[:i] {
			problem := ""
			switch earlier := plainPath(other.Group); {
			case path == "" || earlier == "":
			case path == earlier:
				problem = fmt.Sprintf("is named by groups[%d] already", j)
			case strings.HasPrefix(path, earlier+"/"):
				problem = fmt.Sprintf("lies in %s of groups[%d]; its events would come twice", other.Group, j)
			case strings.HasPrefix(earlier, path+"/"):
				problem = fmt.Sprintf("contains %s of groups[%d]; its events would come twice", other.Group, j)
			}
			if problem != "" { // one is enough
				errs = append(errs, fmt.Errorf("%s.group: %s %s", key, g.Group, problem))
				break
			}
		}
		errs = append(errs, checkEvents(key+".events", c.kind(), g.Events)...)
	}
	return errs
}

// TokenName is a token, for [Config.CheckTokens].
type TokenName struct {
	Name     string
	Instance string // name of its instance
}

// CheckTokens tells what is wrong between the hooks and the tokens that keep them,
// each error beginning with its key, as [Config.Validate] does.
func (c Config) CheckTokens(tokens []TokenName) error {
	if !c.Enabled() {
		return nil
	}
	var errs []error
	if len(tokens) == 0 {
		errs = append(errs, errors.New("kind: hooks are kept by a token, and there is none; name one in tokens, or set kind to off"))
	}
	if c.kind() == System {
		first := map[string]string{}
		for _, t := range tokens {
			if earlier, again := first[t.Instance]; again {
				errs = append(errs, fmt.Errorf("kind: a system hook is kept by one token, and instance %s has %s and %s; take one out, or set kind to group", t.Instance, earlier, t.Name))
				continue
			}
			first[t.Instance] = t.Name
		}
	}
	var names []string
	for _, t := range tokens {
		names = append(names, t.Name)
	}
	for i, g := range c.Groups {
		if !slices.Contains(names, g.Token) {
			errs = append(errs, fmt.Errorf("groups[%d].token: %q is no token%s", i, g.Token, meant(g.Token, names)))
		}
	}
	return errors.Join(errs...)
}

// plainPath is the path of a group as it is compared: GitLab's paths have no case.
func plainPath(path string) string {
	return strings.ToLower(strings.Trim(strings.TrimSpace(path), "/"))
}

// namesHost says whether the host of a glob is more than wildcards.
func namesHost(glob string) bool {
	_, rest, _ := strings.Cut(glob, "://")
	host, _, _ := strings.Cut(rest, "/")
	return strings.Trim(host, "*?.: ") != ""
}

func badURL(text string) string {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return "is no URL; write https://agent.example.com/hooks/gitlab"
	case u.Scheme != "https" && u.Scheme != "http", u.Host == "":
		return "must start with https:// or http:// and name a host"
	case u.User != nil:
		return "must not hold a user or password; the hooks have secrets of their own"
	case u.RawQuery != "" || u.Fragment != "":
		return "must end with the path; take off what follows ? or #"
	}
	return ""
}
