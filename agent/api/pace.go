package api

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"gitlab.com/remora-ci/remora/agent/auth"
)

const (
	paceBurst  = 200  // requests that one caller may make at once
	pacePerSec = 5    // requests a second that it may make for long
	maxPaced   = 5000 // callers that are remembered
)

// paces bounds how much one caller has stored: each request of another key is an
// event, and everybody who may push can have a job.
type paces struct {
	mu   sync.Mutex
	each map[string]*rate.Limiter // by name of the caller
}

// take lets a request of a caller pass, or refuses it. The admin is not bound.
func (p *paces) take(c auth.Caller, now time.Time) error {
	if c.Kind == auth.KindAdmin {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.each[c.Name]
	if one == nil {
		if p.each == nil || len(p.each) >= maxPaced {
			p.each = map[string]*rate.Limiter{} // who was refused begins anew, which is rare and harmless
		}
		one = rate.NewLimiter(pacePerSec, paceBurst)
		p.each[c.Name] = one
	}
	if one.AllowN(now, 1) {
		return nil
	}
	return &Refused{
		Status: http.StatusTooManyRequests, Title: "too many requests", Detail: fmt.Sprintf("This caller asks more than %d times a second.", pacePerSec),
		Remedy: "ask once, and follow what was asked for", Log: fmt.Sprintf("more than %d requests at once, or %d a second, of one caller", paceBurst, pacePerSec),
	}
}
