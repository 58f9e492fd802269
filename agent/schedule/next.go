package schedule

import "time"

// Next is the first slot after t, in UTC; the zero time if there is none.
func (s Spec) Next(t time.Time) time.Time {
	switch {
	case s.every > 0:
		return s.nextInterval(t)
	case s.cron == nil:
		return time.Time{}
	case s.cron.Hour&everyHour == everyHour:
		return s.nextEveryHour(t.In(s.zone))
	}
	return s.nextOfClock(t.In(s.zone))
}

// Due is the newest slot after last and not after now: what is to be done now,
// however many slots have passed. Without a last there is nothing to make up for.
func (s Spec) Due(last, now time.Time) (slot time.Time, ok bool) {
	if last.IsZero() || !last.Before(now) {
		return time.Time{}, false
	}
	// Wider and wider windows before now: the first that holds a slot holds few.
	for width := shortest; ; width *= 2 {
		from := now.Add(-width)
		if from.Before(last) || width >= longest*farthest {
			from = last
		}
		for next := s.Next(from); !next.IsZero() && !next.After(now); next = s.Next(next) {
			slot, ok = next, true
		}
		if ok || from.Equal(last) {
			return slot, ok
		}
	}
}

// everyHour are the bits of all hours of a day.
const everyHour = 1<<24 - 1

func (s Spec) nextInterval(t time.Time) time.Time {
	since := t.Sub(monday)
	n := int64(since / s.every)
	if since < 0 && since%s.every != 0 {
		n--
	}
	return monday.Add(time.Duration(n+1) * s.every)
}

// nextEveryHour looks from one change of the clock to the next: between two, the
// clock shows every time once.
func (s Spec) nextEveryHour(t time.Time) time.Time {
	for range farthest * 12 {
		_, offset := t.Zone()
		_, end := t.ZoneBounds()
		shown := s.cron.Next(wall(t))
		if shown.IsZero() {
			return shown
		}
		at := shown.Add(-time.Duration(offset) * time.Second)
		if end.IsZero() || at.Before(end) {
			return at
		}
		if s.shows(end) {
			return end.UTC()
		}
		t = end
	}
	return time.Time{}
}

// shows says whether t itself is a slot by what the clock shows.
func (s Spec) shows(t time.Time) bool {
	return s.cron.Next(wall(t).Add(-time.Second)).Equal(wall(t))
}

// nextOfClock takes each time that a clock would show if it never changed, and
// finds when it is. For a day after a change, the times before it may still come.
func (s Spec) nextOfClock(t time.Time) time.Time {
	shown := wall(t)
	if start, _ := t.ZoneBounds(); !start.IsZero() && t.Sub(start) < day {
		shown = shown.Add(-day)
	}
	var best time.Time
	for {
		shown = s.cron.Next(shown)
		if shown.IsZero() || !best.IsZero() && shown.After(wall(best.In(s.zone))) {
			return best
		}
		if at := when(shown, s.zone); at.After(t) && (best.IsZero() || at.Before(best)) {
			best = at
		}
	}
}

const day = 24 * time.Hour

// wall is what a clock shows at t, as a time that is never changed.
func wall(t time.Time) time.Time {
	_, offset := t.Zone()
	return t.UTC().Add(time.Duration(offset) * time.Second)
}

// when is the first time, in UTC, that a clock in zone shows what shown says; or,
// where it jumps over it, later by as much as it jumps.
func when(shown time.Time, zone *time.Location) time.Time {
	_, before := shown.Add(-day).In(zone).Zone()
	_, after := shown.Add(day).In(zone).Zone()
	early := shown.Add(-time.Duration(before) * time.Second)
	late := shown.Add(-time.Duration(after) * time.Second)
	if wall(early.In(zone)).Equal(shown) || !wall(late.In(zone)).Equal(shown) {
		return early
	}
	return late
}
