package hooks

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
)

// Explain is an error about the hooks of a scope as a person reads it.
func Explain(err error, s Scope) error {
	var f *delivery.Fault
	var said *rest.StatusError
	switch {
	case errors.As(err, &f):
		return err
	case !errors.As(err, &said):
		return rest.Fault(err, names(s))
	case said.Code >= http.StatusInternalServerError:
		return &delivery.Fault{
			Summary: fmt.Sprintf("status %d", said.Code), Cause: said.Error(), Request: request(said), Err: err,
			Remedy: "run it again when GitLab is well; a hook that was made all the same is found, not made twice",
		}
	case said.Code == http.StatusForbidden:
		return fault(said, err, "not allowed", fmt.Sprintf("GitLab does not let token %s keep the hooks of %s", s.Token, s.Path),
			"make its user "+role(s)+", with scope api, or name another token for it")
	case said.Code == http.StatusNotFound:
		return fault(said, err, "not found", fmt.Sprintf("token %s does not see %s, or not its hooks", s.Token, s.Path),
			"make its user "+role(s)+", or take it out of the configuration")
	case said.Code == http.StatusBadRequest, said.Code == http.StatusUnprocessableEntity:
		return fault(said, err, "hook refused", "GitLab does not take the hook: "+said.Body,
			"if it refuses the URL: an administrator allows the agent's address in the outbound requests of the network settings; if there are too many hooks, delete some")
	}
	return rest.Fault(err, names(s))
}

func names(s Scope) rest.Names { return rest.Names{URL: "url of gitlab", Token: "token " + s.Token} }

func role(s Scope) string {
	switch s.Kind {
	case Group:
		return "Owner of the group"
	case Project:
		return "Maintainer of the project"
	}
	return "an administrator"
}

func fault(said *rest.StatusError, err error, summary, cause, remedy string) error {
	return delivery.Permanent(&delivery.Fault{
		Summary: summary, Cause: cause, Remedy: remedy, Request: request(said), Err: err,
	})
}

func request(said *rest.StatusError) string {
	return fmt.Sprintf("%s %s (%d)", said.Method, said.URL, said.Code)
}

// explainTest is the error of a test: GitLab called the hook before it answered.
func explainTest(err error, url string) error {
	var said *rest.StatusError
	if !errors.As(err, &said) || said.Code != http.StatusUnprocessableEntity {
		return fmt.Errorf("test hook: %w", err)
	}
	if strings.HasPrefix(said.Body, "Ensure the project has") {
		return fault(said, err, "hook not tested", "GitLab has no example to test it with: "+said.Body, "push a commit, then: remora hooks test")
	}
	cause := "GitLab called " + shown(url) + " for a test, and got no 2xx"
	if said.Body != "" && !strings.HasPrefix(said.Body, "{") {
		cause += ": " + said.Body
	}
	return fault(said, err, "hook not answered", cause, "see that the agent runs, and that GitLab reaches it there; then: remora hooks test")
}
