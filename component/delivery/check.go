package delivery

import (
	"context"
	"strings"
)

// Checker is a target that can say whether it would work. It changes nothing.
type Checker interface {
	// Check looks at one thing after the other: can it be reached, is the
	// credential good and strong enough, is what it leads to there. It gives up
	// when ctx ends, and says so as a finding. No finding holds a secret.
	Check(ctx context.Context) []Finding
}

// Finding is one thing that was looked at, for a person.
type Finding struct {
	Subject string `json:"subject"`          // what was looked at: "GitLab https://gitlab.example.com", "target flows"
	Level   Level  `json:"level"`            // pass, warn or fail
	Text    string `json:"text"`             // what was found, one sentence
	Remedy  string `json:"remedy,omitempty"` // what to do about it; empty only where it passed
}

// Level is how bad a finding is.
type Level string

// The levels of a finding.
const (
	Pass Level = "pass"
	Warn Level = "warn" // works now, will not for ever or not for everything
	Fail Level = "fail"
)

// Wrong is the finding of an error: what is wrong, and what helps.
func Wrong(subject string, level Level, err error) Finding {
	f := Explain(err)
	text := strings.TrimSpace(f.Summary)
	switch cause := strings.TrimSpace(f.Cause); {
	case cause == "":
	case strings.HasSuffix(cause, text): // it was made of the same error
		text = cause
	default:
		text += ": " + cause
	}
	remedy := f.Remedy
	if remedy == "" && level != Pass {
		remedy = "try again later; if it stays so, look at the log of the other side"
	}
	return Finding{Subject: subject, Level: level, Text: text, Remedy: remedy}
}
