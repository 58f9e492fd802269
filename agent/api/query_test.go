package api_test

import (
	"testing"

	"gitlab.com/remora-ci/remora/agent/api"
)

func FuzzCursor(f *testing.F) {
	for _, text := range []string{"", "1", "12", "0", "-1", "+1", "01", "9223372036854775807", "9223372036854775808", "1 ", "１"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := api.ParseCursor(text)
		if err != nil && got != 0 || err == nil && text != "" && got <= 0 || err == nil && text == "" && got != 0 {
			t.Errorf("%q: got %d, %v", text, got, err)
		}
	})
}
