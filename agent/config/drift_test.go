package config_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"gitlab.com/remora-ci/remora/agent/config"
)

func TestTheSchemaInDocsIsThis(t *testing.T) {
	t.Parallel()
	const file = "../../docs/remora.schema.json"
	if *update {
		if err := os.WriteFile(file, config.Schema(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != string(config.Schema()) {
		t.Errorf("%s is not what the code says: remora config schema > docs/remora.schema.json", file)
	}
}

// TestTheSampleNamesEveryKey: what can be configured is shown where people look,
// as a key or in a comment; of the targets and webhooks, what is most used.
func TestTheSampleNamesEveryKey(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/remora.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := json.Unmarshal(config.Schema(), &root); err != nil {
		t.Fatal(err)
	}
	var walk func(path string, v map[string]any)
	walk = func(path string, v map[string]any) {
		properties, _ := v["properties"].(map[string]any)
		for key, p := range properties {
			file := strings.HasSuffix(key, "_file") && properties[strings.TrimSuffix(key, "_file")] != nil
			if at := path + "." + key; !file && !regexp.MustCompile(`[\s{#-]`+key+`(_file)?:`).Match(text) {
				t.Errorf("%s is not in the sample", at[1:])
			}
			below, _ := p.(map[string]any)
			walk(path+"."+key, below)
			if items, ok := below["items"].(map[string]any); ok {
				walk(path+"."+key, items)
			}
		}
	}
	walk("", root)
}
