package direktiv

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"gitlab.com/remora-ci/remora/component/delivery"
)

const (
	maxPages    = 5   // of 200 lines each, which v0.8 sends from the newest on
	maxText     = 500 // bytes of one line that are kept
	maxTail     = 30  // lines of a log that are shown
	maxWarnings = 20  // warnings that are shown
)

// line is a line of a sync's log. text holds the cause too, wherever the
// version puts it, and no userinfo and no control characters.
type line struct {
	level, text string
	cause       string // of an error, without the words around it
}

// entry is a line on the wire. Its shapes differ: v0.8 has the cause in msg,
// v0.9 and later in error, v0.7 in tags.
type entry struct {
	Level string          `json:"level"`
	Msg   string          `json:"msg"`
	Error json.RawMessage `json:"error"`
	Tags  json.RawMessage `json:"tags"`
}

func (v *apiV2) logs(ctx context.Context, id string) ([]line, error) {
	var all []line
	before := ""
	for range maxPages {
		page, previous, err := v.logPage(ctx, id, before)
		if err != nil {
			return all, err
		}
		all = append(page, all...)
		if previous == "" || previous == before || len(page) == 0 {
			break
		}
		before = previous
	}
	return all, nil
}

func (v *apiV2) logPage(ctx context.Context, id, before string) (page []line, previous string, err error) {
	path := v.logsPath(id)
	if before != "" {
		path += "&before=" + url.QueryEscape(before)
	}
	a, err := v.call.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, "", err
	}
	var in struct {
		Meta struct {
			PreviousPage *string `json:"previousPage"`
		} `json:"meta"`
		Data []entry `json:"data"`
	}
	if err := read(a, &in); err != nil {
		return nil, "", err
	}
	if in.Meta.PreviousPage != nil {
		previous = *in.Meta.PreviousPage
	}
	return linesOf(v.call.scrub, in.Data), previous, nil
}

// logs of the legacy API: v0.8.4 dropped the route and has the one of v2.
func (l *apiLegacy) logs(ctx context.Context, id string) ([]line, error) {
	path := "/api/namespaces/" + url.PathEscape(l.namespace) + "/activities/" + url.PathEscape(id) + "/logs"
	a, err := l.call.do(ctx, http.MethodGet, path, nil)
	if notHere(a, err) {
		return (&apiV2{l.call, l.namespace}).logs(ctx, id)
	}
	if err != nil {
		return nil, err
	}
	var in struct {
		Results []entry `json:"results"`
	}
	if err := read(a, &in); err != nil {
		return nil, err
	}
	return linesOf(l.call.scrub, in.Results), nil
}

func linesOf(scrub *delivery.Scrubber, entries []entry) []line {
	lines := make([]line, 0, len(entries))
	for _, e := range entries {
		lines = append(lines, e.line(scrub))
	}
	return lines
}

func (e entry) line(scrub *delivery.Scrubber) line {
	l := line{level: tidy(strings.ToUpper(e.Level)), text: shown(scrub, stripExtra(e.Msg))}
	if l.level == "WARNING" {
		l.level = "WARN"
	}
	cause := shown(scrub, e.cause())
	switch {
	case cause == "":
		l.cause = unwrap(l.text)
	case !strings.Contains(l.text, cause):
		l.text, l.cause = strings.TrimPrefix(l.text+": "+cause, ": "), unwrap(cause)
	default:
		l.cause = unwrap(cause)
	}
	return l
}

// cause is what stands in error, which may be a text or any JSON, or in the tag
// of v0.7.
func (e entry) cause() string {
	if !isNull(e.Error) {
		var text string
		if json.Unmarshal(e.Error, &text) == nil {
			return text
		}
		return string(e.Error)
	}
	var tags struct{ Error, Err string }
	if json.Unmarshal(e.Tags, &tags) != nil {
		return "" // tags that are no texts explain nothing
	}
	return cmp.Or(tags.Error, tags.Err)
}

// stripExtra cuts off what Go's fmt appends for arguments without a verb.
func stripExtra(msg string) string {
	if i := strings.Index(msg, "%!(EXTRA"); i >= 0 {
		return msg[:i]
	}
	return msg
}

// wrappings are the words that the versions put around a cause.
var wrappings = []string{"mirroring process failed", "mirror processing failed", "mirroring failed", "pullsourceintotempdirectory:", "mirroring source pull:", "initializing source:", "applying changes:"}

// unwrap is the cause inside the words around it.
func unwrap(text string) string {
	for cut := true; cut; {
		cut = false
		text = strings.Trim(text, " :'\"")
		for _, w := range wrappings {
			if len(text) > len(w) && strings.EqualFold(text[:len(w)], w) {
				text, cut = text[len(w):], true
			}
		}
	}
	return text
}

// shown is a text from outside as it may be shown. It is scrubbed before it is
// cut, and again because a secret may come together only then.
func shown(scrub *delivery.Scrubber, s string) string { return scrub.Text(tidy(scrub.Text(s))) }

// tidy makes one short line of printable characters of a text from outside.
func tidy(s string) string {
	if len(s) > 4*maxText {
		s = s[:4*maxText]
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if !unicode.IsGraphic(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "") + "…"
	}
	return s
}

func hasLines(lines []line) bool { return len(lines) > 0 }

func hasError(lines []line) bool {
	for _, l := range lines {
		if l.level == "ERROR" {
			return true
		}
	}
	return false
}

// settled is true when the log has lines and has not grown for a while: the
// collectors of the servers send in batches.
func settled(quiet time.Duration) func([]line) bool {
	count, since := 0, time.Now()
	return func(lines []line) bool {
		if len(lines) != count {
			count, since = len(lines), time.Now()
		}
		return count > 0 && time.Since(since) >= quiet
	}
}

// isWarning says whether a line of a sync that is complete tells of a fault.
func (l line) isWarning() bool { return l.level == "WARN" || l.level == "ERROR" }

// keep puts the warnings and the tail of a log into the receipt. The errors of a
// sync that failed are not among the warnings: one of them is the cause.
func (r *run) keep(p process, lines []line) {
	more := 0
	for _, l := range lines {
		switch {
		case !l.isWarning() || (p.status == failed && l.level == "ERROR"):
		case len(r.receipt.Warnings) < maxWarnings:
			r.warn(l.text)
		default:
			more++
		}
	}
	if more > 0 {
		r.warn(fmt.Sprintf("%d more warnings", more))
	}
	for _, l := range lines[max(len(lines)-maxTail, 0):] {
		r.receipt.Log = append(r.receipt.Log, delivery.LogLine{Level: l.level, Text: l.text})
	}
}
