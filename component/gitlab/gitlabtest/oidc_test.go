package gitlabtest_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"

	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

// get reads a page of the server, outside of the API.
func get(t *testing.T, s *gitlabtest.Server, path string) (code int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// accepts asks the public library, which knows nothing of the fake.
func accepts(t *testing.T, s *gitlabtest.Server, token string) error {
	t.Helper()
	p, err := oidc.NewProvider(t.Context(), s.URL)
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Verifier(&oidc.Config{ClientID: "remora:http://agent.example.com"}).Verify(t.Context(), token)
	return err
}

func claimsOf(t *testing.T, token string) map[string]any {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(b, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func TestTheIssuerOfIDTokens(t *testing.T) {
	t.Parallel()
	s := gitlabtest.New(t)
	s.Populate()
	old := s.IDToken(gitlabtest.JobClaims{})
	if err := accepts(t, s, old); err != nil {
		t.Errorf("got %v, want the token accepted", err)
	}
	for _, how := range gitlabtest.Forgeries() {
		// Without a key id the library tries all keys: what it takes, we do not.
		if err := accepts(t, s, s.Forge(gitlabtest.JobClaims{}, how)); err == nil && how != gitlabtest.NoKeyID {
			t.Errorf("%s: accepted", how)
		}
	}
	if err := accepts(t, s, s.IDToken(gitlabtest.JobClaims{Audience: []string{"vault"}})); err == nil {
		t.Error("a token for another audience is accepted")
	}

	first := s.RotateKey(true)
	if err := accepts(t, s, old); err != nil {
		t.Errorf("got %v: the old key is still published", err)
	}
	second := s.RotateKey(false)
	if first == second || s.IDTokenHeader()["kid"] != second {
		t.Error("the new key has no name of its own, or does not sign")
	}
	if err := accepts(t, s, old); err == nil {
		t.Error("the old key is gone, and its token is accepted")
	}
	if err := accepts(t, s, s.IDToken(gitlabtest.JobClaims{})); err != nil {
		t.Errorf("got %v, want the new key to sign", err)
	}

	s.Forget()
	s.BreakIssuer(gitlabtest.Answer{Code: 503, Body: "away"})
	if code, body := get(t, s, "/oauth/discovery/keys"); code != 503 || body != "away" {
		t.Errorf("got %d %q in an outage, want 503", code, body)
	}
	s.BreakIssuer(gitlabtest.Answer{Code: 200, Body: "<html>"})
	if code, body := get(t, s, "/.well-known/openid-configuration"); code != 200 || body != "<html>" {
		t.Errorf("got %d %q, want garbage", code, body)
	}
	s.BreakIssuer(gitlabtest.Answer{})
	if code, _ := get(t, s, "/oauth/discovery/keys"); code != 200 || len(s.Requests("GET /oauth/discovery/keys")) != 2 {
		t.Errorf("got %d and %d requests, want 200 and 2", code, len(s.Requests("GET /oauth/discovery/keys")))
	}
}

func TestTheClaimsAreThoseOfTheJob(t *testing.T) {
	t.Parallel()
	s := gitlabtest.New(t)
	sc := s.Populate()
	fork := s.AddProject(gitlabtest.Project{ID: 77, Path: "mallory/app", Public: true})
	sha := s.AddCommit(fork.ID, gitlabtest.Commit{Branches: []string{"fix"}}).SHA
	mr := s.AddMergeRequest(42, gitlabtest.MergeRequest{SourceProjectID: fork.ID, SourceBranch: "fix"})
	s.AddPipeline(42, gitlabtest.Pipeline{ID: 1002, SHA: sha, Ref: "refs/merge-requests/8/head", MergeRequest: mr.IID, Source: "merge_request_event"})
	s.Protect(42, "main")
	for name, tc := range map[string]struct {
		job  gitlabtest.JobClaims
		want map[string]any // nil: no such claim
	}{
		"of the scene": {gitlabtest.JobClaims{PipelineID: 1001}, map[string]any{
			"iss": s.URL, "aud": "remora:http://agent.example.com", "project_id": "42", "project_path": "acme/app", "job_project_id": "42", "job_project_path": "acme/app",
			"namespace_path": "acme", "job_namespace_path": "acme", "pipeline_id": "1001", "pipeline_source": "merge_request_event", "job_id": "7001", "sha": sc.SHA,
			"ref": "feature", "ref_type": "branch", "ref_path": "refs/heads/feature", "ref_protected": "false", "user_login": "mona", "user_access_level": "maintainer",
			"runner_id": 1.0, "sub": "project_path:acme/app:ref_type:branch:ref:feature", "environment": nil,
		}},
		"of a fork whose branch is called as a protected one": {gitlabtest.JobClaims{PipelineID: 1002, Ref: "main"}, map[string]any{"ref": "main", "ref_protected": "false"}},
		"of a fork, in the parent":                            {gitlabtest.JobClaims{PipelineID: 1002}, map[string]any{"project_id": "77", "project_path": "mallory/app", "job_project_id": "42", "sha": sha, "ref": "fix"}},
		"before GitLab 18.4":                                  {gitlabtest.JobClaims{PipelineID: 1002, Before184: true}, map[string]any{"project_id": "77", "job_project_id": nil, "job_namespace_path": nil}},
		"on a protected branch":                               {gitlabtest.JobClaims{PipelineID: 1001, Ref: "main"}, map[string]any{"ref": "main", "ref_protected": "true"}},
		"of a tag":                                            {gitlabtest.JobClaims{Ref: "v1.0.0", Tag: true, Protected: true}, map[string]any{"ref_type": "tag", "ref_path": "refs/tags/v1.0.0", "ref_protected": "true"}},
		"with an environment":                                 {gitlabtest.JobClaims{Environment: "prod"}, map[string]any{"environment": "prod", "environment_protected": "false", "deployment_tier": "production"}},
		"with claims of its own":                              {gitlabtest.JobClaims{Set: map[string]any{"jti": nil, "ref": 7}}, map[string]any{"jti": nil, "ref": 7.0}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := claimsOf(t, s.IDToken(tc.job))
			for claim, want := range tc.want {
				if got[claim] != want {
					t.Errorf("%s: got %v, want %v", claim, got[claim], want)
				}
			}
		})
	}
	a, b := claimsOf(t, s.IDToken(gitlabtest.JobClaims{})), claimsOf(t, s.IDToken(gitlabtest.JobClaims{Audience: []string{"a", "b"}}))
	if _, list := b["aud"].([]any); a["jti"] == b["jti"] || !list {
		t.Errorf("got jti %v and %v, aud %v: want two ids, and a list", a["jti"], b["jti"], b["aud"])
	}
}

func TestAHandlerIssuesUnderItsOwnAddress(t *testing.T) {
	t.Parallel()
	s := gitlabtest.NewHandler("https://gitlab.example.com/")
	s.Populate()
	if iss := claimsOf(t, s.IDToken(gitlabtest.JobClaims{Audience: []string{rand.Text()}}))["iss"]; iss != "https://gitlab.example.com" {
		t.Errorf("got issuer %v", iss)
	}
}
