package delivery_test

import (
	"errors"
	"testing"

	"gitlab.com/remora-ci/remora/component/delivery"
)

func TestAnErrorIsAFindingWithARemedy(t *testing.T) {
	t.Parallel()
	const usual = "try again later; if it stays so, look at the log of the other side"
	for _, tt := range []struct {
		name  string
		level delivery.Level
		err   error
		want  delivery.Finding
	}{
		{"summary and cause", delivery.Fail, &delivery.Fault{Summary: "token refused", Cause: "status 401", Remedy: "set X"}, delivery.Finding{Text: "token refused: status 401", Remedy: "set X"}},
		{"a cause that says the summary too", delivery.Fail, &delivery.Fault{Summary: "boom", Cause: "ask: boom", Remedy: "set X"}, delivery.Finding{Text: "ask: boom", Remedy: "set X"}},
		{"no cause", delivery.Warn, &delivery.Fault{Summary: "boom", Remedy: "set X"}, delivery.Finding{Text: "boom", Remedy: "set X"}},
		{"a plain error", delivery.Fail, errors.New("ask: boom"), delivery.Finding{Text: "ask: boom", Remedy: usual}},
		{"what passed needs none", delivery.Pass, errors.New("ask: boom"), delivery.Finding{Text: "ask: boom"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.want.Subject, tt.want.Level = "x", tt.level
			if got := delivery.Wrong("x", tt.level, tt.err); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}
