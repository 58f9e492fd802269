package config

import (
	"fmt"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gitlab.com/remora-ci/remora/agent/route"
	"gitlab.com/remora-ci/remora/component/gitlab"
	"gitlab.com/remora-ci/remora/component/paths"
	"gitlab.com/remora-ci/remora/component/report"
	"gitlab.com/remora-ci/remora/component/rest"
	"gitlab.com/remora-ci/remora/component/target"
)

// allProjects is the glob of a token that is for every project.
const allProjects = "**"

// kinds are those of events that a route can name.
var kinds = []string{route.Push, route.TagPush, route.MergeRequest, route.Pipeline, route.Deployment, route.Release, route.Job}

// safeName is what can stand in a status name, a key of work and a metric.
var safeName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,49}$`)

// names hands out names once.
type names struct {
	l    *loader
	used map[string]string // by lower case: where
}

func (l *loader) newNames() *names { return &names{l, map[string]string{}} }

// take notes the name of the item at path, and tells if it is taken.
func (n *names) take(path, name string) {
	at := join(path, "name")
	key := strings.ToLower(name)
	if first, taken := n.used[key]; taken {
		n.l.fault(at, "%q is the name of %s already", clip(name), first)
		return
	}
	n.used[key] = path
}

func (l *loader) instances() []Instance {
	var list []Instance
	taken, urls := l.newNames(), map[string]string{}
	fields := fieldsAt("gitlab")
	for i, d := range l.doc.GitLab {
		path := item("gitlab", i)
		u, err := url.Parse(d.URL)
		l.blame(path, fields, gitlab.Config{URL: d.URL}.Validate())
		l.checkCA(path, d.CAFile)
		if err == nil && u.Host != "" {
			d.Name = firstOf(d.Name, u.Host)
			l.doc.GitLab[i].Name = d.Name
			host := strings.ToLower(u.Host)
			if first, again := urls[host]; again {
				l.fault(join(path, "url"), "%s is the host of %s already", clip(u.Host), first)
			}
			urls[host] = path
		}
		if d.Name != "" {
			taken.take(path, d.Name)
		}
		d.URL = strings.TrimRight(strings.TrimSuffix(strings.TrimRight(d.URL, "/"), "/api/v4"), "/")
		list = append(list, Instance(d))
	}
	return list
}

// checkCA tells if a file of authorities is none.
func (l *loader) checkCA(path, file string) {
	if _, err := rest.New(rest.Config{CAFile: file}); err != nil {
		l.fault(join(path, "ca_file"), "%v", err)
	}
}

// instanceNamed is the instance that an item means: the one it names, or the only
// one.
func (l *loader) instanceNamed(path, name string, instances []Instance) string {
	known := make([]string, 0, len(instances))
	for _, i := range instances {
		known = append(known, i.Name)
	}
	switch at := join(path, "gitlab"); {
	case name == "" && len(known) == 1:
		return known[0]
	case name == "" && len(known) > 1:
		l.fault(at, "missing; name one of the instances %s", strings.Join(known, ", "))
	case name != "" && !slices.Contains(known, name):
		l.fault(at, "%q is no instance%s", clip(name), meant(name, known))
	}
	return name
}

func (l *loader) tokens(instances []Instance) []Token {
	var list []Token
	taken, globs := l.newNames(), map[string]string{}
	fields := fieldsAt("tokens")
	for i, d := range l.doc.Tokens {
		path := item("tokens", i)
		if d.Name != "" {
			taken.take(path, d.Name)
			l.checkName(join(path, "name"), d.Name)
		}
		l.blame(path, fields, gitlab.Config{URL: defaultGitLab, Token: d.Token}.Validate())
		if d.Token.Empty() {
			l.fault(join(path, "token"), "missing; set it to ${NAME} of a variable, or token_file to a path")
		}
		if len(d.Projects) == 0 {
			d.Projects = []string{allProjects}
		}
		t := Token{Name: d.Name, Instance: l.instanceNamed(path, d.GitLab, instances), Value: d.Token, Projects: d.Projects}
		t.Rotate, _ = strconv.ParseBool(d.Rotate)
		for j, glob := range t.Projects {
			at := l.itemOr(join(path, "projects"), j)
			if problem := badGlob(glob); problem != "" {
				l.fault(at, "%s", problem)
				continue
			}
			key := t.Instance + " " + normal(glob)
			if first, again := globs[key]; again {
				l.fault(at, "%q belongs to %s already, so this token would never be used for it", clip(glob), first)
			}
			globs[key] = path
		}
		list = append(list, t)
	}
	return list
}

func (l *loader) checkName(path, name string) {
	if !safeName.MatchString(name) {
		l.fault(path, "%q is not a name of at most 50 letters, digits and . _ - that begins with a letter or digit", clip(name))
	}
}

// itemOr is the path of an item, or of the whole where it is no list.
func (l *loader) itemOr(path string, i int) string {
	if at := item(path, i); l.origins[at] != (Origin{}) {
		return at
	}
	return path
}

func (l *loader) targets() []Target {
	var list []Target
	taken := l.newNames()
	s := sectionOf(reflect.TypeFor[targetEntry](), "", "")
	if len(l.doc.Targets) == 0 {
		l.fault("targets", "empty; name at least one target")
	}
	for i, d := range l.doc.Targets {
		path := item("targets", i)
		name := firstOf(d.Name, d.Kind)
		l.doc.Targets[i].Name = name
		if name != "" {
			taken.take(path, name)
			l.checkName(join(path, "name"), name)
		}
		l.checkCA(path, d.CAFile)
		t := Target{Name: name, Kind: d.Kind, CAFile: d.CAFile}
		var err error
		switch d.Kind {
		case kindDirektiv:
			t.Config, err = target.Config{Direktiv: d.Direktiv}, d.Direktiv.Validate()
		case kindHTTP:
			t.Config, err = target.Config{HTTP: d.HTTP}, d.HTTP.Validate()
		case kindMirror:
			d.Mirror.CAFile = d.CAFile
			t.Config, err = target.Config{Mirror: d.Mirror}, d.Mirror.Validate()
		}
		l.blame(path, s.cases[d.Kind], err)
		list = append(list, t)
	}
	return list
}

// checkSync tells of names that are no targets.
func (l *loader) checkSync(path string, sync []string) {
	var known []string
	for _, t := range l.doc.Targets {
		known = append(known, firstOf(t.Name, t.Kind))
	}
	l.checkMembers(path, "sync", sync, known, "target")
}

func (l *loader) checkMembers(path, key string, given, known []string, what string) {
	for i, name := range given {
		at := l.itemOr(join(path, key), i)
		switch {
		case !slices.Contains(known, name):
			hint := ""
			if key == "sync" {
				hint = meant(name, known)
			}
			l.fault(at, "%q is no %s%s", clip(name), what, hint)
		case slices.Contains(given[:i], name):
			l.fault(at, "%q is named twice", clip(name))
		}
	}
}

func (l *loader) routes() []Route {
	var list []Route
	taken := l.newNames()
	fields := fieldsAt("routes")
	reportFields := sectionOf(reflect.TypeFor[report.Config](), "REMORA_", "").fields
	for i, d := range l.doc.Routes {
		path := item("routes", i)
		r := Route{Optional: d.Optional, Rule: route.Rule{
			Name: firstOf(d.Name, fmt.Sprintf("route %d", i+1)), On: d.On, Projects: d.Projects, Refs: d.Refs, Sync: d.Sync, Report: d.Report,
		}}
		r.Forks = l.forks(join(path, "forks"), d.Forks)
		protected, err := strconv.ParseBool(d.Protected)
		r.Open = err == nil && !protected
		r.Wait, _ = strconv.ParseBool(d.Wait)
		r.Timeout, _ = parseDuration(d.Timeout)
		r.Debounce, _ = parsePause(d.Debounce)
		if d.Paths != "" {
			r.Paths = strings.Split(d.Paths, "\n")
		}
		l.doc.Routes[i].Name = r.Name
		taken.take(path, r.Name)
		if len(d.Sync) == 0 && l.file != "" { // else no target was named, which is told
			l.fault(join(path, "sync"), "empty; name at least one target")
		}
		l.checkSync(path, d.Sync)
		l.checkMembers(path, "optional", d.Optional, d.Sync, "target of this route")
		l.checkRule(path, r.Rule)
		l.blame(path, fields, paths.Config{Paths: d.Paths}.Validate())
		l.blame(join(path, "report"), reportFields, d.Report.Validate())
		list = append(list, r)
	}
	return list
}

// forks is what a route does about merge requests from forks.
func (l *loader) forks(path, text string) string {
	switch text {
	case "", "false":
		return route.ForksAllowed
	case "true":
		return route.ForksAll
	case "never":
		return route.ForksNever
	}
	words := []string{"false", "true", "never"}
	l.fault(path, "want %s, not %q%s", strings.Join(words, ", "), clip(text), meant(text, words))
	return route.ForksNever
}

// checkRule has package route check what is its own.
func (l *loader) checkRule(path string, r route.Rule) {
	r.Sync, r.Paths = []string{"any"}, nil
	r.Name = "-"
	_, err := route.New(route.Config{Instances: []route.Instance{{URL: defaultGitLab}}, Rules: []route.Rule{r}})
	for _, e := range leaves(err) {
		key, text, ok := strings.Cut(strings.TrimPrefix(e.Error(), "-: "), ": ")
		if !ok || key == "report" {
			continue // checked apart
		}
		at := join(path, key)
		for i, given := range map[string][]string{"on": r.On, "projects": r.Projects, "refs": r.Refs}[key] {
			if strings.Contains(e.Error(), strconv.Quote(given)) {
				at = l.itemOr(at, i)
				if key == "on" {
					text += meant(given, kinds)
				}
			}
		}
		l.fault(at, "%s", text)
	}
}
