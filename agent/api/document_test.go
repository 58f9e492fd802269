package api_test

import (
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"gitlab.com/remora-ci/remora/agent/api"
)

const documentFile = "../../docs/openapi.yaml"

func TestTheDocumentInDocsIsThis(t *testing.T) {
	t.Parallel()
	text, err := api.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(documentFile, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(documentFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != string(text) {
		t.Errorf("%s is not what the code says: go test ./agent/api -run Document -update", documentFile)
	}
	r := newRig(t, nil)
	resp := r.send(t, http.MethodGet, "/api/v1/openapi.yaml", admin, "")
	if got := content(t, resp); got != string(text) || resp.Header.Get("Content-Type") != "application/openapi+yaml" {
		t.Errorf("another one is served, as %s", resp.Header.Get("Content-Type"))
	}
}

// document is the served one, as plain values; both forms say the same.
func document(t *testing.T) map[string]any {
	t.Helper()
	r := newRig(t, nil)
	resp := r.send(t, http.MethodGet, "/api/v1/openapi.json", project, "")
	if kind := resp.Header.Get("Content-Type"); kind != "application/openapi+json" {
		t.Errorf("got content type %q", kind)
	}
	text := content(t, resp)
	var asJSON map[string]any
	if err := json.Unmarshal([]byte(text), &asJSON); err != nil {
		t.Fatal(err)
	}
	plain, err := api.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	var asYAML map[string]any
	if err := yaml.Unmarshal(plain, &asYAML); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(asYAML)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := canonical(t, []byte(text)), canonical(t, again); a != b {
		t.Errorf("YAML and JSON differ:\n%s\n%s", a, b)
	}
	return asJSON
}

func canonical(t *testing.T, text []byte) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// at is what lies under keys of nested objects.
func under(v any, keys ...string) any {
	for _, key := range keys {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	return v
}

func TestTheDocumentIsWhole(t *testing.T) {
	t.Parallel()
	doc := document(t)
	if version, _ := doc["openapi"].(string); !strings.HasPrefix(version, "3.1.") {
		t.Errorf("got version %q", version)
	}
	references(t, doc, doc)
	schemes, _ := under(doc, "components", "securitySchemes").(map[string]any)
	ids := map[string]bool{}
	paths, _ := doc["paths"].(map[string]any)
	for path, item := range paths {
		if !strings.HasPrefix(path, api.Prefix) {
			t.Errorf("%s is not under %s", path, api.Prefix)
		}
		methods, _ := item.(map[string]any)
		for method, v := range methods {
			op, _ := v.(map[string]any)
			where := method + " " + path
			id, _ := op["operationId"].(string)
			if id == "" || ids[id] || op["summary"] == nil || op["tags"] == nil {
				t.Errorf("%s: operationId %q (taken: %v), summary %v, tags %v", where, id, ids[id], op["summary"], op["tags"])
			}
			ids[id] = true
			security, _ := op["security"].([]any)
			for _, s := range security {
				for name := range s.(map[string]any) {
					if schemes[name] == nil {
						t.Errorf("%s: there is no security scheme %q", where, name)
					}
				}
			}
			if len(security) == 0 {
				t.Errorf("%s: everybody may call", where)
			}
			answers(t, doc, where, op)
		}
	}
	if len(ids) != 10 {
		t.Errorf("got %d operations, want 10", len(ids))
	}
}

// answers checks that an operation says how it ends, well or not.
func answers(t *testing.T, doc map[string]any, where string, op map[string]any) {
	t.Helper()
	all, _ := op["responses"].(map[string]any)
	want := []string{"401", "403", "500", "503"}
	if op["requestBody"] != nil {
		want = append(want, "400", "408", "409", "413", "415", "422")
	}
	if op["parameters"] != nil {
		want = append(want, "422")
	}
	if strings.Contains(where, "{id}") {
		want = append(want, "404")
	}
	good := false
	for code, v := range all {
		r, _ := v.(map[string]any)
		if ref, ok := r["$ref"].(string); ok {
			r, _ = under(doc, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...).(map[string]any)
		}
		if r["description"] == nil {
			t.Errorf("%s: %s has no description", where, code)
		}
		if code < "400" {
			good = true
			if r["content"] == nil {
				t.Errorf("%s: %s has no content", where, code)
			}
		} else if under(r, "content", "application/problem+json", "schema", "$ref") != "#/components/schemas/Problem" {
			t.Errorf("%s: %s is no problem: %v", where, code, r)
		}
		want = slices.DeleteFunc(want, func(w string) bool { return w == code })
	}
	if !good || len(want) > 0 {
		t.Errorf("%s: says how it goes well: %v, does not say %v", where, good, want)
	}
}

// references checks that every $ref leads somewhere.
func references(t *testing.T, doc map[string]any, v any) {
	t.Helper()
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if ref, ok := value.(string); ok && key == "$ref" {
				path, local := strings.CutPrefix(ref, "#/")
				if !local || under(doc, strings.Split(path, "/")...) == nil {
					t.Errorf("%s leads nowhere", ref)
				}
			}
			if key == "$schema" {
				t.Errorf("a $schema link: %v", value)
			}
			references(t, doc, value)
		}
	case []any:
		for _, value := range v {
			references(t, doc, value)
		}
	}
}
