package gitlabtest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

// answer is what the fake said.
type answer struct {
	code   int
	header http.Header
	body   string
}

// ask makes one request below /api/v4, without following redirects.
func ask(t *testing.T, s *gitlabtest.Server, token, method, path, body string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+"/api/v4"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	name, value, isHeader := strings.Cut(token, ": ")
	switch {
	case isHeader:
		req.Header.Set(name, value)
	case token != "":
		req.Header.Set("PRIVATE-TOKEN", token)
	}
	req.Header.Set("Content-Type", "application/json")
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(text)}
}

// field is a member of the answer, as text.
func (a answer) field(t *testing.T, name string) any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(a.body), &m); err != nil {
		t.Fatalf("got %q, want JSON: %v", a.body, err)
	}
	return m[name]
}

func check(t *testing.T, got answer, code int, want string) {
	t.Helper()
	if got.code != code || !strings.Contains(got.body, want) {
		t.Errorf("got %d %.300s, want %d with %q", got.code, got.body, code, want)
	}
}

func object(pairs ...any) string {
	m := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i].(string)] = pairs[i+1]
	}
	b, _ := json.Marshal(m)
	return string(b)
}
