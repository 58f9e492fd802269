package component

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab"
	"gitlab.com/remora-ci/remora/component/paths"
	"gitlab.com/remora-ci/remora/component/report"
	"gitlab.com/remora-ci/remora/component/rest"
	"gitlab.com/remora-ci/remora/component/target"
)

const (
	maxGitLabAnswer = 64 << 20         // bytes
	reportTime      = 45 * time.Second // for the report, once the deliveries have ended
	lastWords       = 20 * time.Second // for the report after a signal
	progressEvery   = 10 * time.Second
)

// job is one run of the component.
type job struct {
	config  Config
	version string
	log     zerolog.Logger
	scrub   *delivery.Scrubber
	gitlab  *gitlab.Client // nil without a token
	targets []delivery.Target
	filter  *paths.Filter
	event   delivery.Event
	notices []string
	gauge   report.Gauge // what GitLab's answers say is left of its rate limit
}

// Run brings every target to the state of the commit and reports, or has an agent do
// both. The error is a [Misuse], and then nothing was sent; what became of the
// targets is in the Result. ctx is canceled by a signal: what was opened is ended all
// the same. The log goes to the logger of ctx.
func Run(ctx context.Context, c Config, version string) (Result, error) {
	if c.Agent.Enabled() {
		return runByAgent(ctx, c, version)
	}
	j, err := prepare(ctx, c, version)
	if err != nil {
		return Result{}, err
	}
	if c.Report.Report != report.ReportOff || c.Targets.HTTP.Enabled() { // else nobody wants to know
		j.notice(findMergeRequest(ctx, j.gitlab, c.CI, &j.event))
	}
	decision := paths.Decision{Run: true}
	if !j.filter.Empty() {
		decision = j.filter.Decide(ctx, j.event)
		j.notice(decision.Why)
	}
	if errors.Is(ctx.Err(), context.Canceled) { // nothing was opened, so there is nothing to end
		return j.result(j.each(canceled), report.Result{}), nil
	}
	reporter, err := report.New(c.Report, j.gitlab, j.event, report.Options{Journal: c.Job.Journal, Version: version, Now: time.Now, Gauge: &j.gauge})
	if err != nil {
		return Result{}, &Misuse{err}
	}
	outcomes := j.deliver(ctx, reporter, decision)
	return j.result(outcomes, j.report(ctx, reporter, outcomes)), nil
}

// notice logs what a person should know of the way to the result, and keeps it
// for the result. Nothing is no notice.
func (j *job) notice(text string) {
	if text = clean(j.scrub.Text(text)); text != "" {
		j.log.Info().Msg(text)
		j.notices = append(j.notices, text)
	}
}

// prepare checks the configuration and makes all that needs no request.
func prepare(ctx context.Context, c Config, version string) (*job, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	j, err := newJob(ctx, c, version)
	if err != nil {
		return nil, err
	}
	if j.targets, err = target.Build(c.Targets, j.outbound(0), c.Job.Deadline(), !c.Job.wait()); err != nil {
		return nil, &Misuse{err}
	}
	way := j.outbound(maxGitLabAnswer)
	log := way.Audit
	way.Audit = func(a rest.Attempt) {
		j.gauge.Audit(a)
		log(a)
	}
	if j.gitlab, err = c.gitlabClient(way); err != nil {
		return nil, &Misuse{err}
	}
	if j.filter, err = paths.New(c.Paths, c.CI.ProjectDir, j.gitlab); err != nil {
		return nil, &Misuse{err}
	}
	return j, nil
}

// newJob makes what every run needs, whoever delivers.
func newJob(ctx context.Context, c Config, version string) (*job, error) {
	j := &job{config: c, version: version, log: *zerolog.Ctx(ctx), scrub: c.Scrubber(), event: c.CI.event(time.Now())}
	if c.CI.DebugTrace == "true" {
		j.log.Warn().Msg("CI_DEBUG_TRACE is on: this job's log shows every variable, secrets too; turn it off, delete the log and replace the secrets")
	}
	if _, err := rest.Authorities(c.CI.CAFile); err != nil {
		return nil, &Misuse{fmt.Errorf("CI_SERVER_TLS_CA_FILE: %w", err)}
	}
	return j, nil
}

// gitlabClient is nil without a token.
func (c Config) gitlabClient(out rest.Config) (*gitlab.Client, error) {
	if c.GitLab.Token.Empty() {
		return nil, nil
	}
	way, err := rest.New(out)
	if err != nil {
		return nil, fmt.Errorf("CI_SERVER_TLS_CA_FILE: %w", err)
	}
	return gitlab.New(c.GitLab, way)
}

func (j *job) outbound(maxBody int64) rest.Config {
	return outbound(j.config, j.version, maxBody, j.log, j.scrub)
}

func outbound(c Config, version string, maxBody int64, log zerolog.Logger, scrub *delivery.Scrubber) rest.Config {
	return rest.Config{
		CAFile: c.CI.CAFile, UserAgent: "remora/" + version, MaxBody: maxBody,
		Audit: func(a rest.Attempt) {
			e := log.Debug().Str("method", a.Method).Str("url", a.URL).Int("code", a.Code).Dur("took", a.Took)
			if a.Err != nil {
				e = e.Str("error", scrub.Text(a.Err.Error()))
			}
			e.Msg("request")
		},
	}
}

// deliver brings all targets to the event's state under one deadline.
func (j *job) deliver(ctx context.Context, reporter *report.Reporter, d paths.Decision) []delivery.Outcome {
	optional := j.config.Job.optional()
	ended := func(o delivery.Outcome) delivery.Outcome {
		o = j.scrub.Outcome(o)
		o.Optional = optional[o.Target]
		reporter.Finish(ctx, o)
		return o
	}
	if !d.Run {
		return j.each(func(t delivery.Target) delivery.Outcome { return ended(skipped(t)) })
	}
	names := make([]string, len(j.targets))
	for i, t := range j.targets {
		names[i] = t.Name()
	}
	reporter.Open(ctx, names)
	stop := j.progress(ctx, names)
	deadline, cancel := context.WithTimeout(ctx, j.config.Job.Deadline())
	defer cancel()
	final := map[string]delivery.Outcome{}
	delivery.Sync(deadline, j.event, j.targets, func(o delivery.Outcome) {
		final[o.Target] = ended(o)
		stop(o.Target)
	})
	stop("")
	return j.each(func(t delivery.Target) delivery.Outcome { return final[t.Name()] })
}

// each is the outcome that of gives for each target.
func (j *job) each(of func(delivery.Target) delivery.Outcome) []delivery.Outcome {
	outcomes := make([]delivery.Outcome, len(j.targets))
	for i, t := range j.targets {
		outcomes[i] = of(t)
	}
	return outcomes
}

func skipped(t delivery.Target) delivery.Outcome {
	return without(t, delivery.Skipped, delivery.Skip("no path of the change matches"))
}

func canceled(t delivery.Target) delivery.Outcome {
	return without(t, delivery.Retry, context.Canceled)
}

// without is the outcome at a target that was not asked.
func without(t delivery.Target, state delivery.State, err error) delivery.Outcome {
	o := delivery.Outcome{Target: t.Name(), State: state, Err: err}
	if p, ok := t.(delivery.Placer); ok {
		o.Place = p.Place()
	}
	return o
}

// progress logs from time to time whom the job waits for. The function it
// returns takes a target off the list; "" ends the logging and waits for it.
func (j *job) progress(ctx context.Context, names []string) (done func(string)) {
	var mu sync.Mutex
	waiting := slices.Clone(names)
	ctx, cancel := context.WithCancel(ctx)
	var ended sync.WaitGroup
	start := time.Now()
	ended.Go(func() {
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				mu.Lock()
				j.log.Info().Str("targets", strings.Join(waiting, ", ")).Str("since", delivery.Span(time.Since(start))).Msg("waiting")
				mu.Unlock()
			}
		}
	})
	return func(name string) {
		if name == "" {
			cancel()
			ended.Wait()
			return
		}
		mu.Lock()
		defer mu.Unlock()
		waiting = slices.DeleteFunc(waiting, func(w string) bool { return w == name })
	}
}

// report ends what is open and writes the note, within a time of its own: a
// signal or a passed deadline must not leave a status open. After a signal there
// is less of it, for whoever sent it may kill us next.
func (j *job) report(ctx context.Context, reporter *report.Reporter, outcomes []delivery.Outcome) report.Result {
	limit := reportTime
	if ctx.Err() != nil {
		limit = lastWords
		j.log.Warn().Msg("stopped by a signal: ending what GitLab shows as running; a second signal stops at once")
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	return reporter.Close(ctx, outcomes)
}

// result puts together what was done, and writes the files that tell of it.
func (j *job) result(outcomes []delivery.Outcome, told report.Result) Result {
	r := newResult(j.config.Report.Name, j.event, j.version, outcomes, told, j.notices, j.scrub)
	if err := r.writeFiles(j.config.Job); err != nil {
		r.Report.Problems = append(r.Report.Problems, Problem{
			Summary: "file not written", Cause: clean(j.scrub.Text(err.Error())), Remedy: "set the variable to a path that the job may write to, or unset it",
		})
	}
	return r
}

// Finish ends as canceled what the journal of a killed job says is still open,
// and says how many statuses that were. Where an agent was asked there are none: it
// ends what it opened.
func Finish(ctx context.Context, c Config, version string) (int, error) {
	if c.Agent.Enabled() {
		return 0, nil
	}
	if c.Job.Journal == "" {
		return 0, &Misuse{errors.New("CI_PROJECT_DIR: missing, so there is no journal to finish; give --journal")}
	}
	if c.GitLab.Token.Empty() {
		return 0, nil // nothing can have been opened without a token
	}
	if err := errors.Join(c.Job.Validate(), c.GitLab.Validate()); err != nil {
		return 0, &Misuse{err}
	}
	scrub := c.Scrubber()
	gl, err := c.gitlabClient(outbound(c, version, maxGitLabAnswer, *zerolog.Ctx(ctx), scrub))
	if err != nil {
		return 0, &Misuse{err}
	}
	ctx, cancel := context.WithTimeout(ctx, reportTime)
	defer cancel()
	n, err := report.FinishJournal(ctx, gl, c.Job.Journal)
	if err != nil {
		err = errors.New(scrub.Text(Explained(err).Error()))
	}
	return n, err
}

// Scrubber knows every secret that was read.
func (c Config) Scrubber() *delivery.Scrubber {
	return delivery.NewScrubber(append(c.Targets.Secrets(), c.secrets...)...)
}
