package report

import (
	"fmt"
	"strings"

	"gitlab.com/remora-ci/remora/component/delivery"
)

// messageOf is the final status of an outcome. A skipped one is success, for
// GitLab refuses the step from running to skipped, and a pipeline of skipped
// jobs may block the merge; an optional failure is success, for GitLab knows no
// allowed failure here.
func messageOf(o delivery.Outcome, links ...string) message {
	m := message{state: success, url: link(append([]string{o.Receipt.URL}, links...)...)}
	switch {
	case o.Canceled():
		m.state, m.description = canceled, "canceled"
	case o.State == delivery.Skipped:
		m.description = "skipped: " + o.Summary()
	case o.State != delivery.Done && o.Optional:
		m.description = "failed, optional: " + reason(o)
	case o.State != delivery.Done:
		m.state, m.description = failed, reason(o)
	default:
		m.description = done(o)
	}
	m.description = clamp(m.description)
	return m
}

// reason is the summary of a failure, with its cause if that says more.
func reason(o delivery.Outcome) string {
	if o.Err == nil {
		return o.Summary()
	}
	f := delivery.Explain(o.Err)
	if f.Cause == "" || strings.Contains(f.Cause, f.Summary) {
		return f.Summary
	}
	return f.Summary + ": " + f.Cause
}

func done(o delivery.Outcome) string {
	text := o.Summary()
	if o.Receipt.Revision != "" {
		text += ", at " + delivery.ShortSHA(o.Receipt.Revision)
	}
	switch n := len(o.Receipt.Warnings); n {
	case 0:
	case 1:
		text += ", 1 warning"
	default:
		text += fmt.Sprintf(", %d warnings", n)
	}
	return text
}

// sumOf is the one status of many targets: as bad as the worst of them.
func sumOf(outcomes []delivery.Outcome, links ...string) message {
	m := message{state: success, url: link(links...)}
	counts := map[string]int{}
	var named []string
	for _, o := range outcomes {
		one := messageOf(o)
		word := string(o.State)
		switch {
		case one.state == failed:
			m.state, word = failed, "failed"
			named = append(named, o.Target)
		case one.state == canceled:
			word = "canceled"
			if m.state != failed {
				m.state = canceled
			}
		case o.State == delivery.Failed || o.State == delivery.Retry:
			word = "failed but optional"
		}
		counts[word]++
	}
	var parts []string
	for _, word := range []string{"done", "skipped", "canceled", "failed but optional", "failed"} {
		if n := counts[word]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, word))
		}
	}
	m.description = countOf(len(outcomes)) + ": " + strings.Join(parts, ", ")
	if len(named) > 0 {
		m.description += " (" + strings.Join(named, ", ") + ")"
	}
	m.description = clamp(m.description)
	return m
}

func countOf(targets int) string {
	if targets == 1 {
		return "1 target"
	}
	return fmt.Sprintf("%d targets", targets)
}

// addressOf are the addresses that a status may lead to, best first.
func addressOf(ev delivery.Event) []string {
	var out []string
	if ev.Job != nil {
		out = append(out, ev.Job.URL)
	}
	if ev.Pipeline != nil {
		out = append(out, ev.Pipeline.URL)
	}
	return out
}
