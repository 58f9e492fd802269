package config_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"gitlab.com/remora-ci/remora/agent/config"
)

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(config.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(config.SchemaID, doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(config.SchemaID)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// value is YAML as a JSON schema sees it.
func value(t *testing.T, text []byte) any {
	t.Helper()
	var v any
	if err := yaml.Load(text, &v); err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(encoded))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestTheSampleFitsTheSchema(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/remora.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := compiled(t).Validate(value(t, text)); err != nil {
		t.Error(err)
	}
	if line, _, _ := strings.Cut(string(text), "\n"); !strings.HasPrefix(line, "# yaml-language-server: $schema=") {
		t.Errorf("the first line tells editors of the schema, not %q", line)
	}
}

func TestTheSchemaRefuses(t *testing.T) {
	t.Parallel()
	const rest = "\nroutes: [{sync: http}]"
	for name, text := range map[string]string{
		"an unknown key":               "targets: [{kind: http, url: x}]\nlisen: x" + rest,
		"an unknown key of a target":   "targets: [{kind: http, urls: x}]" + rest,
		"a key of another kind":        "targets: [{kind: http, namespace: x}]" + rest,
		"an unknown kind":              "targets: [{kind: ftp, url: x}]" + rest,
		"a target without a kind":      "targets: [{url: x}]" + rest,
		"no targets":                   "routes: [{sync: http}]",
		"a route without targets":      "targets: [{kind: http, url: x}]\nroutes: [{}]",
		"a list for a text":            "targets: [{kind: http, url: [x]}]" + rest,
		"a text for a list":            "targets: http" + rest,
		"a word for a number":          "targets: [{kind: http, url: x}]\nlimits: {workers: many}" + rest,
		"a word for true or false":     "targets: [{kind: http, url: x}]\nroutes: [{sync: http, wait: maybe}]",
		"an empty list for all":        "targets: [{kind: http, url: x}]\nroutes: [{sync: http, projects: []}]",
		"nothing for all":              "targets: [{kind: http, url: x}]\nroutes: [{sync: http, refs: }]",
		"a size without a unit":        "targets: [{kind: http, url: x}]\nlimits: {memory: 64}" + rest,
		"a value that is none of many": "targets: [{kind: http, url: x}]\nroutes: [{sync: http, report: {note: loud}}]",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := compiled(t).Validate(value(t, []byte(text))); err == nil {
				t.Errorf("%s: accepted", text)
			}
			if _, _, err := parse(text, nil); err == nil {
				t.Errorf("%s: Parse accepts what the schema refuses", text)
			}
		})
	}
}

// TestTheSchemaTakesWhatIsTaken guards against a schema stricter than the reader.
func TestTheSchemaTakesWhatIsTaken(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"anchors and merges":          "x-base: &b {kind: http, url: https://x.example}\ntargets: [{<<: *b, name: a}, {<<: *b, name: b}]\nroutes: [{sync: [a, b]}]",
		"variables for what is typed": "targets: [{kind: direktiv, url: https://x.example, namespace: '${N}', any_ref: '${B}'}]\nroutes: [{sync: direktiv, wait: '${B}', timeout: '${D}', report: {note: '${O}'}}]\nlimits: {workers: '${W}', memory: '${M}'}",
		"nothing set":                 "gitlab:\ntokens:\ntargets: [{kind: http, url: https://x.example, method: , token: }]\nroutes: [{sync: http, wait: , timeout: , report: }]\nlog:\nlimits: {workers: }",
		"numbers for texts":           "targets: [{kind: http, name: 1, url: https://x.example, headers: {X-Id: 7}}]\nroutes: [{sync: 1, refs: [1.0, 2]}]",
		"true as a text":              "targets: [{kind: http, url: https://x.example}]\nroutes: [{sync: http, wait: 'false'}]",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, _, err := parse(text, map[string]string{"N": "demo", "B": "true", "D": "10s", "O": "off", "W": "4", "M": "64MiB"}); err != nil {
				t.Fatalf("Parse refuses: %v", err)
			}
			if err := compiled(t).Validate(value(t, []byte(text))); err != nil {
				t.Errorf("the schema refuses: %v", err)
			}
		})
	}
}

// TestEveryKeyIsDescribed: the schema is the help that editors show.
func TestEveryKeyIsDescribed(t *testing.T) {
	t.Parallel()
	var root map[string]any
	if err := json.Unmarshal(config.Schema(), &root); err != nil {
		t.Fatal(err)
	}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		m, _ := v.(map[string]any)
		properties, _ := m["properties"].(map[string]any)
		for key, p := range properties {
			if text, _ := p.(map[string]any)["description"].(string); text == "" {
				t.Errorf("%s.%s has no description", path, key)
			}
			walk(path+"."+key, p)
		}
		if items, ok := m["items"]; ok {
			walk(path+"[]", items)
		}
		forms, _ := m["oneOf"].([]any)
		for _, form := range forms {
			walk(path, form)
		}
	}
	walk("", root)
}

// TestFixedValuesAreTheOwners: a value that the schema names is accepted by the
// package that owns the key, and one that it does not name is refused.
func TestFixedValuesAreTheOwners(t *testing.T) {
	t.Parallel()
	var root map[string]any
	if err := json.Unmarshal(config.Schema(), &root); err != nil {
		t.Fatal(err)
	}
	at := func(v any, path ...any) any {
		for _, p := range path {
			switch p := p.(type) {
			case string:
				v = v.(map[string]any)[p]
			case int:
				v = v.([]any)[p]
			}
		}
		return v
	}
	files := map[string]string{
		"auth":      "targets: [{kind: direktiv, url: https://x.example, namespace: a, auth: VALUE}]\nroutes: [{sync: direktiv}]",
		"method":    "targets: [{kind: http, url: https://x.example, method: VALUE}]\nroutes: [{sync: http}]",
		"report":    "targets: [{kind: http, url: https://x.example}]\nroutes: [{sync: http, report: {report: VALUE}}]",
		"note":      "targets: [{kind: http, url: https://x.example}]\nroutes: [{sync: http, report: {note: VALUE}}]",
		"status_on": "targets: [{kind: http, url: https://x.example}]\nroutes: [{sync: http, report: {status_on: VALUE}}]",
		"log":       "targets: [{kind: http, url: https://x.example}]\nroutes: [{sync: http}]\nlog: VALUE",
	}
	reported := at(root, "properties", "routes", "items", "properties", "report", "properties")
	for key, property := range map[string]any{
		"auth":   at(root, "properties", "targets", "items", "oneOf", 0, "properties", "auth"),
		"method": at(root, "properties", "targets", "items", "oneOf", 1, "properties", "method"),
		"report": at(reported, "report"), "note": at(reported, "note"), "status_on": at(reported, "status_on"),
		"log": at(root, "properties", "log"),
	} {
		values := append(at(property, "anyOf", 0, "enum").([]any), "nonsense")
		for _, v := range values {
			word, ok := v.(string)
			if !ok {
				continue
			}
			_, _, err := parse(strings.ReplaceAll(files[key], "VALUE", word), nil)
			if (err == nil) != (word != "nonsense") {
				t.Errorf("%s: %s: got %v", key, word, err)
			}
		}
	}
}

func TestExtrasAreOfVariablesThatThereAre(t *testing.T) {
	t.Parallel()
	if list := config.UnknownExtras(); len(list) > 0 {
		t.Errorf("no package has %v any more", list)
	}
}

func FuzzParse(f *testing.F) {
	samples, err := filepath.Glob("testdata/faults/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range append(samples, "testdata/remora.yaml") {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add("a: &a [*a]\ntargets: *a")
	f.Add("targets: &t\n- &x {<<: [*x, *x], kind: http}\nroutes: *t")
	f.Fuzz(func(t *testing.T, text string) {
		c, warnings, err := parse(text, sampleEnv())
		if (c == nil) != (err != nil) {
			t.Fatalf("got a Config: %v, and the error %v", c != nil, err)
		}
		for _, w := range warnings {
			checkPlace(t, &w.Fault)
		}
		if err == nil {
			return
		}
		for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
			var fault *config.Fault
			if !errors.As(e, &fault) {
				t.Fatalf("%v is a %T", e, e)
			}
			checkPlace(t, fault)
		}
	})
}

func checkPlace(t *testing.T, f *config.Fault) {
	t.Helper()
	if f.Variable == "" && (f.File == "" || f.Line < 1 || f.Column < 1) {
		t.Errorf("%q has no place", f.Error())
	}
	if f.Text == "" || strings.Contains(f.Error(), "canary") {
		t.Errorf("%q says nothing, or a secret", f.Error())
	}
}
