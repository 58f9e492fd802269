package doctor

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"gitlab.com/remora-ci/remora/agent/config"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
)

// configured is what the configuration says by itself.
func (e *exam) configured() []delivery.Finding {
	const subject = "configuration"
	from := e.c.File
	if from == "" {
		from = "the environment"
	}
	found := []delivery.Finding{pass(subject, from+": "+strings.Join([]string{
		count(len(e.c.Instances), "instance"), count(len(e.c.Tokens), "token"), count(len(e.c.Targets), "target"), count(len(e.c.Routes), "route"), count(len(e.c.Schedules), "schedule"),
	}, ", "))}
	for _, w := range e.o.Warnings {
		found = append(found, warn(subject, w.String(), "correct it there; remora config print shows every setting and where it comes from"))
	}
	return append(found, e.webhookSecret(), e.encryptionKey())
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

func (e *exam) keepsHooks() bool { return e.c.Hooks.Enabled() }

func (e *exam) webhookSecret() delivery.Finding {
	const subject = "webhook secret"
	a := e.c.Auth
	switch {
	case !a.SigningTokens.Empty():
		return pass(subject, "webhooks are told by their signature")
	case !a.Secrets.Empty():
		return pass(subject, "webhooks are told by a secret")
	case e.keepsHooks():
		return pass(subject, "it is made, kept and set in GitLab by the agent")
	case !a.TokenKeys.Empty() || !a.PackitSecret.Empty():
		return pass(subject, "each project has a token of its own")
	}
	return fail(subject, "there is none, so every webhook is refused", "set REMORA_WEBHOOK_SECRET, here and at the hook in GitLab, or have the agent keep the hooks")
}

func (e *exam) encryptionKey() delivery.Finding {
	const subject = "encryption key"
	var needs []string
	if slices.ContainsFunc(e.c.Tokens, func(t config.Token) bool { return t.Rotate }) {
		needs = append(needs, "rotated tokens are stored")
	}
	if e.keepsHooks() && e.c.Auth.Secrets.Empty() && e.c.Auth.SigningTokens.Empty() {
		needs = append(needs, "the secrets of hooks are stored")
	}
	switch {
	case !e.c.Store.Key.Empty():
		return pass(subject, "what is secret is stored encrypted")
	case len(needs) == 0:
		return pass(subject, "there is none, and nothing secret is to be stored")
	}
	return fail(subject, "there is none, and it is needed: "+strings.Join(needs, ", and "), "set REMORA_ENCRYPTION_KEY to a key of your own: openssl rand -base64 32")
}

// openStore looks at the database, and opens it if that changes nothing.
func (e *exam) openStore(ctx context.Context) []delivery.Finding {
	found, usable := store.Inspect(ctx, e.c.Store)
	if !usable {
		return found
	}
	place := e.c.Store
	place.AsIs = true
	s, err := store.Open(ctx, place)
	if err != nil {
		return append(found, delivery.Wrong("database", delivery.Fail, err))
	}
	e.store = s
	if e.state, err = s.TokenStates(ctx); err != nil {
		return append(found, delivery.Wrong("database", delivery.Fail, err))
	}
	effective, err := e.c.Effective(ctx, s)
	if err != nil {
		return append(found, delivery.Wrong("database", delivery.Fail, err))
	}
	for i := range effective.Tokens { // a state that came from another value says nothing
		configured := e.c.Tokens[i]
		if e.state[configured.Name].Fingerprint != config.Fingerprint(configured.Value) {
			delete(e.state, configured.Name)
		}
	}
	e.c = effective
	return found
}

// reached asks the agent by the address that GitLab and its jobs have for it. From
// here it may look different than from GitLab: a hook that is tested proves more.
func (e *exam) reached(ctx context.Context) []delivery.Finding {
	if e.c.URL == "" {
		if !e.keepsHooks() {
			return nil
		}
		return []delivery.Finding{fail("agent", "its own address is not known, and hooks are to be kept", "set REMORA_URL to the address that GitLab reaches the agent by")}
	}
	out, err := rest.New(e.way("", 1<<20))
	if err != nil {
		return []delivery.Finding{delivery.Wrong("agent "+e.c.URL, delivery.Fail, err)}
	}
	return []delivery.Finding{Reached(ctx, out, e.c.URL, "REMORA_URL")}
}

// Reached asks an agent whether it is alive. name is the setting that its address
// comes from.
func Reached(ctx context.Context, out *rest.Client, base, name string) delivery.Finding {
	subject := "agent " + rest.Plain(base)
	a, err := out.Do(ctx, rest.Call{Method: http.MethodGet, URL: strings.TrimRight(base, "/") + "/livez"})
	switch {
	case a == nil:
		return delivery.Wrong(subject, delivery.Fail, rest.Fault(err, rest.Names{URL: name, Token: name}))
	case a.Code == http.StatusOK && strings.TrimSpace(string(a.Body)) == "ok":
		return pass(subject, "it answers, as seen from here")
	}
	return fail(subject, "what answers there is no agent: "+a.String(), "set "+name+" to the address that the agent, or the proxy before it, answers at; and see that the agent runs")
}

func ago(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return "just now"
	case d > 48*time.Hour:
		return fmt.Sprintf("%d days ago", int(d.Hours()/24))
	}
	return delivery.Span(d.Round(time.Minute)) + " ago"
}

// late is how long after its time a schedule is overdue rather than on its way.
const late = 15 * time.Minute

// schedules says when each last fired, and which should have since.
func (e *exam) schedules(ctx context.Context) []delivery.Finding {
	if e.store == nil {
		return nil
	}
	var found []delivery.Finding
	now := e.o.Now()
	for _, s := range e.c.Schedules {
		subject := "schedule " + s.Name
		last, err := e.store.LastFired(ctx, s.Name)
		spec, specErr := s.Spec()
		switch due, overdue := spec.Due(last, now.Add(-late)); {
		case err != nil:
			found = append(found, delivery.Wrong(subject, delivery.Fail, err))
		case specErr != nil:
			found = append(found, delivery.Wrong(subject, delivery.Fail, specErr))
		case overdue:
			found = append(found, warn(subject, "it was due "+ago(now.Sub(due))+" and has not fired", "see that the agent runs"))
		case last.IsZero():
			found = append(found, pass(subject, "it has not fired yet"))
		default:
			found = append(found, pass(subject, "it last fired "+ago(now.Sub(last))))
		}
	}
	return found
}

// deliveries counts what was given up.
func (e *exam) deliveries(ctx context.Context) []delivery.Finding {
	if e.store == nil {
		return nil
	}
	const subject = "deliveries"
	n := 0
	err := e.store.Query(ctx, func(r store.Row) error { return r.Scan(&n) }, "SELECT count(*) FROM delivery WHERE state = 'dead'")
	switch {
	case err != nil:
		return []delivery.Finding{delivery.Wrong(subject, delivery.Fail, err)}
	case n > 0:
		return []delivery.Finding{warn(subject, fmt.Sprintf("%d were given up after many attempts", n), "see why, and try them again: remora deliveries list --state dead, remora deliveries retry ID")}
	}
	return []delivery.Finding{pass(subject, "none was given up")}
}
