package report_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

// Whatever the order of calls and the faults of the server: each target shows the
// end of its newest attempt, nothing stays open, and GitLab never has to refuse
// a step.
func TestStatusesEndAsTheNewestAttempt(t *testing.T) {
	t.Parallel()
	faults := []gitlabtest.Answer{{}, {}, {Code: 502}, {Code: 500, After: true}, {Drop: true}, {Drop: true, After: true}, {Code: 429}}
	states := map[delivery.State]string{delivery.Done: "success", delivery.Skipped: "success", delivery.Failed: "failed"}
	rapid.Check(t, func(rt *rapid.T) {
		s := newStage(t)
		defer s.git.Close()
		s.git.Fail("POST /statuses/", rapid.SliceOfN(rapid.SampledFrom(faults), 0, 3).Draw(rt, "faults")...)
		path := s.journal()
		r := s.reporter()
		newest := map[string]delivery.Outcome{}
		for i := range rapid.IntRange(1, 12).Draw(rt, "calls") {
			target := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "target")
			if rapid.Bool().Draw(rt, "open") {
				r.Open(t.Context(), []string{target})
				continue
			}
			o := delivery.Outcome{
				Target: target, Attempt: rapid.IntRange(1, 3).Draw(rt, "attempt"),
				State:   rapid.SampledFrom([]delivery.State{delivery.Done, delivery.Skipped, delivery.Failed}).Draw(rt, "state"),
				Receipt: delivery.Receipt{Result: fmt.Sprint("call ", i)},
			}
			r.Finish(t.Context(), o)
			if known, ok := newest[target]; !ok || known.Attempt < o.Attempt {
				newest[target] = o
			}
		}
		var outcomes []delivery.Outcome
		for _, target := range []string{"a", "b", "c"} {
			o, ok := newest[target]
			if !ok {
				o = succeeded(target)
				newest[target] = o
			}
			outcomes = append(outcomes, o)
		}
		got := s.close(r, outcomes...)
		if got.Statuses != 3 || got.Problems != nil {
			rt.Errorf("got %d statuses and %v, want 3 and no problem", got.Statuses, got.Problems)
		}
		for _, st := range s.git.Statuses(42, s.scene.SHA) {
			if st.Retried {
				continue
			}
			if want := states[newest[st.Name[len("sync/"):]].State]; st.State != want {
				rt.Errorf("got %s %s, want %s", st.Name, st.State, want)
			}
		}
		for _, p := range s.git.Requests("POST /statuses/") {
			if p.Code >= 400 && p.Code < 429 {
				rt.Errorf("a step was refused: %d %s", p.Code, p.Body)
			}
		}
		s.absent(path)
	})
}
