package config_test

import (
	"os"
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
