package main

import (
	"os"
	"path"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// What the documentation shows is held to what is there: its includes
// interpolate, its commands have the flags, its note is one that is written.

func readDocument(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// fenced are the code blocks of a document in the given language.
func fenced(document, language string) []string {
	var out []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(document, -1) {
		out = append(out, m[1])
	}
	return out
}

// includes are the components that a pipeline includes.
func includes(t *testing.T, pipeline string) (out []inclusion) {
	t.Helper()
	var file struct {
		Include []inclusion `yaml:"include"`
	}
	if err := yaml.Unmarshal([]byte(pipeline), &file); err != nil {
		t.Fatalf("%v in:\n%s", err, pipeline)
	}
	return file.Include
}

type inclusion struct {
	Component string         `yaml:"component"`
	Inputs    map[string]any `yaml:"inputs"`
}

func TestEveryIncludeThatIsShownInterpolates(t *testing.T) {
	t.Parallel()
	pipelines := append(fenced(readDocument(t, "README.md"), "yaml"), readDocument(t, ".gitlab-ci.yml"))
	used := map[string]bool{}
	for _, pipeline := range pipelines {
		for _, c := range includes(t, pipeline) {
			name, _, ok := strings.Cut(path.Base(c.Component), "@")
			if !ok || !strings.HasPrefix(c.Component, "$CI_SERVER_FQDN/") {
				t.Errorf("%s: want $CI_SERVER_FQDN/…@version, for another instance includes its own copy", c.Component)
				continue
			}
			used[name+".yml"] = true
			if _, err := readTemplate(t, name+".yml").interpolate(c.Inputs); err != nil {
				t.Errorf("%s: %v", c.Component, err)
			}
		}
	}
	for name := range templates {
		if !used[name] {
			t.Errorf("README.md: shows no include of %s", name)
		}
	}
}

// command is a call of ours, in a block or between backticks, with what follows it.
var command = regexp.MustCompile("(?m)(?:^|`)remora ([a-z]+(?: [a-z|]+)?)([^`\n]*)")

func TestEveryCommandThatIsShownHasItsFlags(t *testing.T) {
	seen := 0
	for _, m := range command.FindAllStringSubmatch(readDocument(t, "README.md"), -1) {
		first, _, _ := strings.Cut(m[1], "|")
		args := append(strings.Fields(first), "--help")
		code, help, errs := remora(t, nil, args...)
		if code != 0 || !strings.Contains(help, "remora "+first) {
			t.Errorf("remora %s: exit %d\n%s%s", first, code, help, errs)
		}
		for _, flag := range regexp.MustCompile(`--[a-z-]+`).FindAllString(m[2], -1) {
			if seen++; flag != "--help" && !regexp.MustCompile(flag+`\b`).MatchString(help) {
				t.Errorf("remora %s has no flag %s", first, flag)
			}
		}
	}
	if seen < 10 {
		t.Errorf("got %d flags, want those of the README", seen)
	}
}

func TestTheNoteThatIsShownIsOneThatIsWritten(t *testing.T) {
	t.Parallel()
	var quoted strings.Builder
	for line := range strings.Lines(readDocument(t, "README.md")) {
		if rest, ok := strings.CutPrefix(line, ">"); ok {
			quoted.WriteString(strings.TrimPrefix(rest, " "))
		}
	}
	if want := readDocument(t, "component/report/testdata/note-readme.md"); quoted.String() != want {
		t.Errorf("got\n%s\nwant\n%s", quoted.String(), want)
	}
}
