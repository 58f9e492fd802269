package schedule_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"gitlab.com/remora-ci/remora/agent/schedule"
)

// FuzzParse: what is accepted fires, again and again, always later.
func FuzzParse(f *testing.F) {
	for _, spec := range []string{"* * * * *", "5 4 * * SUN", "0 22 * * 1-5", "@hourly", "PT15M", "P1W", "TZ=Asia/Tokyo 0 9 29 2 *", "0 0 31 2 *", "*/7 1-5,9 ? JAN-MAR *"} {
		f.Add(spec, "")
		f.Add(spec, "America/Santiago")
	}
	f.Fuzz(func(t *testing.T, spec, zone string) {
		s, err := schedule.Parse(spec, zone)
		if err != nil {
			return
		}
		last := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		for range 5 {
			next := s.Next(last)
			if !next.After(last) {
				t.Fatalf("%q in %q: after %s comes %s", spec, zone, last, next)
			}
			last = next
		}
	})
}

// TestSlotsAreTheSameForEverybody: whoever asks at whatever time sees the same
// slots. Agents that disagree would fire twice, or never.
func TestSlotsAreTheSameForEverybody(t *testing.T) {
	t.Parallel()
	specs := []string{"* * * * *", "*/15 * * * *", "0 * * * *", "30 2 * * *", "0,30 1-3 * * *", "15,40 2 * * *", "0 0 * * *", "30 23 * * 6,0", "0 12 1 * 1", "PT6H", "PT7M"}
	zones := []string{"UTC", "Europe/Berlin", "America/Santiago", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Kathmandu", "Pacific/Apia"}
	// Around the changes of these zones' clocks, and anywhere.
	around := []string{"2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z", "2026-04-05T03:00:00Z", "2026-09-06T04:00:00Z", "2026-04-04T15:00:00Z", "2026-10-03T15:30:00Z", "2011-12-30T10:00:00Z", "2026-02-15T02:00:00Z", "2026-07-01T00:00:00Z"}
	rapid.Check(t, func(rt *rapid.T) {
		s := parse(t, rapid.SampledFrom(specs).Draw(rt, "spec"), rapid.SampledFrom(zones).Draw(rt, "zone"))
		from := at(t, rapid.SampledFrom(around).Draw(rt, "around")).Add(time.Duration(rapid.Int64Range(-36*3600, 36*3600).Draw(rt, "offset")) * time.Second)
		next := s.Next(from)
		if !next.After(from) {
			rt.Fatalf("after %s comes %s", from, next)
		}
		between := from.Add(time.Duration(rapid.Int64Range(0, int64(next.Sub(from))-1).Draw(rt, "between")))
		if got := s.Next(between); !got.Equal(next) {
			rt.Errorf("after %s comes %s, but after %s comes %s", from, next, between, got)
		}
		if slot, ok := s.Due(from, next); !ok || !slot.Equal(next) {
			rt.Errorf("since %s, at %s is due %s %v, want that slot", from, next, slot, ok)
		}
		if slot, ok := s.Due(from, next.Add(-time.Nanosecond)); ok {
			rt.Errorf("since %s, just before %s is due %s, want nothing", from, next, slot)
		}
		later := next.Add(time.Duration(rapid.Int64Range(0, 40*3600).Draw(rt, "later")) * time.Second)
		slot, ok := s.Due(from, later)
		if !ok || slot.After(later) || slot.Before(next) || !s.Next(slot).After(later) {
			rt.Errorf("since %s, at %s is due %s %v, want the newest", from, later, slot, ok)
		}
	})
}
