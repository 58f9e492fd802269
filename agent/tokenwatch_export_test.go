package agent

import (
	"context"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
)

// LookAtTokens is what the agent does every hour.
func (a *Agent) LookAtTokens(ctx context.Context) { a.lookAtTokens(ctx) }

// TokenInUse is the value that the agent speaks with.
func (a *Agent) TokenInUse(name string) delivery.Secret {
	return a.current().tokens.byName[name].Value
}

// The routes of the audit.
var (
	GitLabRoute = gitlabRoute
	TargetRoute = targetRoute
	ErrorClass  = errorClass
)

// FloodAudit has an agent write down n requests at once.
func FloodAudit(a *Agent, n int) {
	for range n {
		a.askedGitLab("bot", rest.Attempt{Method: "GET", URL: "https://git.example/api/v4/user", Code: 200})
	}
}
