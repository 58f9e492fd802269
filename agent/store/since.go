package store

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// ParseSince reads how far back people look: a duration before now, in Go's form or
// in days, or a time that the store can compare with its own. A day without a time
// begins in the zone of now. Empty text is the zero time.
func ParseSince(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return now.AddDate(0, 0, -int(n)), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil && t.Year() >= 1970 && t.Year() < 10000 {
			return t, nil
		}
	}
	return time.Time{}, errors.New("want a duration such as 90m, 2h or 7d, or a time such as 2026-11-20T14:00:00Z")
}
