package agent

import (
	"context"
	"strings"

	"github.com/rs/zerolog"
)

// reload makes a new setup whenever Hangup has a value. Whatever is wrong with the
// new configuration, the running one stays.
func (a *Agent) reload(ctx context.Context) {
	a.metrics.lastConfigLoad.SetToCurrentTime()
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.keeper.stale:
			a.renewTokens(ctx)
			continue
		case <-a.o.Hangup:
		}
		if a.o.Reload != nil {
			a.reloadOnce(ctx)
		}
	}
}

func (a *Agent) reloadOnce(ctx context.Context) {
	log := zerolog.Ctx(ctx)
	c, warnings, err := a.o.Reload(ctx)
	for _, w := range warnings {
		log.Warn().Msg(w.String())
	}
	var next *setup
	if err == nil {
		next, err = a.adopt(ctx, c)
	}
	if err != nil {
		for line := range strings.SplitSeq(a.current().scrub.Text(err.Error()), "\n") {
			log.Error().Str("reason", line).Msg("configuration refused, the running one stays")
		}
		return
	}
	old := a.current()
	if old.Listen != c.Listen || old.Store != c.Store || old.Limits != c.Limits || old.Shutdown != c.Shutdown {
		log.Warn().Msg("address, database, limits and shutdown timeout change with a restart only")
	}
	a.use(ctx, next)
	a.metrics.lastConfigLoad.SetToCurrentTime()
	log.Info().Msg("configuration loaded")
}

// use puts a setup in the place of the one in use. Runs in hand end with theirs; the
// connections that it keeps open for later are closed.
func (a *Agent) use(ctx context.Context, next *setup) {
	asking, cancel := context.WithTimeout(ctx, learnPatience)
	defer cancel()
	_ = next.tokens.learn(asking) // it is tried again
	for _, way := range a.setup.Swap(next).ways {
		way.Close()
	}
	select {
	case a.reloaded <- struct{}{}:
	default:
	}
}
