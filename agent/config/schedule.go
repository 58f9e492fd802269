package config

import (
	"strconv"
	"strings"

	"gitlab.com/remora-ci/remora/agent/route"
	"gitlab.com/remora-ci/remora/agent/schedule"
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
		s := Schedule{Config: schedule.Config{Name: d.Name, Cron: d.Cron, Every: d.Every, Zone: d.Zone, Projects: d.Projects, Refs: d.Refs, Sync: d.Sync}}
		s.OnStart, _ = strconv.ParseBool(d.OnStart)
		s.Instance = l.instanceNamed(path, d.GitLab, instances)
		l.checkWhen(path, s.Config)
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
func (l *loader) checkWhen(path string, c schedule.Config) {
	for _, key := range []string{"cron", "every", "zone", "on_start"} {
		if l.bad[join(path, key)] {
			return
		}
	}
	if c.Cron != "" && c.Every != "" {
		l.fault(join(path, "every"), "cron is set too; set one of them")
		c.Every = ""
	}
	_, err := c.Spec()
	if err != nil && strings.HasPrefix(err.Error(), "zone ") {
		l.fault(join(path, "zone"), "%s", strings.TrimPrefix(err.Error(), "zone "))
		c.Zone = ""
		_, err = c.Spec()
	}
	switch {
	case err == nil && c.Zone != "" && c.Cron == "":
		l.fault(join(path, "zone"), "means something with cron only; take it out")
	case err == nil:
	case c.Every != "":
		l.fault(join(path, "every"), "%s", strings.TrimPrefix(err.Error(), "every "))
	default:
		l.fault(join(path, "cron"), "%s", strings.TrimPrefix(err.Error(), "cron "))
	}
}
