package component

import (
	"context"
	"fmt"
	"io"
	"strings"

	"gitlab.com/remora-ci/remora/component/delivery"
)

// Plan is what Run would do. Making it sends nothing.
type Plan struct {
	DryRun  bool           `json:"dry_run"` // always true
	Event   delivery.Event `json:"event"`
	Targets []TargetPlan   `json:"targets"`
	Report  []string       `json:"report"`
	Name    string         `json:"-"`
}

// TargetPlan is what one target would be sent.
type TargetPlan struct {
	Target string   `json:"target"`
	Place  string   `json:"place,omitempty"`
	Steps  []string `json:"steps"`
}

// PlanOf says what Run would send; the error is a [Misuse].
func PlanOf(ctx context.Context, c Config, version string) (Plan, error) {
	j, err := prepare(ctx, c, version)
	if err != nil {
		return Plan{}, err
	}
	findMergeRequest(ctx, nil, c.CI, &j.event)
	p := Plan{DryRun: true, Event: j.event, Name: c.Report.Name, Report: j.reportPlan()}
	for _, t := range j.targets {
		tp := TargetPlan{Target: t.Name()}
		if placed, ok := t.(delivery.Placer); ok {
			tp.Place = placed.Place()
		}
		if planner, ok := t.(delivery.Planner); ok {
			if tp.Steps, err = planner.Plan(j.event); err != nil {
				return Plan{}, &Misuse{fmt.Errorf("%s: %w", t.Name(), err)}
			}
		}
		for i := range tp.Steps {
			tp.Steps[i] = j.scrub.Text(tp.Steps[i])
		}
		p.Targets = append(p.Targets, tp)
	}
	return p, nil
}

func (j *job) reportPlan() []string {
	c := j.config.Report
	if j.gitlab == nil {
		return []string{"nothing: REMORA_GITLAB_TOKEN is not set"}
	}
	var out []string
	if c.Report == "auto" || c.Report == "status" {
		for _, t := range j.targets {
			out = append(out, fmt.Sprintf("commit status %s/%s on %s", c.Name, t.Name(), delivery.ShortSHA(j.event.SHA)))
		}
	}
	mr := j.event.MergeRequest
	switch {
	case c.Note == "off" || c.Report == "status" || c.Report == "off":
	case mr != nil:
		out = append(out, fmt.Sprintf("note on merge request !%d (%s)", mr.IID, c.Note))
	case j.event.RefType == delivery.Branch:
		out = append(out, "note on the commit's merge request, if GitLab knows one")
	}
	if len(out) == 0 {
		return []string{"nothing: switched off"}
	}
	return out
}

// Print writes the plan as text or as one JSON object.
func (p Plan) Print(w io.Writer, s Style) error {
	if s.JSON {
		return printJSON(w, p)
	}
	var b strings.Builder
	b.WriteString("dry run: nothing is sent\n")
	b.WriteString(Result{Name: p.Name, Event: p.Event}.heading() + "\n")
	for _, t := range p.Targets {
		fmt.Fprintf(&b, "  %s\n", clean(strings.TrimSpace(t.Target+" "+t.Place)))
		for _, step := range t.Steps {
			fmt.Fprintf(&b, "    %s\n", clean(step))
		}
	}
	b.WriteString("  report\n")
	for _, step := range p.Report {
		fmt.Fprintf(&b, "    %s\n", clean(step))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
