package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// This file interpolates a component as GitLab does, for the tests of templates/.
// https://docs.gitlab.com/ci/inputs/

// template is a component: the inputs of its header, and its body.
type template struct {
	inputs map[string]map[string]any
	body   map[string]any
}

func readTemplate(t *testing.T, name string) template {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("templates", name))
	if err != nil {
		t.Fatal(err)
	}
	tmpl, err := parseTemplate(string(content))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return tmpl
}

// parseTemplate takes a file of two documents, spec and body. Header keys that
// GitLab 17.0 does not know are refused.
func parseTemplate(content string) (template, error) {
	var header struct {
		Spec struct {
			Inputs map[string]map[string]any `yaml:"inputs"`
		} `yaml:"spec"`
	}
	tmpl := template{}
	documents, err := yaml.NewLoader(strings.NewReader(content), yaml.WithKnownFields())
	if err != nil {
		return tmpl, err
	}
	if err := documents.Load(&header); err != nil {
		return tmpl, fmt.Errorf("header: %w", err)
	}
	if err := documents.Load(&tmpl.body); err != nil {
		return tmpl, fmt.Errorf("body: %w", err)
	}
	if err := documents.Load(new(any)); !errors.Is(err, io.EOF) {
		return tmpl, errors.New("more than two documents")
	}
	tmpl.inputs = header.Spec.Inputs
	return tmpl, nil
}

var (
	block     = regexp.MustCompile(`\$\[\[\s*(\S.*?)\s*\]\]`)
	maxInput  = 1 << 10 // bytes of a value inside a longer string
	maxString = 1 << 20 // bytes of a string that holds an input
)

// interpolate gives the body with args for the inputs.
func (tmpl template) interpolate(args map[string]any) (map[string]any, error) {
	var errs []error
	for name := range args {
		if _, ok := tmpl.inputs[name]; !ok {
			errs = append(errs, fmt.Errorf("unknown input %s", name))
		}
	}
	values := map[string]any{}
	for name, spec := range tmpl.inputs {
		value, err := valueOf(spec, args[name])
		if err != nil {
			errs = append(errs, fmt.Errorf("input %s: %w", name, err))
		}
		values[name] = value
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	body, err := replace(tmpl.body, values)
	if err != nil {
		return nil, err
	}
	return body.(map[string]any), nil
}

// valueOf checks the default and the value by the same rules.
func valueOf(spec map[string]any, given any) (any, error) {
	byDefault, optional := spec["default"]
	switch {
	case given == nil && !optional:
		return nil, errors.New("required value has not been provided")
	case optional:
		if err := checkValue(spec, byDefault); err != nil {
			return nil, fmt.Errorf("default: %w", err)
		}
	}
	if given == nil {
		return byDefault, nil
	}
	return given, checkValue(spec, given)
}

func checkValue(spec map[string]any, value any) error {
	if want := typeOf(spec); kindOf(value) != want {
		return fmt.Errorf("%v is not a %s", value, want)
	}
	if options, ok := spec["options"].([]any); ok && !slices.Contains(options, value) {
		return fmt.Errorf("%v is not one of %v", value, options)
	}
	pattern, ok := spec["regex"].(string)
	if !ok {
		return nil
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return err
	}
	if text, isText := value.(string); !isText || !re.MatchString(text) {
		return fmt.Errorf("%v does not match %s", value, pattern)
	}
	return nil
}

func typeOf(spec map[string]any) string {
	if t, ok := spec["type"].(string); ok {
		return t
	}
	return "string"
}

func kindOf(value any) string {
	switch v := value.(type) {
	case string:
		return "string"
	case bool:
		return "boolean"
	case []any:
		return "array"
	case float64:
		if math.IsInf(v, 0) || math.IsNaN(v) {
			return "unknown"
		}
		return "number"
	case int, int64, uint64:
		return "number"
	}
	return "unknown"
}

// replace walks keys and values. A value that is one block and nothing else keeps
// its type; inside a longer string it becomes text.
func replace(node any, values map[string]any) (any, error) {
	switch node := node.(type) {
	case map[string]any:
		out := make(map[string]any, len(node))
		for key, value := range node {
			newKey, err := replaceString(key, values)
			if err != nil {
				return nil, err
			}
			if out[fmt.Sprint(newKey)], err = replace(value, values); err != nil {
				return nil, err
			}
		}
		return out, nil
	case []any:
		out := make([]any, len(node))
		for i, value := range node {
			var err error
			if out[i], err = replace(value, values); err != nil {
				return nil, err
			}
		}
		return out, nil
	case string:
		return replaceString(node, values)
	}
	return node, nil
}

func replaceString(s string, values map[string]any) (any, error) {
	whole := block.FindString(s) == s && s != ""
	var result any
	var errs []error
	text := block.ReplaceAllStringFunc(s, func(found string) string {
		access := block.FindStringSubmatch(found)[1]
		name, isInput := strings.CutPrefix(access, "inputs.")
		value, known := values[name]
		if !isInput || !known {
			// Functions end here too: we use none, and 17.0 lacks posix_escape.
			errs = append(errs, fmt.Errorf("unknown interpolation key: %s", access))
		}
		result = value
		if len(fmt.Sprint(value)) > maxInput && !whole {
			errs = append(errs, fmt.Errorf("%s is larger than %d bytes", access, maxInput))
		}
		return fmt.Sprint(value)
	})
	if len(text) > maxString && text != s {
		errs = append(errs, fmt.Errorf("a string with an input is larger than %d bytes", maxString))
	}
	if !whole {
		result = text
	}
	return result, errors.Join(errs...)
}

func TestInterpolation(t *testing.T) {
	t.Parallel()
	const header = `
spec:
  inputs:
    name: {}
    count: {type: number, default: 3}
    on: {type: boolean, default: false}
    list: {type: array, default: [a, b]}
    mode: {default: fast, options: [fast, slow]}
    word: {default: abc, regex: '^[a-z]+$'}
---
`
	for name, tc := range map[string]struct {
		body string
		args map[string]any
		want string // of the key x, or the error's start with "error: "
	}{
		"a given value replaces the block":         {"x: a $[[ inputs.name ]] b", map[string]any{"name": "N"}, `"a N b"`},
		"a block may stand twice in a string":      {"x: $[[inputs.name]]-$[[ inputs.name ]]", map[string]any{"name": "N"}, `"N-N"`},
		"a key is interpolated":                    {"$[[ inputs.name ]]: 1", map[string]any{"name": "x"}, `1`},
		"a whole value keeps its number":           {"x: $[[ inputs.count ]]", map[string]any{"name": "N"}, `3`},
		"a whole value keeps its boolean":          {"x: '$[[ inputs.on ]]'", map[string]any{"name": "N", "on": true}, `true`},
		"a whole value keeps its array":            {"x: $[[ inputs.list ]]", map[string]any{"name": "N"}, `[]interface {}{"a", "b"}`},
		"a boolean inside a string becomes text":   {"x: is $[[ inputs.on ]]", map[string]any{"name": "N"}, `"is false"`},
		"quotes in a value stay in the value":      {"x: '$[[ inputs.name ]]'", map[string]any{"name": `a"b'c: d`}, `"a\"b'c: d"`},
		"a missing mandatory value is refused":     {"x: 1", nil, "error: input name: required"},
		"an unknown input is refused":              {"x: 1", map[string]any{"name": "N", "nme": "N"}, "error: unknown input nme"},
		"a value of another type is refused":       {"x: 1", map[string]any{"name": true}, "error: input name: true is not a string"},
		"text is no number":                        {"x: 1", map[string]any{"name": "N", "count": "3"}, "error: input count: 3 is not a number"},
		"a value outside the options is refused":   {"x: 1", map[string]any{"name": "N", "mode": "off"}, "error: input mode: off is not one of"},
		"a value that breaks the regex is refused": {"x: 1", map[string]any{"name": "N", "word": "a b"}, "error: input word: a b does not match"},
		"an undeclared input is refused":           {"x: $[[ inputs.nope ]]", map[string]any{"name": "N"}, "error: unknown interpolation key: inputs.nope"},
		"a function is refused":                    {"x: $[[ inputs.name | posix_escape ]]", map[string]any{"name": "N"}, "error: unknown interpolation key"},
		"a long value inside a string is refused":  {"x: a $[[ inputs.name ]]", map[string]any{"name": strings.Repeat("n", 1025)}, "error: inputs.name is larger"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tmpl, err := parseTemplate(header + tc.body)
			if err != nil {
				t.Fatal(err)
			}
			body, err := tmpl.interpolate(tc.args)
			if want, isErr := strings.CutPrefix(tc.want, "error: "); isErr {
				if err == nil || !strings.HasPrefix(err.Error(), want) {
					t.Fatalf("error: got %v, want %s…", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprintf("%#v", body["x"]); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestAHeaderThat17DoesNotKnowIsRefused(t *testing.T) {
	t.Parallel()
	for _, content := range []string{
		"spec:\n  component: [sha]\n---\nx: 1",
		"spec:\n  include: []\n---\nx: 1",
		"spec:\n  inputs: {}\n---\nx: 1\n---\ny: 1",
	} {
		if _, err := parseTemplate(content); err == nil {
			t.Errorf("got no error for %q", content)
		}
	}
}
