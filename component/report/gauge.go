package report

import (
	"strconv"
	"sync"
	"time"

	"gitlab.com/remora-ci/remora/component/rest"
)

// Gauge remembers how many requests GitLab said are left, from the header of
// ordinary answers: nothing is asked for it. When there are too few, only final
// states are sent. The zero value is ready; it is safe for several goroutines.
type Gauge struct {
	mu   sync.Mutex
	left int
	at   time.Time
}

// gaugeAge is how long a number counts: GitLab's limits are per minute.
const gaugeAge = time.Minute

// Audit takes the number from an attempt; it is made for [rest.Config].Audit.
func (g *Gauge) Audit(a rest.Attempt) {
	left, err := strconv.Atoi(a.Remaining)
	if err != nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.left, g.at = left, time.Now()
}

// room says whether need requests are left, as far as is known.
func (g *Gauge) room(need int) bool {
	if g == nil {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.at.IsZero() || time.Since(g.at) > gaugeAge || g.left >= need
}
