package config

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/sethvargo/go-envconfig"
	"go.yaml.in/yaml/v4"

	"gitlab.com/remora-ci/remora/component/delivery"
)

const (
	maxFile   = 1 << 20   // bytes of remora.yaml
	maxSecret = 64 << 10  // bytes of a file with a secret
	maxNodes  = 200 << 10 // YAML nodes to visit, aliases as often as they are used
	maxItems  = 5000      // targets, routes and so on, each
	maxFaults = 200       // to tell

	maxCompared = 1 << 19 // globs to compare, two by two
)

// loader reads a document and remembers where each value comes from.
type loader struct {
	file     string
	env      envconfig.Lookuper
	doc      document
	origins  map[string]Origin // by path; "" is the whole
	bad      map[string]bool   // paths with a fault
	faults   []*Fault
	warnings []Warning
	more     int // faults beyond maxFaults
	nodes    int // visited
	compared int // globs, two by two
	secrets  []delivery.Secret
	hiding   bool // the text that is read is a secret
}

func newLoader(file string, env envconfig.Lookuper) *loader {
	return &loader{file: file, env: env, bad: map[string]bool{}, origins: map[string]Origin{"": {File: file}}}
}

// readFile reads the document; false if there is none to check further.
func (l *loader) readFile() bool {
	content, err := readBounded(l.file, maxFile)
	if err != nil {
		l.fault("", "%s", reason(err))
		return false
	}
	return l.parse(content)
}

func (l *loader) parse(content []byte) bool {
	var node yaml.Node
	if len(content) > maxFile {
		l.fault("", "larger than %s", sizeText(maxFile))
		return false
	}
	if err := load(content, &node); err != nil {
		l.blameYAML(err, content)
		return false
	}
	root := &node
	if node.Kind == yaml.DocumentNode && len(node.Content) == 1 {
		root = node.Content[0]
	}
	l.origins[""] = l.at(root)
	if root.Kind != yaml.MappingNode {
		l.fault("", "want keys and values, such as targets:, not %s", kindName(root))
		return false
	}
	l.section(root, "", sectionOf(reflect.TypeFor[document](), "", ""), reflect.ValueOf(&l.doc).Elem())
	l.origins[""] = Origin{File: l.file, Line: 1, Column: 1}
	return true
}

// load parses YAML. The parser has panicked on odd input before.
func load(content []byte, node *yaml.Node) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.New("no YAML that can be read")
		}
	}()
	return yaml.Load(content, node)
}

// blameYAML tells an error of the YAML parser with its place. Where it names
// none, the place is found in the content.
func (l *loader) blameYAML(err error, content []byte) {
	var e *yaml.LoadError
	if !errors.As(err, &e) {
		l.faultAt(Origin{File: l.file, Line: 1, Column: 1}, "", "%s", err)
		return
	}
	at := Origin{File: l.file, Line: max(e.Mark.Line, 1), Column: max(e.Mark.Column, 1)}
	text := strings.TrimPrefix(e.Message, "yaml: ")
	switch {
	case strings.Contains(text, "no documents"):
		text = "empty; a configuration names targets and routes at least"
	case strings.Contains(text, "multiple"):
		text = "another document begins here; there can be one"
		at.Line = secondDocument(content)
	case e.Mark.Line == 0:
		at.Line, at.Column = badEncoding(content)
	case strings.Contains(text, "unknown anchor"), strings.Contains(e.ContextMsg, "scanning an alias"):
		text += "; a glob that begins with * needs quotes"
	case strings.Contains(e.ContextMsg, "flow"):
		text += "; within [ ] and { }, quote a text that holds one of [ ] { } ,"
	case strings.Contains(text, "cannot start any token"):
		text += "; indent with spaces, and quote a text that begins with @, ` or %"
	}
	if e.ContextMsg != "" && e.ContextMark.Line > 0 {
		text += fmt.Sprintf(" (%s that begins at %d:%d)", e.ContextMsg, e.ContextMark.Line, e.ContextMark.Column)
	}
	l.faultAt(at, "", "%s", text)
}

// secondDocument is the line that begins one.
func secondDocument(content []byte) int {
	line, begun := 0, false
	for text := range strings.Lines(string(content)) {
		line++
		switch text = strings.TrimSpace(text); {
		case strings.HasPrefix(text, "---") && begun:
			return line
		case text != "" && text[0] != '#' && text[0] != '%':
			begun = true
		}
	}
	return 1
}

// badEncoding is the place of the first byte that is no UTF-8.
func badEncoding(content []byte) (line, column int) {
	line, column = 1, 1
	for _, r := range string(content) {
		switch r {
		case '\uFFFD':
			return line, column
		case '\n':
			line, column = line+1, 1
		default:
			column++
		}
	}
	return 1, 1
}

// readBounded reads a file of at most limit bytes.
func readBounded(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(content)) > limit {
		err = fmt.Errorf("larger than %s", sizeText(limit))
	}
	return content, err
}

// readSecret is the content of a file, without the new line at its end.
func readSecret(name string) (string, error) {
	content, err := readBounded(name, maxSecret)
	switch {
	case err != nil:
		return "", errors.New(name + ": " + reason(err))
	case strings.TrimSpace(string(content)) == "":
		return "", errors.New(name + ": empty")
	}
	return strings.TrimRight(string(content), "\r\n"), nil
}

// reason is what is wrong with a file, without its name.
func reason(err error) string {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

// beside is a path as the file means it: from the folder of the file.
func (l *loader) beside(path string) string {
	if path == "" || filepath.IsAbs(path) || l.file == "" {
		return path
	}
	return filepath.Join(filepath.Dir(l.file), path)
}

// get is a variable; one that is empty is not set.
func (l *loader) get(name string) (string, bool) {
	if name == "" || l.env == nil {
		return "", false
	}
	v, ok := l.env.Lookup(name)
	return v, ok && v != ""
}

// at is the place of a node.
func (l *loader) at(n *yaml.Node) Origin {
	return Origin{File: l.file, Line: max(n.Line, 1), Column: max(n.Column, 1)}
}

func kindName(n *yaml.Node) string {
	return cmp.Or(map[yaml.Kind]string{yaml.MappingNode: "keys and values", yaml.SequenceNode: "a list", yaml.ScalarNode: "a text"}[n.Kind], "nothing")
}
