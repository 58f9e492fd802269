package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"gitlab.com/remora-ci/remora/agent/config"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab"
	"gitlab.com/remora-ci/remora/component/report"
	"gitlab.com/remora-ci/remora/component/rest"
)

const maxGitLabAnswer = 64 << 20 // bytes

// Tokens are the clients of GitLab, one for each token. Which of them speaks
// about a project is said by the configuration: see [config.Config.TokenFor].
type Tokens struct {
	c      *config.Config
	byName map[string]*speaker
	ids    projectIDs

	mu   sync.Mutex
	bots map[string][]int64 // ids of our own users, by URL of the instance
}

// speaker is a token and what goes with it. Tokens of one value share one budget
// of requests.
type speaker struct {
	config.Token
	url   string // of its instance
	gl    *gitlab.Client
	way   *rest.Client // that gl runs on
	gauge *report.Gauge
}

// audit is told of every request to GitLab.
type audit func(token string, a rest.Attempt)

// newTokens makes the clients. Agents on one database share the budgets of their
// tokens; without one they are this process's alone.
func newTokens(c *config.Config, version string, shared *store.Store, tell audit) (*Tokens, error) {
	t := &Tokens{c: c, byName: map[string]*speaker{}, bots: map[string][]int64{}}
	budgets := map[delivery.Secret]*budget{}
	var errs []error
	for _, token := range c.Tokens {
		i := slices.IndexFunc(c.Instances, func(i config.Instance) bool { return i.Name == token.Instance })
		if i < 0 {
			errs = append(errs, fmt.Errorf("token %s: instance %q is not configured", token.Name, token.Instance))
			continue
		}
		b := budgets[token.Value]
		if b == nil {
			b = newBudget(shared, config.Fingerprint(token.Value), c.Limits.FreeRequests, time.Now)
			budgets[token.Value] = b
		}
		s := &speaker{Token: token, url: strings.TrimRight(c.Instances[i].URL, "/"), gauge: &report.Gauge{}}
		out, err := rest.New(rest.Config{
			CAFile: c.Instances[i].CAFile, UserAgent: "remora/" + version, MaxBody: maxGitLabAnswer, Limit: b.Wait,
			Audit: func(a rest.Attempt) { b.learn(a); s.gauge.Audit(a); tell(token.Name, a) },
		})
		if err == nil {
			s.way = out
			s.gl, err = gitlab.New(gitlab.Config{URL: s.url, Token: token.Value}, out)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("token %s: %w", token.Name, err))
			continue
		}
		t.byName[token.Name] = s
	}
	return t, errors.Join(errs...)
}

// For is the client for a project, by the URL of its instance and its path; nil
// if no token is for it. An instance that is not configured has none.
func (t *Tokens) For(instance, project string) *gitlab.Client {
	if s := t.speaker(instance, project); s != nil {
		return s.gl
	}
	return nil
}

func (t *Tokens) speaker(instance, project string) *speaker {
	for _, i := range t.c.Instances {
		if !strings.EqualFold(strings.TrimRight(i.URL, "/"), strings.TrimRight(instance, "/")) {
			continue
		}
		if token, ok := t.c.TokenFor(i.Name, project); ok {
			return t.byName[token.Name]
		}
	}
	return nil
}

// gauge counts what is left of the budget of a project's token.
func (t *Tokens) gauge(instance, project string) *report.Gauge {
	if s := t.speaker(instance, project); s != nil {
		return s.gauge
	}
	return nil
}

// isOwn says whether a user of an instance is one of ours.
func (t *Tokens) isOwn(instance string, user int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return user != 0 && slices.Contains(t.bots[strings.TrimRight(instance, "/")], user)
}

// learn asks GitLab who our users are. What could not be asked is in the error,
// and is asked again by the next call.
func (t *Tokens) learn(ctx context.Context) error {
	var errs []error
	for _, s := range t.byName {
		user, err := s.gl.User(ctx)
		if err != nil {
			errs = append(errs, fmt.Errorf("token %s: %w", s.Name, err))
			continue
		}
		t.mu.Lock()
		if !slices.Contains(t.bots[s.url], user.ID) {
			t.bots[s.url] = append(t.bots[s.url], user.ID)
		}
		t.mu.Unlock()
	}
	return errors.Join(errs...)
}
