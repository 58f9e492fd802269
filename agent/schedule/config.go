package schedule

import (
	"errors"
	"fmt"
)

// Config is one schedule: when, and what is then brought in step.
type Config struct {
	Name     string   `yaml:"name" usage:"name, by which firings are kept: a new name is a new schedule"`
	Cron     string   `yaml:"cron" usage:"five fields: minute, hour, day of month, month, day of week"`
	Every    string   `yaml:"every" usage:"ISO 8601 duration in place of cron, such as PT15M or P1D, from one minute to 366 days"`
	Zone     string   `yaml:"zone" usage:"time zone of cron, such as Europe/Berlin; default UTC"`
	OnStart  bool     `yaml:"on_start" usage:"also when the agent starts"`
	Projects []string `yaml:"projects" usage:"paths or globs of projects"`
	Refs     []string `yaml:"refs" usage:"branches or tags, by name or glob"`
	Paths    []string `yaml:"paths" usage:"globs of files; what does not touch them is skipped"`
	Sync     []string `yaml:"sync" usage:"names of targets"`
}

// Spec is when the schedule fires.
func (c Config) Spec() (Spec, error) {
	switch {
	case c.Cron != "" && c.Every != "":
		return Spec{}, errors.New("cron and every: want one of them")
	case c.Cron != "":
		s, err := Parse(c.Cron, c.Zone)
		if err == nil && s.cron == nil {
			err = fmt.Errorf("cron %q: is a duration; say every: %s", c.Cron, c.Cron)
		}
		return s, err
	case c.Every != "":
		s, err := Parse(c.Every, c.Zone)
		if err == nil && s.cron != nil {
			err = fmt.Errorf("every %q: want an ISO 8601 duration such as PT15M; cron expressions go to cron", c.Every)
		}
		return s, err
	case !c.OnStart:
		return Spec{}, errors.New("never fires: want cron, every or on_start")
	}
	return Spec{}, nil
}

// Validate tells everything that is wrong with the schedule.
func (c Config) Validate() error {
	var errs []error
	name := c.Name
	if name == "" {
		name = "schedule"
		errs = append(errs, errors.New("schedule: name: missing"))
	}
	if _, err := c.Spec(); err != nil {
		errs = append(errs, fmt.Errorf("%s: %w", name, err))
	}
	if len(c.Sync) == 0 {
		errs = append(errs, fmt.Errorf("%s: sync: names no target", name))
	}
	return errors.Join(errs...)
}
