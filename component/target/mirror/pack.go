package mirror

import (
	"bufio"
	"compress/zlib"
	"crypto/sha1" // the checksum that the format has
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/object"
)

var lfsFilter = regexp.MustCompile(`(?m)^[^#\n]*\sfilter=lfs(\s|$)`)

// maxDelta is the number of objects up to which a pack is made small; beyond,
// looking for likenesses would take all of them in memory.
const maxDelta = 1000

// pack makes the pack of everything that want needs and tips do not have. tips
// that are not here are passed over.
func (s *store) pack(want plumbing.Hash, tips []plumbing.Hash) (*os.File, error) {
	known := s.known(tips)
	f, err := s.tempFile()
	if err != nil {
		return nil, err
	}
	if len(known) == 0 && s.whole == want {
		err = s.copyOnlyPack(f)
	} else {
		err = s.writePack(f, want, known)
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("make pack: %w", err)
	}
	return f, nil
}

// known are the commits of tips that are here.
func (s *store) known(tips []plumbing.Hash) []plumbing.Hash {
	var known []plumbing.Hash
	for _, t := range tips {
		if !s.has(t) {
			continue
		}
		if c, err := s.commitOf(t); err == nil {
			known = append(known, c)
		}
	}
	return known
}

func (s *store) writePack(f *os.File, want plumbing.Hash, known []plumbing.Hash) error {
	objects, err := s.objects(want, known)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 64<<10)
	if len(objects) <= maxDelta {
		_, err = packfile.NewEncoder(w, s, false).Encode(objects, 10)
	} else {
		err = streamPack(w, s, objects)
	}
	if err != nil {
		return err
	}
	return w.Flush()
}

// copyOnlyPack sends on what the project sent: it has exactly what is wanted.
func (s *store) copyOnlyPack(f *os.File) error {
	r, err := s.onlyPack()
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	_, err = io.Copy(f, r)
	return err
}

// objects are the tags, commits, trees and files that want needs and the commits
// known do not.
func (s *store) objects(want plumbing.Hash, known []plumbing.Hash) ([]plumbing.Hash, error) {
	c := &collector{store: s, seen: map[plumbing.Hash]bool{}}
	tip, err := s.commitOf(want)
	if err != nil {
		return nil, err
	}
	for h := want; h != tip; {
		tag, err := object.GetTag(s, h)
		if err != nil {
			return nil, fmt.Errorf("read tag %s: %w", h, err)
		}
		c.take(h)
		h = tag.Target
	}
	commits, err := s.fresh(tip, known)
	if err != nil {
		return nil, err
	}
	for _, h := range slices.Backward(commits) {
		if err := c.commit(h); err != nil {
			return nil, err
		}
	}
	return c.found, nil
}

// collector gathers objects, each once.
type collector struct {
	store *store
	seen  map[plumbing.Hash]bool
	found []plumbing.Hash
}

func (c *collector) take(h plumbing.Hash) bool {
	if c.seen[h] {
		return false
	}
	c.seen[h] = true
	c.found = append(c.found, h)
	return true
}

// commit takes a commit and what differs from its parents. A parent is known to
// the remote or taken on its own.
func (c *collector) commit(h plumbing.Hash) error {
	commit, err := object.GetCommit(c.store, h)
	if err != nil {
		return fmt.Errorf("read commit %s: %w", h, err)
	}
	c.take(h)
	var bases []plumbing.Hash
	for _, p := range commit.ParentHashes {
		parent, err := object.GetCommit(c.store, p)
		if err != nil {
			return fmt.Errorf("read commit %s: %w", p, err)
		}
		bases = append(bases, parent.TreeHash)
	}
	return c.tree(commit.TreeHash, bases)
}

// tree takes a tree and what is in it, without what stands at the same place in
// one of the bases.
func (c *collector) tree(h plumbing.Hash, bases []plumbing.Hash) error {
	if slices.Contains(bases, h) || !c.take(h) {
		return nil
	}
	tree, err := object.GetTree(c.store, h)
	if err != nil {
		return fmt.Errorf("read tree %s: %w", h, err)
	}
	there := map[string][]plumbing.Hash{}
	for _, b := range bases {
		base, err := object.GetTree(c.store, b)
		if err != nil {
			return fmt.Errorf("read tree %s: %w", b, err)
		}
		for _, e := range base.Entries {
			if e.Mode == filemode.Dir {
				there[e.Name] = append(there[e.Name], e.Hash)
			} else {
				there[e.Name+"\x00"] = append(there[e.Name+"\x00"], e.Hash)
			}
		}
	}
	for _, e := range tree.Entries {
		switch {
		case e.Mode == filemode.Submodule:
		case e.Mode == filemode.Dir:
			if err := c.tree(e.Hash, there[e.Name]); err != nil {
				return err
			}
		case !slices.Contains(there[e.Name+"\x00"], e.Hash):
			c.take(e.Hash)
		}
	}
	return nil
}

// streamPack writes a pack object by object, each as it is:
// https://git-scm.com/docs/gitformat-pack
func streamPack(w io.Writer, s *store, objects []plumbing.Hash) error {
	sum := sha1.New()
	out := io.MultiWriter(w, sum)
	head := binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), uint32(len(objects)))
	if _, err := out.Write(head); err != nil {
		return err
	}
	squeeze := zlib.NewWriter(out)
	for _, h := range objects {
		if err := packEntry(out, squeeze, s, h); err != nil {
			return fmt.Errorf("object %s: %w", h, err)
		}
	}
	_, err := w.Write(sum.Sum(nil))
	return err
}

func packEntry(out io.Writer, squeeze *zlib.Writer, s *store, h plumbing.Hash) error {
	o, err := s.EncodedObject(plumbing.AnyObject, h)
	if err != nil {
		return err
	}
	size := uint64(o.Size())
	head := []byte{byte(o.Type())<<4 | byte(size&15)}
	for size >>= 4; size > 0; size >>= 7 {
		head[len(head)-1] |= 0x80
		head = append(head, byte(size&0x7f))
	}
	if _, err := out.Write(head); err != nil {
		return err
	}
	r, err := o.Reader()
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	squeeze.Reset(out)
	n, err := io.Copy(squeeze, r)
	if err == nil && n != o.Size() {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return err
	}
	return squeeze.Close()
}
