package paths

import "context"

// DiffClone tells look of every path that differs between two commits.
func DiffClone(ctx context.Context, dir, from, to string, look func(string) bool) error {
	return diffClone(ctx, dir, from, to, look)
}

// Match says whether the filter lets a change of path run the sync.
func (f *Filter) Match(path string) bool { _, ok := f.match(path); return ok }
