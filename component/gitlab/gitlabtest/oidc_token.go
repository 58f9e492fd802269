package gitlabtest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"
)

// JobClaims is the job that an ID token is for. What is not set comes from the
// world: the pipeline is the newest of the project, and commit, ref, source project
// and user are those of the pipeline.
type JobClaims struct {
	ProjectID  int64 // where the job runs; default 42, as [Server.Populate] has it
	SourceID   int64 // project_id, where it differs: a fork's, in the parent's pipeline
	PipelineID int64
	JobID      int64 // default 7001
	UserID     int64
	SHA, Ref   string
	Tag        bool
	Protected  bool   // in any case; else as [Server.Protect] says
	Source     string // pipeline_source

	Environment string
	Audience    []string // one is written as text, several as a list
	Before184   bool     // the claims job_project_id and its like did not exist yet
	IssuedAt    time.Time
	Lifetime    time.Duration // default an hour, as the time limit of a job

	Set map[string]any // claims by their names; nil leaves one out
}

// IDToken is the ID token of a job, as GitLab signs it:
// https://docs.gitlab.com/ci/secrets/id_token_authentication/.
func (s *Server) IDToken(c JobClaims) string {
	return s.SignIDToken(s.IDTokenHeader(), s.Claims(c))
}

// IDTokenHeader is the header of an ID token.
func (s *Server) IDTokenHeader() map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return map[string]any{"typ": "JWT", "alg": "RS256", "kid": s.oidc.key().id}
}

// SignIDToken signs whatever it is given with the current key and RS256.
func (s *Server) SignIDToken(header, claims map[string]any) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return signRS256(s.oidc.key().secret, header, claims)
}

func signRS256(key *rsa.PrivateKey, header, claims map[string]any) string {
	text := unsigned(header, claims)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		panic(fmt.Sprintf("gitlabtest: sign an ID token: %v", err))
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// unsigned is a token up to its second dot.
func unsigned(header, claims map[string]any) string {
	parts := make([]string, 2)
	for i, part := range []map[string]any{header, claims} {
		b, err := json.Marshal(part)
		if err != nil {
			panic(fmt.Sprintf("gitlabtest: write an ID token: %v", err))
		}
		parts[i] = base64.RawURLEncoding.EncodeToString(b)
	}
	return strings.Join(parts, ".")
}

// Claims are the claims of a job, with GitLab's types: ids and booleans are texts,
// the runner's id is a number.
func (s *Server) Claims(j JobClaims) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.complete(&j)
	runs, source := s.mustProject(j.ProjectID), s.mustProject(j.SourceID)
	kind, full := "branch", "refs/heads/"
	if j.Tag {
		kind, full = "tag", "refs/tags/"
	}
	s.oidc.lastJob++
	claims := map[string]any{
		"iss": s.URL, "aud": audience(j.Audience), "sub": "project_path:" + source.Path + ":ref_type:" + kind + ":ref:" + j.Ref,
		"iat": j.IssuedAt.Unix(), "nbf": j.IssuedAt.Unix() - 5, "exp": j.IssuedAt.Add(j.Lifetime).Unix(),
		"jti": fmt.Sprintf("%08x-0000-4000-8000-%012x", j.JobID, s.oidc.lastJob),

		"project_visibility": visibility(source), "user_access_level": s.levelName(runs, j.UserID),
		"user_id": text(j.UserID), "user_login": s.login(j.UserID), "user_email": s.login(j.UserID) + "@example.com",
		"pipeline_id": text(j.PipelineID), "pipeline_source": j.Source, "job_id": text(j.JobID), "job_source": j.Source,
		"runner_id": 1, "runner_environment": "self-hosted", "sha": j.SHA, "ci_config_sha": j.SHA,
		"ci_config_ref_uri": strings.TrimPrefix(strings.TrimPrefix(s.URL, "https://"), "http://") + "/" + source.Path + "//.gitlab-ci.yml@" + full + j.Ref,
		"ref":               j.Ref, "ref_type": kind, "ref_path": full + j.Ref, "ref_protected": strconv.FormatBool(j.Protected || runs == source && runs.protected[j.Ref]),
	}
	maps.Copy(claims, projectClaims("", source))
	if !j.Before184 {
		maps.Copy(claims, projectClaims("job_", runs))
	}
	if j.Environment != "" {
		claims["environment"], claims["environment_protected"], claims["deployment_tier"], claims["environment_action"] = j.Environment, "false", "production", "start"
	}
	for name, v := range j.Set {
		if claims[name] = v; v == nil {
			delete(claims, name)
		}
	}
	return claims
}

// complete sets what the world knows of a job; the caller holds the lock.
func (s *Server) complete(j *JobClaims) {
	set(&j.ProjectID, 42)
	set(&j.JobID, 7001)
	if j.Audience == nil {
		j.Audience = []string{"remora:http://agent.example.com"}
	}
	p := s.mustProject(j.ProjectID)
	var found Pipeline
	for _, pl := range p.pipelines {
		if j.PipelineID == 0 || j.PipelineID == pl.ID {
			found = *pl
		}
	}
	ref := found.Ref
	if m := p.mrs[found.MergeRequest]; m != nil {
		ref = m.SourceBranch
		set(&j.SourceID, m.SourceProjectID)
	}
	set(&j.SourceID, j.ProjectID)
	set(&j.PipelineID, found.ID)
	set(&j.UserID, found.UserID)
	set(&j.UserID, 1)
	set(&j.SHA, found.SHA)
	set(&j.Ref, ref)
	set(&j.Source, found.Source)
	set(&j.Source, "push")
	if j.IssuedAt.IsZero() {
		j.IssuedAt = time.Now()
	}
	if j.Lifetime == 0 {
		j.Lifetime = time.Hour
	}
}

// set sets what is not set.
func set[T comparable](value *T, to T) {
	if *value == *new(T) {
		*value = to
	}
}

func text(id int64) string { return strconv.FormatInt(id, 10) }

func audience(list []string) any {
	if len(list) == 1 {
		return list[0]
	}
	return list
}

func visibility(p *project) string {
	if p.Public {
		return "public"
	}
	return "private"
}

// projectClaims name a project and its namespace, whose id is made up.
func projectClaims(prefix string, p *project) map[string]any {
	namespace := p.Path[:max(strings.LastIndex(p.Path, "/"), 0)]
	return map[string]any{
		prefix + "project_id": text(p.ID), prefix + "project_path": p.Path,
		prefix + "namespace_id": text(p.ID + 1000), prefix + "namespace_path": namespace,
	}
}

func (s *Server) login(userID int64) string {
	if u := s.users[userID]; u != nil {
		return u.Username
	}
	return "ghost"
}

func (s *Server) levelName(p *project, userID int64) any {
	name := map[Level]string{Guest: "guest", Reporter: "reporter", Developer: "developer", Maintainer: "maintainer", Owner: "owner"}[p.members[userID]]
	if name == "" {
		return nil
	}
	return name
}
