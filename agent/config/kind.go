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
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// parseDuration reads 90s, 10m, or PT10M as ISO 8601 has it.
func parseDuration(text string) (time.Duration, error) {
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
	if err != nil || d <= 0 || d > 24*time.Hour {
		return 0, fmt.Errorf("want a duration such as 90s, 10m or PT10M, at most 24h, not %q", clip(text))
	}
	return d, nil
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
