package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sosodev/duration"
)

// What a text must be.
const (
	kindBool     = "bool"
	kindInt      = "int"      // from 1
	kindSize     = "size"     // bytes: 64MiB
	kindDuration = "duration" // 90s, 10m or PT10M, up to a day
	kindPath     = "path"
	kindPause    = "pause" // a duration up to maxPause, or 0s
	kindHeal     = "heal"  // a duration up to a day, or off
	kindAge      = "age"   // an ISO 8601 duration up to maxAge, or never
)

const (
	maxPause = 5 * time.Minute
	maxAge   = 366 * 24 * time.Hour
)

const maxInt = 1 << 20

// checkKind says what is wrong with a text, or "". Numbers and the like are no
// secrets, so they are quoted.
func checkKind(kind, text string) string {
	var err error
	switch kind {
	case kindBool:
		if _, err = strconv.ParseBool(text); err != nil {
			return fmt.Sprintf("want true or false, not %q", clip(text))
		}
	case kindInt:
		if n, err := strconv.Atoi(text); err != nil || n < 1 || n > maxInt {
			return fmt.Sprintf("want a whole number from 1 to %d, not %q", maxInt, clip(text))
		}
	case kindSize:
		_, err = parseSize(text)
	case kindDuration:
		_, err = parseDuration(text)
	case kindPause:
		_, err = parsePause(text)
	case kindHeal:
		_, err = parseHeal(text)
	case kindAge:
		_, err = parseAge(text)
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// parseDuration reads 90s, 10m, or PT10M as ISO 8601 has it.
func parseDuration(text string) (time.Duration, error) {
	d, err := anyDuration(text)
	if err != nil || d <= 0 || d > 24*time.Hour {
		return 0, fmt.Errorf("want a duration such as 90s, 10m or PT10M, at most 24h, not %q", clip(text))
	}
	return d, nil
}

// parsePause reads a duration that may be none at all.
func parsePause(text string) (time.Duration, error) {
	d, err := anyDuration(text)
	if err != nil || d < 0 || d > maxPause {
		return 0, fmt.Errorf("want a duration such as 2s, at most 5m, or 0s for none, not %q", clip(text))
	}
	return d, nil
}

// parseHeal reads a duration; off is 0.
func parseHeal(text string) (time.Duration, error) {
	if isOff(text) {
		return 0, nil
	}
	d, err := anyDuration(text)
	if err != nil || d <= 0 || d > 24*time.Hour {
		return 0, fmt.Errorf("want a duration such as PT15M, at most 24h, or off, not %q", clip(text))
	}
	return d, nil
}

// parseAge reads a duration of ISO 8601; never is 0.
func parseAge(text string) (time.Duration, error) {
	if isOff(text) || text == "never" {
		return 0, nil
	}
	d, err := anyDuration(text)
	if err != nil || !strings.HasPrefix(text, "P") || d <= 0 || d > maxAge {
		return 0, fmt.Errorf("want a duration such as P90D, at most P366D, or never, not %q", clip(text))
	}
	return d, nil
}

// isOff also knows what a reader of YAML 1.1 makes of off, where a variable gives it.
func isOff(text string) bool { return text == "off" || text == "false" }

func anyDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if strings.HasPrefix(text, "P") {
		var iso *duration.Duration
		if iso, err = duration.Parse(text); err == nil {
			if iso.Years != 0 || iso.Months != 0 {
				err = errors.New("no fixed length")
			}
			d = iso.ToTimeDuration()
		}
	}
	return d, err
}

var units = []struct {
	name  string
	bytes int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}}

// parseSize reads 64MiB.
func parseSize(text string) (int64, error) {
	for _, u := range units {
		number, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 32); err == nil && n > 0 {
			return n * u.bytes, nil
		}
	}
	return 0, fmt.Errorf("want a size such as 64MiB, in KiB, MiB or GiB, not %q", clip(text))
}

func sizeText(bytes int64) string {
	for i := len(units) - 1; i > 0; i-- {
		if bytes%units[i].bytes == 0 {
			return fmt.Sprintf("%d %s", bytes/units[i].bytes, units[i].name)
		}
	}
	return fmt.Sprintf("%d KiB", bytes>>10)
}
