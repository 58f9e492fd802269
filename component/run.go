package component

import (
	"context"
	"errors"
	"fmt"
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
	event   delivery.Event
	gauge   report.Gauge // what GitLab's answers say is left of its rate limit
}

// Run brings every target to the state of the commit and reports. The error is a
// [Misuse], and then nothing was sent; what became of the targets is in the
// Result. ctx is canceled by a signal: what was opened is ended all the same.
// The log goes to the logger of ctx.
func Run(ctx context.Context, c Config, version string) (Result, error) {
	j, err := prepare(ctx, c, version)
	if err != nil {
		return Result{}, err
	}
	var notices []string
	if told := findMergeRequest(ctx, j.gitlab, c.CI, &j.event); told != "" {
		notices = append(notices, told)
	}
	reporter, err := report.New(c.Report, j.gitlab, j.event, report.Options{Journal: c.Job.Journal, Version: version, Now: time.Now, Gauge: &j.gauge})
	if err != nil {
		return Result{}, &Misuse{err}
	}
	decision, err := j.decide(ctx)
	if err != nil {
		return Result{}, err
	}
	if decision.Why != "" {
		notices = append(notices, decision.Why)
	}
	for _, n := range notices {
		j.log.Info().Msg(j.scrub.Text(n))
	}
	outcomes := j.deliver(ctx, reporter, decision)
	return j.finish(ctx, reporter, outcomes, notices), nil
}

// prepare checks the configuration and makes all that needs no request.
func prepare(ctx context.Context, c Config, version string) (*job, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	j := &job{config: c, version: version, log: *zerolog.Ctx(ctx), scrub: c.Scrubber(), event: c.CI.event(time.Now())}
	if c.CI.DebugTrace == "true" {
		j.log.Warn().Msg("CI_DEBUG_TRACE is on: this job's log shows every variable, secrets too; turn it off, delete the log and replace the secrets")
	}
	_, err := rest.New(j.outbound(0))
	if err != nil {
		return nil, &Misuse{fmt.Errorf("CI_SERVER_TLS_CA_FILE: %w", err)}
	}
	if j.targets, err = target.Build(c.Targets, j.outbound(0), c.Job.timeout(), !c.Job.wait()); err != nil {
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
	return j, nil
}

// gitlabClient is nil without a token.
func (c Config) gitlabClient(out rest.Config) (*gitlab.Client, error) {
	if c.GitLab.Token.Empty() {
		return nil, nil
	}
	way, err := rest.New(out)
	if err != nil {
		return nil, err
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

// decide says whether the change concerns the targets at all.
func (j *job) decide(ctx context.Context) (paths.Decision, error) {
	filter, err := paths.New(j.config.Paths, j.config.CI.ProjectDir, j.gitlab)
	if err != nil {
		return paths.Decision{}, &Misuse{err}
	}
	if filter.Empty() {
		return paths.Decision{Run: true}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, j.config.Job.timeout())
	defer cancel()
	return filter.Decide(ctx, j.event), nil
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
		outcomes := make([]delivery.Outcome, len(j.targets))
		for i, t := range j.targets {
			outcomes[i] = ended(skipped(t, "no path of the change matches"))
		}
		return outcomes
	}
	names := make([]string, len(j.targets))
	for i, t := range j.targets {
		names[i] = t.Name()
	}
	reporter.Open(ctx, names)
	stop := j.progress(ctx, names)
	deadline, cancel := context.WithTimeout(ctx, j.config.Job.timeout())
	defer cancel()
	clean := map[string]delivery.Outcome{}
	outcomes := delivery.Sync(deadline, j.event, j.targets, func(o delivery.Outcome) {
		clean[o.Target] = ended(o)
		stop(o.Target)
	})
	for i := range outcomes {
		outcomes[i] = clean[outcomes[i].Target]
	}
	stop("")
	return outcomes
}

func skipped(t delivery.Target, why string) delivery.Outcome {
	o := delivery.Outcome{Target: t.Name(), State: delivery.Skipped, Err: delivery.Skip(why)}
	if p, ok := t.(delivery.Placer); ok {
		o.Place = p.Place()
	}
	return o
}

// progress logs from time to time whom the job waits for. The function it
// returns takes a target off the list; "" ends the logging and waits for it.
func (j *job) progress(ctx context.Context, names []string) (done func(string)) {
	var mu sync.Mutex
	waiting := append([]string(nil), names...)
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
		for i, w := range waiting {
			if w == name {
				waiting = append(waiting[:i], waiting[i+1:]...)
				return
			}
		}
	}
}

// finish reports, within a time of its own: a signal or a passed deadline must
// not leave a status open.
func (j *job) finish(ctx context.Context, reporter *report.Reporter, outcomes []delivery.Outcome, notices []string) Result {
	reporting, cancel := context.WithTimeout(context.WithoutCancel(ctx), reportTime)
	defer cancel()
	told := reporter.Close(reporting, outcomes)
	r := newResult(j.config.Report.Name, j.event, j.version, outcomes, told, notices, j.scrub)
	if err := r.writeFiles(j.config.Job); err != nil {
		r.Report.Problems = append(r.Report.Problems, Problem{Summary: "file not written", Cause: j.scrub.Text(err.Error())})
	}
	return r
}

// Finish ends as canceled what the journal of a killed job says is still open,
// and says how many statuses that were.
func Finish(ctx context.Context, c Config, version string) (int, error) {
	if c.Job.Journal == "" {
		return 0, &Misuse{errors.New("CI_PROJECT_DIR: missing, so there is no journal to finish; give --journal")}
	}
	gl, err := c.gitlabClient(outbound(c, version, maxGitLabAnswer, *zerolog.Ctx(ctx), c.Scrubber()))
	if err != nil {
		return 0, &Misuse{err}
	}
	if gl == nil {
		return 0, nil // nothing can have been opened without a token
	}
	return report.FinishJournal(ctx, gl, c.Job.Journal)
}

// Scrubber knows every secret that was read.
func (c Config) Scrubber() *delivery.Scrubber {
	return delivery.NewScrubber(append(c.Targets.Secrets(), c.secrets...)...)
}
