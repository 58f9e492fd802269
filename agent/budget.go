package agent

import (
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"gitlab.com/remora-ci/remora/component/rest"
)

// A GitLab that limits at all lets a user make some 600 requests in a minute, and
// other programs may use the same token. One that does not limit says nothing of
// limits in its answers.
const (
	strictRate, strictBurst = 9, 60 // requests per second, and at once
	freeRate, freeBurst     = 200, 200

	strictFor = 10 * time.Minute // after GitLab has spoken of a limit
)

// budget is how many requests the clients of one token make together. It begins
// strict, and is free as long as GitLab does not speak of limits.
type budget struct {
	*rate.Limiter
	now func() time.Time

	mu    sync.Mutex
	until time.Time // strict for that long
}

func newBudget(now func() time.Time) *budget {
	return &budget{Limiter: rate.NewLimiter(strictRate, strictBurst), now: now}
}

// learn takes from an answer whether there is a limit.
func (b *budget) learn(a rest.Attempt) {
	if a.Code == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	if a.Remaining != "" || a.Code == http.StatusTooManyRequests {
		b.until = now.Add(strictFor)
	}
	limit, burst := rate.Limit(freeRate), freeBurst
	if now.Before(b.until) {
		limit, burst = strictRate, strictBurst
	}
	if b.Limit() != limit {
		b.SetLimit(limit)
		b.SetBurst(burst)
	}
}
