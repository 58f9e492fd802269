package doctor

import (
	"context"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab"
	"gitlab.com/remora-ci/remora/component/rest"
	"gitlab.com/remora-ci/remora/component/target"
)

// Job is what a CI job is told, as far as it can be looked at.
type Job struct {
	GitLab   gitlab.Config // its token may be missing
	Project  gitlab.ProjectInfo
	Targets  target.Config
	AgentURL string // of an agent that delivers in place of the job; empty: there is none
	CAFile   string
	Scrub    *delivery.Scrubber
}

// ExamineJob looks at all that a job would need: GitLab and the bot's token, the
// targets, or the agent that is asked in their place. It changes nothing.
func ExamineJob(ctx context.Context, j Job, o Options) []delivery.Finding {
	e := &exam{o: o.withDefaults()}
	names := rest.Names{URL: "REMORA_GITLAB_URL", Token: "REMORA_GITLAB_TOKEN"}
	calling := func(limit int64, run func(context.Context, *rest.Client) []delivery.Finding) func(context.Context) []delivery.Finding {
		return func(ctx context.Context) []delivery.Finding {
			out, err := rest.New(e.way(j.CAFile, limit))
			if err != nil {
				return []delivery.Finding{delivery.Wrong("CI_SERVER_TLS_CA_FILE", delivery.Fail, err)}
			}
			return run(ctx, out)
		}
	}
	checks := []check{
		{"GitLab", calling(1<<20, func(ctx context.Context, out *rest.Client) []delivery.Finding {
			return Instance(ctx, out, j.GitLab.URL, names, e.o.Now)
		})},
		{"token", calling(maxGitLabAnswer, func(ctx context.Context, out *rest.Client) []delivery.Finding {
			return j.token(ctx, out, names, e.o)
		})},
	}
	on := j.Targets.Direktiv.Enabled() || j.Targets.HTTP.Enabled() || j.Targets.Mirror.Enabled()
	if on {
		checks = append(checks, check{"targets", func(ctx context.Context) []delivery.Finding {
			return Targets(ctx, j.Targets, e.way(j.CAFile, 0), func(t delivery.Target) string { return "target " + t.Name() })
		}})
	}
	if j.AgentURL != "" {
		checks = append(checks, check{"agent", calling(1<<20, func(ctx context.Context, out *rest.Client) []delivery.Finding {
			return []delivery.Finding{Reached(ctx, out, j.AgentURL, "REMORA_AGENT_URL")}
		})})
	}
	found := e.each(ctx, checks)
	if !on && j.AgentURL == "" {
		found = append(found, delivery.Wrong("targets", delivery.Fail, &delivery.Fault{Summary: target.ErrNone.Error(), Remedy: "set one of them in the project's CI/CD variables, or REMORA_AGENT_URL to the agent that delivers"}))
	}
	return clean(j.Scrub, found)
}

// token looks at the bot's token, which a job that asks an agent does not need.
func (j Job) token(ctx context.Context, out *rest.Client, names rest.Names, o Options) []delivery.Finding {
	const subject = "token REMORA_GITLAB_TOKEN"
	if j.GitLab.Token.Empty() {
		if j.AgentURL != "" {
			return []delivery.Finding{pass(subject, "there is none, and the agent reports with its own")}
		}
		return []delivery.Finding{warn(subject, "there is none, so nothing is shown in GitLab", "set it to the token of a bot user with the scope api and the role Developer; a protected variable is empty on unprotected refs")}
	}
	gl, err := gitlab.New(j.GitLab, out)
	if err != nil {
		return []delivery.Finding{delivery.Wrong(subject, delivery.Fail, err)}
	}
	t := &Token{
		Subject: subject, Client: gl, Names: names, Now: o.Now, Need: developer, Why: "to write statuses and notes",
		Sample: func(context.Context) ([]gitlab.ProjectInfo, error) { return []gitlab.ProjectInfo{j.Project}, nil },
	}
	return t.Examine(ctx)
}
