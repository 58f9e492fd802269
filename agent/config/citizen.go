package config

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"gitlab.com/remora-ci/remora/agent/command"
	"gitlab.com/remora-ci/remora/agent/hooks"
	"gitlab.com/remora-ci/remora/component/trigger"
)

// hooksPath is where GitLab sends webhooks to, below the agent's URL.
const hooksPath = "/hooks/gitlab"

// ownURL is how others reach the agent, without a slash at the end.
func (l *loader) ownURL() string {
	const example = "want the agent's address, such as https://remora.example.com"
	text := l.doc.URL
	if text == "" || l.bad["url"] {
		return ""
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		l.fault("url", example)
		return ""
	case u.User != nil:
		l.fault("url", "must not hold a user or password")
	case strings.ContainsAny(text, "?#"):
		l.fault("url", "must end with the path; take off what follows ? or #")
	case strings.HasSuffix(strings.TrimRight(u.Path, "/"), hooksPath) || strings.Contains(u.Path+"/", "/api/v1/"):
		l.fault("url", example+", without /api/v1 and "+hooksPath)
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		l.warn("url", "http lets everybody on the way read the tokens of jobs and the secrets of hooks; use https")
	}
	return strings.TrimRight(text, "/")
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback() || strings.EqualFold(host, "localhost") || strings.HasSuffix(strings.ToLower(host), ".localhost")
}

// audiences are those of ID tokens that are taken besides the agent's own.
func (l *loader) audiences(instances []Instance) []string {
	const key = "id_tokens.audience"
	for i, text := range l.doc.IDTokens.Audience {
		at := l.itemOr(key, i)
		switch {
		case strings.TrimSpace(text) == "" || strings.ContainsFunc(text, isSpace):
			l.fault(at, "want an audience, a text without spaces such as https://remora.example.com")
		case text == trigger.AudiencePrefix:
			l.fault(at, "%s alone is the audience of a job that knows no agent; write the agent's URL behind it", text)
		case slices.Contains(l.doc.IDTokens.Audience[:i], text):
			l.fault(at, "%q is named twice", clip(text))
		case slices.ContainsFunc(instances, func(n Instance) bool { return strings.EqualFold(n.URL, strings.TrimRight(text, "/")) }):
			l.warn(at, "%q is GitLab itself, which tokens for other services have too: whoever gets one of those could ask here", clip(text))
		}
	}
	return l.doc.IDTokens.Audience
}

func isSpace(r rune) bool { return r <= ' ' || r == 0x7f }

// commands are whom the agent obeys in notes.
func (l *loader) commands(tokens []Token) command.Config {
	d := &l.doc.Commands
	on := len(tokens) > 0
	if d.Enabled != "" {
		on, _ = strconv.ParseBool(d.Enabled)
		if on && len(tokens) == 0 && !l.bad["tokens"] {
			l.fault("commands.enabled", "needs a token: nobody's role could be read, and no command answered; name one in tokens")
		}
	}
	d.Enabled = strconv.FormatBool(on)
	c := command.Config{Enabled: on, Prefix: d.Prefix}
	var err error
	if c.AccessLevel, err = command.ParseLevel(d.AccessLevel); err != nil {
		l.fault("commands.access_level", "%s, not %q%s", err, clip(d.AccessLevel), meant(d.AccessLevel, roleNames()))
	}
	for _, e := range leaves(c.WithDefaults().Validate()) {
		if key, text, ok := strings.Cut(e.Error(), ": "); ok {
			l.fault(join("commands", key), "%s", text)
		}
	}
	return c
}

// roleNames are the names of roles as people write them.
func roleNames() []string {
	var names []string
	for level := range highestRole + 1 {
		if name := command.LevelName(level); name != "" {
			names = append(names, strings.ToLower(name))
		}
	}
	return names
}

const highestRole = 50 // owner

// hooks are the webhooks that are kept in GitLab. Without a section there are none.
func (l *loader) hooks(own string, tokens []Token) hooks.Config {
	d := &l.doc.Hooks
	if _, there := l.origins["hooks"]; !there {
		*d = hooksEntry{Kind: hooks.Off}
		return hooks.Config{Kind: hooks.Off}
	}
	d.Kind = firstOf(d.Kind, hooks.Group)
	if d.URL == "" && own != "" {
		d.URL = own + hooksPath
		l.origins["hooks.url"] = l.origins["url"]
	}
	c := hooks.Config{Kind: d.Kind, URL: d.URL, OldURLs: d.OldURLs, Events: d.Events}
	c.Heal, _ = parseHeal(d.Heal)
	c.Rotate, _ = parseAge(d.Rotate)
	for i := range d.Groups {
		g := &d.Groups[i]
		if g.Token == "" && len(tokens) == 1 {
			g.Token = tokens[0].Name
		} else if g.Token == "" && len(tokens) > 1 {
			l.fault(join(item("hooks.groups", i), "token"), "missing; name one of the tokens %s", strings.Join(tokenNames(tokens), ", "))
		}
		c.Groups = append(c.Groups, hooks.Override(*g))
	}
	if c.URL == "" && c.Kind != hooks.Off && !l.bad["url"] {
		l.fault("hooks.url", "missing; say where GitLab sends: the agent's url at the top (REMORA_URL), or this")
	}
	l.checkHooks(c, tokens)
	known := make([]hooks.TokenName, 0, len(tokens))
	for _, t := range tokens {
		known = append(known, hooks.TokenName{Name: t.Name, Instance: t.Instance})
	}
	l.blameHooks(c.CheckTokens(known))
	return c
}

// checkHooks has package hooks check what is its own: for each instance apart,
// because groups of two instances may have one name.
func (l *loader) checkHooks(c hooks.Config, tokens []Token) {
	of := map[string]string{}
	at := []string{""} // what names no token, too
	for _, t := range tokens {
		of[t.Name] = t.Instance
		at = append(at, t.Instance)
	}
	slices.Sort(at)
	for _, instance := range slices.Compact(at) {
		part := c
		part.Groups = slices.Clone(c.Groups)
		for i, g := range part.Groups {
			if of[g.Token] != instance {
				part.Groups[i] = hooks.Override{Token: g.Token, Group: fmt.Sprintf("elsewhere-%d", i)}
			}
		}
		l.blameHooks(part.Validate())
	}
}

func tokenNames(tokens []Token) []string {
	names := make([]string, 0, len(tokens))
	for _, t := range tokens {
		names = append(names, t.Name)
	}
	return names
}

// blameHooks tells what package hooks says is wrong: its errors begin with a key.
func (l *loader) blameHooks(err error) {
	for _, e := range leaves(err) {
		key, text, ok := strings.Cut(e.Error(), ": ")
		if !ok {
			key, text = "", e.Error()
		}
		at := join("hooks", key)
		if l.origins[at] == (Origin{}) && strings.HasSuffix(at, "]") {
			at = parent(at) // one text in place of a list
		}
		l.fault(strings.TrimSuffix(at, "."), "%s", text)
	}
}

// checkKeeping tells where secrets would be kept that nothing encrypts, and of
// tokens that cannot be replaced.
func (l *loader) checkKeeping(c *Config) {
	const make32 = "set database.encryption_key (REMORA_ENCRYPTION_KEY), which `openssl rand -base64 32` makes"
	first := map[string]int{}
	for i, t := range c.Tokens {
		at := join(item("tokens", i), "rotate")
		other, again := first[t.Value.Reveal()]
		if !again {
			first[t.Value.Reveal()] = i
		}
		switch {
		case again && !t.Value.Empty() && (t.Rotate || c.Tokens[other].Rotate):
			l.fault(at, "%s has the same token: when one is replaced, the other ends; let one entry name all projects", item("tokens", other))
		case t.Rotate && c.Store.Key.Empty() && !l.bad["database.encryption_key"]:
			l.fault(at, "the new token would have to be kept in the clear; %s", make32)
		}
	}
	configured := !c.Auth.Secrets.Empty() || !c.Auth.SigningTokens.Empty()
	switch {
	case !c.Hooks.Enabled():
	case !configured && c.Store.Key.Empty() && !l.bad["database.encryption_key"] && !l.bad["webhook.secret"] && !l.bad["webhook.signing_token"]:
		l.fault("hooks", "the agent makes the secrets of the hooks and keeps them encrypted; %s, or give it webhook.secret", make32)
	case configured && c.Hooks.Rotate > 0:
		l.warn("hooks.rotate", "no effect: the secrets of the hooks are those that webhook names; take them out, and the agent makes its own")
	}
}
