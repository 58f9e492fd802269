package store

import (
	"context"
	"fmt"
	"time"
)

// Allowed is a commit of a fork that somebody let be delivered. Project,
// MergeRequest and SHA name it.
type Allowed struct {
	Project      string // where the merge request is shown: host and id
	MergeRequest int64  // its iid there
	SHA          string
	UserID       int64 // who allowed it
	UserName     string
	At           time.Time
}

// Allow notes that a commit may be delivered. Who did so first stays noted.
func (tx *Tx) Allow(a Allowed) error {
	_, err := tx.Exec(`INSERT INTO allowed (project, merge_request, sha, user_id, user_name, allowed_at) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (project, merge_request, sha) DO NOTHING`, clean(a.Project), a.MergeRequest, clean(a.SHA), a.UserID, clean(a.UserName), micros(a.At))
	if err != nil {
		return fmt.Errorf("allow commit of merge request %d: %w", a.MergeRequest, err)
	}
	return nil
}

// Allowed says whether somebody let a commit of a merge request be delivered.
func (s *Store) Allowed(ctx context.Context, project string, mergeRequest int64, sha string) (bool, error) {
	found := false
	err := s.Query(ctx, func(r Row) error {
		var one int
		found = true
		return r.Scan(&one)
	}, "SELECT 1 FROM allowed WHERE project = ? AND merge_request = ? AND sha = ?", project, mergeRequest, sha)
	if err != nil {
		return false, fmt.Errorf("read whether a commit is allowed: %w", err)
	}
	return found, nil
}

// sweepAllowed forgets what was allowed long ago: it needs to be allowed again.
func (s *Store) sweepAllowed(ctx context.Context, before int64) (n int, err error) {
	err = s.Write(ctx, func(tx *Tx) error {
		deleted, err := tx.Exec("DELETE FROM allowed WHERE allowed_at < ?", before)
		n = int(deleted)
		return err
	})
	return n, err
}
