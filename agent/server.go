package agent

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/rs/zerolog"
)

// serve answers HTTP until ctx ends, and then until the calls in hand are
// answered, for as long as a drain may take.
func (a *Agent) serve(ctx context.Context) error {
	base := context.WithoutCancel(ctx) // calls in hand outlive the signal
	tracked := &conns{Listener: a.listener, unread: a.metrics.unread}
	server := &http.Server{
		Handler:           tracked.seen(a.trace.handler(a.handler())),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute, // of a body, the webhooks have a shorter one
		WriteTimeout:      time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		BaseContext:       func(net.Listener) context.Context { return base },
		ConnContext:       tracked.begin,
		ConnState:         tracked.changed,
		ErrorLog:          stdlog.New(zerolog.Ctx(ctx).With().Str("source", "http").Logger(), "", 0),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(tracked) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	a.draining.Store(true)
	close(a.closing)
	limited, cancel := context.WithTimeout(base, max(a.drain, time.Second))
	defer cancel()
	err := server.Shutdown(limited)
	if err != nil {
		err = errors.Join(err, server.Close())
	}
	if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// handler tells how the agent is, and gives all else to the webhooks. A ServeMux
// would answer odd paths with a redirect, which GitLab takes for success.
func (a *Agent) handler() http.Handler {
	scrape := a.metrics.handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/livez":
			say(w, http.StatusOK, "ok")
		case "/readyz":
			a.readyz(w, r)
		case "/startupz":
			a.startupz(w)
		case "/version":
			if a.insider(w, r) {
				a.version(w)
			}
		case "/metrics":
			if a.insider(w, r) {
				scrape.ServeHTTP(w, r)
			}
		default:
			a.current().handler(r.URL.Path).ServeHTTP(w, a.traced(r))
		}
	})
}

// traced is r with the id of its trace in its logger, if it has one.
func (a *Agent) traced(r *http.Request) *http.Request {
	id := a.trace.idOf(r)
	if id == "" {
		return r
	}
	log := zerolog.Ctx(r.Context()).With().Str("trace_id", id).Logger()
	return r.WithContext(log.WithContext(r.Context()))
}

// readyTime bounds one look at the store.
const readyTime = 3 * time.Second

// readyz says whether webhooks can be stored now.
func (a *Agent) readyz(w http.ResponseWriter, r *http.Request) {
	if a.draining.Load() {
		say(w, http.StatusServiceUnavailable, "draining")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), readyTime)
	defer cancel()
	if err := a.store.Ready(ctx); err != nil {
		zerolog.Ctx(r.Context()).Error().Err(err).Msg("not ready")
		say(w, http.StatusServiceUnavailable, "the store does not answer")
		return
	}
	say(w, http.StatusOK, "ok")
}

// startupz says whether the agent has started: its store is open and its setup
// made, or it would not listen; and it has learnt who its own users are, or found
// that it cannot now.
func (a *Agent) startupz(w http.ResponseWriter) {
	select {
	case <-a.learned:
		say(w, http.StatusOK, "ok")
	default:
		say(w, http.StatusServiceUnavailable, "starting")
	}
}

// version says what runs here, as remora version does.
func (a *Agent) version(w http.ResponseWriter) {
	commit := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				commit = s.Value
			}
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"version": a.o.Version, "commit": commit, "go": runtime.Version()}) // who asked may be gone
}

func say(w http.ResponseWriter, code int, word string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, word+"\n") // who asked may be gone
}
