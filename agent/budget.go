package agent

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/time/rate"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
)

// With one token we make 600 requests in a minute: other programs may use it, too.
// Where that was configured, we are free as long as GitLab says nothing of limits in
// its answers.
const (
	strictRate, strictBurst = 9, 60 // requests per second, and at once: 600 in a minute
	freeRate, freeBurst     = 200, 200

	strictFor = 10 * time.Minute // after GitLab has spoken of a limit

	fewLeft = 20               // requests that GitLab has left for us: from here on they are spread until it counts anew
	longest = 20 * time.Second // pause that is kept at once; then one request asks how it stands
)

// Agents on one database share the requests of a strict minute by leases: leave
// for some requests, good for a second. Those of the last second's leases may be
// made in the minute that follows, so the burst is less by as many.
const (
	leaseMost   = strictRate // requests of one lease, so that a busy agent writes once a second
	leaseFor    = time.Second
	sharedBurst = strictBurst - strictRate*int(leaseFor/time.Second)

	leaseTime = 500 * time.Millisecond // that a lease may take; a database that takes longer counts as away
	awayFor   = 10 * time.Second       // then it is asked again
	shareOf   = 4                      // agents that share the requests while it is away
	lookEvery = 10 * time.Second       // at what others know, while we are free
)

// budget is how many requests the clients of one token make together, in all
// agents of a database. It begins strict, and stays so unless it may be free where
// GitLab does not speak of limits.
type budget struct {
	shared *store.Store // nil: the token is ours alone
	key    string       // fingerprint of the token
	auto   bool         // it is free where GitLab names no limit
	now    func() time.Time
	clock  func() time.Time // of the leases; the zero time is the database's

	waiting atomic.Int32

	turn               chan struct{} // holds one: who has it may use what follows
	free, alone, share *rate.Limiter
	lease              lease
	away               time.Time // the database is not asked before
	looked             time.Time

	mu     sync.Mutex // guards what answers say
	strict bool
	until  time.Time     // at least that long
	hold   time.Time     // nothing is sent before
	pace   time.Duration // between two requests, until paced
	paced  time.Time
	last   time.Time // when the last request was let go
}

// lease is leave for requests that may be made from one time until another.
type lease struct {
	size, left  int
	from, until time.Time
}

// newBudget makes the budget of the token with that fingerprint; s is the database
// that it is shared by, nil if it is not. With auto it is free where GitLab names no
// limit.
func newBudget(s *store.Store, key string, auto bool, now func() time.Time) *budget {
	return &budget{
		shared: s, key: key, auto: auto, now: now, clock: func() time.Time { return time.Time{} },
		turn: make(chan struct{}, 1), strict: true,
		free: rate.NewLimiter(freeRate, freeBurst), alone: rate.NewLimiter(strictRate, strictBurst),
		share: rate.NewLimiter(rate.Limit(strictRate)/shareOf, 1),
	}
}

// Wait waits until one request may be made. The error is that of ctx.
func (b *budget) Wait(ctx context.Context) error {
	b.waiting.Add(1)
	defer b.waiting.Add(-1)
	for {
		d, err := b.take(ctx)
		if err != nil || d <= 0 {
			return err
		}
		if err := delivery.Wait(ctx, d); err != nil {
			return err
		}
	}
}

// take gives leave for one request, or says after what time to ask again.
func (b *budget) take(ctx context.Context) (time.Duration, error) {
	select {
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	now := b.now()
	d := b.pause(now)
	if d > 0 {
		return d, nil
	}
	switch {
	case !b.isStrict(ctx, now):
		d = reserve(b.free, now)
	case b.shared == nil:
		d = reserve(b.alone, now)
	default:
		d = b.leased(ctx, now)
	}
	if d <= 0 {
		b.mu.Lock()
		b.last = b.now()
		b.mu.Unlock()
	}
	return d, nil
}

// reserve takes one of a limiter, or says when there is one.
func reserve(l *rate.Limiter, now time.Time) time.Duration {
	r := l.ReserveN(now, 1)
	d := r.DelayFrom(now)
	if d > 0 {
		r.CancelAt(now)
	}
	return d
}

// leased takes one of the lease, or of a new one.
func (b *budget) leased(ctx context.Context, now time.Time) time.Duration {
	if l := &b.lease; l.left == 0 || !now.Before(l.until) {
		if now.Before(b.away) {
			return reserve(b.share, now)
		}
		size, asked := b.size(now), now
		given, err := b.ask(ctx, size)
		now = b.now()
		if err != nil {
			b.lost(ctx, err, now)
			return reserve(b.share, now)
		}
		b.found(ctx)
		b.extend(now.Add(given.Strict))
		// The database spoke between asked and now: the lease is good for less.
		*l = lease{size: size, left: size, from: now.Add(given.Wait), until: asked.Add(given.Wait + leaseFor)}
	}
	if d := b.lease.from.Sub(now); d > 0 {
		return d
	}
	b.lease.left--
	return 0
}

// size is how many requests to lease: those that wait, and as many as the last
// lease shows that a second needs.
func (b *budget) size(now time.Time) int {
	l, n := b.lease, int(b.waiting.Load())
	switch {
	case now.After(l.until.Add(leaseFor)):
	case l.left == 0:
		n = max(n, 2*l.size)
	default:
		n = max(n, l.size-l.left)
	}
	return min(max(n, 1), leaseMost)
}

// ask leases requests of the database, which must not be waited for long. Who asks
// may give up meanwhile: the lease is for all.
func (b *budget) ask(ctx context.Context, n int) (store.Permits, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseTime)
	defer cancel()
	b.mu.Lock()
	strict := b.until.Sub(b.now())
	b.mu.Unlock()
	return b.shared.TakePermits(ctx, store.PermitAsk{
		Token: b.key, N: n, Every: time.Second / strictRate, Burst: sharedBurst, Strict: strict, Now: b.clock(),
	})
}

// lost says once that the database is away, and leaves it alone for a while.
func (b *budget) lost(ctx context.Context, err error, now time.Time) {
	if b.away.IsZero() {
		zerolog.Ctx(ctx).Warn().Err(err).Int("per_minute", 60*strictRate/shareOf).Msg("gitlab requests not shared")
	}
	b.away = now.Add(awayFor)
}

func (b *budget) found(ctx context.Context) {
	if !b.away.IsZero() {
		zerolog.Ctx(ctx).Info().Msg("gitlab requests shared again")
	}
	b.away = time.Time{}
}

// isStrict says whether GitLab limits the token. While it does not as far as we
// know, what the other agents know is looked at now and then.
func (b *budget) isStrict(ctx context.Context, now time.Time) bool {
	b.mu.Lock()
	strict := b.strict
	b.mu.Unlock()
	if strict || b.shared == nil || now.Sub(b.looked) < lookEvery {
		return strict
	}
	b.looked = now
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseTime)
	defer cancel()
	d, err := b.shared.StrictFor(ctx, b.key, b.clock())
	if err != nil || d <= 0 {
		return false // the next answer of GitLab says it, too
	}
	b.extend(now.Add(d))
	return true
}

// extend keeps the budget strict until a time.
func (b *budget) extend(until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if until.After(b.until) {
		b.strict, b.until = true, until
	}
}

// pause is how long nothing may be sent, whatever is left.
func (b *budget) pause(now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.hold.Sub(now)
	if now.Before(b.paced) {
		d = max(d, b.last.Add(b.pace).Sub(now))
	}
	return d
}

// learn takes from an answer whether there is a limit, and how near it is.
func (b *budget) learn(a rest.Attempt) {
	if a.Code == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	switch {
	case a.Remaining != "" || a.Code == http.StatusTooManyRequests:
		b.strict = true
		if until := now.Add(strictFor); until.After(b.until) {
			b.until = until
		}
	case b.auto && !now.Before(b.until):
		b.strict = false
	}
	if a.Code == http.StatusTooManyRequests && a.After > 0 {
		b.hold = now.Add(min(a.After, longest))
	}
	if left, err := strconv.Atoi(a.Remaining); err == nil {
		b.paced = time.Time{}
		if d := a.Reset.Sub(now); left <= fewLeft && d > 0 {
			b.pace, b.paced = min(d/time.Duration(max(left, 0)+1), longest), a.Reset
		}
	}
}
