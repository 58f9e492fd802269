package httppost

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
)

// valueOf is what expressions see of an answer: JSON as a value, other text as a
// string, nothing as nil. What says it is JSON must be JSON. A page is an error.
func valueOf(a *rest.Answer) (any, error) {
	body := strings.TrimSpace(string(a.Body))
	kind, _, _ := strings.Cut(a.Header.Get("Content-Type"), ";")
	kind = fold(kind)
	switch {
	case body == "":
		return nil, nil
	case isPage(kind, body):
		bare := *a
		bare.Header = http.Header{"Content-Type": {kind}} // its parameters are outside text
		return nil, &rest.ContentError{Answer: &bare}
	case kind == "application/json" || strings.HasSuffix(kind, "+json"):
		v, err := decode(a.Body)
		if err != nil {
			return nil, &brokenError{a, err}
		}
		return v, nil
	case body[0] == '{' || body[0] == '[':
		if v, err := decode(a.Body); err == nil {
			return v, nil
		}
	}
	return strings.ToValidUTF8(body, "\uFFFD"), nil
}

// isPage tells a web page from the bare text that many scripts send as HTML.
func isPage(kind, body string) bool {
	start := strings.ToLower(body[:min(len(body), 14)])
	return (kind == "text/html" || kind == "application/xhtml+xml") && strings.HasPrefix(start, "<")
}

// brokenError is an answer that says it is JSON and is not.
type brokenError struct {
	answer *rest.Answer
	err    error
}

func (e *brokenError) Error() string { return fmt.Sprintf("%s: broken JSON: %v", e.answer, e.err) }
func (e *brokenError) Unwrap() error { return e.err }

// fill copies what is evident in an answer into the receipt: an id, and an
// address for a person to look at.
func (t *Target) fill(rc *delivery.Receipt, value any) {
	object, _ := value.(map[string]any)
	switch id := object["id"].(type) {
	case string:
		rc.ID = t.brief(id, 100)
	case json.Number:
		rc.ID = t.brief(id.String(), 100)
	}
	for _, key := range []string{"web_url", "html_url"} {
		if s, _ := object[key].(string); s != "" {
			if link := t.link(s); link != "" {
				rc.URL = link
				return
			}
		}
	}
}

// link is an address that a person may be shown: of the target's own origin and
// without a secret. It is empty for any other.
func (t *Target) link(text string) string {
	u, err := resolve(t.url, text)
	if err != nil || !sameOrigin(u, t.url) {
		return ""
	}
	for name := range u.Query() {
		if secretName.MatchString(name) {
			return ""
		}
	}
	return t.scrub.Text(u.String())
}

// detail is what an answer says about a failure, in its own words.
func (t *Target) detail(value any) string {
	object, _ := value.(map[string]any)
	for _, key := range []string{"message", "error", "reason", "detail"} {
		if s, _ := object[key].(string); s != "" {
			return t.brief(s, 300)
		}
	}
	return ""
}

// brief is text from outside on one line, of at most n characters, without a
// secret.
func (t *Target) brief(text string, n int) string {
	text = strings.ToValidUTF8(t.scrub.Text(text), "")
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r <= ' ' || 0x7f <= r && r <= 0x9f }), " ")
	if r := []rune(text); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return text
}

const maxURL = 4 << 10 // bytes of an address

// resolve reads an address that came from outside, relative to base. It keeps
// neither userinfo nor fragment, and errors do not quote it.
func resolve(base *url.URL, text string) (*url.URL, error) {
	text = strings.TrimSpace(text)
	if text == "" || len(text) > maxURL {
		return nil, fmt.Errorf("an address of %d bytes", len(text))
	}
	u, err := base.Parse(text)
	if err == nil {
		u.User, u.Fragment, u.RawFragment = nil, "", ""
		// What is sent is the text of the address, so it is that text which must
		// be sound: the parser takes "//::" but not what it makes of it.
		u, err = url.Parse(u.String())
	}
	if err != nil {
		return nil, errors.New("a text that is no address")
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Opaque != "" {
		return nil, errors.New("an address that is not of the form https://host/path")
	}
	return u, nil
}

func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}
