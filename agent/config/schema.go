package config

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
)

// SchemaID names the schema, also where it is not fetched from there.
const SchemaID = "https://gitlab.com/remora-ci/remora/-/raw/main/docs/remora.schema.json"

// Schema is the JSON schema of remora.yaml, draft 2020-12, for editors. It knows
// shapes, keys and fixed values; [Load] alone knows what fits together.
func Schema() []byte {
	root := objectSchema(sectionOf(reflect.TypeFor[document](), "", "").fields)
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["$id"] = SchemaID
	root["title"] = "remora.yaml"
	root["description"] = "configuration of remora agent"
	root["patternProperties"] = schema{"^x-": schema{"description": "passed over; a place for anchors"}}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(root); err != nil {
		panic(err) // maps of texts can always be encoded
	}
	return out.Bytes()
}

type schema = map[string]any

// objectSchema is a section with these keys and no others.
func objectSchema(fields []field) schema {
	properties, required := schema{}, []string{}
	for _, f := range fields {
		properties[f.key] = fieldSchema(f)
		if f.hidden() {
			properties[f.key+"_file"] = schema{
				"type": []string{"string", "null"}, "description": "path of a file with it, from the folder of this file: " + f.usage,
			}
			properties[f.key].(schema)["description"] = f.usage + "; as ${NAME} of a variable"
		}
		if f.need {
			required = append(required, f.key)
		}
	}
	s := schema{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

func fieldSchema(f field) schema {
	var s schema
	switch {
	case f.leaf():
		s = leafSchema(f)
	case f.typ.Kind() == reflect.Struct:
		s = objectSchema(sectionOf(f.typ, f.trim, f.skip).fields)
		s["type"] = []string{"object", "null"}
	default:
		s = schema{"type": []string{"array", "null"}, "items": itemSchema(sectionOf(f.typ.Elem(), f.trim, f.skip))}
	}
	if f.usage != "" {
		s["description"] = f.usage
	}
	if f.byDefault != "" {
		s["default"] = typed(f)
	}
	return s
}

// typed is the default of a key as YAML would have it.
func typed(f field) any {
	if f.kind == kindBool || f.kind == kindInt {
		return json.RawMessage(f.byDefault)
	}
	return f.byDefault
}

// itemSchema is an item of a list, in as many forms as it has kinds.
func itemSchema(s section) schema {
	if len(s.kinds) == 0 {
		return objectSchema(s.fields)
	}
	var forms []any
	for _, kind := range s.kinds {
		form := objectSchema(s.of(kind))
		form["title"] = kind
		form["properties"].(schema)["kind"] = schema{"const": kind, "description": "kind of target"}
		form["required"] = []string{"kind"}
		forms = append(forms, form)
	}
	return schema{"type": "object", "oneOf": forms}
}

// referencePattern is a text with a variable in it, which may stand for anything.
const referencePattern = `\$\{[A-Za-z_][A-Za-z0-9_]*\}`

func leafSchema(f field) schema {
	text := schema{"type": []string{"string", "number", "boolean", "null"}}
	reference := schema{"type": "string", "pattern": referencePattern}
	list := schema{"type": "array", "items": schema{"type": []string{"string", "number", "boolean"}}}
	if f.open {
		text = schema{"type": []string{"string", "number", "boolean"}, "minLength": 1}
		list["minItems"] = 1
	}
	switch {
	case f.typ == textsType:
		return schema{"anyOf": []any{text, list}}
	case f.pairs:
		return schema{"anyOf": []any{text, list, schema{"type": "object", "additionalProperties": text}}}
	case f.join != "":
		return schema{"anyOf": []any{text, list}}
	case f.enum != nil:
		values := []any{nil}
		for _, v := range f.enum {
			values = append(values, v)
			switch v {
			case "off", "false":
				values = append(values, false) // off is false to readers of YAML 1.1
			case "true":
				values = append(values, true)
			}
		}
		return schema{"anyOf": []any{schema{"enum": values}, reference}}
	case f.kind == kindBool:
		return schema{"anyOf": []any{schema{"type": []string{"boolean", "null"}}, schema{"enum": []string{"true", "false"}}, reference}}
	case f.kind == kindInt:
		return schema{"anyOf": []any{schema{"type": "integer", "minimum": 1, "maximum": maxInt}, schema{"type": "null"}, schema{"type": "string", "pattern": "^[0-9]+$"}, reference}}
	case f.kind == kindSize:
		return schema{"anyOf": []any{schema{"type": "string", "pattern": "^[0-9]+ ?(KiB|MiB|GiB)$"}, schema{"type": "null"}, reference}}
	case f.kind == kindDuration || f.kind == kindPause || f.kind == kindHeal || f.kind == kindAge:
		return durationSchema(f.kind)
	}
	return text
}

// durationSchema is a duration, and a word where one means none.
func durationSchema(kind string) schema {
	patterns := []string{`^P`, `^[0-9]`, referencePattern}
	forms := []any{schema{"type": "null"}}
	switch kind {
	case kindHeal:
		forms = append(forms, schema{"enum": []any{"off", false}})
	case kindAge:
		patterns = slices.DeleteFunc(patterns, func(p string) bool { return p == `^[0-9]` })
		forms = append(forms, schema{"enum": []any{"never", "off", false}})
	case kindPause:
		forms = append(forms, schema{"const": 0})
	}
	return schema{"anyOf": append([]any{schema{"type": "string", "pattern": strings.Join(patterns, "|")}}, forms...)}
}
