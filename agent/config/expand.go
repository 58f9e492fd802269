package config

import (
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"gitlab.com/remora-ci/remora/component/delivery"
)

// reference is what begins with ${ or $${; the name is what it needs.
var reference = regexp.MustCompile(`\$\$\{|\$\{[^}\n]*\}?`)

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// text is the value of a scalar, with variables for their references. It is
// false if there is a fault, which is told.
func (l *loader) text(n *yaml.Node, path string) (string, bool) {
	if !l.spend() {
		return "", false
	}
	switch {
	case n.Kind != yaml.ScalarNode:
		l.fault(path, "want a text, not %s", kindName(n))
		return "", false
	case isNull(n):
		return "", true
	case n.Tag == "!!binary" || !strings.HasPrefix(n.Tag, "!!"):
		l.fault(path, "has the tag %s; write a plain text", clip(n.Tag))
		return "", false
	case strings.ContainsRune(n.Value, 0):
		l.fault(path, "holds a NUL character")
		return "", false
	}
	var faults []string
	text := reference.ReplaceAllStringFunc(n.Value, func(ref string) string {
		if ref == "$${" {
			return "${"
		}
		value, wrong := l.dereference(ref)
		if wrong != "" {
			faults = append(faults, wrong)
		}
		return value
	})
	if len(faults) > 0 {
		l.fault(path, "%s", strings.Join(slices.Compact(faults), "; "))
	}
	return text, len(faults) == 0
}

// dereference is the value of ${NAME}, or what is wrong with it.
func (l *loader) dereference(ref string) (value, wrong string) {
	name := strings.TrimSuffix(strings.TrimPrefix(ref, "${"), "}")
	switch {
	case !strings.HasSuffix(ref, "}"):
		return "", "${ without }; write ${NAME}, or $${ for a plain ${"
	case !variableName.MatchString(name):
		return "", "${…} takes the name of a variable and nothing else; write $${ for a plain ${"
	}
	value, ok := l.get(name)
	if !ok {
		return "", "the variable " + name + " is not set, or empty"
	}
	if l.hiding {
		l.secrets = append(l.secrets, delivery.Secret(value))
	}
	return value, ""
}

// warnInline warns of a secret that stands in the file itself.
func (l *loader) warnInline(n *yaml.Node, path string, f field) {
	scalars := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		scalars = n.Content
	}
	for i, s := range scalars {
		s = resolve(s)
		if s.Kind != yaml.ScalarNode || holdsReference(s.Value) {
			continue
		}
		if f.sensitive && !f.secret() && !hasPassword(s.Value) {
			continue
		}
		at := path
		if len(scalars) > 1 {
			at = item(path, i)
		}
		l.warn(at, "a secret in the file itself; write ${NAME} for a variable, or %s_file for a file", f.key)
	}
}

func holdsReference(text string) bool {
	for _, ref := range reference.FindAllString(text, -1) {
		if ref != "$${" {
			return true
		}
	}
	return false
}

// hasPassword says whether a URL holds one.
func hasPassword(text string) bool { return len(passwords(text)) > 0 }

// passwords are those in a URL's user part and query.
func passwords(text string) []delivery.Secret {
	u, err := url.Parse(text)
	if err != nil {
		return nil
	}
	word, _ := u.User.Password()
	all := []delivery.Secret{delivery.Secret(word)}
	for name, values := range u.Query() {
		if strings.HasSuffix(strings.ToLower(name), "password") { // also sslpassword, of the client's key
			for _, value := range values {
				all = append(all, delivery.Secret(value))
			}
		}
	}
	return slices.DeleteFunc(all, delivery.Secret.Empty)
}

// secretFile reads the value at path from the file that n names.
func (l *loader) secretFile(n *yaml.Node, path string, f field, v reflect.Value) {
	if n.Kind == yaml.SequenceNode {
		l.fault(path, "%s_file wants one path; secrets may stand in it on lines of their own", f.key)
		return
	}
	name, ok := l.text(n, path)
	if !ok || name == "" {
		return
	}
	content, err := readSecret(l.beside(name))
	if err != nil {
		l.fault(path, "%s_file: %s", f.key, err)
		return
	}
	l.put(path, f, v, []string{content}, false)
}
