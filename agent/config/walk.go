package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"gitlab.com/remora-ci/remora/component/delivery"
)

// pair is a key of a mapping with its value.
type pair struct{ key, value *yaml.Node }

// section reads the mapping n into the struct v.
func (l *loader) section(n *yaml.Node, path string, s section, v reflect.Value) {
	pairs := l.pairs(n, path, 0)
	fields := s.of(l.kindOf(pairs, path, s))
	if len(s.kinds) > 0 && l.bad[join(path, "kind")] {
		return // what the other keys mean, nobody knows
	}
	given := map[string]pair{}
	for _, p := range pairs {
		name := p.key.Value
		if l.known(p.key, path, fields) {
			given[name] = p
		}
	}
	for _, f := range fields {
		l.value(given, join(path, f.key), f, v.FieldByIndex(f.index))
	}
}

// kindOf is the kind of a section that has cases.
func (l *loader) kindOf(pairs []pair, path string, s section) string {
	if len(s.kinds) == 0 {
		return ""
	}
	at := join(path, "kind")
	for _, p := range pairs {
		if p.key.Value != "kind" {
			continue
		}
		l.origins[at] = l.at(p.value)
		text, _ := l.text(resolve(p.value), at)
		if !slices.Contains(s.kinds, text) {
			l.fault(at, "%q is none of %s%s", text, strings.Join(s.kinds, ", "), meant(text, s.kinds))
		}
		return text
	}
	l.fault(at, "missing; set it to one of %s", strings.Join(s.kinds, ", "))
	return ""
}

// known says whether a section has this key, and tells if not.
func (l *loader) known(key *yaml.Node, path string, fields []field) bool {
	var names []string
	for _, f := range fields {
		names = append(names, f.key)
		if f.hidden() {
			names = append(names, f.key+"_file")
		}
	}
	name := key.Value
	if slices.Contains(names, name) {
		return true
	}
	if path == "" && strings.HasPrefix(name, "x-") {
		return false
	}
	near := nearest(name, names)
	hint := "; the keys here are " + strings.Join(names, ", ")
	if near != "" {
		hint = fmt.Sprintf("; did you mean %q?", near)
	}
	l.faultAt(l.at(key), join(path, clip(name)), "unknown key%s", hint)
	if near != "" {
		l.bad[join(path, strings.TrimSuffix(near, "_file"))] = true // it is there, only misspelt
	}
	return false
}

// value reads one key of a section.
func (l *loader) value(given map[string]pair, path string, f field, v reflect.Value) {
	p, ok := given[f.key]
	if ok && f.open && isEmpty(p.value) {
		l.faultAt(l.at(p.value), path, "empty; leave the key out, or say for which")
		return
	}
	if ok && isNull(p.value) {
		ok = false
	}
	file, fromFile := given[f.key+"_file"]
	switch {
	case f.hidden() && fromFile && !isNull(file.value):
		l.origins[path] = l.at(file.value)
		if ok {
			l.fault(path, "%s_file is set too; set one of them", f.key)
			return
		}
		l.secretFile(resolve(file.value), path, f, v)
	case !ok:
		if f.need {
			l.fault(path, "missing: %s", f.usage)
		}
	case f.leaf():
		l.origins[path] = l.at(p.value)
		l.leaf(resolve(p.value), path, f, v)
	case f.typ.Kind() == reflect.Slice:
		l.origins[path] = l.at(p.key)
		l.list(resolve(p.value), path, f, v)
	default:
		l.origins[path] = l.at(p.key)
		n := resolve(p.value)
		if n.Kind != yaml.MappingNode {
			l.faultAt(l.at(n), path, "want keys and values, not %s", kindName(n))
			return
		}
		l.section(n, path, sectionOf(f.typ, f.trim, f.skip), v)
	}
}

// list reads a list of sections.
func (l *loader) list(n *yaml.Node, path string, f field, v reflect.Value) {
	if n.Kind != yaml.SequenceNode {
		l.faultAt(l.at(n), path, "want a list, each item beginning with -, not %s", kindName(n))
		return
	}
	if len(n.Content) > maxItems {
		l.fault(path, "%d items, over %d", len(n.Content), maxItems)
		return
	}
	s := sectionOf(f.typ.Elem(), f.trim, f.skip)
	for i, child := range n.Content {
		if !l.spend() {
			return
		}
		at := item(path, i)
		l.origins[at] = l.at(child)
		v.Set(reflect.Append(v, reflect.Zero(f.typ.Elem())))
		if child = resolve(child); child.Kind != yaml.MappingNode {
			l.fault(at, "want keys and values, not %s", kindName(child))
			continue
		}
		l.section(child, at, s, v.Index(i))
	}
}

// leaf reads a text, a secret or a list of texts.
func (l *loader) leaf(n *yaml.Node, path string, f field, v reflect.Value) {
	texts := []string{}
	l.hiding = f.hidden()
	defer func() { l.hiding = false }()
	switch {
	case n.Kind == yaml.ScalarNode:
		if text, ok := l.text(n, path); ok && text != "" {
			texts = append(texts, text)
		}
	case f.typ != textsType && f.join == "":
		l.fault(path, "want one text, not %s", kindName(n))
	case n.Kind == yaml.SequenceNode:
		texts = l.texts(n, path)
	case f.pairs && n.Kind == yaml.MappingNode:
		texts = l.named(n, path)
	default:
		l.fault(path, "want a text or a list of texts, not %s", kindName(n))
	}
	if l.bad[path] || len(texts) == 0 {
		return
	}
	if f.hidden() {
		l.warnInline(n, path, f)
	}
	l.put(path, f, v, texts, true)
}

// texts are the items of a list, each a text.
func (l *loader) texts(n *yaml.Node, path string) []string {
	var list []string
	for i, child := range n.Content {
		if !l.spend() {
			return nil
		}
		at := item(path, i)
		l.origins[at] = l.at(child)
		child = resolve(child)
		if child.Kind != yaml.ScalarNode || isNull(child) {
			l.fault(at, "want a text, not %s; a text with a colon in it needs quotes", kindName(child))
			continue
		}
		if text, ok := l.text(child, at); ok {
			list = append(list, text)
		} else {
			l.bad[path] = true
		}
	}
	return list
}

// named are the entries of a mapping as "name: value".
func (l *loader) named(n *yaml.Node, path string) []string {
	var list []string
	for _, p := range l.pairs(n, path, 0) {
		at := join(path, clip(p.key.Value))
		l.origins[at] = l.at(p.value)
		value := resolve(p.value)
		if value.Kind != yaml.ScalarNode {
			l.fault(at, "want a text, not %s", kindName(value))
			continue
		}
		if text, ok := l.text(value, at); ok {
			list = append(list, p.key.Value+": "+text)
		} else {
			l.bad[path] = true
		}
	}
	return list
}

// put sets a leaf, if texts are what its kind wants. Paths in the file are taken
// from its folder.
func (l *loader) put(path string, f field, v reflect.Value, texts []string, inFile bool) {
	for i, text := range texts {
		if f.kind == kindPath && inFile {
			texts[i] = l.beside(text)
		}
		if wrong := checkKind(f.kind, text); wrong != "" {
			l.fault(path, "%s", wrong)
			return
		}
	}
	if f.typ == textsType {
		v.Set(reflect.ValueOf(slices.Clone(texts)))
		return
	}
	v.SetString(strings.Join(texts, f.join))
	if f.secret() && !f.pairs {
		for _, text := range texts {
			l.secrets = append(l.secrets, delivery.Secret(text))
		}
	}
}

// pairs are the keys and values of a mapping, merged ones last. What is odd about
// them is told.
func (l *loader) pairs(n *yaml.Node, path string, depth int) []pair {
	var own, merged []pair
	seen := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if !l.spend() {
			return nil
		}
		switch first := seen[key.Value]; {
		case key.Kind != yaml.ScalarNode:
			l.faultAt(l.at(key), join(path, fmt.Sprintf("key %d", i/2+1)), "want a text as key, not %s", kindName(key))
		case key.Tag == "!!merge":
			merged = append(merged, l.merge(value, path, depth)...)
		case first != nil:
			l.add(&Fault{l.at(key), join(path, clip(key.Value)), fmt.Sprintf("there twice; first in line %d", first.Line)})
		default:
			seen[key.Value] = key
			own = append(own, pair{key, value})
		}
	}
	for _, p := range merged {
		if seen[p.key.Value] == nil {
			seen[p.key.Value] = p.key
			own = append(own, p)
		}
	}
	return own
}

// maxMerges is how deep merges may lie in each other.
const maxMerges = 8

// merge is what the value of << brings in.
func (l *loader) merge(value *yaml.Node, path string, depth int) []pair {
	sources := []*yaml.Node{resolve(value)}
	if sources[0].Kind == yaml.SequenceNode {
		sources = sources[0].Content
	}
	var pairs []pair
	for _, source := range sources {
		if !l.spend() {
			return nil
		}
		source = resolve(source)
		if source.Kind != yaml.MappingNode || depth >= maxMerges {
			l.faultAt(l.at(value), join(path, "<<"), "want an alias of keys and values, such as *name, at most %d deep", maxMerges)
			return pairs
		}
		pairs = append(pairs, l.pairs(source, path, depth+1)...)
	}
	return pairs
}

// spend counts a node; false if there were too many, as aliases of aliases make.
func (l *loader) spend() bool {
	if l.nodes++; l.nodes > maxNodes {
		l.faultAt(Origin{File: l.file, Line: 1, Column: 1}, "size", "more than %d values, aliases counted as often as they are used", maxNodes)
		return false
	}
	return true
}

// resolve follows an alias.
func resolve(n *yaml.Node) *yaml.Node {
	for range maxMerges {
		if n.Kind != yaml.AliasNode || n.Alias == nil {
			break
		}
		n = n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool {
	n = resolve(n)
	return n.Kind == yaml.ScalarNode && n.Tag == "!!null"
}

// isEmpty says whether n is nothing, an empty text or an empty list.
func isEmpty(n *yaml.Node) bool {
	n = resolve(n)
	return isNull(n) || n.Kind == yaml.ScalarNode && strings.TrimSpace(n.Value) == "" || n.Kind == yaml.SequenceNode && len(n.Content) == 0
}

// meant is "; did you mean …?" if there is something near.
func meant(text string, names []string) string {
	if near := nearest(text, names); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return ""
}

// clip keeps a key of the file short in a message.
func clip(text string) string {
	if runes := []rune(text); len(runes) > 60 {
		return string(runes[:60]) + "…"
	}
	return text
}
