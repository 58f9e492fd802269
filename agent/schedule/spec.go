package schedule

import (
	"errors"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // zones are known also where the machine has none, as in our image

	"github.com/netresearch/go-cron"
	"github.com/sosodev/duration"
)

const (
	shortest = time.Minute
	longest  = 366 * 24 * time.Hour

	// farthest is how many years ahead cron is looked for: 29 February can be
	// eight years away.
	farthest = 12
)

// Spec is a set of slots. The zero Spec has none.
type Spec struct {
	cron  *cron.SpecSchedule // in wall-clock time: its zone is UTC and means nothing
	zone  *time.Location
	every time.Duration
}

// monday is what intervals are counted from.
var monday = time.Date(1970, time.January, 5, 0, 0, 0, 0, time.UTC)

// Parse reads a cron expression, or an ISO 8601 duration, which begins with P.
// zone is the name of a time zone, for cron alone; empty is UTC. It may stand in
// front of the expression instead, as CRON_TZ=Europe/Berlin. What would never
// fire is an error.
func Parse(spec, zone string) (Spec, error) {
	spec = strings.TrimSpace(spec)
	if upper := strings.ToUpper(spec); strings.HasPrefix(upper, "P") || strings.HasPrefix(upper, "-P") || strings.HasPrefix(upper, "+P") {
		every, err := interval(upper)
		if err == nil {
			_, err = location(zone)
		}
		return Spec{every: every}, err
	}
	spec, zone, err := cutZone(spec, zone)
	if err != nil {
		return Spec{}, err
	}
	loc, err := location(zone)
	if err != nil {
		return Spec{}, err
	}
	parsed, err := expression(spec)
	return Spec{cron: parsed, zone: loc}, err
}

// cutZone takes the zone from the front of a cron expression.
func cutZone(spec, zone string) (rest, name string, err error) {
	for _, key := range []string{"CRON_TZ=", "TZ="} {
		after, ok := strings.CutPrefix(spec, key)
		if !ok {
			continue
		}
		name, rest, _ = strings.Cut(after, " ")
		switch {
		case name == "":
			return "", "", fmt.Errorf("cron %q: names no zone", spec)
		case zone != "" && zone != name:
			return "", "", fmt.Errorf("cron %q: the zone is given twice, also as %s", spec, zone)
		}
		return strings.TrimSpace(rest), name, nil
	}
	return spec, zone, nil
}

// location is a time zone by its name. The machine's own is refused: agents on
// several machines must agree on it.
func location(zone string) (*time.Location, error) {
	if zone == "" {
		return time.UTC, nil
	}
	loc, err := time.LoadLocation(zone)
	if err != nil || strings.EqualFold(zone, "local") {
		return nil, fmt.Errorf("zone %q: want a name such as Europe/Berlin or UTC", zone)
	}
	return loc, nil
}

// expression parses cron's five fields. The library is the parser and finds the
// next time in UTC; clocks that change are not left to it.
func expression(spec string) (*cron.SpecSchedule, error) {
	switch lower := strings.ToLower(spec); {
	case strings.HasPrefix(lower, "@reboot"):
		return nil, errors.New("cron @reboot: say on_start: true instead")
	case strings.HasPrefix(lower, "@every"):
		return nil, errors.New("cron @every: say every: PT1H instead")
	case !strings.HasPrefix(lower, "@") && len(strings.Fields(spec)) != 5:
		return nil, fmt.Errorf("cron %q: want five fields: minute, hour, day of month, month, day of week; there are no seconds", spec)
	}
	parser, err := cron.TryNewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor | cron.DowOrDom)
	if err != nil {
		return nil, fmt.Errorf("cron %q: %w", spec, err)
	}
	parsed, err := parser.WithMaxSearchYears(farthest).Parse(spec)
	if err != nil {
		return nil, fmt.Errorf("cron %q: %w", spec, err)
	}
	fields, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return nil, fmt.Errorf("cron %q: is no set of times", spec)
	}
	fields.Location = time.UTC
	if fields.Next(monday).IsZero() {
		return nil, fmt.Errorf("cron %q: there is no such day, it would never fire", spec)
	}
	return fields, nil
}

// interval reads an ISO 8601 duration whose length does not depend on the month.
func interval(spec string) (time.Duration, error) {
	d, err := duration.Parse(spec)
	switch {
	case err != nil || strings.HasSuffix(spec, "T"):
		return 0, fmt.Errorf("every %q: want an ISO 8601 duration such as PT15M, PT6H or P1D", spec)
	case d.Years != 0 || d.Months != 0:
		return 0, fmt.Errorf("every %q: months and years are of different length; say it with cron", spec)
	case d.Negative:
		return 0, fmt.Errorf("every %q: is negative", spec)
	}
	// Summed up first, as what is too long is also too long for a time.Duration.
	seconds := ((d.Weeks*7+d.Days)*24+d.Hours)*3600 + d.Minutes*60 + d.Seconds
	switch {
	case seconds < shortest.Seconds():
		return 0, fmt.Errorf("every %q: want one minute or more", spec)
	case seconds > longest.Seconds():
		return 0, fmt.Errorf("every %q: want 366 days or less", spec)
	case seconds != float64(int64(seconds)):
		return 0, fmt.Errorf("every %q: want whole seconds", spec)
	}
	return time.Duration(seconds) * time.Second, nil
}
