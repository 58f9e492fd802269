package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"gitlab.com/remora-ci/remora/agent/config"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/work"
	"gitlab.com/remora-ci/remora/component/delivery"
)

// Options are what an agent is given besides its configuration.
type Options struct {
	Version string
	Tracing bool // send traces as the variables OTEL_* say

	// Reload reads the configuration again when Hangup has a value; nil: never.
	Reload func(context.Context) (*config.Config, []config.Warning, error)
	Hangup <-chan os.Signal

	poll, lease            time.Duration
	backoff, maxBackoff    time.Duration
	debounce, noteDebounce time.Duration
	openAfter, headTime    time.Duration
	now                    func() time.Time
}

const (
	poll       = 500 * time.Millisecond
	sweepEvery = time.Hour
)

func (o Options) withDefaults() Options {
	if o.poll == 0 {
		o.poll = poll
	}
	if o.noteDebounce == 0 {
		o.noteDebounce = noteDebounce
	}
	if o.openAfter == 0 {
		o.openAfter = openAfter
	}
	if o.headTime == 0 {
		o.headTime = headTime
	}
	if o.now == nil {
		o.now = time.Now
	}
	return o
}

// Agent is an agent that listens already and has an open store. It works in Run.
type Agent struct {
	o        Options
	store    *store.Store
	queue    *work.Queue
	metrics  *metrics
	trace    *tracer
	listener net.Listener
	drain    time.Duration
	unlock   func() error // the data folder; nil if it is not ours alone
	keeper   *tokenKeeper
	auditor  *auditor

	watchers watchers
	refusals refusals
	refused  atomic.Bool // a webhook was answered with 5xx since hooks were healed

	setup    atomic.Pointer[setup]
	draining atomic.Bool
	closing  chan struct{} // closed when it takes nothing more in
	reloaded chan struct{} // has a value after a new setup
	learned  chan struct{} // closed when it was tried to learn who our users are
}

// New opens the store and the address, and makes all that c asks for. Nothing is
// sent before Run. The log goes to the logger of ctx.
func New(ctx context.Context, c *config.Config, o Options) (_ *Agent, err error) {
	a := &Agent{o: o.withDefaults(), drain: c.Shutdown, reloaded: make(chan struct{}, 1), learned: make(chan struct{}), closing: make(chan struct{})}
	if a.store, err = store.Open(ctx, c.Store); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.close())
		}
	}()
	for _, text := range a.store.Warnings() {
		zerolog.Ctx(ctx).Warn().Msg(text)
	}
	a.queue = work.New(a.store, work.Options{
		PerProject: c.Limits.PerProject, Workers: c.Limits.Workers, MaxAttempts: c.Limits.MaxAttempts,
		Lease: cmp.Or(a.o.lease, c.Limits.Lease), Poll: a.o.poll, Backoff: a.o.backoff, MaxBackoff: a.o.maxBackoff, Now: a.o.now, Drain: a.drain, Abandoned: a.abandoned,
		Alone: a.alone(ctx, c.Store),
	})
	a.metrics = newMetrics(o.Version, a.store, a.queue)
	a.keeper, a.auditor = newTokenKeeper(a.metrics.registry), newAuditor(a.store, a.metrics.registry)
	if a.trace, err = newTracer(ctx, o); err != nil {
		return nil, err
	}
	first, err := a.adopt(ctx, c)
	if err != nil {
		return nil, err
	}
	a.setup.Store(first)
	var lc net.ListenConfig
	if a.listener, err = lc.Listen(ctx, "tcp", c.Listen); err != nil {
		return nil, fmt.Errorf("REMORA_LISTEN: %w", err)
	}
	return a, nil
}

// Addr is the address that the agent listens on.
func (a *Agent) Addr() net.Addr { return a.listener.Addr() }

func (a *Agent) current() *setup { return a.setup.Load() }

// Run works until ctx ends. Then it takes nothing more in, gives work in hand the
// time that is configured, and returns when nothing of it is left. The store is
// closed then: an agent runs once.
func (a *Agent) Run(ctx context.Context) error {
	log := zerolog.Ctx(ctx)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var all sync.WaitGroup
	var failed error
	all.Go(func() {
		failed = a.serve(ctx)
		stop() // without its address it is of no use
	})
	for _, part := range []func(context.Context){a.routeEvents, a.work, a.listen, a.schedules, a.sweep, a.learnBots, a.reload, a.watchTokens, a.listenTokens, a.heal} {
		all.Go(func() { part(ctx) })
	}
	endAudit := a.auditor.start(ctx)
	log.Info().Str("address", a.Addr().String()).Str("version", a.o.Version).Msg("agent started")
	<-ctx.Done()
	a.draining.Store(true)
	log.Info().Dur("timeout", a.drain).Msg("agent draining")
	all.Wait()
	endAudit()
	err := errors.Join(failed, a.trace.close(), a.close())
	log.Info().Msg("agent stopped")
	return err
}

// work runs the queue: deliveries and reports.
func (a *Agent) work(ctx context.Context) {
	if err := a.queue.Run(ctx, a.handle); err != nil {
		zerolog.Ctx(ctx).Error().Err(err).Msg("work stopped")
	}
}

func (a *Agent) handle(ctx context.Context, it work.Item) (res work.Result) {
	kind, name, _ := strings.Cut(it.Key, ":")
	defer func() {
		if r := recover(); r != nil {
			res = work.Result{Err: fmt.Errorf("run stopped unexpectedly: %v", r)}
			zerolog.Ctx(ctx).Error().Str("key", it.Key).Bytes("stack", debug.Stack()).Msg("run stopped unexpectedly")
		}
		if err := res.Err; (kind == kindSync || kind == kindReport || kind == kindCommand) && err != nil && it.Last && res.Finish == nil {
			res.Finish = func(tx *store.Tx) error { return a.giveUp(tx, it, a.current().scrub.Text(err.Error())) }
		}
		a.metrics.attempted(kind, res.Err)
	}()
	switch kind {
	case kindSync:
		res = a.sync(ctx, it)
	case kindStatus, kindNote:
		res = a.report(ctx, it)
	case kindSchedule:
		res = a.expand(ctx, it, name)
	case kindReport:
		res = a.post(ctx, it)
	case kindCommand:
		res = a.command(ctx, it)
	case kindRotate:
		res = a.rotate(ctx, it, name)
	case kindHeal:
		res = a.healHooks(ctx, name)
	default:
		res.Err = delivery.Permanent(fmt.Errorf("work %q: this version does not know its kind", it.Key))
	}
	return res
}

// sweep deletes what is older than the retention, now and then.
func (a *Agent) sweep(ctx context.Context) {
	every(ctx, func() time.Duration {
		log := zerolog.Ctx(ctx)
		n, err := a.store.Sweep(ctx, a.o.now())
		if err != nil && ctx.Err() == nil {
			log.Error().Err(err).Msg("not swept")
		} else if n > 0 {
			log.Info().Int("rows", n).Msg("swept")
		}
		return sweepEvery
	})
}

// learnBots finds out who our own users are, until it is known for every token of
// the setup.
func (a *Agent) learnBots(ctx context.Context) {
	const again, settled = 30 * time.Second, 10 * time.Minute
	var told *setup
	first := sync.OnceFunc(func() { close(a.learned) })
	every(ctx, func() time.Duration {
		s := a.current()
		asking, cancel := context.WithTimeout(ctx, again)
		defer cancel()
		defer first()
		err := s.tokens.learn(asking)
		if err == nil {
			return settled // a reload may bring new ones
		}
		if told != s && ctx.Err() == nil {
			zerolog.Ctx(ctx).Warn().Str("reason", s.scrub.Text(err.Error())).Msg("own users not known yet")
			told = s
		}
		return again
	})
}

// every calls f now and then again after the time that it returns, until ctx ends.
func every(ctx context.Context, f func() time.Duration) {
	for ctx.Err() == nil {
		timer := time.NewTimer(f())
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}
