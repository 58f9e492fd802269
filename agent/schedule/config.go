package schedule

import (
	"errors"
	"fmt"
)

// Config is one schedule: when, and what is then brought in step.
type Config struct {
	Name     string // unique; firings are kept by it, so a new name is a new schedule
	Cron     string // five fields; or
	Every    string // an ISO 8601 duration; or neither, with OnStart
	Zone     string // of Cron, such as Europe/Berlin; empty: UTC
	OnStart  bool   // also when the agent starts
	Projects []string
	Refs     []string
	Sync     []string // names of targets
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
