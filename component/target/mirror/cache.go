package mirror

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

const (
	objectMemory = 16 << 20  // bytes of objects kept in memory
	largeObject  = 256 << 10 // bytes from which an object is read as a stream
	maxPacks     = 60        // of a cache; it is made anew then, for nothing repacks it
	abandoned    = 24 * time.Hour
)

// store is a bare repository that belongs to this run alone. Every object in it
// has all that it refers to, for packs are added whole or not at all.
type store struct {
	*filesystem.Storage
	dir  string
	home string // where it goes back to; empty for a store of one use

	whole plumbing.Hash // what the only pack holds, that and all it needs; often none
}

// caches is the folder where stores rest between runs.
type caches struct{ folder string }

// newCaches takes the folder given, else one in the user's cache folder; none if
// there is neither.
func newCaches(folder string) caches {
	if folder != "" {
		return caches{folder}
	}
	if user, err := os.UserCacheDir(); err == nil {
		return caches{filepath.Join(user, "remora", "mirror")}
	}
	return caches{}
}

// take gives the store of a source, or an empty one. It is taken by renaming it,
// which only one of several runs can do.
func (c caches) take(source string) (*store, error) {
	sum := sha256.Sum256([]byte(source))
	home := filepath.Join(c.folder, hex.EncodeToString(sum[:12])+".git")
	dir, err := c.room()
	if err != nil {
		if dir, err = os.MkdirTemp("", "remora-mirror-*"); err != nil {
			return nil, fmt.Errorf("make cache: %w", err)
		}
		home = ""
	}
	s := &store{dir: dir, home: home}
	if home != "" {
		_ = os.Rename(home, s.repository())
	}
	// What was there may be anything, such as a file.
	if err = s.openStorage(); err != nil && os.RemoveAll(s.repository()) == nil {
		err = s.openStorage()
	}
	if err != nil {
		s.discard()
		return nil, fmt.Errorf("make cache: %w", err)
	}
	return s, nil
}

func (s *store) repository() string { return filepath.Join(s.dir, "repository.git") }

func (s *store) openStorage() error {
	if err := os.MkdirAll(s.repository(), 0o700); err != nil {
		return err
	}
	s.Storage = filesystem.NewStorageWithOptions(osfs.New(s.repository(), osfs.WithBoundOS()), cache.NewObjectLRU(objectMemory),
		filesystem.Options{LargeObjectThreshold: largeObject})
	return s.Init()
}

// room is a folder for one run, beside the stores so that renaming is atomic.
func (c caches) room() (string, error) {
	if c.folder == "" {
		return "", errors.New("no folder")
	}
	if err := os.MkdirAll(c.folder, 0o700); err != nil {
		return "", err
	}
	c.sweep()
	return os.MkdirTemp(c.folder, "run-*")
}

// sweep removes what runs that were killed have left.
func (c caches) sweep() {
	entries, err := os.ReadDir(c.folder)
	if err != nil {
		return
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && e.IsDir() && strings.HasPrefix(e.Name(), "run-") && time.Since(info.ModTime()) > abandoned {
			_ = os.RemoveAll(filepath.Join(c.folder, e.Name()))
		}
	}
}

// giveBack lets the next run have the store. Another run's store that came back
// first is replaced.
func (s *store) giveBack() {
	defer s.discard()
	if s.home == "" || s.packs() > maxPacks {
		return
	}
	_ = os.Rename(s.home, filepath.Join(s.dir, "older.git"))
	_ = os.Rename(s.repository(), s.home)
}

// discard removes the store.
func (s *store) discard() { _ = os.RemoveAll(s.dir) }

func (s *store) packs() int {
	hashes, err := s.ObjectPacks()
	if err != nil {
		return maxPacks + 1
	}
	return len(hashes)
}

// has says whether an object is here, and so all that it refers to.
func (s *store) has(h plumbing.Hash) bool { return s.HasEncodedObject(h) == nil }

// keep remembers that a commit or tag is here, to tell the next server of it.
func (s *store) keep(name string, h plumbing.Hash) error {
	// Not under its own name: the file of a branch a is in the way of a/b.
	sum := sha256.Sum256([]byte(name))
	ref := plumbing.NewHashReference(plumbing.ReferenceName("refs/remora/"+hex.EncodeToString(sum[:12])), h)
	if err := s.SetReference(ref); err != nil {
		return fmt.Errorf("note what was fetched: %w", err)
	}
	return nil
}

// tempFile is a file that goes with the store.
func (s *store) tempFile() (*os.File, error) {
	f, err := os.CreateTemp(s.dir, "pack-*")
	if err != nil {
		return nil, fmt.Errorf("make pack: %w", err)
	}
	return f, nil
}

// onlyPack is the pack of a store that has but one, and nothing else.
func (s *store) onlyPack() (io.ReadCloser, error) {
	packs, err := s.ObjectPacks()
	if err != nil || len(packs) != 1 {
		return nil, errors.Join(errors.New("not one pack"), err)
	}
	return os.Open(filepath.Join(s.repository(), "objects", "pack", "pack-"+packs[0].String()+".pack"))
}
