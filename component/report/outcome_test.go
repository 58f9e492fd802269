package report_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/report"
)

func TestMessageOf(t *testing.T) {
	t.Parallel()
	optional := broken("x")
	optional.Optional = true
	for name, c := range map[string]struct {
		outcome     delivery.Outcome
		state, text string
	}{
		"done with nothing to say":   {delivery.Outcome{State: delivery.Done}, "success", "done"},
		"done with a revision":       {delivery.Outcome{State: delivery.Done, Receipt: delivery.Receipt{Result: "pushed", Revision: "c0ffee1200000000"}}, "success", "pushed, at c0ffee12"},
		"done with a warning":        {delivery.Outcome{State: delivery.Done, Receipt: delivery.Receipt{Warnings: []string{"a"}}}, "success", "done, 1 warning"},
		"done with warnings":         {delivery.Outcome{State: delivery.Done, Receipt: delivery.Receipt{Warnings: []string{"a", "b"}}}, "success", "done, 2 warnings"},
		"started":                    {delivery.Outcome{State: delivery.Done, Receipt: delivery.Receipt{Started: true}}, "success", "started, result not awaited"},
		"skipped":                    {delivery.Outcome{State: delivery.Skipped, Err: delivery.Skip("mirror follows main")}, "success", "skipped: mirror follows main"},
		"failed with a cause":        {broken("x"), "failed", "reference not found: the mirror's ref feature does not exist"},
		"failed with a plain error":  {delivery.Outcome{State: delivery.Failed, Err: errors.New("push: remote hung up")}, "failed", "remote hung up"},
		"failed without an error":    {delivery.Outcome{State: delivery.Failed}, "failed", "failed"},
		"failed but optional":        {optional, "success", "failed, optional: reference not found: the mirror's ref feature does not exist"},
		"canceled":                   {stopped("x"), "canceled", "canceled"},
		"canceled although optional": {func() delivery.Outcome { o := stopped("x"); o.Optional = true; return o }(), "canceled", "canceled"},
		"out of time":                {delivery.Outcome{State: delivery.Failed, Err: &delivery.Fault{Summary: "no result after 5m", Cause: "the target had not finished", Err: delivery.ErrNoResult}}, "failed", "no result after 5m: the target had not finished"},
		"many lines become one":      {delivery.Outcome{State: delivery.Done, Receipt: delivery.Receipt{Result: "a\nb"}}, "success", "a b"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if state, text := report.MessageOf(c.outcome); state != c.state || text != c.text {
				t.Errorf("got %s %q, want %s %q", state, text, c.state, c.text)
			}
		})
	}
}

func TestSumOf(t *testing.T) {
	t.Parallel()
	optional := broken("o")
	optional.Optional = true
	for name, c := range map[string]struct {
		outcomes    []delivery.Outcome
		state, text string
	}{
		"all done":                         {[]delivery.Outcome{succeeded("a"), succeeded("b")}, "success", "2 targets: 2 done"},
		"one of all":                       {[]delivery.Outcome{succeeded("a")}, "success", "1 target: 1 done"},
		"an optional failure is a success": {[]delivery.Outcome{succeeded("a"), optional}, "success", "2 targets: 1 done, 1 failed but optional"},
		"canceled is worse than done":      {[]delivery.Outcome{stopped("a"), succeeded("b")}, "canceled", "2 targets: 1 done, 1 canceled"},
		"failed is the worst":              {[]delivery.Outcome{broken("a"), stopped("b"), broken("c")}, "failed", "3 targets: 1 canceled, 2 failed (a, c)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if state, text := report.SumOf(c.outcomes); state != c.state || text != c.text {
				t.Errorf("got %s %q, want %s %q", state, text, c.state, c.text)
			}
		})
	}
	t.Run("the names of many failures are cut", func(t *testing.T) {
		t.Parallel()
		var many []delivery.Outcome
		for i := range 100 {
			many = append(many, broken(fmt.Sprintf("target-%d", i)))
		}
		if _, text := report.SumOf(many); utf8.RuneCountInString(text) > 255 || !strings.HasPrefix(text, "100 targets: 100 failed (target-0") {
			t.Errorf("got %q", text)
		}
	})
}
