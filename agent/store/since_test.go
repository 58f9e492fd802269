package store_test

import (
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/agent/store"
)

func TestSinceIsReadInMoreThanOneForm(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Time{
		"":                          {},
		"90m":                       at.Add(-90 * time.Minute),
		"0s":                        at,
		"7d":                        at.AddDate(0, 0, -7),
		"2026-11-20T15:00:00+01:00": time.Date(2026, 11, 20, 14, 0, 0, 0, time.UTC),
		"2026-11-20":                time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC),
	} {
		if got, err := store.ParseSince(text, at); err != nil || !got.Equal(want) {
			t.Errorf("%q: got %v, %v; want %v", text, got, err, want)
		}
	}
	east := time.FixedZone("east", 2*3600)
	if got, err := store.ParseSince("2026-11-20", at.In(east)); err != nil || !got.Equal(time.Date(2026, 11, 20, 0, 0, 0, 0, east)) {
		t.Errorf("a day of who looks: got %v, %v", got, err)
	}
	for _, text := range []string{"-1h", "-1d", "d", "70000d", "1", "yesterday", "1969-12-31", "2026-13-01", "2026-11-20T14:00", "0001-01-01T00:00:00Z"} {
		if got, err := store.ParseSince(text, at); err == nil {
			t.Errorf("%q: got %v, want it refused", text, got)
		}
	}
}

func FuzzSince(f *testing.F) {
	for _, text := range []string{"", "90m", "7d", "2026-11-20", "2026-11-20T14:00:00Z", "-5m", "9999999h", "1e3d"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := store.ParseSince(text, at)
		switch {
		case err != nil || text == "":
			if !got.IsZero() {
				t.Errorf("%q: got %v with %v", text, got, err)
			}
		case got.IsZero():
			t.Errorf("%q chooses everything", text)
		case got.UnixMicro()/1e6 != got.Unix() && got.Unix() > 0:
			t.Errorf("%q: %v has no place in the store", text, got)
		}
	})
}
