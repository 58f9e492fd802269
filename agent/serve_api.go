package agent

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"gitlab.com/remora-ci/remora/agent/api"
	"gitlab.com/remora-ci/remora/agent/auth"
	"gitlab.com/remora-ci/remora/agent/config"
	"gitlab.com/remora-ci/remora/agent/webhook"
	"gitlab.com/remora-ci/remora/component/rest"
	"gitlab.com/remora-ci/remora/component/trigger"
)

// keysTime bounds one request for the keys of ID tokens.
const keysTime = 5 * time.Second

// newAPI makes the API of a setup.
func (a *Agent) newAPI(s *setup) (http.Handler, error) {
	issuers := make([]auth.Issuer, 0, len(s.Instances))
	for _, at := range s.Instances {
		way, err := rest.New(rest.Config{CAFile: at.CAFile, UserAgent: "remora/" + s.version, Timeout: keysTime, Retries: -1})
		if err != nil {
			return nil, fmt.Errorf("instance %s: %w", at.Name, err)
		}
		s.ways = append(s.ways, way)
		issuers = append(issuers, auth.Issuer{URL: at.URL, Audiences: audiences(s.Config), Client: way.HTTP()})
	}
	return api.New(api.Options{
		Desk: a, Verifier: s.verifier, IDTokens: auth.NewIDTokens(issuers, a.o.now), Store: a.store,
		Draining: a.closing, Observe: a.metrics.api, Now: a.o.now,
	})
}

// audiences are those of ID tokens that are for this agent.
func audiences(c *config.Config) []string {
	all := slices.Clone(c.Audiences)
	if c.URL != "" {
		all = append(all, c.URL, trigger.AudiencePrefix+c.URL)
	}
	return all
}

// handler answers calls of a path. Webhooks of other integrations lie below that of
// the API.
func (s *setup) handler(path string) http.Handler {
	if strings.HasPrefix(path, api.Prefix) && webhook.Route(path) == "" {
		return s.api
	}
	return s.hooks
}
