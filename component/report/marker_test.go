package report_test

import (
	"strings"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/component/report"
)

func FuzzMarker(f *testing.F) {
	f.Add(report.MarkerOf("sync", 42, 1001, 5001, noon))
	f.Add(report.MarkerOf("--> @all <script> /close", 1, 0, 0, noon))
	f.Add(report.MarkerPrefix + `{"k":"note","n":"sync","p":42,"d":"d","at":"9999-12-31T23:59:59+14:00"} -->`)
	f.Add(report.MarkerPrefix + `{"k":"note"} --> <!-- x -->`)
	f.Add(report.MarkerPrefix + "null -->")
	f.Add(report.MarkerPrefix + `{"k":"note","n":"` + strings.Repeat("<", 700) + `","d":"d"} -->`)
	f.Fuzz(func(t *testing.T, line string) {
		written, again, ok := report.MarkerRoundTrip(line)
		if !ok {
			return
		}
		inner := strings.TrimSuffix(strings.TrimPrefix(written, "<!--"), "-->")
		if strings.ContainsAny(inner, "<>@#~$`!&\n\r") || strings.Contains(inner, "--") {
			t.Errorf("got %q, want nothing in it that ends the comment or is a reference", written)
		}
		if len(written) <= 4096 && !again {
			t.Errorf("%q was written as %q, which reads differently", line, written)
		}
	})
}

func TestAGarbledMarkerIsIgnored(t *testing.T) {
	t.Parallel()
	good := report.MarkerOf("sync", 42, 1001, 5001, noon)
	if _, again, ok := report.MarkerRoundTrip(good); !ok || !again {
		t.Fatalf("%q was not read", good)
	}
	for name, line := range map[string]string{
		"cut off":      good[:len(good)-6],
		"no JSON":      report.MarkerPrefix + "sync -->",
		"an array":     report.MarkerPrefix + "[] -->",
		"null":         report.MarkerPrefix + "null -->",
		"no key":       report.MarkerPrefix + `{"d":"d"} -->`,
		"no digest":    report.MarkerPrefix + `{"k":"note","n":"sync","p":42} -->`,
		"a wrong type": report.MarkerPrefix + `{"k":"note","n":7,"d":"d"} -->`,
		"too long":     strings.Replace(good, `"sync"`, `"`+strings.Repeat("s", 5000)+`"`, 1),
		"indented":     " " + good,
		"quoted":       "> " + good,
		"text after":   good + " and more",
	} {
		if _, _, ok := report.MarkerRoundTrip(line); ok {
			t.Errorf("%s: %q was taken for a marker", name, line)
		}
	}
}

func TestALaterRunIsKnownByPipelineThenJobThenTime(t *testing.T) {
	t.Parallel()
	at := func(pipeline, job int64, after time.Duration) string {
		return report.MarkerOf("sync", 1, pipeline, job, noon.Add(after))
	}
	for name, c := range map[string]struct {
		a, b string
		want bool
	}{
		"a later pipeline":                      {at(2, 1, 0), at(1, 9, 1), true},
		"an earlier pipeline, job tried again":  {at(1, 99, 9), at(2, 1, 0), false},
		"a later job of the same pipeline":      {at(1, 2, 0), at(1, 1, 1), true},
		"the same job":                          {at(1, 1, 0), at(1, 1, 0), false},
		"no job, later":                         {at(1, 0, 1), at(1, 1, 0), true},
		"no pipeline, later":                    {at(0, 0, 1), at(7, 7, 0), true},
		"no pipeline, earlier":                  {at(0, 0, -1), at(7, 7, 0), false},
		"no pipeline on either side, same time": {at(0, 0, 0), at(0, 0, 0), false},
	} {
		if got := report.Newer(c.a, c.b); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}
