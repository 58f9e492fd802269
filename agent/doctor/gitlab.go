package doctor

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"gitlab.com/remora-ci/remora/agent/config"
	"gitlab.com/remora-ci/remora/agent/hooks"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab"
	"gitlab.com/remora-ci/remora/component/rest"
)

const (
	maxGitLabAnswer = 64 << 20 // bytes: a page of projects may be large

	skewWarn = 30 * time.Second
	skewFail = 5 * time.Minute
)

// gitlabChecks are those of every instance and of every token.
func (e *exam) gitlabChecks() []check {
	var checks []check
	for _, i := range e.c.Instances {
		p := &patient{exam: e, instance: i, names: e.names(i.Name, "")}
		checks = append(checks, check{"GitLab " + i.URL, p.reachable})
	}
	for _, t := range e.c.Tokens {
		i := slices.IndexFunc(e.c.Instances, func(i config.Instance) bool { return i.Name == t.Instance })
		if i < 0 {
			continue // the configuration would not have been taken
		}
		p := &patient{exam: e, instance: e.c.Instances[i], token: t, names: e.names(t.Instance, t.Name)}
		checks = append(checks, check{p.subject(), p.examine})
	}
	return checks
}

// names are the settings of an instance and of a token of it, as whoever wrote the
// configuration knows them: without a file they are variables.
func (e *exam) names(instance, token string) rest.Names {
	if e.c.File == "" {
		return rest.Names{URL: "REMORA_GITLAB_URL", Token: "REMORA_GITLAB_TOKEN"}
	}
	return rest.Names{URL: "the url of GitLab " + instance, Token: strings.TrimSpace("the token " + token)}
}

// patient is an instance, or a token of one.
type patient struct {
	*exam
	instance config.Instance
	token    config.Token
	names    rest.Names
}

func (p *patient) subject() string { return "token " + p.token.Name }

// reachable asks without a token: GitLab refuses that by its API's own words.
func (p *patient) reachable(ctx context.Context) []delivery.Finding {
	subject := "GitLab " + p.instance.URL
	out, err := rest.New(p.way(p.instance.CAFile, 1<<20))
	if err != nil {
		return []delivery.Finding{delivery.Wrong(subject, delivery.Fail, err)}
	}
	return Instance(ctx, out, p.instance.URL, p.names, p.o.Now)
}

// Instance asks a GitLab whether it is one, over TLS, and compares the clocks. names
// are the settings that remedies speak of.
func Instance(ctx context.Context, out *rest.Client, base string, names rest.Names, now func() time.Time) []delivery.Finding {
	subject := "GitLab " + rest.Plain(base)
	start := now()
	a, err := out.Do(ctx, rest.Call{Method: http.MethodGet, URL: strings.TrimRight(base, "/") + "/api/v4/metadata"})
	middle := start.Add(now().Sub(start) / 2)
	if a == nil {
		return []delivery.Finding{delivery.Wrong(subject, delivery.Fail, rest.Fault(err, names))}
	}
	var said struct{ Message, Error any }
	if a.Code != http.StatusUnauthorized && a.Code != http.StatusOK && a.Code != http.StatusForbidden || a.JSON(&said) != nil {
		return []delivery.Finding{fail(subject, "what answers there is not GitLab's API: "+a.String(), "set "+names.URL+" to the base address of GitLab, without /api/v4; if it is right, see whether GitLab is well")}
	}
	found := []delivery.Finding{pass(subject, "its API answers")}
	if u, err := url.Parse(base); err == nil && u.Scheme == "http" && !isLoopback(u.Hostname()) {
		found[0] = warn(subject, "its API answers, and tokens can be read on the way: the address begins with http://", "set "+names.URL+" to an https:// address")
	}
	return append(found, skew(a.Header.Get("Date"), middle))
}

// skew compares our clock with GitLab's, whose Date has no more than seconds.
func skew(date string, at time.Time) delivery.Finding {
	const subject = "clock"
	theirs, err := http.ParseTime(date)
	if err != nil {
		return pass(subject, "GitLab does not tell its own")
	}
	off := at.Sub(theirs.Add(500 * time.Millisecond))
	text := fmt.Sprintf("ours is %s ahead of GitLab's", delivery.Span(off.Abs().Round(time.Second)))
	if off < 0 {
		text = strings.Replace(text, "ahead of", "behind", 1)
	}
	const remedy = "set the clock of this machine by NTP: signatures and ID tokens are refused when it is off"
	switch {
	case off.Abs() > skewFail:
		return fail(subject, text, remedy)
	case off.Abs() > skewWarn:
		return warn(subject, text, remedy)
	}
	return pass(subject, "it agrees with GitLab's")
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// examine looks at a token from all sides.
func (p *patient) examine(ctx context.Context) []delivery.Finding {
	gl, err := p.speaker(p.token.Name)
	if err != nil {
		return []delivery.Finding{delivery.Wrong(p.subject(), delivery.Fail, err)}
	}
	t := &Token{
		Subject: p.subject(), Client: gl, Names: p.names, Now: p.o.Now,
		State: p.state[p.token.Name], Rotate: p.token.Rotate, HasKey: !p.c.Store.Key.Empty(),
		Need: p.need(), Why: p.why(), Sample: p.sample(gl),
	}
	return t.Examine(ctx)
}

// need is the role that the token needs in its projects.
func (p *patient) need() int {
	switch {
	case !p.keepsHooks() || p.c.Hooks.Kind == hooks.System:
		return developer
	case p.c.Hooks.Kind == hooks.Project:
		return maintainer
	}
	return owner
}

func (p *patient) why() string {
	return map[int]string{developer: "to write statuses and notes", maintainer: "to keep project hooks", owner: "to keep group hooks"}[p.need()]
}

const (
	sampled = 3   // projects whose role is asked for
	looked  = 500 // projects among which they are looked for
)

// sample finds some projects that the token is used for.
func (p *patient) sample(gl *gitlab.Client) func(context.Context) ([]gitlab.ProjectInfo, error) {
	return func(ctx context.Context) ([]gitlab.ProjectInfo, error) {
		var list []gitlab.ProjectInfo
		n := 0
		for project, err := range gl.Projects(ctx) {
			if err != nil {
				return list, err
			}
			if t, ok := p.c.TokenFor(p.instance.Name, project.Path); ok && t.Name == p.token.Name {
				list = append(list, project)
			}
			if n++; len(list) == sampled || n == looked {
				break
			}
		}
		return list, nil
	}
}
