package delivery_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"gitlab.com/remora-ci/remora/component/delivery"
)

func TestSecretNeverPrints(t *testing.T) {
	t.Parallel()
	s := delivery.Secret("canary-value")
	inJSON, err := json.Marshal(map[string]any{"a": s, "b": struct{ T delivery.Secret }{s}})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s %q %x %X %d", s, s, s, s, s, s, s, s),
		fmt.Sprintf("%+v %#v", struct{ T delivery.Secret }{s}, &struct{ T delivery.Secret }{s}), string(inJSON),
	} {
		if strings.Contains(text, "canary") || strings.Contains(text, "63616e617279") {
			t.Errorf("printed as %s", text)
		}
	}
	if got := s.Reveal(); got != "canary-value" {
		t.Errorf("Reveal() = %q", got)
	}
}

func TestScrubberText(t *testing.T) {
	t.Parallel()
	s := delivery.NewScrubber("glpat-abcdef", "nouser:tok en/1", "abc", "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END KEY-----\n", "")
	for in, want := range map[string]string{
		"a glpat-abcdef b":                                "a [secret] b",
		"short secrets like abc stay words":               "short secrets like abc stay words",
		"user is nouser:tok en/1":                         "user is [secret]",
		"escaped tok+en%2F1 and tok%20en%2F1":             "escaped [secret] and [secret]",
		"Basic bm91c2VyOnRvayBlbi8x":                      "Basic [secret]",
		"line MIIEvQIBADANBgkqhkiG9w0BAQEFAASC of a key":  "line [secret] of a key",
		"clone https://nouser:x@host/p.git failed":        "clone https://host/p.git failed",
		"clone https://baretoken@host:8443/p failed":      "clone https://host:8443/p failed",
		"ssh://git@host/p and mail me@example.com":        "ssh://host/p and mail me@example.com",
		"no userinfo: https://host/path?mail=me@host.com": "no userinfo: https://host/path?mail=me@host.com",
	} {
		if got := s.Text(in); got != want {
			t.Errorf("Text(%q) = %q, want %q", in, got, want)
		}
	}
	var none *delivery.Scrubber
	if got := none.Text("https://u:p@h/"); got != "https://h/" {
		t.Errorf("a nil scrubber gives %q", got)
	}
}

func TestScrubberOutcome(t *testing.T) {
	t.Parallel()
	const canary = "canary-value"
	s := delivery.NewScrubber(canary)
	fault := &delivery.Fault{Summary: "s " + canary, Cause: "c " + canary, Remedy: "r " + canary, Request: "q " + canary, Err: errors.New(canary)}
	for name, err := range map[string]error{
		"permanent": delivery.Permanent(fmt.Errorf("x: %w", fault)), "retry": fault, "skip": delivery.Skip("because " + canary),
		"plain": errors.New(canary), "overdue": &delivery.Fault{Cause: canary, Err: delivery.ErrNoResult}, "none": nil,
	} {
		in := delivery.Outcome{Err: err, State: delivery.StateOf(err), Receipt: delivery.Receipt{
			ID: canary, URL: canary, Result: canary, Revision: canary, Request: canary,
			Warnings: []string{canary}, Log: []delivery.LogLine{{Text: canary}},
		}}
		got := s.Outcome(in)
		if text := fmt.Sprintf("%+v %v", got, got.Err) + got.Summary(); strings.Contains(text, canary) {
			t.Errorf("%s: still speaks: %s", name, text)
		}
		if got.Overdue() != in.Overdue() || delivery.StateOf(got.Err) != delivery.StateOf(in.Err) {
			t.Errorf("%s: state changed from %s to %s", name, delivery.StateOf(in.Err), delivery.StateOf(got.Err))
		}
		if in.Receipt.Log[0].Text != canary {
			t.Errorf("%s: the original was changed", name)
		}
	}
}
