package paths_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	git "github.com/go-git/go-git/v5"
	"github.com/google/go-cmp/cmp"

	"gitlab.com/remora-ci/remora/component/paths"
)

func TestWhatCountsAsChanged(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before, after files
		want          []string
	}{
		"nothing":                   {files{"a": "1"}, files{"a": "1"}, nil},
		"content":                   {files{"a": "1", "b/c": "1"}, files{"a": "1", "b/c": "2"}, []string{"b/c"}},
		"a new file":                {files{"a": "1"}, files{"a": "1", "b/c/d": "2"}, []string{"b/c/d"}},
		"a file that went":          {files{"a": "1", "b/c/d": "2", "b/e": "3"}, files{"a": "1"}, []string{"b/c/d", "b/e"}},
		"both names of a rename":    {files{"docs/a": "1"}, files{"src/a": "1"}, []string{"docs/a", "src/a"}},
		"a mode":                    {files{"a": "1"}, files{"a": "exec:1"}, []string{"a"}},
		"a file that became a link": {files{"a": "1"}, files{"a": "link:1"}, []string{"a"}},
		"a submodule":               {files{"sub/m": "sub:1"}, files{"sub/m": "sub:2"}, []string{"sub/m"}},
		"a file that became a directory": {
			files{"a": "1"}, files{"a/b": "1"}, []string{"a", "a/b"},
		},
		"a directory that became a submodule": {
			files{"a/b": "1"}, files{"a": "sub:1"}, []string{"a", "a/b"},
		},
		"strange names": {files{"a\nb/ö": "1"}, files{"a\nb/ö": "2"}, []string{"a\nb/ö"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c0 := newClone(t, t.TempDir())
			from, to := c0.commit(c.before), c0.commit(c.after)
			var got []string
			err := paths.DiffClone(t.Context(), c0.dir, from, to, func(p string) bool { got = append(got, p); return false })
			slices.Sort(got)
			if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
				t.Errorf("error %v, paths (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestTheFirstMatchEndsTheSearch(t *testing.T) {
	t.Parallel()
	c := newClone(t, t.TempDir())
	from, to := c.commit(files{}), c.commit(files{"a": "1", "b": "2", "c/d": "3"})
	n := 0
	err := paths.DiffClone(t.Context(), c.dir, from, to, func(string) bool { n++; return true })
	if n != 1 || err != nil {
		t.Errorf("told of %d paths, error %v; want one and no error", n, err)
	}
}

func TestACloneThatIsPackedIsReadAndNeverTouched(t *testing.T) {
	t.Parallel()
	c := newClone(t, t.TempDir())
	from := c.commit(files{"docs/a": "1", "src/a": "1"})
	to := c.commit(files{"docs/a": "1", "src/a": "2"}, from)
	if err := c.repo.RepackObjects(&git.RepackConfig{}); err != nil {
		t.Fatal(err)
	}
	if packs, _ := filepath.Glob(filepath.Join(c.dir, ".git/objects/pack/*.pack")); len(packs) != 1 {
		t.Fatalf("packs = %q, want one", packs)
	}
	before := state(t, c.dir)
	if d := filter(t, "docs/", c.dir, nil).Decide(t.Context(), pushed(from, to)); d.Run {
		t.Errorf("docs: %+v, want a skip", d)
	}
	if d := filter(t, "src/", c.dir, nil).Decide(t.Context(), pushed(from, to)); !d.Run || !strings.Contains(d.Why, "src/a changed and matches src/") {
		t.Errorf("src: %+v, want to run because of src/a", d)
	}
	if diff := cmp.Diff(before, state(t, c.dir)); diff != "" {
		t.Errorf("the clone changed:\n%s", diff)
	}
}

// harm is something that a clone can lack.
type harm struct {
	do  func(t *testing.T, c *clone, from, to string)
	why string // it is no proof
}

func harms() map[string]harm {
	remove := func(sha func(c *clone, from, to string) string) func(*testing.T, *clone, string, string) {
		return func(t *testing.T, c *clone, from, to string) {
			if err := os.Remove(c.object(sha(c, from, to))); err != nil {
				t.Fatal(err)
			}
		}
	}
	treeOf := func(f files) func(*clone, string, string) string {
		return func(c *clone, _, _ string) string { return c.tree(f).String() }
	}
	return map[string]harm{
		"the base commit is missing": {remove(func(_ *clone, from, _ string) string { return from }), "is not in the clone and no token"},
		"the commit is missing":      {remove(func(_ *clone, _, to string) string { return to }), "is not in the clone and no token"},
		"a root tree is missing":     {remove(treeOf(files{"src/a": "2"})), "the clone is not complete"},
		"an inner tree is missing":   {remove(treeOf(files{"a": "1"})), "the clone is not complete"},
		"an object is garbage": {func(t *testing.T, c *clone, from, _ string) {
			garble(t, c.object(from))
		}, "is not in the clone"},
		"an inner tree is garbage": {func(t *testing.T, c *clone, _, _ string) {
			garble(t, c.object(c.tree(files{"a": "2"}).String()))
		}, "the clone is not complete"},
		"an inner tree is empty": {func(t *testing.T, c *clone, _, _ string) {
			file := c.object(c.tree(files{"a": "2"}).String())
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "the clone is not complete"},
		"there is none": {func(t *testing.T, c *clone, _, _ string) {
			if err := os.RemoveAll(filepath.Join(c.dir, ".git")); err != nil {
				t.Fatal(err)
			}
		}, "there is no clone"},
		"its indexes are huge": {func(t *testing.T, c *clone, _, _ string) {
			idx := filepath.Join(c.dir, ".git/objects/pack/pack-1.idx")
			if err := os.MkdirAll(filepath.Dir(idx), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(idx, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(idx, 65<<20); err != nil {
				t.Fatal(err)
			}
		}, "the clone is too large"},
	}
}

// A clone that lacks something proves nothing, whatever else it holds.
func TestAnIncompleteCloneIsNoProof(t *testing.T) {
	t.Parallel()
	for name, c := range harms() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			repo := newClone(t, t.TempDir())
			from, to := repo.commit(files{"src/a": "1"}), repo.commit(files{"src/a": "2"})
			if d := filter(t, "docs/", repo.dir, nil).Decide(t.Context(), pushed(from, to)); d.Run {
				t.Fatalf("whole clone: %+v, want a skip", d)
			}
			c.do(t, repo, from, to)
			d := filter(t, "docs/", repo.dir, nil).Decide(t.Context(), pushed(from, to))
			if !d.Run || !strings.Contains(d.Why, c.why) || !strings.HasSuffix(d.Why, ": syncing") || strings.Contains(d.Why, "\n") {
				t.Errorf("decision = %+v, want to run because %q, on one line", d, c.why)
			}
		})
	}
}

func garble(t *testing.T, file string) {
	t.Helper()
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("x\x9cgarbage"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAPanicIsNoProof(t *testing.T) {
	t.Parallel()
	c := newClone(t, t.TempDir())
	from, to := c.commit(files{}), c.commit(files{"a": "1"})
	err := paths.DiffClone(t.Context(), c.dir, from, to, func(string) bool { panic("broken index") })
	if err == nil || !strings.Contains(err.Error(), "broken index") {
		t.Errorf("error = %v, want one that names the panic", err)
	}
}

func TestATreeWithANameTwiceIsNoProof(t *testing.T) {
	t.Parallel()
	c := newClone(t, t.TempDir())
	from := c.commit(files{"a/x": "1"})
	double := c.doubled("a", "1", "2")
	err := paths.DiffClone(t.Context(), c.dir, from, double, func(string) bool { return false })
	if err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("error = %v, want one that names the doubled entry", err)
	}
}

func TestNoTimeIsNoProof(t *testing.T) {
	t.Parallel()
	c := newClone(t, t.TempDir())
	from, to := c.commit(files{"a": "1"}), c.commit(files{"a": "2"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if d := filter(t, "docs/", c.dir, nil).Decide(ctx, pushed(from, to)); !d.Run || !strings.Contains(d.Why, "context canceled") {
		t.Errorf("decision = %+v, want to run for lack of time", d)
	}
}
