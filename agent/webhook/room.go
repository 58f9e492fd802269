package webhook

import (
	"context"

	"golang.org/x/sync/semaphore"
)

// room is the memory for bodies. Callers that have proved nothing yet share one half
// of it, so who has a secret finds room whatever strangers do. One of them at a time
// may go beyond that half, which a body that has grown large needs: with two of them
// each would wait for what the other holds.
type room struct {
	all, strangers *semaphore.Weighted // bytes
	beyond         *semaphore.Weighted // 1
	half           int64               // size of strangers
}

func newRoom(budget int64) *room {
	half := budget / 2
	return &room{all: semaphore.NewWeighted(budget), strangers: semaphore.NewWeighted(half), beyond: semaphore.NewWeighted(1), half: half}
}

// share is what one body has of the room. It only grows, until it is released.
type share struct {
	*room
	stranger bool  // its caller has proved nothing yet
	taken    int64 // of all
	ofHalf   int64 // of strangers
	isBeyond bool
}

// try grows the share to n bytes if that takes no waiting.
func (s *share) try(n int64) bool {
	more := n - s.taken
	if more <= 0 {
		return true
	}
	limited := s.stranger && !s.isBeyond
	if limited && !s.strangers.TryAcquire(more) {
		return false
	}
	if !s.all.TryAcquire(more) {
		if limited {
			s.strangers.Release(more)
		}
		return false
	}
	if s.taken += more; limited {
		s.ofHalf += more
	}
	return true
}

// wait grows the share to n bytes, or returns the error of ctx. Who waits is served
// in order, so that a large body is not overtaken for ever by small ones.
func (s *share) wait(ctx context.Context, n int64) error {
	more := n - s.taken
	switch {
	case !s.stranger || s.isBeyond:
	case s.taken == 0: // it holds nothing that another could wait for
		if err := s.strangers.Acquire(ctx, more); err != nil {
			return err
		}
		s.ofHalf += more
	default:
		if err := s.beyond.Acquire(ctx, 1); err != nil {
			return err
		}
		s.isBeyond = true
	}
	if err := s.all.Acquire(ctx, more); err != nil {
		return err
	}
	s.taken += more
	return nil
}

// release gives all back.
func (s *share) release() {
	s.all.Release(s.taken)
	s.strangers.Release(s.ofHalf)
	if s.isBeyond {
		s.beyond.Release(1)
	}
	s.taken, s.ofHalf, s.isBeyond = 0, 0, false
}
