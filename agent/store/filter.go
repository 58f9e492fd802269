package store

import (
	"iter"
	"strings"
)

// where gathers the conditions of a statement.
type where struct {
	conditions []string
	args       []any
}

func (w *where) and(condition string, args ...any) {
	w.conditions = append(w.conditions, condition)
	w.args = append(w.args, args...)
}

// in adds "column IN (…)", unless there is nothing to choose from.
func (w *where) in(column string, ids []int64) {
	if len(ids) == 0 {
		return
	}
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = id
	}
	w.and(column+" IN ("+marks(len(ids))+")", args...)
}

func (w *where) String() string {
	if len(w.conditions) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.conditions, " AND ")
}

// pageSize is how many rows are read at a time.
const pageSize = 500

// pages yields what next reads, page after page, until a page is not full, limit
// rows were seen (0: all), or an error, which is the last thing yielded.
func pages[T any](limit int, next func(limit int) ([]T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		left := limit
		for {
			size := pageSize
			if limit > 0 {
				size = min(size, left)
			}
			page, err := next(size)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, row := range page {
				if !yield(row, nil) {
					return
				}
			}
			left -= len(page)
			if len(page) < size || limit > 0 && left <= 0 {
				return
			}
		}
	}
}
