package direktiv_test

import (
	"net/http"
	"testing"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/target/direktiv/direktivtest"
	"gitlab.com/remora-ci/remora/component/target/targettest"
)

// Each generation is held to the contract that all targets share.
func TestTheContractOfATargetHolds(t *testing.T) {
	for _, g := range direktivtest.Generations() {
		t.Run(string(g), func(t *testing.T) { targettest.Run(t, suite(g)) })
	}
}

func suite(g direktivtest.Generation) targettest.Suite {
	options := direktivtest.Options{Generation: g, Key: canary, Polls: 2}
	at := func(t *testing.T, base string) delivery.Target { return target(t, base, nil) }
	fresh := func(t *testing.T) delivery.Target { return at(t, serve(t, options).URL) }
	with := func(change func(*delivery.Event)) func(t *testing.T) (delivery.Target, delivery.Event) {
		return func(t *testing.T) (delivery.Target, delivery.Event) {
			ev := push()
			change(&ev)
			return fresh(t), ev
		}
	}
	return targettest.Suite{
		Name: "direktiv", Canaries: []string{canary}, Event: push(), New: fresh, At: at,
		Handler: func(*testing.T) http.Handler { return direktivtest.New(options).Handler() },
		Skips: map[string]func(t *testing.T) (delivery.Target, delivery.Event){
			"another branch": with(func(ev *delivery.Event) { ev.Ref = "feature" }),
			"a tag":          with(func(ev *delivery.Event) { ev.Ref, ev.RefType = "v1.0.0", delivery.Tag }),
			"a deleted ref":  with(func(ev *delivery.Event) { ev.Deleted = true }),
		},
		Hostile: map[string]func() http.Handler{
			"an unknown state": func() http.Handler {
				srv := direktivtest.New(direktivtest.Options{Generation: g, Key: canary})
				srv.Next(direktivtest.Script{Status: "dancing"})
				return srv.Handler()
			},
			"a sync without an id": func() http.Handler {
				return page(http.StatusOK, "application/json", `{"data":[{"id":"","status":"complete"}]}`)
			},
		},
	}
}
