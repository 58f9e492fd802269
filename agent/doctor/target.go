package doctor

import (
	"context"
	"fmt"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
	"gitlab.com/remora-ci/remora/component/target"
)

// targetChecks are those of every target.
func (e *exam) targetChecks() []check {
	var checks []check
	for _, t := range e.c.Targets {
		t.Config.HTTP.Insist = true
		checks = append(checks, check{"target " + t.Name, func(ctx context.Context) []delivery.Finding {
			return Targets(ctx, t.Config, e.way(t.CAFile, 0), func(delivery.Target) string { return "target " + t.Name })
		}})
	}
	return checks
}

// Targets has every target of a configuration say whether it would work, one after
// the other. way bounds their calls.
func Targets(ctx context.Context, c target.Config, way rest.Config, subject func(delivery.Target) string) []delivery.Finding {
	made, err := target.Build(c, way, max(way.Timeout, time.Second), false)
	if err != nil {
		return []delivery.Finding{delivery.Wrong("targets", delivery.Fail, &delivery.Fault{Summary: "cannot be made", Cause: err.Error(), Remedy: "correct the settings that it names"})}
	}
	var found []delivery.Finding
	for _, t := range made {
		name := subject(t)
		checker, ok := t.(delivery.Checker)
		if !ok {
			found = append(found, warn(name, fmt.Sprintf("a target of kind %s cannot be checked", t.Name()), "deliver something to it"))
			continue
		}
		for _, f := range checker.Check(ctx) {
			f.Subject = name + ", " + f.Subject
			found = append(found, f)
		}
	}
	return found
}
