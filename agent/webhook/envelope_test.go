package webhook_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gitlab.com/remora-ci/remora/agent/webhook"
)

const project = `"project":{"id":42,"name":"app","path_with_namespace":"acme/app","web_url":"https://gitlab.example.com/acme/app"}`

func TestParse(t *testing.T) {
	t.Parallel()
	app := func(kind, ref, sha string) webhook.Envelope {
		return webhook.Envelope{Kind: kind, Project: "acme/app", ProjectID: 42, Ref: ref, SHA: sha, Paths: []string{"acme/app"}, Instances: []string{"https://gitlab.example.com"}}
	}
	tag := func(e webhook.Envelope) webhook.Envelope { e.Tag = true; return e }
	for name, tc := range map[string]struct {
		body string
		want webhook.Envelope
	}{
		"push":                                 {`{"object_kind":"push","event_name":"push","before":"` + zeros + `","after":"` + sha + `","ref":"refs/heads/feature/a\u0026b","checkout_sha":"` + sha + `","project_id":42,` + project + `,"commits":[]}`, app("push", "feature/a&b", sha)},
		"push that deletes a branch":           {`{"object_kind":"push","after":"` + zeros + `","ref":"refs/heads/old","checkout_sha":null,"project_id":42,` + project + `}`, app("push", "old", "")},
		"push without checkout_sha":            {`{"object_kind":"push","after":"` + sha + `","ref":"refs/heads/main",` + project + `}`, app("push", "main", sha)},
		"tag push of an annotated tag":         {`{"object_kind":"tag_push","after":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","ref":"refs/tags/v1.2.0","checkout_sha":"` + sha + `",` + project + `}`, tag(app("tag_push", "v1.2.0", sha))},
		"tag push that deletes":                {`{"object_kind":"tag_push","after":"` + zeros + `","ref":"refs/tags/v1.2.0","checkout_sha":null,` + project + `}`, tag(app("tag_push", "v1.2.0", ""))},
		"merge request":                        {`{"object_kind":"merge_request","event_type":"merge_request",` + project + `,"object_attributes":{"iid":7,"source_branch":"feature","target_branch":"main","source_project_id":43,"target_project_id":42,"last_commit":{"id":"` + sha + `"},"target":{"path_with_namespace":"acme/app"},"source":{"path_with_namespace":"fork/app"}}}`, app("merge_request", "feature", sha)},
		"merge request, source deleted":        {`{"object_kind":"merge_request",` + project + `,"object_attributes":{"source_branch":"feature","source":null,"last_commit":null}}`, app("merge_request", "feature", "")},
		"merge request with odd types":         {`{"object_kind":"merge_request",` + project + `,"object_attributes":{"assignee_id":"None","milestone_id":"None","source_branch":"feature","last_commit":{"id":"` + sha + `","author":"None"}},"labels":"None","assignees":{"a":1}}`, app("merge_request", "feature", sha)},
		"merge request of odd shape":           {`{"object_kind":"merge_request",` + project + `,"object_attributes":"None"}`, app("merge_request", "", "")},
		"note on a merge request":              {`{"object_kind":"note","event_type":"note",` + project + `,"object_attributes":{"noteable_type":"MergeRequest","commit_id":null,"note":"hi"},"merge_request":{"source_branch":"feature","last_commit":{"id":"` + sha + `"}}}`, app("note", "feature", sha)},
		"confidential note on an issue":        {`{"object_kind":"note","event_type":"confidential_note",` + project + `,"object_attributes":{"noteable_type":"Issue"},"issue":{"iid":1}}`, app("note", "", "")},
		"note on a commit":                     {`{"object_kind":"note",` + project + `,"merge_request":null,"object_attributes":{"noteable_type":"Commit","commit_id":"` + sha + `"},"commit":{"id":"` + sha + `"}}`, app("note", "", sha)},
		"pipeline":                             {`{"object_kind":"pipeline","object_attributes":{"id":1001,"ref":"main","tag":false,"sha":"` + sha + `"},` + project + `,"commit":{"id":"` + sha + `"}}`, app("pipeline", "main", sha)},
		"pipeline of a tag":                    {`{"object_kind":"pipeline","object_attributes":{"ref":"v1","tag":true,"sha":"` + sha + `"},` + project + `}`, tag(app("pipeline", "v1", sha))},
		"job":                                  {`{"object_kind":"build","ref":"main","tag":false,"sha":"` + sha + `","build_id":9,"project_id":42,"commit":{"id":1001,"sha":"` + sha + `"},` + project + `}`, app("build", "main", sha)},
		"job of older GitLab, without project": {`{"object_kind":"build","ref":"main","sha":"` + sha + `","project_id":42,"project_name":"Acme / app","repository":{"homepage":"https://gitlab.example.com/acme/app"}}`, app("build", "main", sha)},
		"deployment":                           {`{"object_kind":"deployment","status":"success","short_sha":"c0ffee12","ref":"main","commit_url":"https://gitlab.example.com/acme/app/-/commit/` + sha + `",` + project + `}`, app("deployment", "main", sha)},
		"release":                              {`{"object_kind":"release","action":"create","tag":"v1.2.0","commit":{"id":"` + sha + `"},` + project + `}`, tag(app("release", "v1.2.0", sha))},
		"issue":                                {`{"object_kind":"issue",` + project + `,"object_attributes":{"iid":1}}`, app("issue", "", "")},
		"work item":                            {`{"object_kind":"work_item",` + project + `}`, app("work_item", "", "")},
		"wiki page":                            {`{"object_kind":"wiki_page",` + project + `,"wiki":{}}`, app("wiki_page", "", "")},
		"feature flag":                         {`{"object_kind":"feature_flag",` + project + `}`, app("feature_flag", "", "")},
		"milestone":                            {`{"object_kind":"milestone","event_type":"milestone",` + project + `}`, app("milestone", "", "")},
		"emoji":                                {`{"object_kind":"emoji","event_type":"award","project_id":42,` + project + `,"note":{}}`, app("emoji", "", "")},
		"token about to expire":                {`{"object_kind":"access_token","event_name":"expiring_access_token",` + project + `}`, app("access_token", "", "")},
		"vulnerability":                        {`{"object_kind":"vulnerability","object_attributes":{"url":"https://gitlab.example.com/acme/app/-/security/vulnerabilities/1"},` + project + `}`, app("vulnerability", "", "")},
		"a kind of next year":                  {`{"object_kind":"teleport",` + project + `}`, app("teleport", "", "")},
		"system hook: push":                    {`{"event_name":"push","ref":"refs/heads/main","checkout_sha":"` + sha + `","project_id":42,` + project + `}`, app("push", "main", sha)},
		"system hook: repository update":       {`{"event_name":"repository_update","project_id":42,` + project + `,"changes":[{"ref":"refs/heads/main"}],"refs":["refs/heads/main"]}`, app("repository_update", "", "")},
		"system hook: project created":         {`{"event_name":"project_create","path":"app","path_with_namespace":"acme/app","project_id":42}`, webhook.Envelope{Kind: "project_create", Project: "acme/app", ProjectID: 42, Paths: []string{"acme/app"}}},
		"system hook: project renamed":         {`{"event_name":"project_rename","path_with_namespace":"acme/app","old_path_with_namespace":"acme/old","project_id":42}`, webhook.Envelope{Kind: "project_rename", Project: "acme/app", ProjectID: 42, Paths: []string{"acme/app"}}},
		"system hook: member of a project":     {`{"event_name":"user_add_to_team","project_path_with_namespace":"acme/app","project_id":42,"user_id":7}`, webhook.Envelope{Kind: "user_add_to_team", Project: "acme/app", ProjectID: 42, Paths: []string{"acme/app"}}},
		"system hook: user created":            {`{"event_name":"user_create","user_id":7}`, webhook.Envelope{Kind: "user_create"}},
		"group hook: member added":             {`{"event_name":"user_add_to_group","group_id":5,"group_path":"acme"}`, webhook.Envelope{Kind: "user_add_to_group", Group: true}},
		"group hook: subgroup created":         {`{"event_name":"subgroup_create","group_id":6,"full_path":"acme/sub"}`, webhook.Envelope{Kind: "subgroup_create", Group: true}},
		"group hook: token about to expire":    {`{"object_kind":"access_token","group":{"group_id":5,"group_path":"acme"}}`, webhook.Envelope{Kind: "access_token", Group: true}},
		"a custom template":                    {`{"text":"pushed"}`, webhook.Envelope{Kind: webhook.Unknown}},
		"a ping":                               {`{"zen":"x","hook_id":1,"hook":{}}`, webhook.Envelope{Kind: webhook.Unknown}},
		"an empty object":                      {` {} `, webhook.Envelope{Kind: webhook.Unknown}},
		"a kind that is no text":               {`{"object_kind":7,"event_name":"push"}`, webhook.Envelope{Kind: "push"}},
		"a project that is no object":          {`{"object_kind":"push","project":"None","project_id":"42"}`, webhook.Envelope{Kind: "push", ProjectID: 42}},
		"an id that is no number":              {`{"object_kind":"push","project_id":"None"}`, webhook.Envelope{Kind: "push"}},
		"an id below 0 and one beyond all":     {`{"object_kind":"push","project_id":-4,"project":{"id":99999999999999999999}}`, webhook.Envelope{Kind: "push"}},
		"control characters in a ref":          {`{"object_kind":"push","ref":"refs/heads/a\u0000b\n"}`, webhook.Envelope{Kind: "push", Ref: "a\uFFFDb\uFFFD"}},
		"a ref of bytes that are no text":      {"{\"object_kind\":\"push\",\"ref\":\"refs/heads/a\xffb\"}", webhook.Envelope{Kind: "push", Ref: "a\uFFFDb"}},
		"a ref without end is none":            {`{"object_kind":"push","ref":"` + strings.Repeat("a", 2000) + `"}`, webhook.Envelope{Kind: "push"}},
		"a commit id that is none":             {`{"object_kind":"push","after":"HEAD","checkout_sha":"../../x"}`, webhook.Envelope{Kind: "push"}},
		"a key with escapes":                   {`{"object\u005fkind":"push","pr\u006fject":{"path_with\u005fnamespace":"acme/app"}}`, webhook.Envelope{Kind: "push", Project: "acme/app", Paths: []string{"acme/app"}}},
		"two projects: each is named":          {`{"object_kind":"push","project":{"path_with_namespace":"acme/app"},"project":{"path_with_namespace":"other/app"}}`, webhook.Envelope{Kind: "push", Project: "other/app", Paths: []string{"acme/app", "other/app"}}},
		"a project in other letters is named":  {`{"object_kind":"push","project":{"path_with_namespace":"acme/app","Path_With_Namespace":"b/b"},"Project":{"path_with_namespace":"c/c"},"PATH_with_namespace":"d/d"}`, webhook.Envelope{Kind: "push", Project: "c/c", Paths: []string{"acme/app", "b/b", "c/c", "d/d"}}},
		"letters that fold are named too":      {"{\"object_kind\":\"push\",\"path_with_name\u017fpace\":\"c/c\",\"path_with_namespace\":\"a/a\"}", webhook.Envelope{Kind: "push", Project: "a/a", Paths: []string{"c/c", "a/a"}}},
		"another target project is named": {`{"object_kind":"merge_request",` + project + `,"object_attributes":{"target":{"path_with_namespace":"other/app"}}}`, func() webhook.Envelope {
			e := app("merge_request", "", "")
			e.Paths = append(e.Paths, "other/app")
			return e
		}()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := webhook.Parse(http.Header{"Idempotency-Key": {"k"}}, []byte(tc.body))
			if err != nil {
				t.Fatal(err)
			}
			tc.want.IdempotencyKey = "k"
			if diff := cmp.Diff(tc.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestInstances(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		header, url string
		want        []string
	}{
		"both the same":             {"https://GitLab.example.com", "https://gitlab.example.com:443/acme/app", []string{"https://gitlab.example.com"}},
		"a port of its own":         {"http://gitlab.example.com:8080", "http://gitlab.example.com:8080/a/b", []string{"http://gitlab.example.com:8080"}},
		"two":                       {"https://gitlab.example.com", "https://evil.example/a/b", []string{"https://gitlab.example.com", "https://evil.example"}},
		"userinfo is not the host":  {"", "https://gitlab.example.com@evil.example/a/b", []string{"https://evil.example"}},
		"no URL":                    {"gitlab.example.com", "", []string{webhook.Unreadable}},
		"another scheme":            {"", "file:///etc/passwd", []string{webhook.Unreadable}},
		"a URL with a broken host":  {"", "https://[::1/a", []string{webhook.Unreadable}},
		"no port but its colon":     {"http://gitlab.example.com:80", "", []string{"http://gitlab.example.com"}},
		"neither header nor in URL": {"", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{"Idempotency-Key": {"k"}}
			if tc.header != "" {
				h.Set("X-Gitlab-Instance", tc.header)
			}
			got, err := webhook.Parse(h, []byte(`{"project":{"web_url":"`+tc.url+`"}}`))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got.Instances); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestWhereAProjectIs(t *testing.T) {
	t.Parallel()
	const home, evil = "https://gitlab.example.com", "https://evil.example"
	for name, tc := range map[string]struct {
		project string
		want    []string
	}{
		"clones from another host of the same GitLab": {`{"web_url":"` + home + `/a/b","git_http_url":"https://clone.example.com/a/b.git"}`, []string{home}},
		"no page, so the clone address counts":        {`{"git_http_url":"` + evil + `/a/b.git"}`, []string{evil}},
		"an empty page":                               {`{"web_url":"","http_url":"` + evil + `/a/b.git"}`, []string{evil}},
		"a page that is no text":                      {`{"web_url":7,"http_url":"` + evil + `/a/b.git"}`, []string{evil}},
		"a second page takes the first away":          {`{"web_url":"` + home + `/a/b","WEB_URL":"","Http_Url":"` + evil + `/a/b.git"}`, []string{home, evil}},
		"a second page elsewhere":                     {`{"web_url":"` + home + `/a/b","Web_url":"` + evil + `/a/b"}`, []string{home, evil}},
		"a page too long to be read":                  {`{"web_url":"` + evil + `/` + strings.Repeat("a", 3000) + `"}`, []string{webhook.Unreadable}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := webhook.Parse(nil, []byte(`{"project":`+tc.project+`}`))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got.Instances); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestIdempotencyKeys(t *testing.T) {
	t.Parallel()
	const hash = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a" // of {}
	for name, tc := range map[string]struct {
		header http.Header
		want   string
	}{
		"the key":                           {http.Header{"Idempotency-Key": {"a"}, "Webhook-Id": {"b"}}, "a"},
		"the id where there is no key":      {http.Header{"Webhook-Id": {"b"}}, "b"},
		"what is signed, where it is":       {http.Header{"Idempotency-Key": {"a"}, "Webhook-Id": {"b"}, "Webhook-Signature": {"v1,x"}}, "b"},
		"the body's hash":                   {http.Header{}, hash},
		"an empty key is none":              {http.Header{"Idempotency-Key": {" "}}, hash},
		"a key too long is none":            {http.Header{"Idempotency-Key": {strings.Repeat("a", 256)}}, hash},
		"a key that is no plain text":       {http.Header{"Idempotency-Key": {"a\xff"}}, hash},
		"an odd key, but a good id":         {http.Header{"Idempotency-Key": {"\xff"}, "Webhook-Id": {"b"}}, "b"},
		"a key of exactly the longest size": {http.Header{"Idempotency-Key": {strings.Repeat("a", 255)}}, strings.Repeat("a", 255)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := webhook.Parse(tc.header, []byte("{}"))
			if err != nil || got.IdempotencyKey != tc.want {
				t.Errorf("got %q, %v, want %q", got.IdempotencyKey, err, tc.want)
			}
		})
	}
}

func TestWhatIsNoJSONObject(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		"", " ", "null", "[]", `"x"`, "7", "{", `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{,}`, `{a:1}`, `{'a':1}`, `{"a":01}`, `{"a":.1}`, `{"a":1.}`, `{"a":1e}`,
		`{"a":+1}`, `{"a":tru}`, `{"a":nul`, `{"a":"\x"}`, `{"a":"\u12"}`, `{"a":"\u12g4"}`, "{\"a\":\"\n\"}", `{"a":"`, `{"a":"\`, `{"a":[1,]}`, `{"a":[1 2]}`, `{"a":[}`, `{} {}`, `{}x`,
		"\ufeff{}", `{"a":` + strings.Repeat("[", 201) + strings.Repeat("]", 201) + `}`, "payload=%7B%7D", `{"a":--1}`, `{"a":NaN}`,
	} {
		if e, err := webhook.Parse(nil, []byte(body)); !errors.Is(err, webhook.ErrNotObject) {
			t.Errorf("%.40q: got %+v, %v, want it refused", body, e, err)
		}
	}
	if _, err := webhook.Parse(nil, []byte(`{"a":`+strings.Repeat("[", 198)+strings.Repeat("]", 198)+`}`)); err != nil {
		t.Errorf("got %v, want a deep body accepted", err)
	}
}
