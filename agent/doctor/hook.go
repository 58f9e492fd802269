package doctor

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"gitlab.com/remora-ci/remora/agent/config"
	"gitlab.com/remora-ci/remora/agent/hooks"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab"
	"gitlab.com/remora-ci/remora/component/rest"
)

const (
	oldLook = 48 * time.Hour // how long ago a look at a hook is news no more
	tested  = 3              // hooks that GitLab is asked to call: it does so five times a minute
)

// hooks tells of the hooks that are kept, as they were last found, and has some of
// them called if that was asked for.
func (e *exam) hooks(ctx context.Context) []delivery.Finding {
	if e.store == nil || !e.keepsHooks() {
		return nil
	}
	list, err := e.store.Hooks(ctx, "")
	if err != nil {
		return []delivery.Finding{delivery.Wrong("hooks", delivery.Fail, err)}
	}
	if len(list) == 0 {
		return []delivery.Finding{warn("hooks", "none is kept yet", "let the agent run, or put them there now: remora hooks apply")}
	}
	var checks []check
	calls := 0
	for _, h := range list {
		one := check{hookSubject(h), func(context.Context) []delivery.Finding { return []delivery.Finding{e.hook(h)} }}
		if e.o.TestHooks && calls < tested && h.Hook != 0 {
			calls++
			one.run = func(ctx context.Context) []delivery.Finding { return []delivery.Finding{e.hook(h), e.call(ctx, h)} }
		}
		checks = append(checks, one)
	}
	return e.each(ctx, checks)
}

func hookSubject(h store.Hook) string { return strings.TrimSpace("hook " + h.Kind + " " + h.Path) }

// hook tells of one hook what the healer wrote down.
func (e *exam) hook(h store.Hook) delivery.Finding {
	const remedy = "see what would be done with: remora hooks plan"
	subject, age := hookSubject(h), e.o.Now().Sub(h.CheckedAt)
	switch {
	case h.State == hooks.StateDisabled:
		return fail(subject, strings.TrimSuffix("GitLab has switched it off after failures: "+h.Error, ": "), "see that GitLab reaches the agent, then: remora hooks apply")
	case h.Error != "":
		return fail(subject, h.Error, remedy)
	case h.State == hooks.StateUnlicensed:
		return pass(subject, "this GitLab has no group hooks; its projects have their own")
	case h.State == hooks.StateBehind:
		return warn(subject, "calls that failed are still to be made up for", "let the agent run, which does that; or now: remora hooks apply")
	case h.Hook == 0:
		return warn(subject, "it is not in GitLab", remedy)
	case e.c.Hooks.Heal > 0 && age > max(oldLook, 2*e.c.Hooks.Heal):
		return warn(subject, "it was last looked at "+ago(age), "see that the agent runs; it looks every "+delivery.Span(e.c.Hooks.Heal))
	}
	return pass(subject, "it was last looked at "+ago(age)+", and is as it should be")
}

// call has GitLab call a hook: only that shows that it reaches the agent.
func (e *exam) call(ctx context.Context, h store.Hook) delivery.Finding {
	subject := hookSubject(h)
	gl, err := e.speaker(h.Token)
	if err != nil {
		return delivery.Wrong(subject, delivery.Fail, err)
	}
	scope := gitlab.HookScope{System: h.Kind == hooks.System}
	switch h.Kind {
	case hooks.Project:
		scope.Project = gitlab.ProjectID(h.Scope)
	case hooks.Group:
		scope.Group = strconv.FormatInt(h.Scope, 10)
	}
	err = gl.TestHook(ctx, scope, h.Hook, testEvent(h.Events))
	var status *rest.StatusError
	switch {
	case err == nil:
		return pass(subject, "GitLab called it, and the agent took the call")
	case errors.As(err, &status) && status.Code == http.StatusTooManyRequests:
		return warn(subject, "GitLab calls a hook for a test five times a minute at most", "try again in a minute")
	case errors.As(err, &status) && status.Code == http.StatusUnprocessableEntity:
		return fail(subject, "GitLab called it, and that failed: "+status.Body, "see that GitLab's machine reaches "+h.URL+", and that the hook has the agent's secret: remora hooks apply")
	}
	return delivery.Wrong(subject, delivery.Fail, rest.Fault(err, e.names(h.Instance, h.Token)))
}

// testEvent is an event of a hook that any project has an example of.
func testEvent(events []string) string {
	const push = "push_events"
	if len(events) == 0 || slices.Contains(events, push) {
		return push
	}
	return events[0]
}

var errNoToken = errors.New("its token is not configured any more")

// speaker is the client of a token.
func (e *exam) speaker(name string) (*gitlab.Client, error) {
	i := slices.IndexFunc(e.c.Tokens, func(t config.Token) bool { return t.Name == name })
	if i < 0 {
		return nil, errNoToken
	}
	t := e.c.Tokens[i]
	for _, at := range e.c.Instances {
		if at.Name != t.Instance {
			continue
		}
		out, err := rest.New(e.way(at.CAFile, maxGitLabAnswer))
		if err != nil {
			return nil, err
		}
		return gitlab.New(gitlab.Config{URL: at.URL, Token: t.Value}, out)
	}
	return nil, errNoToken
}
