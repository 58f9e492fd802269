package httppost

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// ours are headers that the call sets itself or that belong to the connection.
var ours = []string{
	"Connection", "Content-Length", "Host", "Keep-Alive", "Proxy-Authorization", "Proxy-Connection",
	"Te", "Trailer", "Transfer-Encoding", "Upgrade", "User-Agent",
}

// parseHeaders reads one "Name: value" per line. The two characters \n end a
// line too, so that several headers fit a masked variable, which GitLab wants on
// one line. Errors name the line and never its text, which may be a secret.
func parseHeaders(text string) (http.Header, []error) {
	header := http.Header{}
	var errs []error
	text = strings.ReplaceAll(text, `\n`, "\n")
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		canonical := http.CanonicalHeaderKey(name)
		switch {
		case !ok || !isToken(name):
			errs = append(errs, fmt.Errorf("REMORA_HTTP_HEADERS: line %d: want Name: value", n))
		case value == "" || !isValue(value):
			errs = append(errs, fmt.Errorf("REMORA_HTTP_HEADERS: line %d: the value is empty or holds a control character", n))
		case slices.Contains(ours, canonical):
			errs = append(errs, fmt.Errorf("REMORA_HTTP_HEADERS: line %d: %s cannot be set", n, canonical))
		default:
			header.Add(name, value)
		}
	}
	return header, errs
}

// isToken says whether s may be the name of a header:
// https://www.rfc-editor.org/rfc/rfc9110#name-tokens
func isToken(s string) bool {
	for _, b := range []byte(s) {
		letter := 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9'
		if !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(b)) {
			return false
		}
	}
	return s != ""
}

func isValue(s string) bool {
	for _, b := range []byte(s) {
		if b < ' ' && b != '\t' || b == 0x7f {
			return false
		}
	}
	return true
}
