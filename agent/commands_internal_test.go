package agent

import (
	"fmt"
	"testing"
	"time"
)

func TestRefusalsAreToldSomeTimesInAnHour(t *testing.T) {
	t.Parallel()
	var f refusals
	at := time.Date(2026, 11, 20, 14, 0, 0, 0, time.UTC)
	told := func(who string, at time.Time) (n int) {
		for range 10 {
			if f.tell(who, at) {
				n++
			}
		}
		return n
	}
	for _, tt := range []struct {
		who  string
		at   time.Time
		want int
	}{
		{"eve", at, 5}, {"eve", at.Add(59 * time.Minute), 0}, {"mona", at, 5}, {"eve", at.Add(time.Hour), 5}, {"eve", at.Add(90 * time.Minute), 0},
	} {
		if got := told(tt.who, tt.at); got != tt.want {
			t.Errorf("%s at %s: told %d times, want %d", tt.who, tt.at.Format("15:04"), got, tt.want)
		}
	}
	for i := range 2 * maxRefused {
		f.tell(fmt.Sprint(i), at)
	}
	if n := len(f.told); n > maxRefused {
		t.Errorf("%d people are remembered, want at most %d", n, maxRefused)
	}
}
