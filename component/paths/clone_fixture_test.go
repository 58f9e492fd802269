package paths_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab"
	"gitlab.com/remora-ci/remora/component/paths"
)

// fataler is what a fixture needs of testing.T and of rapid.T.
type fataler interface {
	Helper()
	Fatal(...any)
}

// files are paths and what they hold. A value that begins with "exec:" is an
// executable file, with "link:" a link, with "sub:" a submodule at that commit.
type files map[string]string

// clone is a repository on disk whose commits are made of files.
type clone struct {
	t    fataler
	dir  string
	repo *git.Repository
	n    int
}

func newClone(t fataler, dir string) *clone {
	t.Helper()
	repo, err := git.PlainInit(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	return &clone{t: t, dir: dir, repo: repo}
}

// commit stores a commit that holds exactly f and gives its id.
func (c *clone) commit(f files, parents ...string) string {
	c.t.Helper()
	c.n++
	who := object.Signature{Name: "n", Email: "n@example.com", When: time.Unix(int64(c.n), 0)}
	commit := &object.Commit{Author: who, Committer: who, Message: "m", TreeHash: c.tree(f)}
	for _, p := range parents {
		commit.ParentHashes = append(commit.ParentHashes, plumbing.NewHash(p))
	}
	return c.store(commit).String()
}

func (c *clone) tree(f files) plumbing.Hash {
	c.t.Helper()
	dirs := map[string]files{}
	var entries []object.TreeEntry
	for path, content := range f {
		if dir, rest, nested := strings.Cut(path, "/"); nested {
			if dirs[dir] == nil {
				dirs[dir] = files{}
			}
			dirs[dir][rest] = content
			continue
		}
		entries = append(entries, c.file(path, content))
	}
	for name, inner := range dirs {
		entries = append(entries, object.TreeEntry{Name: name, Mode: filemode.Dir, Hash: c.tree(inner)})
	}
	sort.Sort(object.TreeEntrySorter(entries))
	return c.store(&object.Tree{Entries: entries})
}

func (c *clone) file(name, content string) object.TreeEntry {
	c.t.Helper()
	mode := filemode.Regular
	if sha, ok := strings.CutPrefix(content, "sub:"); ok {
		return object.TreeEntry{Name: name, Mode: filemode.Submodule, Hash: plumbing.ComputeHash(plumbing.CommitObject, []byte(sha))}
	}
	for prefix, m := range map[string]filemode.FileMode{"exec:": filemode.Executable, "link:": filemode.Symlink} {
		if rest, ok := strings.CutPrefix(content, prefix); ok {
			content, mode = rest, m
		}
	}
	// Blobs are not stored: a decision must do without them.
	return object.TreeEntry{Name: name, Mode: mode, Hash: plumbing.ComputeHash(plumbing.BlobObject, []byte(content))}
}

func (c *clone) store(o interface {
	Encode(plumbing.EncodedObject) error
}) plumbing.Hash {
	c.t.Helper()
	e := c.repo.Storer.NewEncodedObject()
	if err := o.Encode(e); err != nil {
		c.t.Fatal(err)
	}
	h, err := c.repo.Storer.SetEncodedObject(e)
	if err != nil {
		c.t.Fatal(err)
	}
	return h
}

// object is the file of a loose object.
func (c *clone) object(sha string) string {
	return filepath.Join(c.dir, ".git", "objects", sha[:2], sha[2:])
}

// state is every file of a directory with its size and time of change.
func state(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		content := ""
		if !d.IsDir() {
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			content = string(raw)
		}
		all[path] = info.Mode().String() + info.ModTime().String() + content
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func filter(t fataler, patterns, dir string, api *gitlab.Client) *paths.Filter {
	t.Helper()
	f, err := paths.New(paths.Config{Paths: patterns}, dir, api)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// pushed is a push to a branch.
func pushed(before, after string) delivery.Event {
	return delivery.Event{
		Cause: delivery.CauseCI, Ref: "main", RefType: delivery.Branch, Before: before, SHA: after,
		Project:  delivery.Project{ID: 7, DefaultBranch: "main"},
		Pipeline: &delivery.Pipeline{ID: 1, Source: "push"},
	}
}

// doubled is a commit whose tree holds name twice, as no git would write it.
func (c *clone) doubled(name string, contents ...string) string {
	c.t.Helper()
	e := c.repo.Storer.NewEncodedObject()
	e.SetType(plumbing.TreeObject)
	w, err := e.Writer()
	if err != nil {
		c.t.Fatal(err)
	}
	for _, content := range contents {
		h := plumbing.ComputeHash(plumbing.BlobObject, []byte(content))
		if _, err := w.Write(append([]byte("100644 "+name+"\x00"), h[:]...)); err != nil {
			c.t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		c.t.Fatal(err)
	}
	tree, err := c.repo.Storer.SetEncodedObject(e)
	if err != nil {
		c.t.Fatal(err)
	}
	who := object.Signature{Name: "n", Email: "n@example.com", When: time.Unix(1, 0)}
	return c.store(&object.Commit{Author: who, Committer: who, TreeHash: tree}).String()
}
