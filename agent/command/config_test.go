package command_test

import (
	"strings"
	"testing"

	"gitlab.com/remora-ci/remora/agent/command"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		prefix string
		level  int
		want   string // part of the error; empty for none
	}{
		{"the defaults", "", 0, ""},
		{"another prefix", "/remora-staging_2", 50, ""},
		{"a guest", "/sync", 10, ""},
		{"a prefix without a slash", "remora", 30, "prefix: want a slash and a word"},
		{"a slash alone", "/", 30, "prefix: want a slash and a word"},
		{"two words", "/remora x", 30, "prefix: want a slash and a word"},
		{"two lines", "/remora\n/close", 30, "prefix: want a slash and a word"},
		{"a prefix that is too long", "/" + strings.Repeat("a", 51), 30, "prefix: want a slash and a word"},
		{"a quick action", "/close", 30, "prefix: /close is a quick action of GitLab"},
		{"a quick action in capitals", "/MERGE", 30, "prefix: /MERGE is a quick action of GitLab"},
		{"a word that begins as a quick action does", "/close-it", 30, ""},
		{"a level that is none", "/remora", 35, "access_level: want one of guest (10), planner (15), reporter (20), developer (30), maintainer (40), owner (50)"},
		{"an administrator, whom projects do not know", "/remora", 60, "access_level: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := command.Config{Prefix: tt.prefix, AccessLevel: tt.level}.WithDefaults().Validate()
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	if err := (command.Config{Prefix: "x", AccessLevel: 1}).Validate(); err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("got %v, want both faults at once", err)
	}
}

func TestParseLevel(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{"guest": 10, "Planner": 15, "REPORTER": 20, "30": 30, "maintainer": 40, "owner": 50, "admin": 0, "31": 0, "": 0, "-30": 0} {
		if got, err := command.ParseLevel(text); got != want || (err == nil) != (want != 0) {
			t.Errorf("%q: got %d, %v, want %d", text, got, err, want)
		}
	}
}

func TestAllowNeedsAMaintainerAtLeast(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ level, sync, allow int }{{10, 10, 40}, {30, 30, 40}, {40, 40, 40}, {50, 50, 50}} {
		c := command.Config{AccessLevel: tt.level}
		if got := c.LevelFor(command.Sync); got != tt.sync {
			t.Errorf("level %d: sync needs %d, want %d", tt.level, got, tt.sync)
		}
		if got := c.LevelFor(command.Allow); got != tt.allow {
			t.Errorf("level %d: allow needs %d, want %d", tt.level, got, tt.allow)
		}
	}
}
