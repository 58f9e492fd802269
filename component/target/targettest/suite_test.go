package targettest_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
	"gitlab.com/remora-ci/remora/component/target/targettest"
)

const canary = "canary-5f2c/9+d1"

// probe is the smallest target that keeps the contract: one POST that answers
// {"ok":true}.
type probe struct {
	base  string
	out   *rest.Client
	token delivery.Secret
}

func (p *probe) Name() string { return "probe" }

func (p *probe) Plan(delivery.Event) ([]string, error) { return []string{"POST " + p.base}, nil }

func (p *probe) Apply(ctx context.Context, ev delivery.Event) (delivery.Receipt, error) {
	if ev.Deleted {
		return delivery.Receipt{}, delivery.Skip("deleted")
	}
	r, err := p.send(ctx)
	o := delivery.NewScrubber(p.token).Outcome(delivery.Outcome{Receipt: r, Err: err})
	return o.Receipt, o.Err
}

func (p *probe) send(ctx context.Context) (delivery.Receipt, error) {
	header := http.Header{"Authorization": {"Bearer " + p.token.Reveal()}}
	a, err := p.out.Do(ctx, rest.Call{Method: http.MethodPost, URL: p.base, Header: header})
	if err != nil {
		return delivery.Receipt{}, p.explain(err)
	}
	var ok struct{ OK bool }
	if err := a.JSON(&ok); err != nil || !ok.OK {
		return delivery.Receipt{}, delivery.Permanent(&delivery.Fault{Summary: "strange answer", Remedy: "check PROBE_URL", Request: a.String(), Err: err})
	}
	return delivery.Receipt{Request: a.String()}, nil
}

// Check asks without the token.
func (p *probe) Check(ctx context.Context) []delivery.Finding {
	_, err := p.out.Do(ctx, rest.Call{Method: http.MethodGet, URL: p.base})
	if err != nil {
		return []delivery.Finding{delivery.Wrong("address", delivery.Fail, p.explain(err))}
	}
	return []delivery.Finding{{Subject: "address", Level: delivery.Pass, Text: p.base + " answers"}}
}

func (p *probe) explain(err error) error {
	err = rest.Fault(err, rest.Names{URL: "PROBE_URL", Token: "PROBE_TOKEN"})
	f := *delivery.Explain(err)
	if f.Remedy == "" {
		f.Remedy = "look at the log of the server at PROBE_URL"
	}
	if delivery.StateOf(err) == delivery.Failed {
		return delivery.Permanent(&f)
	}
	return &f
}

func TestAGoodTargetKeepsTheContract(t *testing.T) {
	good := func(*testing.T) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"ok":true}`)
		})
	}
	at := func(t *testing.T, base string) delivery.Target {
		out, err := rest.New(rest.Config{Retries: -1})
		if err != nil {
			t.Fatal(err)
		}
		return &probe{base: base, out: out, token: canary}
	}
	fresh := func(t *testing.T) delivery.Target {
		srv := httptest.NewServer(good(t))
		t.Cleanup(srv.Close)
		return at(t, srv.URL)
	}
	targettest.Run(t, targettest.Suite{
		Name: "probe", Canaries: []string{canary}, Event: delivery.Event{Ref: "main"},
		New: fresh, At: at, Handler: good,
		Skips: map[string]func(*testing.T) (delivery.Target, delivery.Event){
			"a deleted ref": func(t *testing.T) (delivery.Target, delivery.Event) {
				return fresh(t), delivery.Event{Ref: "main", Deleted: true}
			},
		},
	})
}

func TestALeakIsFoundInEveryForm(t *testing.T) {
	t.Parallel()
	for form, text := range map[string]string{
		"plain":         "x" + canary + "x",
		"query-escaped": "?t=canary-5f2c%2F9%2Bd1",
		"path-escaped":  "/canary-5f2c%2F9+d1",
		"base64":        "Basic Y2FuYXJ5LTVmMmMvOStkMQ==",
		"hex":           "63616e6172792d356632632f392b6431",
	} {
		found, ok := targettest.Leak([]string{canary}, text)
		if !ok || !strings.Contains(found, canary) {
			t.Errorf("%s: Leak(%q) = %q, %v; want it found", form, text, found, ok)
		}
	}
	if found, ok := targettest.Leak([]string{canary}, "nothing to see, canary-5f2c"); ok {
		t.Errorf("Leak found %s in a text without it", found)
	}
}
