package component

import (
	"context"
	"fmt"
	"io"
	"strings"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/paths"
	"gitlab.com/remora-ci/remora/component/report"
)

// Plan is what Run would do. Making it sends nothing.
type Plan struct {
	DryRun  bool           `json:"dry_run"` // always true
	Event   delivery.Event `json:"event"`
	Targets []TargetPlan   `json:"targets"`
	Paths   string         `json:"paths,omitempty"` // what the path filter says
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
	if c.Agent.Enabled() {
		return planOfAsking(ctx, c, version)
	}
	j, err := prepare(ctx, c, version)
	if err != nil {
		return Plan{}, err
	}
	findMergeRequest(ctx, nil, c.CI, &j.event)
	p := Plan{DryRun: true, Event: j.event, Name: c.Report.Name, Report: j.reportPlan()}
	if p.Paths, err = j.pathsPlan(ctx); err != nil {
		return Plan{}, err
	}
	for _, t := range j.targets {
		tp := TargetPlan{Target: t.Name()}
		if placed, ok := t.(delivery.Placer); ok {
			tp.Place = placed.Place()
		}
		if planner, ok := t.(delivery.Planner); ok {
			tp.Steps, err = planner.Plan(j.event)
			if reason, skips := delivery.SkipReason(err); skips {
				tp.Steps = []string{"nothing: " + reason}
			} else if err != nil {
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

// pathsPlan is what the clone alone lets the path filter say.
func (j *job) pathsPlan(ctx context.Context) (string, error) {
	local, err := paths.New(j.config.Paths, j.config.CI.ProjectDir, nil)
	if err != nil || local.Empty() {
		return "", err
	}
	switch d := local.Decide(ctx, j.event); {
	case !d.Run:
		return d.Why + ": all targets are skipped", nil
	case j.gitlab == nil:
		return d.Why, nil
	}
	return "paths: all targets are skipped if GitLab proves that nothing in the change matches", nil
}

// statusCommits are the commits that get statuses: in merged results the
// pipeline's is another than that of the source branch.
func (j *job) statusCommits() []string {
	source := j.event.SHA
	if j.event.Pipeline == nil || j.event.Pipeline.SHA == source || j.config.Report.StatusOn == report.OnSource {
		return []string{source}
	}
	if j.config.Report.StatusOn == report.OnBoth {
		return []string{j.event.Pipeline.SHA, source}
	}
	return []string{j.event.Pipeline.SHA}
}

func (j *job) reportPlan() []string {
	c := j.config.Report
	if j.gitlab == nil {
		return []string{"nothing: REMORA_GITLAB_TOKEN is not set"}
	}
	var out []string
	if c.Report == report.ReportAuto || c.Report == report.ReportStatus {
		for _, sha := range j.statusCommits() {
			for _, t := range j.targets {
				out = append(out, fmt.Sprintf("commit status %s/%s on %s", c.Name, t.Name(), delivery.ShortSHA(sha)))
			}
		}
	}
	mr := j.event.MergeRequest
	switch {
	case c.Note == report.NoteOff || c.Report == report.ReportStatus || c.Report == report.ReportOff:
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
	if p.Paths != "" {
		fmt.Fprintf(&b, "  %s\n", clean(p.Paths))
	}
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
