package config_test

import (
	"strings"
	"testing"
)

// TestHostileFilesAreBounded: what multiplies itself ends soon, with a fault.
func TestHostileFilesAreBounded(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"many targets":           "targets:\n" + strings.Repeat("- {kind: http}\n", 5000),
		"many routes":            "routes:\n" + strings.Repeat("- {}\n", 5000),
		"too many routes":        "routes:\n" + strings.Repeat("- {}\n", 6000),
		"an unknown key":         strings.Repeat("k: 1\n", 30000),
		"aliases of a list":      "x-l: &l [" + strings.Repeat("a,", 1000) + "]\nroutes:\n" + strings.Repeat("- {projects: *l}\n", 4000),
		"merges of merges":       "targets: &t\n- &x {<<: [" + strings.Repeat("*x,", 100) + "], kind: http}\n",
		"a list within itself":   "targets: &t [*t, *t]",
		"tokens with many globs": "tokens:\n" + strings.Repeat("- {name: a, token: a, projects: ['{{{{a', b, c, d, e]}\n", 4000),
		"long words":             strings.Repeat("x", 900000) + ": " + "y",
		"deep":                   strings.Repeat("[", 100000),
		"deep keys":              strings.Repeat("a: {", 50000),
		"references":             "log: " + strings.Repeat("${A}", 30000),
		"globs that take away":   "targets: []\nroutes:\n- {sync: x, projects: [" + strings.Repeat("a*/b/**,", 20000) + strings.Repeat("'!c/**',", 20000) + "]}",
		"tokens and projects":    "targets: []\ntokens: [{name: a, token: x, projects: [" + strings.Repeat("a*/b,", 30000) + "]}]\nroutes:\n- {sync: x, projects: [" + strings.Repeat("c*/d,", 30000) + "]}",
		"routes that are alike":  "targets: []\nroutes:\n" + strings.Repeat("- {sync: x, on: job, forks: never}\n- {sync: x, on: job, forks: true}\n", 2500),
		"groups of hooks":        "targets: []\nhooks:\n  groups:\n" + strings.Repeat("  - {group: a/b}\n", 5000),
		"names that are near":    "targets: [{kind: http, url: https://x.example}]\nroutes:\n- sync: [" + strings.Repeat("htt,", 10000) + "]",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := parse(text, nil)
			if err == nil {
				t.Error("got no error")
			}
			if err != nil && len(err.Error()) > 1<<20 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
}
