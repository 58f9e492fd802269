package agent

import (
	"context"
	"time"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component/rest"
)

// Budget is a budget whose clock, the database's too, is the test's.
type Budget = budget

// NewStrictBudget makes a budget that is never free.
func NewStrictBudget(now func() time.Time) *Budget { return newBudget(nil, "t", false, now) }

// NewBudget makes a budget of the token "t" that may be free.
func NewBudget(s *store.Store, now func() time.Time) *Budget {
	b := newBudget(s, "t", true, now)
	b.clock = now
	return b
}

// Learn is learn.
func (b *budget) Learn(a rest.Attempt) { b.learn(a) }

// Take is take.
func (b *budget) Take(ctx context.Context) (time.Duration, error) { return b.take(ctx) }

// Strict says whether the budget is strict.
func (b *budget) Strict() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.strict
}

// Share gives the budget another database.
func (b *budget) Share(s *store.Store) { b.shared = s }

// Await says how many wait.
func (b *budget) Await(n int) { b.waiting.Store(int32(n)) }
