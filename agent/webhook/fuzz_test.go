package webhook_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"gitlab.com/remora-ci/remora/agent/webhook"
)

// FuzzParse compares with encoding/json: the same bodies are objects, and the
// same project and kind is in them.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		pushBody, "{}", "[]", "", `{"project":{"path_with_namespace":"a\/b\u0041"},"project_id":1e3}`, `{"a":[{"b":-0.5e+7},true,false,null,"\ud800\\"]}`,
		`{"object_kind":"note","merge_request":{"last_commit":{"id":"` + sha + `"}},"object_attributes":{"commit_id":null}}`, `{"Project":{"PATH_WITH_NAMESPACE":"x/y"}}`,
		`{"object_kind":"pipeline","object_attributes":{"ref":"a","tag":true}}`, `{"repository":{"homepage":"https://h:443/a/b/"},"object_kind":"deployment","commit_url":"/"}`,
	} {
		f.Add([]byte(seed), "https://gitlab.example.com", "key")
	}
	f.Fuzz(func(t *testing.T, body []byte, instance, key string) {
		h := http.Header{"X-Gitlab-Instance": {instance}, "Idempotency-Key": {key}}
		e, err := webhook.Parse(h, body)
		trimmed := bytes.TrimLeft(body, " \t\r\n")
		object := json.Valid(body) && len(trimmed) > 0 && trimmed[0] == '{'
		if err == nil && !object {
			t.Fatalf("accepted %q", body)
		}
		if err != nil && object && bytes.Count(body, []byte("["))+bytes.Count(body, []byte("{")) < 200 {
			t.Fatalf("refused %q: %v", body, err)
		}
		if err != nil {
			return
		}
		for _, s := range append([]string{e.IdempotencyKey, e.Kind, e.Project, e.Ref, e.SHA}, append(e.Paths, e.Instances...)...) {
			if !utf8.ValidString(s) || strings.Contains(s, "\x00") || len(s) > 4096 {
				t.Errorf("a database would not take %q", s)
			}
		}
		if e.IdempotencyKey == "" || e.Kind == "" || e.ProjectID < 0 {
			t.Errorf("got %+v", e)
		}
		compareWithJSON(t, body, e)
	})
}

// compareWithJSON asks the other reader which project a token has to cover.
func compareWithJSON(t *testing.T, body []byte, e webhook.Envelope) {
	var theirs struct {
		Path    string `json:"path_with_namespace"`
		Project struct {
			Path string `json:"path_with_namespace"`
		} `json:"project"`
	}
	if json.Unmarshal(body, &theirs) != nil {
		return // an odd type
	}
	for _, path := range []string{theirs.Path, theirs.Project.Path} {
		if path != "" && len(path) <= 1024 && !strings.ContainsFunc(path, func(r rune) bool { return r < ' ' || r >= 0x7f }) {
			found := false
			for _, p := range e.Paths {
				found = found || p == path
			}
			if !found {
				t.Errorf("encoding/json reads path %q in %q, and it is not among %q", path, body, e.Paths)
			}
		}
	}
}
