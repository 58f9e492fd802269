package config_test

import (
	"testing"
)

func TestSample(t *testing.T) {
	t.Parallel()
	c, w, err := load(t, "testdata/remora.yaml", sampleEnv())
	t.Log(w)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range c.Settings() {
		t.Log(s.Key, s.Value, s.Origin)
	}
}
