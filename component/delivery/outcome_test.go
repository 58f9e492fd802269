package delivery_test

import (
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
)

func TestSpan(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0:                                    "0ms",
		850 * time.Millisecond:               "850ms",
		time.Second:                          "1s",
		4123 * time.Millisecond:              "4.1s",
		5 * time.Minute:                      "5m",
		10 * time.Minute:                     "10m",
		90 * time.Second:                     "1m30s",
		time.Hour:                            "1h",
		90 * time.Minute:                     "1h30m",
		time.Hour + 20*time.Second:           "1h0m20s",
		20*time.Hour + 40*time.Minute:        "20h40m",
		5*time.Minute + 400*time.Millisecond: "5m",
	} {
		if got := delivery.Span(d); got != want {
			t.Errorf("Span(%s) = %q, want %q", d, got, want)
		}
	}
}
