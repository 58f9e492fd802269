package httppost_test

import (
	"net/http"
	"testing"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/target/httppost"
	"gitlab.com/remora-ci/remora/component/target/targettest"
)

func TestTheTargetKeepsTheContract(t *testing.T) {
	states := []string{"queued", "running", "success"}
	at := func(t *testing.T, base string) delivery.Target { return target(t, polled(base)) }
	targettest.Run(t, targettest.Suite{
		Name: "http", Event: event(), Canaries: []string{token, apiKey},
		New: func(t *testing.T) delivery.Target { return at(t, newSystem(t, states, nil).URL) },
		At:  at,
		Handler: func(*testing.T) http.Handler {
			return (&system{states: states}).handler(nil)
		},
		Skips: map[string]func(*testing.T) (delivery.Target, delivery.Event){
			"an event that the body expression leaves out": func(t *testing.T) (delivery.Target, delivery.Event) {
				c := polled(newSystem(t, states, nil).URL)
				c.Body = `select(.ref == "release")`
				return target(t, c), event()
			},
		},
		Hostile: map[string]func() http.Handler{
			"a status address that is a number": func() http.Handler {
				return answer(http.StatusOK, "application/json", `{"status_url":7}`)
			},
			"a status address of another scheme": func() http.Handler {
				return answer(http.StatusOK, "application/json", `{"status_url":"file:///etc/passwd"}`)
			},
			"an unknown state": func() http.Handler {
				return answer(http.StatusOK, "application/json", `{"status_url":"/x","status":"pondering"}`)
			},
		},
	})
}

func TestATargetWithoutAStatusAddressKeepsTheContract(t *testing.T) {
	at := func(t *testing.T, base string) delivery.Target {
		return target(t, httppost.Config{URL: base + "/trigger?token=" + token, Token: token, Headers: "X-Api-Key: " + apiKey})
	}
	const takes = "without a status address any 2xx that is no page and no broken JSON is success"
	targettest.Run(t, targettest.Suite{
		Name: "http", Event: event(), Canaries: []string{token, apiKey},
		New: func(t *testing.T) delivery.Target { return at(t, newSystem(t, nil, nil).URL) },
		At:  at,
		Without: map[targettest.Part]string{
			targettest.Skips: "every event is sent", targettest.Midway: "it makes one call only",
			"JSON of another shape": takes, "text with JSON inside": takes, "binary noise": takes,
		},
	})
}
