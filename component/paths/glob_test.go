package paths_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"gitlab.com/remora-ci/remora/component/paths"
)

func TestPatterns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		patterns string
		yes, no  []string
	}{
		{"docs/**", []string{"docs/a", "docs/a/b.md"}, []string{"docs2/a", "a/docs/b", "Docs/a"}},
		{"docs/", []string{"docs/a", "docs/a/b"}, []string{"docs2/a"}},
		{"/docs/", []string{"docs/a"}, []string{"a/docs/b"}},
		{"./docs", []string{"docs", "docs/a"}, []string{"docs2", "a/docs"}},
		{"/", []string{"a", "a/b"}, nil},
		{"*.md", []string{"README.md"}, []string{"docs/a.md", "README.mdx"}},
		{"**/*.md", []string{"README.md", "docs/a/b.md"}, []string{"a.txt"}},
		{"flows/{a,b}/*.yaml, x", []string{"flows/a/1.yaml", "flows/b/1.yaml", "x"}, []string{"flows/c/1.yaml", "flows/a/b/1.yaml"}},
		{"a\n  b/*  \r\n\n,c,", []string{"a", "b/1", "c/d/e"}, []string{"d", "b/1/2"}},
		{`a\,b`, []string{"a,b"}, []string{"a", "b"}},
		{"**,!docs/,docs/api/", []string{"a", "docs/api/x"}, []string{"docs/x"}},
		{"!docs/", []string{"a", "b/c"}, []string{"docs/x"}},
		{"!docs, !*.md", []string{"a/b.md"}, []string{"docs/x", "docs", "b.md"}},
		{"src/**, !**/*_test.go", []string{"src/a.go"}, []string{"src/a_test.go", "docs/a.go"}},
		{`\!x`, []string{"!x"}, []string{"x"}},
		{"a b/ö*", []string{"a b/öl"}, []string{"a b/o"}},
		{"a/a*/", []string{"a/a", "a/ab/c"}, []string{"a/b"}},
		{"a/**/**", []string{"a", "a/b/c"}, []string{"b"}},
		{"*/**/", []string{"b", "b/c"}, nil},
		{"[ab].txt", []string{"a.txt"}, []string{"c.txt"}},
	} {
		t.Run(fmt.Sprintf("%q", c.patterns), func(t *testing.T) {
			t.Parallel()
			f := filter(t, c.patterns, "", nil)
			for _, p := range c.yes {
				if !f.Match(p) {
					t.Errorf("%q does not match, want it to", p)
				}
			}
			for _, p := range c.no {
				if f.Match(p) {
					t.Errorf("%q matches, want it not to", p)
				}
			}
		})
	}
}

func TestEveryPatternThatIsNoneIsTold(t *testing.T) {
	t.Parallel()
	err := paths.Config{Paths: "docs/**, [a, b{c, !\nok, x\\"}.Validate()
	if err == nil {
		t.Fatal("no error, want some")
	}
	var got []string
	for _, line := range strings.Split(err.Error(), "\n") {
		got = append(got, strings.SplitN(line, " is not", 2)[0])
	}
	want := []string{`REMORA_PATHS: "[a"`, `REMORA_PATHS: "b{c, !"`, `REMORA_PATHS: "x\\"`}
	if !slices.Equal(got, want) {
		t.Errorf("errors = %q, want %q", got, want)
	}
	if err := (paths.Config{Paths: "!"}).Validate(); err == nil || err.Error() != `REMORA_PATHS: "!" names no path` {
		t.Errorf("error = %v, want that ! names no path", err)
	}
	if _, err := paths.New(paths.Config{Paths: "[a"}, "", nil); err == nil {
		t.Error("New takes a broken pattern, want an error")
	}
}

func TestNoPatternIsNoFilter(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", " \n , \n"} {
		f := filter(t, text, "", nil)
		if d := f.Decide(t.Context(), pushed("a", "b")); !f.Empty() || !d.Run {
			t.Errorf("%q: Empty = %v, decision = %+v; want empty and to run", text, f.Empty(), d)
		}
	}
}

// TestASkipIsNeverWrong compares decisions on random trees and patterns with a
// naive reading of both.
func TestASkipIsNeverWrong(t *testing.T) {
	t.Parallel()
	repo := newClone(t, t.TempDir())
	tree := rapid.MapOfN(
		rapid.StringMatching(`[ab](/[ab]{1,2}){0,2}`),
		rapid.SampledFrom([]string{"1", "2", "exec:1", "sub:1", "link:1"}), 0, 8)
	pattern := rapid.StringMatching(`!?[ab*](/([ab*]|\*\*|[ab]\*|\*b)){0,3}/?`)
	rapid.Check(t, func(t *rapid.T) {
		before, after := flat(tree.Draw(t, "before")), flat(tree.Draw(t, "after"))
		patterns := rapid.SliceOfN(pattern, 1, 3).Draw(t, "patterns")
		f := filter(t, strings.Join(patterns, ","), repo.dir, nil)
		from, to := repo.commit(before), repo.commit(after)
		d := f.Decide(t.Context(), pushed(from, to))
		want := false
		for path := range changes(before, after) {
			want = want || naive(patterns, path)
		}
		if d.Run != want {
			t.Fatalf("decision = %+v, want run = %v: %v -> %v with %q", d, want, before, after, patterns)
		}
	})
}

// flat drops files that lie below another file, which no tree can hold.
func flat(m map[string]string) files {
	out := files{}
	for path, content := range m {
		below := false
		for other := range m {
			below = below || strings.HasPrefix(path, other+"/")
		}
		if !below {
			out[path] = content
		}
	}
	return out
}

func changes(before, after files) map[string]bool {
	out := map[string]bool{}
	for path, content := range before {
		if other, ok := after[path]; !ok || other != content {
			out[path] = true
		}
	}
	for path := range after {
		if _, ok := before[path]; !ok {
			out[path] = true
		}
	}
	return out
}

// naive reads patterns by way of regular expressions.
func naive(patterns []string, path string) bool {
	yes := strings.HasPrefix(patterns[0], "!")
	for _, p := range patterns {
		bare, no := strings.CutPrefix(p, "!")
		if fits(bare, path) {
			yes = !no
		}
	}
	return yes
}

func fits(pattern, path string) bool {
	if dir, ok := strings.CutSuffix(pattern, "/"); ok {
		pattern = dir + "/**"
	} else if !strings.Contains(pattern, "*") && fits(pattern+"/**", path) {
		return true
	}
	var expr strings.Builder
	parts := strings.Split(pattern, "/")
	for i, part := range parts {
		last := i == len(parts)-1
		switch {
		case part == "**" && last && i > 0:
			expr.WriteString(`(/.*)?`)
			continue
		case part == "**" && last:
			expr.WriteString(`.*`)
			continue
		case part == "**" && i > 0:
			expr.WriteString(`(/[^/]+)*`)
			continue
		case part == "**":
			expr.WriteString(`([^/]+/)*`)
			continue
		case i > 0 && !(i == 1 && parts[0] == "**"):
			expr.WriteString("/")
		}
		expr.WriteString(strings.ReplaceAll(regexp.QuoteMeta(part), `\*`, `[^/]*`))
	}
	return regexp.MustCompile("^" + expr.String() + "$").MatchString(path)
}

func FuzzPatterns(f *testing.F) {
	for _, seed := range []string{"docs/**", "!a,b", "{a,{b,c}}/*", "[a-z]", "[^a]/\\*", "a\n!", "**/**/**", "{", "}", ",{,}", "\xff*"} {
		f.Add(seed, "docs/a.md")
	}
	f.Fuzz(func(t *testing.T, patterns, path string) {
		if len(patterns) > 200 || len(path) > 200 {
			return
		}
		if made, err := paths.New(paths.Config{Paths: patterns}, "", nil); err == nil {
			made.Match(path)
		} else if !strings.HasPrefix(err.Error(), "REMORA_PATHS: ") {
			t.Errorf("error = %v, want it to name REMORA_PATHS", err)
		}
	})
}
