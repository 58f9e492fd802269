package config

import (
	"strconv"
	"strings"

	"gitlab.com/remora-ci/remora/agent/route"
)

func (l *loader) schedules(instances []Instance) []Schedule {
	var list []Schedule
	taken := l.newNames()
	for i, d := range l.doc.Schedules {
		path := item("schedules", i)
		if d.Name != "" {
			taken.take(path, d.Name)
			l.checkName(join(path, "name"), d.Name)
		}
		s := Schedule{Name: d.Name, Spec: firstOf(d.Cron, d.Every), Zone: d.Zone, Projects: d.Projects, Refs: d.Refs, Sync: d.Sync}
		s.OnStart, _ = strconv.ParseBool(d.OnStart)
		s.Instance = l.instanceNamed(path, d.GitLab, instances)
		l.checkWhen(path, d, s.OnStart)
		for _, need := range []struct {
			key  string
			list []string
		}{{"projects", d.Projects}, {"sync", d.Sync}} {
			if len(need.list) == 0 {
				l.fault(join(path, need.key), "empty; name at least one")
			}
		}
		l.checkSync(path, d.Sync)
		l.checkRule(path, route.Rule{Projects: d.Projects, Refs: d.Refs})
		list = append(list, s)
	}
	return list
}

// checkWhen tells if a schedule can never fire, or says two things.
func (l *loader) checkWhen(path string, d scheduleEntry, onStart bool) {
	switch {
	case d.Cron != "" && d.Every != "":
		l.fault(join(path, "every"), "cron is set too; set one of them")
		return
	case d.Cron == "" && d.Every == "":
		if !onStart && !l.bad[join(path, "cron")] && !l.bad[join(path, "every")] && !l.bad[join(path, "on_start")] {
			l.fault(join(path, "cron"), "missing; set cron, every or on_start, or it never fires")
		}
		return
	case d.Every != "" && d.Zone != "":
		l.fault(join(path, "zone"), "means something with cron only; take it out")
		return
	}
	key, spec := "cron", d.Cron
	if d.Every != "" {
		key, spec = "every", d.Every
	}
	if err := checkSpec(spec, d.Zone); err != nil {
		if strings.Contains(err.Error(), "zone") && d.Zone != "" {
			key = "zone"
		}
		l.fault(join(path, key), "%v", err)
	}
}
