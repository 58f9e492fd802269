package agent

import (
	"context"
	"sync"
	"time"

	"gitlab.com/remora-ci/remora/agent/store"
)

// changedChannel is where agents tell each other that deliveries have changed.
const changedChannel = "remora_delivery"

// calm is how often all watchers are woken at most, because another agent said
// that something has changed.
const calm = 200 * time.Millisecond

// watchers wait for what becomes of events.
type watchers struct {
	mu      sync.Mutex
	waiting map[int64]map[chan struct{}]bool
}

// Watch has a value in the channel after something about an event has changed, in
// any agent. stop lets go of it.
func (a *Agent) Watch(event int64) (changed <-chan struct{}, stop func()) {
	ch := make(chan struct{}, 1)
	w := &a.watchers
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiting == nil {
		w.waiting = map[int64]map[chan struct{}]bool{}
	}
	if w.waiting[event] == nil {
		w.waiting[event] = map[chan struct{}]bool{}
	}
	w.waiting[event][ch] = true
	return ch, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.waiting[event], ch)
		if len(w.waiting[event]) == 0 {
			delete(w.waiting, event)
		}
	}
}

// wake tells those who wait for one of the events; all who wait, if none is named.
func (w *watchers) wake(events ...int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(events) == 0 {
		for event := range w.waiting {
			events = append(events, event)
		}
	}
	for _, event := range events {
		for ch := range w.waiting[event] {
			select {
			case ch <- struct{}{}:
			default: // it knows already
			}
		}
	}
}

// changed tells all agents, after the commit of tx, that deliveries of these
// events have changed.
func (a *Agent) changed(tx *store.Tx, events ...int64) error {
	tx.OnCommit(func() { a.watchers.wake(events...) })
	return tx.Notify(changedChannel)
}

// listen wakes who waits here for what other agents do, until ctx ends.
func (a *Agent) listen(ctx context.Context) {
	heard := make(chan struct{}, 1)
	var all sync.WaitGroup
	all.Go(func() {
		a.store.Listen(ctx, changedChannel, func() {
			select {
			case heard <- struct{}{}:
			default:
			}
		})
	})
	for ctx.Err() == nil {
		select {
		case <-heard:
			a.watchers.wake()
		case <-ctx.Done():
		}
		timer := time.NewTimer(calm)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	all.Wait()
}
