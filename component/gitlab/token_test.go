package gitlab_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
	"gitlab.com/remora-ci/remora/component/rest"
)

func as(t *testing.T, git *gitlabtest.Server, token string) *gitlab.Client {
	t.Helper()
	out, err := rest.New(rest.Config{MaxBody: 64 << 20, Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	gl, err := gitlab.New(gitlab.Config{URL: git.URL, Token: delivery.Secret(token)}, out)
	if err != nil {
		t.Fatal(err)
	}
	return gl
}

func day(days int) time.Time {
	return time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, days)
}

func TestFactsOfATokenAreThoseThatGitLabTells(t *testing.T) {
	t.Parallel()
	git := gitlabtest.New(t)
	scene := git.Populate()
	made := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	git.Describe(scene.Token, gitlabtest.Facts{ID: 77, Name: "remora", CreatedAt: made, ExpiresAt: day(40)})
	git.AddToken(scene.Bot.ID, "glpat-fine", gitlabtest.Bot)
	git.Describe("glpat-fine", gitlabtest.Facts{ID: 78, Granular: true, CreatedAt: made})
	git.LimitCalls(500, time.Minute)

	got, err := as(t, git, scene.Token).Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if since := time.Since(got.Now); since > time.Minute || since < -time.Minute {
		t.Errorf("GitLab's clock is %s, want about now", got.Now)
	}
	got.Now = time.Time{}
	want := gitlab.Token{ID: 77, Name: "remora", UserID: scene.Bot.ID, Scopes: []string{"api"}, Active: true, CreatedAt: made, ExpiresAt: day(40), Limit: 500, Remaining: 499}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if fine, err := as(t, git, "glpat-fine").Token(t.Context()); err != nil || !fine.Granular || !fine.ExpiresAt.IsZero() {
		t.Errorf("a fine-grained token that never expires is %+v, %v", fine, err)
	}
	if version, err := as(t, git, scene.Token).Version(t.Context()); version != "18.5.0-ee" || err != nil {
		t.Errorf("version %q, %v", version, err)
	}
}

func TestATokenThatIsRefusedIsToldWithItsReason(t *testing.T) {
	t.Parallel()
	git := gitlabtest.New(t)
	scene := git.Populate()
	git.AddToken(scene.Bot.ID, "glpat-old", gitlabtest.Bot)
	git.Describe("glpat-old", gitlabtest.Facts{ExpiresAt: day(0)})
	git.AddToken(scene.Bot.ID, "glpat-gone", gitlabtest.Revoked)
	git.AddToken(scene.Bot.ID, "oauth", gitlabtest.Bot)
	git.Describe("oauth", gitlabtest.Facts{OAuth: true})
	for token, want := range map[string]string{
		"glpat-old": "Token is expired", "glpat-gone": "Token was revoked", "glpat-unknown": "401 Unauthorized", "oauth": gitlab.ErrNotPersonal.Error(),
	} {
		t.Run(token, func(t *testing.T) {
			t.Parallel()
			_, err := as(t, git, token).Token(t.Context())
			if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "read facts of own token: ") {
				t.Errorf("got %v, want %q", err, want)
			}
			if errors.Is(err, gitlab.ErrNotPersonal) != (token == "oauth") {
				t.Errorf("got %v, want ErrNotPersonal for OAuth alone", err)
			}
		})
	}
}

func TestARotatedTokenReplacesTheOldOneAtOnce(t *testing.T) {
	t.Parallel()
	git := gitlabtest.New(t)
	scene := git.Populate()
	git.Describe(scene.Token, gitlabtest.Facts{ExpiresAt: day(10)})
	made, value, err := as(t, git, scene.Token).RotateToken(t.Context(), day(90).Add(5*time.Hour))
	if err != nil || !made.ExpiresAt.Equal(day(90)) || value.Reveal() != git.Rotated(scene.Token) {
		t.Fatalf("got %+v, %v; want a token until %s", made, err, day(90))
	}
	if _, err := as(t, git, scene.Token).Token(t.Context()); err == nil {
		t.Error("the old token still works")
	}
	if got, err := as(t, git, value.Reveal()).Token(t.Context()); err != nil || !got.ExpiresAt.Equal(day(90)) {
		t.Errorf("the new token is %+v, %v", got, err)
	}
	// Rotating with the old one again ends the new one too: never do it blindly.
	if _, _, err := as(t, git, scene.Token).RotateToken(t.Context(), day(90)); err == nil || gitlab.NotRotated(err) {
		t.Errorf("rotating twice gave %v, want an error that proves nothing", err)
	}
	if git.Good(value.Reveal()) {
		t.Error("the family of a token that was used twice is not revoked")
	}
}

func TestOnlyACertainRefusalMeansThatNothingWasRotated(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		answer  gitlabtest.Answer
		certain bool
	}{
		{"an expiry that is not allowed", gitlabtest.Answer{Code: 400, Body: `{"message":"400 Bad request - Expiration date must be before 2027-01-01"}`}, true},
		{"a scope that is too weak", gitlabtest.Answer{Code: 403, Body: `{"error":"insufficient_scope"}`}, true},
		{"a rate limit", gitlabtest.Answer{Code: 429, Body: "Retry later"}, true},
		{"a server fault", gitlabtest.Answer{Code: 500, After: true, Body: `{"message":"500 Internal Server Error"}`}, false},
		{"a gateway that lost the answer", gitlabtest.Answer{Code: 502, After: true, Body: "<html>"}, false},
		{"a connection that broke", gitlabtest.Answer{Drop: true, After: true}, false},
		{"an answer cut short", gitlabtest.Answer{Code: 200, After: true, Body: `{"id":1,"tok`, Cut: true}, false},
		{"an answer without the token", gitlabtest.Answer{Code: 200, After: true, Body: `{"id":1}`}, false},
		{"a page", gitlabtest.Answer{Code: 200, After: true, Body: "<html>"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			git := gitlabtest.New(t)
			scene := git.Populate()
			git.Fail("POST /rotate", tt.answer)
			_, _, err := as(t, git, scene.Token).RotateToken(t.Context(), day(30))
			if err == nil || gitlab.NotRotated(err) != tt.certain {
				t.Errorf("NotRotated(%v) is %v, want %v", err, !tt.certain, tt.certain)
			}
			if n := len(git.Requests("POST /rotate")); n != 1 {
				t.Errorf("sent %d times, want once", n)
			}
			if strings.Contains(err.Error(), "glpat") {
				t.Errorf("a token is in %v", err)
			}
		})
	}
	nobody, err := gitlab.New(gitlab.Config{URL: "http://127.0.0.1:1", Token: token}, mustRest(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := nobody.RotateToken(t.Context(), day(30)); !gitlab.NotRotated(err) {
		t.Errorf("nobody answers: %v, want a rotation that was not sent", err)
	}
	if gitlab.NotRotated(context.Canceled) || gitlab.NotRotated(&rest.StatusError{Code: http.StatusUnauthorized}) {
		t.Error("a cancel and a 401 prove nothing")
	}
}

func mustRest(t *testing.T) *rest.Client {
	t.Helper()
	out, err := rest.New(rest.Config{Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTheOwnRoleIsThatOfTheProject(t *testing.T) {
	t.Parallel()
	git := gitlabtest.New(t)
	scene := git.Populate()
	for level := range map[gitlabtest.Level]bool{gitlabtest.Guest: true, gitlabtest.Developer: true, gitlabtest.Owner: true} {
		git.AddMember(42, scene.Bot.ID, level)
		if role, err := as(t, git, scene.Token).Role(t.Context(), gitlab.ProjectID(42)); role != int(level) || err != nil {
			t.Errorf("got %d, %v, want %d", role, err, level)
		}
	}
	open := git.AddProject(gitlabtest.Project{Path: "acme/open", Public: true})
	if role, err := as(t, git, scene.Token).Role(t.Context(), gitlab.ProjectID(open.ID)); role != 0 || err != nil {
		t.Errorf("got %d, %v for no member, want 0", role, err)
	}
	if _, err := as(t, git, scene.Token).Role(t.Context(), "acme/gone"); err == nil {
		t.Error("a project that is not there has a role")
	}
}

func TestATokenThatWasRotatedMeanwhileIsReplaced(t *testing.T) {
	t.Parallel()
	git := gitlabtest.New(t)
	scene := git.Populate()
	old := as(t, git, scene.Token)
	_, next, err := as(t, git, scene.Token).RotateToken(t.Context(), day(30))
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	old.Renewing(func(_ context.Context, refused delivery.Secret) delivery.Secret {
		if asked++; refused != delivery.Secret(scene.Token) {
			t.Error("asked about another token than the refused one")
		}
		return next
	})
	if _, err := old.SetStatus(t.Context(), gitlab.ProjectID(42), scene.SHA, gitlab.Status{State: "running", Name: "sync", Ref: "feature"}); err != nil || asked != 1 {
		t.Errorf("a write: %v, asked %d times, want it sent again with its body", err, asked)
	}
	if _, err := old.Token(t.Context()); err != nil || asked != 2 {
		t.Errorf("a read: %v, asked %d times", err, asked)
	}
	old.Renewing(func(context.Context, delivery.Secret) delivery.Secret { return "" })
	git.Forget()
	if _, err := old.Token(t.Context()); err == nil || !strings.Contains(err.Error(), "Token was revoked") || len(git.Requests()) != 1 {
		t.Errorf("without a successor: %v after %d requests, want GitLab's refusal after one", err, len(git.Requests()))
	}
	old.Renewing(func(context.Context, delivery.Secret) delivery.Secret {
		t.Error("a refused rotation was to be repeated")
		return ""
	})
	if _, _, err := old.RotateToken(t.Context(), day(30)); err == nil {
		t.Error("a dead token was rotated")
	}
}
