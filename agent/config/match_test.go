package config_test

import (
	"fmt"
	"strings"
	"testing"
)

func TestTokenFor(t *testing.T) {
	t.Parallel()
	text := "targets: [{kind: http, url: https://x.example}]\nroutes: [{sync: http}]\n" +
		"gitlab: [{name: one, url: https://one.example}, {name: two, url: https://two.example}]\ntokens:\n"
	for name, globs := range map[string]string{
		"all": "one *", "group": "one Acme/**", "deep": "one acme/sub/**", "exact": "one acme/sub/App", "level": "one acme/sub/*",
		"ending": "one **/docs", "either": "one {x,y}/**", "start": "one acme/web-*", "other": "two acme/**",
	} {
		instance, glob, _ := strings.Cut(globs, " ")
		text += fmt.Sprintf("  - {name: %s, gitlab: %s, token: '${T}', projects: ['%s']}\n", name, instance, glob)
	}
	c, _, err := parse(text, map[string]string{"T": "a-token"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, instance, project, want string }{
		{"a glob for all is the last resort", "one", "foo/bar", "all"},
		{"case does not count", "one", "ACME/Thing", "group"},
		{"the longest beginning wins", "one", "acme/sub/x/y", "deep"},
		{"of one beginning, the longest glob", "one", "acme/sub/x", "deep"},
		{"a path as a whole wins", "one", "acme/sub/app", "exact"},
		{"part of a name", "one", "acme/web-1", "start"},
		{"a glob with a wildcard first is short", "one", "acme/docs", "group"},
		{"and still longer than none", "one", "foo/docs", "ending"},
		{"alternatives", "one", "y/z", "either"},
		{"a group is not what is below it", "one", "acme", "all"},
		{"another instance has its own", "two", "acme/thing", "other"},
		{"no glob, no token", "two", "foo/bar", ""},
		{"an unknown instance", "three", "acme/thing", ""},
	} {
		got, ok := c.TokenFor(tc.instance, tc.project)
		if got.Name != tc.want || ok != (tc.want != "") {
			t.Errorf("%s: %s on %s: got %q, want %q", tc.name, tc.project, tc.instance, got.Name, tc.want)
		}
	}
}
