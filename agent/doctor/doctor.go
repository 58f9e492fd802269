package doctor

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"gitlab.com/remora-ci/remora/agent/config"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
)

// Options are what an examination is given besides the configuration.
type Options struct {
	Version  string           // of this program
	Warnings []config.Warning // of the configuration
	Each     time.Duration    // what one check may take; default 10 s
	Now      func() time.Time // default time.Now

	// TestHooks has GitLab call some of the hooks that are kept with an example,
	// which shows in its list of deliveries, and which the agent stores.
	TestHooks bool
}

func (o Options) withDefaults() Options {
	if o.Each <= 0 {
		o.Each = 10 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Examine looks at all that c leads to: the database first, then everything else at
// once. It changes nothing, and ends within some three times Options.Each, whatever
// does not answer. Findings come in the order of the checks; none holds a secret.
func Examine(ctx context.Context, c *config.Config, o Options) []delivery.Finding {
	e := &exam{c: c, o: o.withDefaults()}
	found := e.configured()
	found = append(found, e.each(ctx, []check{{"database", e.openStore}})...)
	defer e.close()
	found = append(found, e.each(ctx, slices.Concat(e.gitlabChecks(), e.targetChecks(), []check{
		{"agent", e.reached}, {"hooks", e.hooks}, {"schedules", e.schedules}, {"deliveries", e.deliveries},
	}))...)
	return clean(delivery.NewScrubber(e.c.Secrets()...), found)
}

// Worst is the worst level of the findings: pass if there is none.
func Worst(found []delivery.Finding) delivery.Level {
	worst := delivery.Pass
	for _, f := range found {
		if rank(f.Level) > rank(worst) {
			worst = f.Level
		}
	}
	return worst
}

// Sorted are the findings with the worst first, and otherwise as they came.
func Sorted(found []delivery.Finding) []delivery.Finding {
	sorted := slices.Clone(found)
	slices.SortStableFunc(sorted, func(a, b delivery.Finding) int { return rank(b.Level) - rank(a.Level) })
	return sorted
}

func rank(l delivery.Level) int {
	return slices.Index([]delivery.Level{delivery.Pass, delivery.Warn, delivery.Fail}, l)
}

// exam is one examination.
type exam struct {
	c     *config.Config // with the tokens that are stored, once the store is open
	o     Options
	store *store.Store // nil if it cannot be opened as it is
	state map[string]store.TokenState
}

// check is one thing that is looked at.
type check struct {
	subject string
	run     func(context.Context) []delivery.Finding
}

// each runs checks at once, each within its time, and gives what they found in
// their order.
func (e *exam) each(ctx context.Context, checks []check) []delivery.Finding {
	found := make([][]delivery.Finding, len(checks))
	var all sync.WaitGroup
	for i, one := range checks {
		all.Go(func() {
			limited, cancel := context.WithTimeout(ctx, e.o.Each)
			defer cancel()
			defer func() {
				if r := recover(); r != nil {
					found[i] = append(found[i], fail(one.subject, fmt.Sprintf("the check stopped unexpectedly: %v", r), "report it, with what remora version prints"))
				}
			}()
			found[i] = one.run(limited)
		})
	}
	all.Wait()
	return slices.Concat(found...)
}

func (e *exam) close() {
	if e.store != nil {
		_ = e.store.Close() // nothing was written
	}
}

// way bounds the calls of one check.
func (e *exam) way(caFile string, limit int64) rest.Config {
	return rest.Config{CAFile: caFile, UserAgent: "remora/" + e.o.Version, Timeout: e.o.Each, MaxBody: limit, Retries: -1}
}

func clean(scrub *delivery.Scrubber, found []delivery.Finding) []delivery.Finding {
	for i := range found {
		f := &found[i]
		f.Subject, f.Text, f.Remedy = scrub.Text(f.Subject), scrub.Text(f.Text), scrub.Text(f.Remedy)
	}
	return found
}

func pass(subject, text string) delivery.Finding {
	return delivery.Finding{Subject: subject, Level: delivery.Pass, Text: text}
}

func warn(subject, text, remedy string) delivery.Finding {
	return delivery.Finding{Subject: subject, Level: delivery.Warn, Text: text, Remedy: remedy}
}

func fail(subject, text, remedy string) delivery.Finding {
	return delivery.Finding{Subject: subject, Level: delivery.Fail, Text: text, Remedy: remedy}
}
