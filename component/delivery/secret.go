package delivery

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"sort"
	"strings"
)

// Secret is a text that cannot print itself. An empty one says so.
type Secret string

const masked = "[secret]"

// Reveal is the secret itself. Call it only in the line that sends it.
func (s Secret) Reveal() string { return string(s) }

// Empty says whether there is no secret.
func (s Secret) Empty() bool { return s == "" }

func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return masked
}

// Format prints the mask whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalText prints the mask in JSON, YAML and logs.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// userinfo is what stands between :// and @ in a URL.
var userinfo = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)[^/\s"'<>?#]*@`)

// Scrubber takes secrets out of text that comes from outside.
type Scrubber struct{ replacer *strings.Replacer }

// minSecret is the length under which a secret would be found in ordinary words.
const minSecret = 6

// NewScrubber makes a scrubber that knows secrets, in plain, URL-escaped and
// base64 form. Of a secret of the form "user:token" or "Header: value" the part
// after the colon is known too, and so are the lines of a private key.
func NewScrubber(secrets ...Secret) *Scrubber {
	var forms []string
	for _, s := range secrets {
		plain := strings.TrimSpace(s.Reveal())
		forms = append(forms, plain)
		for line := range strings.Lines(plain) {
			if line = strings.TrimSpace(line); !strings.HasPrefix(line, "-----") {
				forms = append(forms, line)
				_, value, _ := strings.Cut(line, ":")
				forms = append(forms, strings.TrimSpace(value))
			}
		}
	}
	for _, f := range forms[:len(forms):len(forms)] {
		forms = append(forms, url.QueryEscape(f), url.PathEscape(f), base64.StdEncoding.EncodeToString([]byte(f)))
	}
	sort.Slice(forms, func(i, j int) bool { return len(forms[i]) > len(forms[j]) })
	var pairs []string
	for _, f := range forms {
		if len(f) >= minSecret {
			pairs = append(pairs, f, masked)
		}
	}
	return &Scrubber{strings.NewReplacer(pairs...)}
}

// Text is text without the known secrets and without userinfo in URLs.
func (s *Scrubber) Text(text string) string {
	if strings.Contains(text, "@") {
		text = userinfo.ReplaceAllString(text, "${1}")
	}
	if s == nil || s.replacer == nil {
		return text
	}
	return s.replacer.Replace(text)
}

// Outcome is o with every text scrubbed. Its error keeps its state and its four
// parts but wraps nothing any more, for what it wrapped could still speak.
func (s *Scrubber) Outcome(o Outcome) Outcome {
	r := &o.Receipt
	for _, f := range []*string{&r.ID, &r.URL, &r.Result, &r.Revision, &r.Request} {
		*f = s.Text(*f)
	}
	r.Warnings = append([]string(nil), r.Warnings...)
	for i := range r.Warnings {
		r.Warnings[i] = s.Text(r.Warnings[i])
	}
	r.Log = append([]LogLine(nil), r.Log...)
	for i := range r.Log {
		r.Log[i].Text = s.Text(r.Log[i].Text)
	}
	o.Err = s.err(o.Err)
	return o
}

func (s *Scrubber) err(err error) error {
	if err == nil {
		return nil
	}
	if reason, ok := SkipReason(err); ok {
		return Skip(s.Text(reason))
	}
	f := Explain(err)
	var kept error
	switch {
	case isCanceled(err):
		kept = context.Canceled
	case errors.Is(err, ErrNoResult):
		kept = ErrNoResult
	}
	clean := &Fault{Summary: s.Text(f.Summary), Cause: s.Text(f.Cause), Remedy: s.Text(f.Remedy), Request: s.Text(f.Request), Err: kept}
	if StateOf(err) == Failed && kept == nil {
		return Permanent(clean)
	}
	return clean
}
