package config

import (
	"context"
	"net"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sethvargo/go-envconfig"

	"gitlab.com/remora-ci/remora/agent/auth"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component/delivery"
)

// finish checks the document and makes the Config of it. With a fault there is
// no Config.
func (l *loader) finish() (*Config, []Warning, error) {
	if l.bad[""] { // nothing was read
		return nil, l.warnings, l.err()
	}
	l.defaults()
	c := &Config{File: l.file, Log: l.doc.Log, Listen: l.doc.Listen}
	c.Instances = l.instances()
	c.Tokens = l.tokens(c.Instances)
	c.Targets = l.targets()
	c.Routes = l.routes()
	c.Schedules = l.schedules(c.Instances)
	c.URL, c.Audiences = l.ownURL(), l.audiences(c.Instances)
	c.Commands, c.Hooks = l.commands(c.Tokens), l.hooks(c.URL, c.Tokens)
	c.Auth, c.Store = l.access(c.Hooks.Enabled()), l.store()
	l.checkKeeping(c)
	c.Limits = l.limits()
	c.Shutdown, _ = parseDuration(l.doc.ShutdownTimeout)
	l.checkListen()
	l.checkUse()
	l.checkPolicy(c)
	if !slices.Contains(logLevels, l.doc.Log) {
		l.fault("log", "want error, warn, info or debug, not %q%s", clip(l.doc.Log), meant(l.doc.Log, logLevels))
	}
	err := l.err()
	c.secrets = l.allSecrets(c)
	if err != nil {
		return nil, l.warnings, err
	}
	if file, err := c.Store.File(); err == nil && file != "" {
		l.doc.DataDir = filepath.Dir(file) // shown also where it is the default
	}
	c.settings = l.settings(l.scrubber(c))
	return c, l.warnings, nil
}

// LoadStore reads of a file, and of env over it, only where the store is, for
// commands that need nothing else: what else is wrong, or asks for variables
// that are not there, does not matter; nor does the key, which reads no event.
// Without a file env says it alone.
func LoadStore(ctx context.Context, file string, env envconfig.Lookuper) (store.Config, error) {
	if err := ctx.Err(); err != nil {
		return store.Config{}, err
	}
	l := newLoader(file, env)
	if file == "" || l.readFile() {
		l.overlay(false)
		l.defaults()
	}
	c := l.store()
	l.faults = slices.DeleteFunc(l.faults, func(f *Fault) bool {
		top, _, _ := strings.Cut(f.Key, ".")
		return f.Key == "database.encryption_key" || top != "" && top != "database" && top != "data_dir" && top != "retention"
	})
	return c, l.err()
}

// documentFields are the keys at the top.
func documentFields() []field { return sectionOf(reflect.TypeFor[document](), "", "").fields }

// fieldsAt are the keys of the section with that name.
func fieldsAt(key string) []field {
	fields := documentFields()
	f := fields[slices.IndexFunc(fields, func(f field) bool { return f.key == key })]
	t := f.typ
	if t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	return sectionOf(t, f.trim, f.skip).fields
}

// access are the secrets and rules of who may call. kept says that the agent makes
// the secrets of its hooks, so that none need to be configured.
func (l *loader) access(kept bool) auth.Config {
	c := l.doc.Webhook
	c.AdminToken = l.doc.AdminToken
	blame := func(err error) {
		for _, e := range leaves(err) {
			path, fields := l.ownerOf(e.Error(), "webhook")
			l.blame(path, fields, e)
		}
	}
	blame(c.Validate())
	for _, text := range c.Warnings() {
		if kept && strings.HasPrefix(text, "REMORA_WEBHOOK_SECRET: missing") {
			continue
		}
		path, fields := l.ownerOf(text, "webhook")
		key, text := l.translate(path, fields, text)
		l.warn(key, "%s", text)
	}
	return c
}

// store is where events are kept. Its keys stand in a section and at the top.
func (l *loader) store() store.Config {
	d := l.doc
	c := store.Config{URL: d.Database.URL, Dir: d.DataDir, Key: d.Database.EncryptionKey, Retention: d.Retention}
	for _, e := range leaves(c.Validate()) {
		path, fields := l.ownerOf(e.Error(), "database")
		l.blame(path, fields, e)
	}
	if c.URL != "" && c.Dir != "" {
		l.warn("data_dir", "not used; events are kept in the database")
	}
	return c
}

// ownerOf is the section that a message is about: the top, if its variable is a
// key there, else the section.
func (l *loader) ownerOf(message, section string) (path string, fields []field) {
	top := documentFields()
	if key, _ := l.translate("", top, message); key != "" {
		return "", top
	}
	return section, fieldsAt(section)
}

func (l *loader) limits() Limits {
	d := l.doc.Limits
	number := func(text string) int { n, _ := strconv.Atoi(text); return n }
	memory, _ := parseSize(d.Memory)
	limits := Limits{PerProject: number(d.PerProject), Workers: number(d.Workers), MaxAttempts: number(d.MaxAttempts), Memory: memory}
	limits.Lease, _ = parseDuration(d.Lease)
	if limits.Lease > 0 && limits.Lease < leastLease {
		l.fault("limits.lease", "want %s or more: a busy agent that cannot prolong it in time would lose its work", leastLease)
	}
	if least := int64(26 << 20); memory > 0 && memory < least {
		l.fault("limits.memory", "less than one webhook may need; want 26MiB or more")
	}
	if limits.FreeRequests = d.Requests == "auto"; !slices.Contains(requestLimits, d.Requests) {
		l.fault("limits.gitlab_requests", "want 600/min, or auto where GitLab has no limit, not %q%s", clip(d.Requests), meant(d.Requests, requestLimits))
	}
	if limits.PerProject > maxPerProject {
		l.fault("limits.per_project", "want at most %d", maxPerProject)
	}
	return limits
}

// leastLease is longer than a pause of the database that comes and goes.
const leastLease = 3 * time.Second

// maxPerProject is the invariant that the load on one project's targets is small.
const maxPerProject = 10

func (l *loader) checkListen() {
	_, port, err := net.SplitHostPort(l.doc.Listen)
	n, bad := strconv.ParseUint(port, 10, 16)
	if err != nil || bad != nil {
		l.fault("listen", "want address and port, such as 127.0.0.1:8080 or :8080, not %q", clip(l.doc.Listen))
		return
	}
	if n == 0 && l.origin("listen").Variable == "" {
		l.warn("listen", "port 0 is another port at every start")
	}
}

// checkUse warns of what is there for nothing.
func (l *loader) checkUse() {
	if len(l.doc.Routes)+len(l.doc.Schedules) == 0 && !l.bad["schedules"] {
		l.fault("routes", "missing; nothing would ever be delivered: name at least one route or schedule")
		return
	}
	used := map[string]bool{}
	for _, r := range l.doc.Routes {
		for _, name := range r.Sync {
			used[name] = true
		}
	}
	for _, s := range l.doc.Schedules {
		for _, name := range s.Sync {
			used[name] = true
		}
	}
	for i, t := range l.doc.Targets {
		if name := firstOf(t.Name, t.Kind); !used[name] && !l.bad[join(item("targets", i), "kind")] {
			l.warn(item("targets", i), "no route and no schedule leads to %q", clip(name))
		}
	}
	if len(l.doc.Tokens) == 0 && !l.bad["tokens"] {
		if l.file == "" {
			l.warnings = append(l.warnings, Warning{Fault{Origin{Variable: "REMORA_GITLAB_TOKEN"}, "", "missing; without a token nothing is shown in GitLab, and the newest commit of a ref is not known"}})
			return
		}
		l.warn("tokens", "missing; without a token nothing is shown in GitLab, and the newest commit of a ref is not known")
	}
}

// scrubber takes secrets out of values that are shown. It does not know the
// values of all headers, as allSecrets does: some are ordinary words.
func (l *loader) scrubber(c *Config) *delivery.Scrubber {
	all := slices.Concat(l.secrets, passwords(c.Store.URL))
	for _, t := range c.Targets {
		t.Config.HTTP.Headers = ""
		all = append(all, t.Config.Secrets()...)
	}
	return delivery.NewScrubber(all...)
}

// allSecrets are those of the document, and those in parts of its values.
func (l *loader) allSecrets(c *Config) []delivery.Secret {
	all := slices.Concat(l.secrets, c.Auth.All())
	for _, t := range c.Targets {
		all = append(all, t.Config.Secrets()...)
	}
	all = append(all, passwords(c.Store.URL)...)
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), delivery.Secret.Empty)
}
