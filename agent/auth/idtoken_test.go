package auth_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/remora-ci/remora/agent/auth"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

const audience = "remora:http://agent.example.com"

// issuerOf is a GitLab with a scene, a tag and the merge request !8 of a fork, whose
// pipeline is 1002.
func issuerOf(t testing.TB) *gitlabtest.Server {
	t.Helper()
	s := gitlabtest.New(t)
	s.Populate()
	fork := s.AddProject(gitlabtest.Project{ID: 77, Path: "mallory/app", Public: true})
	sha := s.AddCommit(fork.ID, gitlabtest.Commit{SHA: strings.Repeat("f0", 20), Branches: []string{"fix"}}).SHA
	s.AddMergeRequest(42, gitlabtest.MergeRequest{IID: 8, SourceProjectID: fork.ID, SourceBranch: "fix"})
	s.AddPipeline(42, gitlabtest.Pipeline{ID: 1002, SHA: sha, MergeRequest: 8, Source: "merge_request_event"})
	return s
}

// idTokens takes the tokens of the issuers for audience, with its clock at start.
func idTokens(issuers ...*gitlabtest.Server) *auth.IDTokens {
	var list []auth.Issuer
	for _, s := range issuers {
		list = append(list, auth.Issuer{URL: s.URL, Audiences: []string{audience}, Client: http.DefaultClient})
	}
	return auth.NewIDTokens(list, func() time.Time { return start })
}

// claims are those of the scene's job, issued at start.
func claims(pairs ...any) gitlabtest.JobClaims {
	set := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		set[pairs[i].(string)] = pairs[i+1]
	}
	return gitlabtest.JobClaims{PipelineID: 1001, IssuedAt: start, Set: set}
}

// wantClaim checks that a refusal names the claim: in full, and in one sentence.
func wantClaim(t *testing.T, err error, claim, token string) {
	t.Helper()
	code := auth.CodeClaim
	if claim == "exp" {
		code = auth.CodeExpired
	}
	var r *auth.Refusal
	if errors.As(err, &r) && r.Code == auth.CodeClaim && claim == "exp" {
		code = auth.CodeClaim // it has no end
	}
	wantRefusal(t, err, code, token)
	for _, part := range strings.Split(token, ".") {
		if len(part) > 20 && (strings.Contains(r.Reason, part) || strings.Contains(r.Public, part)) {
			t.Errorf("the refusal holds a part of the token: %q", r.Reason)
		}
	}
	if r.Claim != claim || !strings.HasPrefix(r.Reason, claim+": ") || !strings.Contains(r.Public, claim) {
		t.Errorf("got claim %q, reason %q, public %q, want %q in each", r.Claim, r.Reason, r.Public, claim)
	}
}

func TestWhatAnIDTokenProves(t *testing.T) {
	t.Parallel()
	s := issuerOf(t)
	scene := auth.Job{
		Instance: s.URL, ProjectID: 42, ProjectPath: "acme/app", Exact: true, SourceID: 42, SourcePath: "acme/app", PipelineID: 1001, PipelineSource: "merge_request_event",
		JobID: 7001, SHA: "c0ffee1200000000000000000000000000000002", Ref: "feature", RefType: delivery.Branch, UserLogin: "mona", Expires: start.Add(time.Hour),
	}
	job := func(change func(*auth.Job)) auth.Job { j := scene; change(&j); return j }
	fork := func(j *auth.Job) {
		j.SourceID, j.SourcePath, j.PipelineID, j.SHA, j.Ref, j.UserLogin = 77, "mallory/app", 1002, strings.Repeat("f0", 20), "fix", "ghost"
	}
	for name, tc := range map[string]struct {
		claims gitlabtest.JobClaims
		want   auth.Job
		fork   bool
	}{
		"the job of a merge request":                           {claims(), scene, false},
		"the job of a fork's merge request runs in the parent": {gitlabtest.JobClaims{PipelineID: 1002, IssuedAt: start}, job(fork), true},
		"no job_project_id, as before GitLab 18.4, so project_id, which may be the fork": {
			gitlabtest.JobClaims{PipelineID: 1002, IssuedAt: start, Before184: true}, job(func(j *auth.Job) { fork(j); j.ProjectID, j.ProjectPath, j.Exact = 77, "mallory/app", false }), false,
		},
		"job_project_id and job_project_path that are null are none": {claims("job_project_id", json.RawMessage("null"), "job_project_path", json.RawMessage("null")), job(func(j *auth.Job) { j.Exact = false }), false},
		"a protected branch":                  {claims("ref_protected", "true"), job(func(j *auth.Job) { j.RefProtected = true }), false},
		"ref_protected as a boolean":          {claims("ref_protected", true), job(func(j *auth.Job) { j.RefProtected = true }), false},
		"no ref_protected is not protected":   {claims("ref_protected", nil), scene, false},
		"a tag":                               {claims("ref", "v1.0.0", "ref_type", "tag"), job(func(j *auth.Job) { j.Ref, j.RefType = "v1.0.0", delivery.Tag }), false},
		"ids as numbers":                      {claims("project_id", 42, "job_project_id", 42, "job_id", 7001, "pipeline_id", 1001), scene, false},
		"several audiences":                   {claims("aud", []string{"https://vault.example.com", audience}), scene, false},
		"an audience with a slash at its end": {claims("aud", audience+"/"), scene, false},
		"an issuer with a slash at its end":   {claims("iss", s.URL+"/"), scene, false},
		"a time with a fraction":              {claims("exp", float64(start.Add(time.Hour).Unix())+0.5), scene, false},
		"nbf within the skew of clocks":       {claims("nbf", start.Add(59*time.Second).Unix()), scene, false},
		"no nbf":                              {claims("nbf", nil), scene, false},
		"one second before its end":           {claims("exp", start.Unix()+1), job(func(j *auth.Job) { j.Expires = start.Add(time.Second) }), false},
		"a subject that is configured":        {claims("sub", "project_id:42"), scene, false},
		"no user_id, as of a deleted user":    {claims("user_id", nil, "user_login", nil), job(func(j *auth.Job) { j.UserLogin = "" }), false},
		"claims of next year":                 {claims("teleport", map[string]any{"a": []int{1}}), scene, false},
		"SHA-256":                             {claims("sha", strings.Repeat("ab", 32)), job(func(j *auth.Job) { j.SHA = strings.Repeat("ab", 32) }), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := s.IDToken(tc.claims)
			got, err := idTokens(s).Verify(t.Context(), text)
			if err != nil {
				t.Fatal(err)
			}
			if got.TokenID == "" || got.UserID == 0 && got.UserLogin == "mona" {
				t.Errorf("got %+v, want a jti and the user", got)
			}
			got.TokenID, got.UserID = "", 0
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("want -, got +\n%s", d)
			}
			if got.Fork() != tc.fork {
				t.Errorf("got fork %t, want %t", got.Fork(), tc.fork)
			}
		})
	}
}

// W19, for ID tokens: each refusal names what did not hold.
func TestIDTokensThatAreRefused(t *testing.T) {
	t.Parallel()
	s := issuerOf(t)
	raw := func(text string) json.RawMessage { return json.RawMessage(text) }
	for name, tc := range map[string]struct{ claim, token string }{
		"W19 for another audience":             {"aud", s.IDToken(claims("aud", "https://vault.example.com"))},
		"W19 for audiences of others":          {"aud", s.IDToken(claims("aud", []string{"a", "b"}))},
		"W19 for an audience that starts so":   {"aud", s.IDToken(claims("aud", audience+".evil.example"))},
		"W19 for no audience":                  {"aud", s.IDToken(claims("aud", nil))},
		"W19 an audience that is a number":     {"aud", s.IDToken(claims("aud", 1))},
		"W19 an audience of numbers":           {"aud", s.IDToken(claims("aud", []int{1}))},
		"W19 of another issuer":                {"iss", s.IDToken(claims("iss", "https://gitlab.example.org"))},
		"W19 of our issuer's name with a path": {"iss", s.IDToken(claims("iss", s.URL+"/x"))},
		"W19 of our issuer in capitals":        {"iss", s.IDToken(claims("iss", strings.ToUpper(s.URL)))},
		"W19 of no issuer":                     {"iss", s.IDToken(claims("iss", nil))},
		"W19 an issuer that is a number":       {"format", s.IDToken(claims("iss", 1))},
		"W19 expired":                          {"exp", s.IDToken(claims("exp", start.Add(-time.Second).Unix()))},
		"W19 at its end":                       {"exp", s.IDToken(claims("exp", start.Unix()))},
		"W19 without an end":                   {"exp", s.IDToken(claims("exp", nil))},
		"W19 an end in words":                  {"exp", s.IDToken(claims("exp", "never"))},
		"W19 an end beyond all times":          {"exp", s.IDToken(claims("exp", raw("1e300")))},
		"W19 not yet valid":                    {"nbf", s.IDToken(claims("nbf", start.Add(2*time.Minute).Unix()))},
		"W19 a beginning in words":             {"nbf", s.IDToken(claims("nbf", "now"))},
		"W19 alg none":                         {"alg", s.Forge(claims(), gitlabtest.AlgNone)},
		"W19 RS256 confusion":                  {"alg", s.Forge(claims(), gitlabtest.AlgHMAC)},
		"W19 PS256 by the right key":           {"alg", s.Forge(claims(), gitlabtest.AlgPSS)},
		"W19 another key":                      {"signature", s.Forge(claims(), gitlabtest.OtherKey)},
		"W19 no signature":                     {"signature", s.Forge(claims(), gitlabtest.NoSignature)},
		"W19 an unknown key":                   {"kid", s.Forge(claims(), gitlabtest.UnknownKey)},
		"W19 no key":                           {"kid", s.Forge(claims(), gitlabtest.NoKeyID)},
		"claims that were changed":             {"signature", changed(t, s.IDToken(claims()), "project_id", "1")},
		"no project_id":                        {"project_id", s.IDToken(claims("project_id", nil))},
		"project_id 0":                         {"project_id", s.IDToken(claims("project_id", "0"))},
		"project_id below 0":                   {"project_id", s.IDToken(claims("project_id", -42))},
		"project_id that is no number":         {"project_id", s.IDToken(claims("project_id", "42x"))},
		"project_id with a plus":               {"project_id", s.IDToken(claims("project_id", "+42"))},
		"project_id with a fraction":           {"project_id", s.IDToken(claims("project_id", 42.5))},
		"project_id with an exponent":          {"project_id", s.IDToken(claims("project_id", raw("42e1")))},
		"project_id in two pairs of quotes":    {"project_id", s.IDToken(claims("project_id", `"42"`))},
		"project_id that is a list":            {"project_id", s.IDToken(claims("project_id", []int{42}))},
		"project_id beyond all numbers":        {"project_id", s.IDToken(claims("project_id", "99999999999999999999"))},
		"project_id that is true":              {"project_id", s.IDToken(claims("project_id", true))},
		"no project_path":                      {"project_path", s.IDToken(claims("project_path", nil))},
		"project_path that climbs":             {"project_path", s.IDToken(claims("project_path", "acme/../app"))},
		"project_path without a group":         {"project_path", s.IDToken(claims("project_path", "acme"))},
		"project_path that is a number":        {"project_path", s.IDToken(claims("project_path", 42))},
		"job_project_id without its path":      {"job_project_path", s.IDToken(claims("job_project_path", nil))},
		"job_project_path without its id":      {"job_project_id", s.IDToken(claims("job_project_id", nil))},
		"job_project_id that makes no sense is not taken for a missing one": {"job_project_id", s.IDToken(claims("job_project_id", "x"))},
		"no job_id":                        {"job_id", s.IDToken(claims("job_id", nil))},
		"no pipeline_id":                   {"pipeline_id", s.IDToken(claims("pipeline_id", nil))},
		"no jti":                           {"jti", s.IDToken(claims("jti", nil))},
		"an empty jti":                     {"jti", s.IDToken(claims("jti", ""))},
		"a jti without end":                {"jti", s.IDToken(claims("jti", strings.Repeat("j", 256)))},
		"a jti that is a number":           {"jti", s.IDToken(claims("jti", 1))},
		"no sha":                           {"sha", s.IDToken(claims("sha", nil))},
		"half a sha":                       {"sha", s.IDToken(claims("sha", "c0ffee12"))},
		"a sha that is a path":             {"sha", s.IDToken(claims("sha", strings.Repeat("../a", 10)))},
		"no ref":                           {"ref", s.IDToken(claims("ref", nil))},
		"a ref of many lines":              {"ref", s.IDToken(claims("ref", "main\nroot"))},
		"a ref without end":                {"ref", s.IDToken(claims("ref", strings.Repeat("r", 1025)))},
		"no ref_type":                      {"ref_type", s.IDToken(claims("ref_type", nil))},
		"ref_type of something else":       {"ref_type", s.IDToken(claims("ref_type", "commit"))},
		"ref_protected that is a word":     {"ref_protected", s.IDToken(claims("ref_protected", "yes"))},
		"ref_protected that is 1":          {"ref_protected", s.IDToken(claims("ref_protected", 1))},
		"no claims at all, but a good end": {"project_id", s.SignIDToken(s.IDTokenHeader(), map[string]any{"iss": s.URL, "aud": audience, "exp": start.Unix() + 60, "jti": "j"})},
		"an extension we do not know":      {"crit", s.SignIDToken(with(s.IDTokenHeader(), "crit", []string{"b64"}, "b64", true), s.Claims(claims()))},
		"a token without end":              {"size", s.IDToken(claims("x", strings.Repeat("x", 16<<10)))},
		"a fourth part":                    {"format", s.IDToken(claims()) + ".x"},
		"two parts":                        {"format", "e30.e30"},
		"claims that are a list":           {"format", "eyJhbGciOiJSUzI1NiJ9.W10.AAAA"},
		"padding":                          {"format", strings.Replace(s.IDToken(claims()), ".", "=.", 1)},
		"a new line within":                {"format", strings.Replace(s.IDToken(claims()), ".", "\n.", 1)},
		"nothing":                          {"format", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j, err := idTokens(s).Verify(t.Context(), tc.token)
			if err == nil || j != (auth.Job{}) {
				t.Fatalf("got %+v, %v, want it refused", j, err)
			}
			wantClaim(t, err, tc.claim, tc.token)
		})
	}
}

// changed is a token with a claim that its signer did not write.
func changed(t *testing.T, token, name string, value any) string {
	t.Helper()
	parts := strings.Split(token, ".")
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]any{}
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	all[name] = value
	if b, err = json.Marshal(all); err != nil {
		t.Fatal(err)
	}
	return parts[0] + "." + base64.RawURLEncoding.EncodeToString(b) + "." + parts[2]
}

func TestSeveralInstances(t *testing.T) {
	t.Parallel()
	one, two, stranger := issuerOf(t), issuerOf(t), issuerOf(t)
	ids := idTokens(one, two)
	for _, s := range []*gitlabtest.Server{one, two} {
		if j, err := ids.Verify(t.Context(), s.IDToken(claims())); err != nil || j.Instance != s.URL {
			t.Errorf("got %+v, %v, want a job of %s", j, err, s.URL)
		}
	}
	foreign := stranger.IDToken(claims())
	_, err := ids.Verify(t.Context(), foreign)
	wantClaim(t, err, "iss", foreign)
	if n := len(stranger.Requests()); n != 0 {
		t.Errorf("got %d requests to a GitLab that is not configured, want none", n)
	}
	posing := two.IDToken(claims("iss", one.URL)) // signed by two, in the name of one
	_, err = ids.Verify(t.Context(), posing)
	wantClaim(t, err, "kid", posing)
	header := two.IDTokenHeader()
	maps.Copy(header, map[string]any{"kid": one.IDTokenHeader()["kid"]})
	posing = two.SignIDToken(header, two.Claims(claims("iss", one.URL)))
	_, err = ids.Verify(t.Context(), posing)
	wantClaim(t, err, "signature", posing)
}

func TestNobodyIsConfigured(t *testing.T) {
	t.Parallel()
	s := issuerOf(t)
	text := s.IDToken(claims())
	_, err := auth.NewIDTokens(nil, nil).Verify(t.Context(), text)
	wantClaim(t, err, "iss", text)
	_, err = auth.NewIDTokens([]auth.Issuer{{URL: s.URL, Client: http.DefaultClient}}, func() time.Time { return start }).Verify(t.Context(), text)
	wantClaim(t, err, "aud", text)
}

func TestWhichTokensAreIDTokens(t *testing.T) {
	t.Parallel()
	s := issuerOf(t)
	ours := issue(t, key('k', 32), auth.Grant{Path: "acme/app"}).Token.Reveal()
	for text, want := range map[string]bool{
		s.IDToken(claims()):                   true,
		s.Forge(claims(), gitlabtest.AlgHMAC): true, // it is refused by who judges ID tokens
		s.Forge(claims(), gitlabtest.AlgNone): true,
		ours:                                  false,
		"glpat-0123456789":                    false,
		"a.b.c":                               false,
		"":                                    false,
		s.IDToken(claims("iss", nil)):         false,
		s.IDToken(claims("x", strings.Repeat("x", 16<<10))): false,
	} {
		if got := auth.IsIDToken(text); got != want {
			t.Errorf("%.40s…: got %t, want %t", text, got, want)
		}
	}
}

// A claim of any type and content is refused by its name or read for what it is.
func FuzzClaims(f *testing.F) {
	s := issuerOf(f)
	for _, seed := range [][2]string{
		{"project_id", `"42"`}, {"project_id", "1e400"}, {"aud", `["a",1]`}, {"exp", "-1"}, {"ref", `"\u0000"`}, {"ref_protected", `"TRUE"`}, {"jti", "{}"},
		{"job_project_id", "0"}, {"job_project_path", `"a/b"`}, {"iss", "null"}, {"sha", `"zz"`}, {"_claim_names", `{"a":"b"}`}, {"email_verified", "7"}, {"nbf", "1e9"},
	} {
		f.Add(seed[0], seed[1])
	}
	ids := idTokens(s)
	f.Fuzz(func(t *testing.T, name, value string) {
		if !json.Valid([]byte(value)) {
			return
		}
		text := s.IDToken(claims(name, json.RawMessage(value)))
		j, err := ids.Verify(t.Context(), text)
		var r *auth.Refusal
		switch {
		case err != nil && (!errors.As(err, &r) || r.Claim == "" || strings.Contains(r.Reason+r.Public, text)):
			t.Errorf("%s %s: got %v, want a refusal that names a claim", name, value, err)
		case err == nil && (j.ProjectID <= 0 || j.SourceID <= 0 || j.JobID <= 0 || j.PipelineID <= 0 || j.TokenID == "" || j.Ref == "" || j.SHA == "" || !j.Expires.After(start) || j.Instance != s.URL):
			t.Errorf("%s %s: accepted as %+v", name, value, j)
		}
	})
}

// Whatever is sent as a token: without the key nobody is let in.
func FuzzIDToken(f *testing.F) {
	s := issuerOf(f)
	good := s.IDToken(claims())
	f.Add(good)
	f.Add(s.Forge(claims(), gitlabtest.AlgNone))
	f.Add("..")
	f.Add(good[:len(good)-4] + "AAAA")
	f.Add("eyJhbGciOiJSUzI1NiIsImtpZCI6MX0.e30.AAAA")
	ids := idTokens(s)
	f.Fuzz(func(t *testing.T, text string) {
		if j, err := ids.Verify(t.Context(), text); err == nil && text != good {
			t.Errorf("%q was accepted as %+v", text, j)
		} else if err != nil && len(text) > 40 && strings.Contains(err.Error(), text) {
			t.Errorf("the refusal holds the token: %v", err)
		}
	})
}

func BenchmarkIDToken(b *testing.B) {
	s := issuerOf(b)
	ids, text := idTokens(s), s.IDToken(claims())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ids.Verify(b.Context(), text); err != nil {
			b.Fatal(err)
		}
	}
}
