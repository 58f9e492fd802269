package mirror

import (
	"container/heap"
	"errors"
	"fmt"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
)

// maxHaves bounds what a server is told that is here already, and maxBack how
// far back from each tip: enough to find common ground after a rewrite.
const (
	maxHaves = 512
	maxBack  = 64
)

// haves are commits that are here in full, newest of each line first.
func (s *store) haves() ([]plumbing.Hash, error) {
	refs, err := s.IterReferences()
	if err != nil {
		return nil, fmt.Errorf("read cache: %w", err)
	}
	defer refs.Close()
	seen := map[plumbing.Hash]bool{}
	var found []plumbing.Hash
	err = refs.ForEach(func(r *plumbing.Reference) error {
		next := []plumbing.Hash{r.Hash()}
		for n := 0; len(next) > 0 && n < maxBack && len(found) < maxHaves; n++ {
			h := next[0]
			next = next[1:]
			if seen[h] || !s.has(h) {
				continue
			}
			seen[h] = true
			found = append(found, h)
			if c, err := object.GetCommit(s, h); err == nil {
				next = append(next, c.ParentHashes...)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read cache: %w", err)
	}
	return found, nil
}

// commitOf is the commit that h is, or that the tag h points at in the end.
func (s *store) commitOf(h plumbing.Hash) (plumbing.Hash, error) {
	for range 10 {
		tag, err := object.GetTag(s, h)
		if errors.Is(err, plumbing.ErrObjectNotFound) {
			if _, err := object.GetCommit(s, h); err != nil {
				return plumbing.ZeroHash, fmt.Errorf("read commit %s: %w", h, err)
			}
			return h, nil
		}
		if err != nil {
			return plumbing.ZeroHash, fmt.Errorf("read tag %s: %w", h, err)
		}
		h = tag.Target
	}
	return plumbing.ZeroHash, fmt.Errorf("read tag %s: tags of tags without end", h)
}

// contains says whether the history of tip has old in it; both are commits here.
func (s *store) contains(tip, old plumbing.Hash) (bool, error) {
	seen := map[plumbing.Hash]bool{tip: true}
	for next := []plumbing.Hash{tip}; len(next) > 0; {
		h := next[0]
		next = next[1:]
		if h == old {
			return true, nil
		}
		c, err := object.GetCommit(s, h)
		if err != nil {
			return false, fmt.Errorf("read commit %s: %w", h, err)
		}
		for _, p := range c.ParentHashes {
			if !seen[p] {
				seen[p] = true
				next = append(next, p)
			}
		}
	}
	return false, nil
}

// fresh are the commits that lead to want and that none of known contains,
// newest first. Where clocks of committers went wrong it may give a few too many,
// which does no harm.
func (s *store) fresh(want plumbing.Hash, known []plumbing.Hash) ([]plumbing.Hash, error) {
	w := &walk{store: s, old: map[plumbing.Hash]bool{}, waits: map[plumbing.Hash]bool{}}
	if err := w.add(want, false); err != nil {
		return nil, err
	}
	for _, k := range known {
		if err := w.add(k, true); err != nil {
			return nil, err
		}
	}
	var found []plumbing.Hash
	for w.open > 0 {
		c := w.pop()
		old := w.old[c.hash]
		if !old {
			found = append(found, c.hash)
		}
		for _, p := range c.parents {
			if err := w.add(p, old); err != nil {
				return nil, err
			}
		}
	}
	kept := found[:0]
	for _, h := range found {
		if !w.old[h] {
			kept = append(kept, h)
		}
	}
	return kept, nil
}

// walk goes through history from new to old. It may end when all commits that
// wait are old.
type walk struct {
	store *store
	queue byTime
	old   map[plumbing.Hash]bool // of every commit met: is it old?
	waits map[plumbing.Hash]bool // is it in the queue?
	open  int                    // how many wait that are not old
}

type node struct {
	hash    plumbing.Hash
	parents []plumbing.Hash
	when    int64
}

// add puts a commit in the queue, unless that was done and nothing new is known.
func (w *walk) add(h plumbing.Hash, old bool) error {
	was, met := w.old[h]
	if met && (was || !old) {
		return nil
	}
	w.old[h] = old
	if w.waits[h] {
		w.open-- // it was not old, and is now
		return nil
	}
	c, err := object.GetCommit(w.store, h)
	if err != nil {
		return fmt.Errorf("read commit %s: %w", h, err)
	}
	w.waits[h] = true
	if !old {
		w.open++
	}
	heap.Push(&w.queue, node{h, c.ParentHashes, c.Committer.When.Unix()})
	return nil
}

func (w *walk) pop() node {
	c := heap.Pop(&w.queue).(node)
	delete(w.waits, c.hash)
	if !w.old[c.hash] {
		w.open--
	}
	return c
}

type byTime []node

func (q byTime) Len() int           { return len(q) }
func (q byTime) Less(i, j int) bool { return q[i].when > q[j].when }
func (q byTime) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *byTime) Push(x any)        { *q = append(*q, x.(node)) }
func (q *byTime) Pop() any {
	last := len(*q) - 1
	c := (*q)[last]
	*q = (*q)[:last]
	return c
}

// usesLFS says whether the files of a commit are kept in Git LFS, as far as the
// first .gitattributes tells.
func usesLFS(s storer.EncodedObjectStorer, commit plumbing.Hash) bool {
	c, err := object.GetCommit(s, commit)
	if err != nil {
		return false
	}
	f, err := c.File(".gitattributes")
	if err != nil {
		return false
	}
	r, err := f.Reader()
	if err != nil {
		return false
	}
	defer func() { _ = r.Close() }()
	text, _ := io.ReadAll(io.LimitReader(r, 64<<10))
	return lfsFilter.Match(text)
}
