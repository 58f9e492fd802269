package schedule_test

import (
	"strings"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/agent/schedule"
)

func at(t testing.TB, text string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func parse(t testing.TB, spec, zone string) schedule.Spec {
	t.Helper()
	s, err := schedule.Parse(spec, zone)
	if err != nil {
		t.Fatalf("parse %q in %q: %v", spec, zone, err)
	}
	return s
}

func TestNext(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, spec, zone, after string
		want                    []string
	}{
		// The five samples of Direktiv's article on Git and GitLab. 20 November 2026
		// is a Friday.
		{"every minute", "* * * * *", "", "2026-11-20T14:03:20Z", []string{"2026-11-20T14:04:00Z", "2026-11-20T14:05:00Z"}},
		{"every Saturday at 23:45", "45 23 * * 6", "", "2026-11-20T14:03:20Z", []string{"2026-11-21T23:45:00Z", "2026-11-28T23:45:00Z"}},
		{"every Monday at 09:00", "0 9 * * 1", "", "2026-11-20T14:03:20Z", []string{"2026-11-23T09:00:00Z", "2026-11-30T09:00:00Z"}},
		{"every Sunday at 04:05", "5 4 * * SUN", "", "2026-11-20T14:03:20Z", []string{"2026-11-22T04:05:00Z", "2026-11-29T04:05:00Z"}},
		{"every weekday at 22:00", "0 22 * * 1-5", "", "2026-11-20T14:03:20Z", []string{"2026-11-20T22:00:00Z", "2026-11-23T22:00:00Z", "2026-11-24T22:00:00Z"}},
		// Those of its pages on scheduled flows.
		{"every two hours", "0 */2 * * *", "", "2026-11-20T14:03:20Z", []string{"2026-11-20T16:00:00Z", "2026-11-20T18:00:00Z"}},
		{"every minute of every second hour", "* 0/2 * * *", "", "2026-11-20T14:59:20Z", []string{"2026-11-20T16:00:00Z", "2026-11-20T16:01:00Z"}},

		{"a slot is not after itself", "0 9 * * *", "", "2026-11-20T09:00:00Z", []string{"2026-11-21T09:00:00Z"}},
		{"a zone", "0 9 * * *", "Asia/Tokyo", "2026-11-20T09:00:00Z", []string{"2026-11-21T00:00:00Z"}},
		{"a zone before the expression", "CRON_TZ=Asia/Tokyo 0 9 * * *", "", "2026-11-20T09:00:00Z", []string{"2026-11-21T00:00:00Z"}},
		{"a zone twice is fine if it is the same", "TZ=Asia/Tokyo 0 9 * * *", "Asia/Tokyo", "2026-11-20T09:00:00Z", []string{"2026-11-21T00:00:00Z"}},
		{"either of the two days", "0 0 13 * FRI", "", "2026-11-20T14:00:00Z", []string{"2026-11-27T00:00:00Z", "2026-12-04T00:00:00Z", "2026-12-11T00:00:00Z", "2026-12-13T00:00:00Z"}},
		{"Sunday is 7 too", "0 0 * * 7", "", "2026-11-20T14:00:00Z", []string{"2026-11-22T00:00:00Z"}},
		{"a name for it", "@daily", "Europe/Berlin", "2026-11-20T14:00:00Z", []string{"2026-11-20T23:00:00Z"}},
		{"29 February, eight years away", "0 0 29 2 *", "", "2096-03-01T00:00:00Z", []string{"2104-02-29T00:00:00Z"}},

		{"in spring, 02:30 is an hour later", "30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", []string{"2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"}},
		{"in spring, asked after the change", "30 2 * * *", "Europe/Berlin", "2026-03-29T01:10:00Z", []string{"2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"}},
		{"in spring, 02:00 and 03:00 are one", "0 2,3 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", []string{"2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z", "2026-03-30T01:00:00Z"}},
		{"in spring, every hour goes on", "0 * * * *", "Europe/Berlin", "2026-03-28T23:30:00Z", []string{"2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"}},
		{"in spring, a midnight that is not is an hour later", "0 0 * * *", "America/Santiago", "2026-09-05T12:00:00Z", []string{"2026-09-06T04:00:00Z", "2026-09-07T03:00:00Z"}},
		{"in spring, the quarters of a day without midnight", "*/30 * 6 9 *", "America/Santiago", "2026-09-05T12:00:00Z", []string{"2026-09-06T04:00:00Z", "2026-09-06T04:30:00Z"}},
		{"in spring, by half an hour", "15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00Z", []string{"2026-10-03T15:45:00Z", "2026-10-04T15:15:00Z"}},
		{"in spring, by half an hour, of two", "15,40 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00Z", []string{"2026-10-03T15:40:00Z", "2026-10-03T15:45:00Z", "2026-10-04T15:15:00Z"}},
		{"in autumn, 02:30 is once, the first", "30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", []string{"2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"}},
		{"in autumn, asked in the second hour", "30 2 * * *", "Europe/Berlin", "2026-10-25T01:10:00Z", []string{"2026-10-26T01:30:00Z"}},
		{"in autumn, every hour is twice", "0 * * * *", "Europe/Berlin", "2026-10-24T23:30:00Z", []string{"2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"}},
		{"in autumn, every quarter is twice", "*/15 * * * *", "Europe/Berlin", "2026-10-25T00:50:00Z", []string{"2026-10-25T01:00:00Z", "2026-10-25T01:15:00Z", "2026-10-25T01:30:00Z"}},
		{"in autumn, before midnight", "30 23 * * *", "America/Santiago", "2026-04-04T12:00:00Z", []string{"2026-04-05T02:30:00Z", "2026-04-06T03:30:00Z"}},
		{"a day that a zone left out comes a day later", "0 12 30 12 *", "Pacific/Apia", "2011-12-20T00:00:00Z", []string{"2011-12-30T22:00:00Z", "2012-12-29T22:00:00Z"}},

		{"every six hours", "PT6H", "", "2026-11-20T14:03:20Z", []string{"2026-11-20T18:00:00Z", "2026-11-21T00:00:00Z"}},
		{"every day", "P1D", "", "2026-11-20T14:03:20Z", []string{"2026-11-21T00:00:00Z"}},
		{"every week is on Mondays", "p1w", "", "2026-11-20T14:03:20Z", []string{"2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z"}},
		{"every ninety seconds", "PT1.5M", "", "2026-11-20T14:00:00Z", []string{"2026-11-20T14:01:30Z", "2026-11-20T14:03:00Z"}},
		{"before the Monday that is counted from", "P1D", "", "1970-01-02T03:00:00Z", []string{"1970-01-03T00:00:00Z"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := parse(t, tt.spec, tt.zone)
			got := at(t, tt.after)
			for i, want := range tt.want {
				got = s.Next(got)
				if !got.Equal(at(t, want)) {
					t.Fatalf("slot %d: got %s, want %s", i+1, got.Format(time.RFC3339), want)
				}
				if got.Location() != time.UTC {
					t.Errorf("slot %d is in %s, want UTC", i+1, got.Location())
				}
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, spec, zone, want string }{
		{"nothing", "", "", "five fields"},
		{"seconds", "0 0 9 * * *", "", "there are no seconds"},
		{"four fields", "0 9 * *", "", "five fields"},
		{"31 February", "0 0 31 2 *", "", "never fire"},
		{"30 February in a zone", "CRON_TZ=Europe/Berlin 0 0 30 2 *", "", "never fire"},
		{"@reboot", "@reboot", "", "on_start"},
		{"@every", "@every 1h", "", "every: PT1H"},
		{"an unknown name", "@fortnightly", "", "@fortnightly"},
		{"a minute that is not", "60 * * * *", "", "60"},
		{"a step of nothing", "*/0 * * * *", "", "*/0"},
		{"words", "a b c d e", "", "a b c d e"},
		{"a zone that is not", "0 9 * * *", "Mars/Olympus", `zone "Mars/Olympus"`},
		{"a zone of this machine", "0 9 * * *", "Local", `zone "Local"`},
		{"a zone that is a path", "0 9 * * *", "../../etc/passwd", "zone"},
		{"an empty zone before it", "TZ= 0 9 * * *", "", "names no zone"},
		{"a zone that is a number", "TZ=0 * * * *", "", `zone "0"`},
		{"a zone and nothing behind", "TZ=UTC", "", "five fields"},
		{"two zones", "TZ=Asia/Tokyo 0 9 * * *", "UTC", "given twice"},
		{"a duration with an unknown zone", "PT1H", "Mars/Olympus", "zone"},
		{"a duration of nothing", "PT0S", "", "one minute"},
		{"an empty duration", "P", "", "one minute"},
		{"a duration with an empty time", "P1DT", "", "ISO 8601"},
		{"half a duration", "P1", "", "ISO 8601"},
		{"a negative one", "-PT1H", "", "negative"},
		{"a month", "P1M", "", "months and years"},
		{"a year", "P1Y", "", "months and years"},
		{"less than a minute", "PT59S", "", "one minute"},
		{"more than a year", "P367D", "", "366 days"},
		{"more than a number holds", "P9999999999999W", "", "366 days"},
		{"part of a second", "PT60.5S", "", "whole seconds"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, err := schedule.Parse(tt.spec, tt.zone)
			if err == nil {
				t.Fatalf("got next %s, want an error with %q", s.Next(at(t, "2026-11-20T14:00:00Z")), tt.want)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %q, want it to hold %q", err, tt.want)
			}
		})
	}
}

func TestDue(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, spec, zone, last, now string
		want                        string // empty: nothing is due
	}{
		{"nothing yet", "0 9 * * *", "", "2026-11-20T09:00:00Z", "2026-11-21T08:59:59Z", ""},
		{"at the second", "0 9 * * *", "", "2026-11-20T09:00:00Z", "2026-11-21T09:00:00Z", "2026-11-21T09:00:00Z"},
		{"a month of days missed is the newest alone", "0 9 * * *", "", "2026-10-20T09:00:00Z", "2026-11-21T08:59:59Z", "2026-11-20T09:00:00Z"},
		{"years of minutes missed are the newest alone", "* * * * *", "", "2020-01-01T00:00:00Z", "2026-11-20T14:03:59Z", "2026-11-20T14:03:00Z"},
		{"a rare one from long ago", "0 0 29 2 *", "", "2020-03-01T00:00:00Z", "2027-01-01T00:00:00Z", "2024-02-29T00:00:00Z"},
		{"a rare one that did not come", "0 0 29 2 *", "", "2024-02-29T00:00:00Z", "2027-01-01T00:00:00Z", ""},
		{"the hour that spring left out", "30 2 * * *", "Europe/Berlin", "2026-03-28T01:30:00Z", "2026-03-29T01:30:00Z", "2026-03-29T01:30:00Z"},
		{"the hour that autumn repeats", "30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", ""},
		{"an interval", "PT6H", "", "2026-11-20T06:00:00Z", "2026-11-20T14:00:00Z", "2026-11-20T12:00:00Z"},
		{"a clock that was set back", "0 9 * * *", "", "2026-11-20T09:00:00Z", "2026-11-19T12:00:00Z", ""},
		{"never before", "* * * * *", "", "0001-01-01T00:00:00Z", "2026-11-20T14:00:00Z", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, ok := parse(t, tt.spec, tt.zone).Due(at(t, tt.last), at(t, tt.now))
			if ok != (tt.want != "") || ok && !got.Equal(at(t, tt.want)) {
				t.Errorf("got %s %v, want %q", got.Format(time.RFC3339), ok, tt.want)
			}
		})
	}
}

func TestTheZeroSpecIsNeverDue(t *testing.T) {
	t.Parallel()
	var s schedule.Spec
	if next := s.Next(at(t, "2026-11-20T14:00:00Z")); !next.IsZero() {
		t.Errorf("got next %s, want none", next)
	}
	if slot, ok := s.Due(at(t, "2026-01-01T00:00:00Z"), at(t, "2026-11-20T14:00:00Z")); ok {
		t.Errorf("got %s due, want nothing", slot)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	sync := []string{"direktiv"}
	tests := []struct {
		name   string
		config schedule.Config
		want   []string // in the error; none: it is right
	}{
		{"cron", schedule.Config{Name: "nightly", Cron: "0 3 * * *", Zone: "Europe/Berlin", Sync: sync}, nil},
		{"every", schedule.Config{Name: "often", Every: "PT15M", Sync: sync}, nil},
		{"on start alone", schedule.Config{Name: "boot", OnStart: true, Sync: sync}, nil},
		{"nothing at all", schedule.Config{}, []string{"schedule: name: missing", "schedule: never fires", "schedule: sync: names no target"}},
		{"both", schedule.Config{Name: "n", Cron: "0 3 * * *", Every: "PT1H", Sync: sync}, []string{"n: cron and every"}},
		{"cron under every", schedule.Config{Name: "n", Every: "0 3 * * *", Sync: sync}, []string{"go to cron"}},
		{"a duration under cron", schedule.Config{Name: "n", Cron: "PT1H", Sync: sync}, []string{"say every: PT1H"}},
		{"what never fires", schedule.Config{Name: "n", Cron: "0 0 31 4 *", Sync: sync}, []string{"never fire"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := tt.config.Validate()
			if (err == nil) != (tt.want == nil) {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want it to hold %q", err, want)
				}
			}
		})
	}
}
