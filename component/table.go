package component

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf8"

	"gitlab.com/remora-ci/remora/component/delivery"
)

// Style is how text is printed.
type Style struct {
	JSON  bool
	Color bool // only on a terminal
}

// Print writes the result: one line for each target, then for each that failed
// the cause, the remedy and the evidence; or one JSON object.
func (r Result) Print(w io.Writer, s Style) error {
	if s.JSON {
		return printJSON(w, r)
	}
	var b strings.Builder
	b.WriteString(r.heading() + "\n")
	r.rows(&b, s)
	for _, e := range r.Targets {
		e.detail(&b)
	}
	r.Report.problems(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func (r Result) heading() string {
	parts := []string{"remora " + r.Name, cut(r.Event.Project.Path, 100), cut(r.Event.Ref, 100), delivery.ShortSHA(r.Event.SHA)}
	if mr := r.Event.MergeRequest; mr != nil {
		parts = append(parts, fmt.Sprintf("!%d", mr.IID))
	}
	return clean(strings.Join(parts, "  "))
}

func (r Result) rows(b *strings.Builder, s Style) {
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, e := range r.Targets {
		name := strings.TrimSpace(e.Target + " " + cut(e.Place, 24))
		state := s.paint(e.State)
		if e.Optional && e.State == string(delivery.Failed) {
			state += " (optional)"
		}
		_, _ = fmt.Fprintf(t, "  %s\t%s\t%s\t%s\n", clean(name), state, took(e.TookMS), clean(cut(e.says(), 100)))
	}
	_, _ = fmt.Fprintf(t, "  report\t%s\n", r.Report.String())
	_ = t.Flush()
}

// says is the summary and the revision, if that is not the summary already.
func (e Entry) says() string {
	if short := delivery.ShortSHA(e.Revision); short != "" && !strings.Contains(e.Summary, short) {
		return e.Summary + " " + short
	}
	return e.Summary
}

func (e Entry) detail(b *strings.Builder) {
	failed := e.State == string(delivery.Failed)
	if failed {
		fmt.Fprintf(b, "%s: %s\n", clean(e.Target), clean(join(e.Cause, "")))
		line(b, "try", e.Remedy)
		line(b, "request", e.Request)
	}
	for _, w := range e.Warnings {
		fmt.Fprintf(b, "%s: warning: %s\n", clean(e.Target), clean(w))
	}
	for _, l := range e.Log {
		if failed || l.Level == "WARN" || l.Level == "ERROR" {
			fmt.Fprintf(b, "  log: %s\n", clean(strings.TrimSpace(l.Level+" "+l.Text)))
		}
	}
}

// String is "statuses 2, note updated", or "by the agent".
func (r Reported) String() string {
	var parts []string
	if r.By != "" {
		parts = append(parts, "by the "+r.By)
	}
	if r.Statuses > 0 {
		parts = append(parts, fmt.Sprintf("statuses %d", r.Statuses))
	}
	if r.Note != "" {
		parts = append(parts, "note "+r.Note)
	}
	if len(parts) == 0 {
		return "nothing was reported"
	}
	return strings.Join(parts, ", ")
}

func (r Reported) problems(b *strings.Builder) {
	for _, p := range r.Problems {
		fmt.Fprintf(b, "report: %s\n", clean(join(p.Summary, p.Cause)))
		line(b, "try", p.Remedy)
		line(b, "request", p.Request)
	}
}

func line(b *strings.Builder, label, text string) {
	if text != "" {
		fmt.Fprintf(b, "  %s: %s\n", label, clean(text))
	}
}

func join(a, b string) string {
	switch {
	case a == "":
		return b
	case b == "" || a == b:
		return a
	}
	return a + ": " + b
}

func took(ms int64) string {
	if ms == 0 {
		return "-"
	}
	return delivery.Span(milliseconds(ms))
}

// cut shortens s to n characters.
func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}

// clean makes text from outside safe for a terminal and keeps it on one line.
func clean(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, s)
}

var colors = map[string]string{"done": "\x1b[32m", "failed": "\x1b[31m", "canceled": "\x1b[31m", "skipped": "\x1b[33m"}

// paint colors a state; its word stays.
func (s Style) paint(state string) string {
	if !s.Color || colors[state] == "" {
		return state
	}
	return colors[state] + state + "\x1b[0m"
}
