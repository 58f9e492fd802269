package gitlab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	gl "gitlab.com/gitlab-org/api/client-go/v2"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
)

// judge adds the token to a request and turns an answer that is not the API's
// into an error. It judges here because the official client drops the words of
// a 404 and takes a page with status 200 for broken JSON.
type judge struct {
	next  http.RoundTripper
	token delivery.Secret
	renew Renew // nil: a refused token stays refused
}

func (j *judge) RoundTrip(req *http.Request) (*http.Response, error) {
	if !j.token.Empty() {
		req = req.Clone(req.Context())
		req.Header.Set("PRIVATE-TOKEN", strings.TrimSpace(j.token.Reveal()))
	}
	res, err := j.next.RoundTrip(req)
	if err == nil {
		if again, renewErr := j.renewed(req, res); again != nil || renewErr != nil {
			res, err = again, renewErr
		}
	}
	if err != nil {
		return nil, connError(req, err)
	}
	if res.StatusCode >= 200 && res.StatusCode <= 299 && (res.StatusCode == http.StatusNoContent || isJSON(res.Header)) {
		return res, nil
	}
	defer func() { _ = res.Body.Close() }()
	a := &rest.Answer{Method: req.Method, URL: rest.Plain(req.URL.String()), Code: res.StatusCode, Header: res.Header}
	if a.Err() == nil {
		return nil, &rest.ContentError{Answer: a}
	}
	// What cannot be read of the words of a refusal is left out: the code says it.
	a.Body, _ = io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if isJSON(res.Header) {
		a.Body = []byte(words(a.Body))
	}
	return nil, a.Err()
}

func isJSON(h http.Header) bool {
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && kind == "application/json"
}

// words is what GitLab says in the body of an error: its message or error, with
// the fields that a validation names as "field: words; field: words".
func words(body []byte) string {
	var said map[string]any
	if json.Unmarshal(body, &said) != nil {
		return string(body)
	}
	for _, key := range []string{"message", "error"} {
		text := flat(said[key])
		if text == "" {
			continue
		}
		if more, ok := said["error_description"].(string); ok {
			text += ": " + more
		}
		return text
	}
	return string(body)
}

func flat(v any) string {
	var parts []string
	switch v := v.(type) {
	case string:
		return v
	case []any:
		for _, e := range v {
			parts = append(parts, flat(e))
		}
		return strings.Join(parts, ", ")
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, key+": "+flat(v[key]))
		}
		return strings.Join(parts, "; ")
	case nil:
		return ""
	}
	return fmt.Sprint(v)
}

// connError names the request without its query, which the standard library
// puts into its errors.
func connError(req *http.Request, err error) error {
	var in *url.Error
	for errors.As(err, &in) {
		err = in.Err
	}
	return &rest.ConnError{Method: req.Method, URL: rest.Plain(req.URL.String()), Err: err}
}

// failed says the deed in an error of a call. req is the request if it is known.
func failed(deed string, req *http.Request, err error) error {
	var status *rest.StatusError
	var content *rest.ContentError
	var conn *rest.ConnError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &status):
		err = status
	case errors.As(err, &content):
		err = content
	case errors.As(err, &conn):
		err = conn
	case req != nil:
		err = connError(req, fmt.Errorf("read answer: %w", err))
	}
	return fmt.Errorf("%s: %w", deed, err)
}

var errEmpty = errors.New("the answer is empty")

// result is what a call of the official client answered. The pointer is nil when
// the answer was the JSON word null.
func result[T any](deed string, v *T, res *gl.Response, err error) (T, error) {
	var none T
	var req *http.Request
	if res != nil {
		req = res.Request
	}
	if err == nil && v == nil {
		err = errEmpty
	}
	if err != nil {
		return none, failed(deed, req, err)
	}
	return *v, nil
}
