package config

import (
	"reflect"
	"strings"

	"gitlab.com/remora-ci/remora/agent/route"
)

// defaultGitLab is the instance that nothing else is said of.
const defaultGitLab = "https://gitlab.com"

// readEnv makes the document of the environment alone. Each kind of target whose
// URL is set is one target, named by its kind.
func (l *loader) readEnv() {
	l.doc.GitLab = []instance{{}}
	l.doc.Routes = []routeEntry{{}}
	for _, kind := range []struct{ name, url string }{
		{kindDirektiv, "DIREKTIV_URL"}, {kindHTTP, "REMORA_HTTP_URL"}, {kindMirror, "REMORA_MIRROR_URL"},
	} {
		if _, ok := l.get(kind.url); ok {
			l.doc.Targets = append(l.doc.Targets, targetEntry{Name: kind.name, Kind: kind.name})
			l.doc.Routes[0].Sync = append(l.doc.Routes[0].Sync, kind.name)
		}
	}
	if len(l.doc.Targets) == 0 {
		l.fault("targets", "no target is configured: set DIREKTIV_URL, REMORA_HTTP_URL or REMORA_MIRROR_URL, or name a file with --config")
	}
	if _, ok := l.get("REMORA_URL"); ok {
		l.doc.Routes[0].On = []string{route.Push, route.TagPush, route.MergeRequest, route.Job}
		l.origins["routes[0].on"] = Origin{Variable: "REMORA_URL"}
	}
	if l.isSet("REMORA_GITLAB_TOKEN") || l.isSet("GITLAB_TOKEN") {
		l.doc.Tokens = []token{{Name: "default"}}
	}
	l.overlay(true)
	l.instanceDefault()
}

// overFile puts variables over what the file says, and tells of those that have
// no say beside a file.
func (l *loader) overFile() {
	for _, name := range []string{"DIREKTIV_URL", "REMORA_HTTP_URL", "REMORA_MIRROR_URL", "REMORA_PROJECTS", "REMORA_REFS"} {
		if l.isSet(name) {
			l.warnings = append(l.warnings, Warning{Fault{Origin{Variable: name}, "",
				"not read beside a file; targets and routes come from " + l.file}})
		}
	}
	l.overlay(false)
	l.instanceOver()
	l.tokenOver()
	l.instanceDefault()
}

// overlay sets every leaf whose variable is set. In lists a variable has no item
// to mean, so they are left alone unless they were made for it.
func (l *loader) overlay(lists bool) {
	visit(reflect.ValueOf(&l.doc).Elem(), lists, func(path string, f field, v reflect.Value) {
		text, name := l.fromEnv(path, f)
		if text == "" {
			return
		}
		l.origins[path] = Origin{Variable: name}
		delete(l.bad, path)
		texts := []string{text}
		if f.typ == textsType {
			texts = splitList(text)
		}
		if len(texts) == 0 {
			l.fault(path, "names nothing; unset it for all")
			return
		}
		l.put(path, f, v, texts, false)
	})
}

// aliases are other names of variables, with an agent that has no file.
var aliases = map[string]string{"REMORA_GITLAB_TOKEN": "GITLAB_TOKEN"}

// fromEnv is the value of the variable of f and the name that it was under: NAME,
// or for a secret the file that NAME_FILE names.
func (l *loader) fromEnv(path string, f field) (text, name string) {
	for _, name := range []string{f.env, aliases[f.env]} {
		if name == "" {
			continue
		}
		text, ok := l.get(name)
		file, fromFile := "", false
		if f.hidden() {
			file, fromFile = l.get(name + "_FILE")
		}
		switch {
		case ok && fromFile:
			l.faultAt(Origin{Variable: name}, path, "set, and %s_FILE too; set one of them", name)
			return "", ""
		case fromFile:
			content, err := readSecret(file)
			if err != nil {
				l.faultAt(Origin{Variable: name + "_FILE"}, path, "%s", err)
			}
			return content, name + "_FILE"
		case ok:
			return text, name
		}
	}
	return "", ""
}

func (l *loader) isSet(name string) bool {
	_, plain := l.get(name)
	_, file := l.get(name + "_FILE")
	return plain || file
}

// instanceOver lets REMORA_GITLAB_URL name the one instance.
func (l *loader) instanceOver() {
	const name = "REMORA_GITLAB_URL"
	url, ok := l.get(name)
	switch {
	case !ok:
	case len(l.doc.GitLab) > 1:
		l.faultAt(Origin{Variable: name}, "gitlab", "set, and %s names %d instances; unset it", l.file, len(l.doc.GitLab))
	default:
		if len(l.doc.GitLab) == 0 {
			l.doc.GitLab = []instance{{}}
		}
		l.doc.GitLab[0].URL = url
		l.origins["gitlab[0].url"] = Origin{Variable: name}
		delete(l.bad, "gitlab[0].url")
	}
}

// tokenOver has REMORA_GITLAB_TOKEN be the token of all projects that no token of
// the file names more exactly. It replaces one that is for all projects.
func (l *loader) tokenOver() {
	t := reflect.TypeFor[token]()
	for _, f := range sectionOf(t, "", "").fields {
		if f.env == "" {
			continue
		}
		path := item("tokens", len(l.doc.Tokens))
		text, name := l.fromEnv(join(path, f.key), field{env: f.env, typ: f.typ})
		if text == "" || name == aliases[f.env] || name == aliases[f.env]+"_FILE" {
			continue
		}
		at := len(l.doc.Tokens)
		for i, other := range l.doc.Tokens {
			if len(other.Projects) == 0 || len(other.Projects) == 1 && other.Projects[0] == allProjects {
				at = i
				path = item("tokens", i)
				break
			}
		}
		if at == len(l.doc.Tokens) {
			l.doc.Tokens = append(l.doc.Tokens, token{Name: "default"})
		}
		l.origins[join(path, f.key)] = Origin{Variable: name}
		delete(l.bad, join(path, f.key))
		l.put(join(path, f.key), f, reflect.ValueOf(&l.doc.Tokens[at]).Elem().FieldByIndex(f.index), []string{text}, false)
	}
}

// instanceDefault is the instance where none is named.
func (l *loader) instanceDefault() {
	if l.bad["gitlab"] || len(l.doc.GitLab) > 0 && (l.doc.GitLab[0].URL != "" || l.file != "") {
		return
	}
	if len(l.doc.GitLab) == 0 {
		l.doc.GitLab = []instance{{}}
	}
	l.doc.GitLab[0].URL = defaultGitLab
	l.origins["gitlab[0].url"] = Origin{}
	if url, ok := l.get("CI_SERVER_URL"); ok {
		l.doc.GitLab[0].URL = url
		l.origins["gitlab[0].url"] = Origin{Variable: "CI_SERVER_URL"}
	}
}

// defaults fills in what nothing was said of.
func (l *loader) defaults() {
	visit(reflect.ValueOf(&l.doc).Elem(), true, func(path string, f field, v reflect.Value) {
		if f.byDefault != "" && v.Kind() == reflect.String && v.String() == "" && !l.bad[path] {
			v.SetString(f.byDefault)
			l.origins[path] = Origin{}
		}
	})
}

// visit calls f for every leaf of a document, and for those of lists if asked.
func visit(v reflect.Value, lists bool, f func(path string, f field, v reflect.Value)) {
	visitSection(v, "", sectionOf(v.Type(), "", ""), lists, f)
}

func visitSection(v reflect.Value, path string, s section, lists bool, f func(string, field, reflect.Value)) {
	kind := ""
	if len(s.kinds) > 0 {
		kind = v.FieldByName("Kind").String()
	}
	for _, fl := range s.of(kind) {
		child, at := v.FieldByIndex(fl.index), join(path, fl.key)
		switch {
		case fl.leaf():
			f(at, fl, child)
		case fl.typ.Kind() == reflect.Struct:
			visitSection(child, at, sectionOf(fl.typ, fl.trim, fl.skip), lists, f)
		case lists:
			s := sectionOf(fl.typ.Elem(), fl.trim, fl.skip)
			for i := range child.Len() {
				visitSection(child.Index(i), item(at, i), s, lists, f)
			}
		}
	}
}

// splitList cuts a variable at commas, spaces and lines, but not at a comma within
// braces, which belongs to the glob.
func splitList(text string) []string {
	depth := 0
	return strings.FieldsFunc(text, func(r rune) bool {
		switch r {
		case '{':
			depth++
		case '}':
			depth = max(0, depth-1)
		}
		return r == ' ' || r == '\n' || r == '\t' || r == '\r' || r == ',' && depth == 0
	})
}
