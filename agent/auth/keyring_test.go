package auth_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/agent/auth"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

// clock stands still until it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// ringed are the tokens of s, with a clock that a test moves.
func ringed(s *gitlabtest.Server) (*auth.IDTokens, *clock) {
	c := &clock{now: start}
	return auth.NewIDTokens([]auth.Issuer{{URL: s.URL, Audiences: []string{audience}, Client: http.DefaultClient}}, c.Now), c
}

// long are claims that outlast every outage here.
func long() gitlabtest.JobClaims {
	c := claims()
	c.Lifetime = 7 * 24 * time.Hour
	return c
}

// looks are how often the keys were read.
func looks(s *gitlabtest.Server) int { return len(s.Requests("GET /oauth/discovery/keys")) }

func wantJob(t *testing.T, ids *auth.IDTokens, token string) {
	t.Helper()
	if _, err := ids.Verify(t.Context(), token); err != nil {
		t.Errorf("got %v, want the token accepted", err)
	}
}

// wantLater checks that it cannot be told now: no refusal, and the reason is there.
func wantLater(t *testing.T, ids *auth.IDTokens, token, reason string) {
	t.Helper()
	_, err := ids.Verify(t.Context(), token)
	var later *auth.KeysError
	var refusal *auth.Refusal
	if !errors.As(err, &later) || errors.As(err, &refusal) {
		t.Fatalf("got %v, want a KeysError", err)
	}
	if !strings.Contains(err.Error(), "keys of the issuer cannot be read") || !strings.Contains(err.Error(), reason) || strings.Contains(err.Error(), token) {
		t.Errorf("got %q, want %q, without the token", err, reason)
	}
}

func TestKeysAreReadOnceAndLazily(t *testing.T) {
	t.Parallel()
	s := issuerOf(t)
	ids, c := ringed(s)
	if n := len(s.Requests()); n != 0 {
		t.Errorf("got %d requests before the first token, want none", n)
	}
	for range 50 {
		wantJob(t, ids, s.IDToken(long()))
	}
	if looks(s) != 1 || len(s.Requests("GET /.well-known/openid-configuration")) != 1 {
		t.Errorf("got %d looks at the keys, want 1", looks(s))
	}
	c.pass(time.Hour)
	wantJob(t, ids, s.IDToken(long()))
	if looks(s) != 2 || len(s.Requests("GET /.well-known/openid-configuration")) != 1 {
		t.Errorf("got %d looks after an hour, want 2, and where they are is known", looks(s))
	}
}

func TestAKeyRotation(t *testing.T) {
	t.Parallel()
	s := issuerOf(t)
	ids, c := ringed(s)
	old := s.IDToken(long())
	wantJob(t, ids, old)

	c.pass(time.Minute)
	s.RotateKey(true)
	wantJob(t, ids, s.IDToken(long())) // by the new key, at once
	wantJob(t, ids, old)               // by the old one, which is still there
	if looks(s) != 2 {
		t.Errorf("got %d looks, want one more", looks(s))
	}

	c.pass(time.Minute)
	s.RotateKey(false)
	wantJob(t, ids, s.IDToken(long()))
	_, err := ids.Verify(t.Context(), old)
	wantClaim(t, err, "kid", old)
}

func TestAFloodOfUnknownKeysIsNotPassedOn(t *testing.T) {
	t.Parallel()
	s := issuerOf(t)
	ids, c := ringed(s)
	good := s.IDToken(long())
	wantJob(t, ids, good)
	var wg sync.WaitGroup
	for second := range 10 {
		c.pass(time.Second)
		for i := range 20 {
			wg.Go(func() {
				header := with(s.IDTokenHeader(), "kid", strings.Repeat("k", 1+second*20+i))
				stranger := s.SignIDToken(header, s.Claims(long()))
				_, err := ids.Verify(t.Context(), stranger)
				wantClaim(t, err, "kid", stranger)
			})
		}
		wg.Wait()
	}
	if looks(s) != 2 {
		t.Errorf("got %d looks in 10 s of 200 unknown keys, want 2", looks(s))
	}
	wantJob(t, ids, good)
	c.pass(10 * time.Second)
	s.RotateKey(true)
	wantJob(t, ids, s.IDToken(long()))
	if looks(s) != 3 {
		t.Errorf("got %d looks, want 3", looks(s))
	}
}

func TestAnOutageOfTheKeys(t *testing.T) {
	t.Parallel()
	s := issuerOf(t)
	ids, c := ringed(s)
	good := s.IDToken(long())
	s.BreakIssuer(gitlabtest.Answer{Code: 503, Body: "away"})
	wantLater(t, ids, good, "status 503")
	wantLater(t, ids, good, "status 503")
	if n := len(s.Requests()); n != 1 {
		t.Errorf("got %d requests, want 1: the next is due in 10 s", n)
	}
	s.BreakIssuer(gitlabtest.Answer{})
	wantLater(t, ids, good, "status 503")
	c.pass(10 * time.Second)
	wantJob(t, ids, good)

	s.BreakIssuer(gitlabtest.Answer{Code: 503, Body: "away"})
	c.pass(23 * time.Hour)
	wantJob(t, ids, good) // known keys stay good for a day
	wantLater(t, ids, s.Forge(long(), gitlabtest.UnknownKey), "status 503")
	s.RotateKey(true)
	wantLater(t, ids, s.IDToken(long()), "status 503")
	c.pass(time.Hour + time.Second)
	wantLater(t, ids, good, "status 503")
	s.BreakIssuer(gitlabtest.Answer{})
	c.pass(10 * time.Second)
	wantJob(t, ids, good)
	wantJob(t, ids, s.IDToken(long()))
}

func TestAnswersOfAnIssuerThatAreNoKeys(t *testing.T) {
	t.Parallel()
	const discovery, keys = "GET /.well-known/openid-configuration", "GET /oauth/discovery/keys"
	metadata := func(issuer, jwks string) string { return `{"issuer":"` + issuer + `","jwks_uri":"` + jwks + `"}` }
	for name, tc := range map[string]struct{ page, body, reason string }{
		"a page for people as discovery": {discovery, "<html>", "no JSON"},
		"a list as discovery":            {discovery, "[]", "no JSON"},
		"discovery of another":           {discovery, metadata("https://evil.example", "https://evil.example/k"), `calls itself "https://evil.example"`},
		"keys that are elsewhere":        {discovery, metadata("URL", "https://evil.example/k"), "not its own origin"},
		"keys by a way that is not safe": {discovery, metadata("URL", "ftp://127.0.0.1/k"), "not its own origin"},
		"keys nowhere":                   {discovery, metadata("URL", ""), "not its own origin"},
		"a page for people as keys":      {keys, "<html>", "no JSON"},
		"no keys":                        {keys, `{"keys":[]}`, "none of the 0 keys"},
		"a key of another kind":          {keys, `{"keys":[{"kty":"EC","kid":"a","crv":"P-256","x":"AA","y":"AA"}]}`, "none of the 1 keys"},
		"a key to encrypt with":          {keys, `{"keys":[{"kty":"RSA","kid":"a","use":"enc","n":"` + strings.Repeat("v", 342) + `","e":"AQAB"}]}`, "none of the 1 keys"},
		"a key for another algorithm":    {keys, `{"keys":[{"kty":"RSA","kid":"a","alg":"PS256","n":"` + strings.Repeat("v", 342) + `","e":"AQAB"}]}`, "none of the 1 keys"},
		"a key without a name":           {keys, `{"keys":[{"kty":"RSA","n":"` + strings.Repeat("v", 342) + `","e":"AQAB"}]}`, "none of the 1 keys"},
		"a small key":                    {keys, `{"keys":[{"kty":"RSA","kid":"a","n":"` + strings.Repeat("v", 171) + `","e":"AQAB"}]}`, "none of the 1 keys"},
		"a key without end":              {keys, `{"keys":[{"kty":"RSA","kid":"a","n":"` + strings.Repeat("v", 2000) + `","e":"AQAB"}]}`, "none of the 1 keys"},
		"an exponent of 1":               {keys, `{"keys":[{"kty":"RSA","kid":"a","n":"` + strings.Repeat("v", 342) + `","e":"AQ"}]}`, "none of the 1 keys"},
		"numbers that are none":          {keys, `{"keys":[{"kty":"RSA","kid":"a","n":"***","e":"AQAB"},{"kty":"RSA","kid":"b","n":"` + strings.Repeat("v", 342) + `","e":"***"},7]}`, "none of the 3 keys"},
		"more keys than anybody has":     {keys, `{"keys":[` + strings.Repeat("{},", 64) + `{}]}`, "65 keys, over 64"},
		"an answer without end":          {keys, `{"keys":[` + strings.Repeat(" ", 256<<10) + `]}`, "more than 262144 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := issuerOf(t)
			ids, c := ringed(s)
			good := s.IDToken(long())
			s.Fail(tc.page, gitlabtest.Answer{Code: 200, Body: strings.ReplaceAll(tc.body, "URL", s.URL)})
			wantLater(t, ids, good, tc.reason)
			c.pass(10 * time.Second)
			wantJob(t, ids, good)
		})
	}
}

func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	s := gitlabtest.NewHandler("http://127.0.0.1:1")
	s.Populate()
	ids, _ := ringed(s)
	wantLater(t, ids, s.IDToken(long()), "connection refused")
}

// An issuer that does not answer holds up who needs a new key, and nobody else.
func TestASlowIssuer(t *testing.T) {
	t.Parallel()
	s := issuerOf(t)
	ids, c := ringed(s)
	good := s.IDToken(long())
	wantJob(t, ids, good)
	c.pass(time.Minute)
	s.RotateKey(true)
	fresh := s.IDToken(long())
	asked, answer := make(chan struct{}, 8), make(chan struct{})
	s.Before(func(gitlabtest.Request) { asked <- struct{}{}; <-answer })

	first := make(chan error)
	ctx, hangUp := context.WithCancel(t.Context())
	go func() { _, err := ids.Verify(ctx, fresh); first <- err }()
	<-asked
	hangUp() // its look is for the others too
	c.pass(2 * time.Hour)
	wantJob(t, ids, good)
	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ids.Verify(impatient, fresh); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v for a caller that has gone, want its end", err)
	}
	others := make(chan error)
	const n = 5
	for range n {
		go func() { _, err := ids.Verify(t.Context(), fresh); others <- err }()
	}
	close(answer)
	if err := <-first; err != nil {
		t.Errorf("the first: got %v, want the token accepted", err)
	}
	for range n {
		if err := <-others; err != nil {
			t.Errorf("the others: got %v, want the token accepted", err)
		}
	}
	if looks(s) > 3 {
		t.Errorf("got %d looks, want the others to wait for the first", looks(s))
	}
}
