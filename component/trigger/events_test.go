package trigger_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/remora-ci/remora/component/trigger"
)

func TestEventsAreReadAsTheStandardSays(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		stream      string
		names, data []string
	}{
		"one event":                       {"event: delivery\ndata: {}\n\n", []string{"delivery"}, []string{"{}"}},
		"with CRLF":                       {"event: delivery\r\ndata: {}\r\n\r\n", []string{"delivery"}, []string{"{}"}},
		"data of several lines":           {"data: a\ndata: b\n\n", []string{""}, []string{"a\nb"}},
		"one space after the colon":       {"event:x\ndata:  a\n\n", []string{"x"}, []string{" a"}},
		"comments are heartbeats":         {": beat\n\n:\n\nevent: x\n: beat\ndata: a\n\n", []string{"x"}, []string{"a"}},
		"other fields are passed over":    {"id: 4\nretry: 9\ndata: a\nnonsense\n\n", []string{""}, []string{"a"}},
		"a name without data is no event": {"event: x\n\ndata: a\n\n", []string{""}, []string{"a"}},
		"data that is empty is an event":  {"event: x\ndata\n\n", []string{"x"}, []string{""}},
		"two empty lines of data":         {"data\ndata\n\n", []string{""}, []string{"\n"}},
		"half an event is none":           {"data: a\n\ndata: b\n", []string{""}, []string{"a"}},
		"nothing":                         {"", nil, nil},
	} {
		names, data, err := trigger.ReadEvents(strings.NewReader(tt.stream))
		if !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff([][]string{tt.names, tt.data}, [][]string{names, data}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestAnEventIsBounded(t *testing.T) {
	t.Parallel()
	for name, stream := range map[string]string{
		"one line":   "data: " + strings.Repeat("x", trigger.MaxEvent+20) + "\n\n",
		"many lines": strings.Repeat("data: "+strings.Repeat("x", 999_999)+"\n", 10) + "\n",
		"no data":    strings.Repeat("x", trigger.MaxEvent+20),
	} {
		if _, data, err := trigger.ReadEvents(strings.NewReader(stream)); err == nil || errors.Is(err, io.EOF) || len(data) > 0 {
			t.Errorf("%s: got %d events, %v; want a refusal", name, len(data), err)
		}
	}
}

func FuzzEvents(f *testing.F) {
	for _, seed := range []string{"event: delivery\ndata: {\"id\":7}\n\n", ": beat\n\n", "data\r\n\r\n", "data: a\ndata: b\n\nevent", "\n\n\n", "event: a\nevent: b\ndata:\n\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, stream string) {
		names, data, err := trigger.ReadEvents(strings.NewReader(stream))
		if err == nil || len(names) != len(data) {
			t.Fatalf("got %d names, %d data, %v", len(names), len(data), err)
		}
		for i := range data {
			if strings.Contains(names[i], "\n") || len(data[i]) > len(stream) {
				t.Errorf("event %d: %q %q", i, names[i], data[i])
			}
		}
	})
}
