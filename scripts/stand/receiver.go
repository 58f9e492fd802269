package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// receiver is a target: it remembers when each commit was delivered to it.
type receiver struct {
	server *http.Server
	busy   func() // called in each delivery; nil for none

	mu     sync.Mutex
	seen   map[string][]time.Time
	order  map[string][]string // commits by project and ref, as they came
	change chan struct{}       // closed and made anew at each delivery
}

func newReceiver() *receiver {
	return &receiver{seen: map[string][]time.Time{}, order: map[string][]string{}, change: make(chan struct{})}
}

// listen serves on a free port of loopback until close, and returns the address.
func (r *receiver) listen() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = r.server.Serve(l) }() // ends with close
	return l.Addr().String(), nil
}

func (r *receiver) close() { _ = r.server.Close() }

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	var event struct {
		Ref     string `json:"ref"`
		SHA     string `json:"sha"`
		Project struct {
			Path string `json:"path"`
		} `json:"project"`
	}
	if err := json.NewDecoder(io.LimitReader(req.Body, 1<<20)).Decode(&event); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	r.seen[event.SHA] = append(r.seen[event.SHA], time.Now())
	at := event.Project.Path + " " + event.Ref
	r.order[at] = append(r.order[at], event.SHA)
	close(r.change)
	r.change = make(chan struct{})
	r.mu.Unlock()
	if r.busy != nil {
		r.busy()
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"accepted":true}`)
}

// delivered says how often a commit arrived.
func (r *receiver) delivered(sha string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.seen[sha])
}

// came are the commits of a ref, in the order of their deliveries.
func (r *receiver) came(project, ref string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.order[project+" "+ref])
}

// await is when a commit was first delivered; it waits for that.
func (r *receiver) await(ctx context.Context, sha string, patience time.Duration) (time.Time, bool) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		r.mu.Lock()
		at, change := r.seen[sha], r.change
		r.mu.Unlock()
		if len(at) > 0 {
			return at[0], true
		}
		select {
		case <-change:
		case <-ctx.Done():
			return time.Time{}, false
		}
	}
}
