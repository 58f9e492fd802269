package paths

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"gitlab.com/remora-ci/remora/component/delivery"
)

const (
	maxIndex = 64 << 20 // bytes of pack indexes, which go-git reads whole: two million objects
	maxCache = 16 << 20 // bytes of objects kept in memory
	maxTrees = 200_000  // directories compared
	maxDepth = 500      // of directories
)

// diffClone tells look of every path that differs between two commits of the
// clone in dir, until look says stop. Its error is why it does not know them
// all; what look was told holds in any case. Only commits and trees are read, so
// a shallow clone or one without blobs will do.
func diffClone(ctx context.Context, dir, from, to string, look func(path string) (stop bool)) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the clone cannot be read (%v)", r)
		}
	}()
	store, err := open(dir)
	if err != nil {
		return err
	}
	a, err := treeOf(store, "base commit", from)
	if err != nil {
		return err
	}
	b, err := treeOf(store, "commit", to)
	if err != nil {
		return err
	}
	w := walk{ctx: ctx, store: store, look: look}
	if err := w.diff("", a, b, 0); err != nil && !errors.Is(err, errStop) {
		return fmt.Errorf("the clone is not complete (%w)", err)
	}
	return nil
}

// open reads the clone in dir. go-git has no bound of its own for the indexes
// of packs.
func open(dir string) (storer.EncodedObjectStorer, error) {
	git := filepath.Join(dir, ".git")
	if info, err := os.Stat(git); dir == "" || err != nil || !info.IsDir() {
		return nil, errors.New("there is no clone")
	}
	var size int64
	err := filepath.WalkDir(filepath.Join(git, "objects", "pack"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".idx") {
			return nil //nolint:nilerr // what cannot be read is missed when it is looked for
		}
		if info, err := d.Info(); err == nil {
			size += info.Size()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if size > maxIndex {
		return nil, errors.New("the clone is too large to be read")
	}
	return filesystem.NewStorageWithOptions(osfs.New(git), cache.NewObjectLRU(maxCache), filesystem.Options{}), nil
}

// treeOf is the tree of a commit.
func treeOf(store storer.EncodedObjectStorer, what, sha string) (plumbing.Hash, error) {
	if !plumbing.IsHash(sha) || len(sha) != 2*len(plumbing.ZeroHash) {
		return plumbing.ZeroHash, fmt.Errorf("%s %s cannot be looked up in the clone", what, show(sha))
	}
	c, err := object.GetCommit(store, plumbing.NewHash(sha))
	if err != nil {
		return plumbing.ZeroHash, fmt.Errorf("%s %s is not in the clone", what, delivery.ShortSHA(sha))
	}
	if c.TreeHash.IsZero() {
		return plumbing.ZeroHash, fmt.Errorf("%s %s has no tree", what, delivery.ShortSHA(sha))
	}
	return c.TreeHash, nil
}

var errStop = errors.New("stop")

// walk compares two trees side by side. It descends only where they differ.
type walk struct {
	ctx   context.Context
	store storer.EncodedObjectStorer
	look  func(path string) (stop bool)
	trees int
}

// diff compares two directories, one of which may be absent: the zero hash.
func (w *walk) diff(prefix string, a, b plumbing.Hash, depth int) error {
	if depth > maxDepth {
		return errors.New("directories are too deep")
	}
	before, err := w.entries(a)
	if err != nil {
		return err
	}
	after, err := w.entries(b)
	if err != nil {
		return err
	}
	for name, x := range before {
		y := after[name]
		delete(after, name)
		if err := w.entry(prefix+name, x, y, depth); err != nil {
			return err
		}
	}
	for name, y := range after {
		if err := w.entry(prefix+name, object.TreeEntry{}, y, depth); err != nil {
			return err
		}
	}
	return nil
}

// entry compares what two trees hold under one name; the zero entry is absent.
func (w *walk) entry(path string, x, y object.TreeEntry, depth int) error {
	if x.Hash == y.Hash && x.Mode == y.Mode {
		return nil
	}
	if (isFile(x) || isFile(y)) && w.look(path) {
		return errStop
	}
	a, b := directory(x), directory(y)
	if a == b {
		return nil
	}
	return w.diff(path+"/", a, b, depth+1)
}

// isFile says whether e is anything but a directory: a file, link or submodule.
func isFile(e object.TreeEntry) bool { return e.Name != "" && e.Mode != filemode.Dir }

func directory(e object.TreeEntry) plumbing.Hash {
	if e.Mode == filemode.Dir {
		return e.Hash
	}
	return plumbing.ZeroHash
}

// entries reads a directory by name. A name that stands there twice would hide
// a change.
func (w *walk) entries(h plumbing.Hash) (map[string]object.TreeEntry, error) {
	if h.IsZero() {
		return nil, nil
	}
	if err := w.ctx.Err(); err != nil {
		return nil, err
	}
	if w.trees++; w.trees > maxTrees {
		return nil, errors.New("too many directories differ")
	}
	t, err := object.GetTree(w.store, h)
	if err != nil {
		return nil, err
	}
	byName := make(map[string]object.TreeEntry, len(t.Entries))
	for _, e := range t.Entries {
		byName[e.Name] = e
	}
	if len(byName) != len(t.Entries) {
		return nil, errors.New("a directory holds a name twice")
	}
	return byName, nil
}
