package config_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestFaults compares what is told of each testdata/faults/*.yaml, faults and
// warnings, with the file .txt beside it.
func TestFaults(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/faults/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			t.Parallel()
			c, warnings, err := load(t, file, map[string]string{"T": "a-good-long-token", "CANARY": "canary value"})
			if err == nil || c != nil {
				t.Fatalf("got %v and no error, want faults", c)
			}
			text := strings.ReplaceAll(err.Error(), "testdata/faults/", "") + "\n"
			if len(warnings) > 0 {
				text += "warnings:\n" + strings.ReplaceAll(lines(warnings), "testdata/faults/", "")
			}
			if strings.Contains(text, "canary") {
				t.Errorf("a secret is told: %s", text)
			}
			golden(t, strings.TrimPrefix(strings.TrimSuffix(file, ".yaml"), "testdata/")+".txt", text)
		})
	}
}
