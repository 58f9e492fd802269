package gitlabtest

import (
	"fmt"
	"slices"
	"time"
)

// Facts are what GitLab tells of a token.
type Facts struct {
	ID        int64 // 0: the next free one
	Name      string
	Scopes    []string // nil: those of the kind of the token
	Granular  bool     // fine-grained
	CreatedAt time.Time
	ExpiresAt time.Time // only its day counts; in the past, the token is refused; zero: never
	OAuth     bool      // no personal access token: nothing is told
}

// fact is a token with its family: those that were made of each other by rotation.
type fact struct {
	Facts
	family int64
	next   string // what it was rotated to
}

// Describe says what is told of a token that was added.
func (s *Server) Describe(token string, f Facts) {
	s.mu.Lock()
	defer s.mu.Unlock()
	cred, known := s.tokens[token]
	if !known {
		panic("gitlabtest: no such token was added")
	}
	f.ID = s.id(f.ID)
	if f.Name == "" {
		f.Name = fmt.Sprintf("token-%d", f.ID)
	}
	if f.Scopes == nil && !f.Granular {
		f.Scopes = scopesOf(cred.kind)
	}
	if !f.ExpiresAt.IsZero() && !f.ExpiresAt.After(time.Now()) {
		cred.kind = Expired
		s.tokens[token] = cred
	}
	if s.facts == nil {
		s.facts = map[string]*fact{}
	}
	s.facts[token] = &fact{Facts: f, family: f.ID}
}

func scopesOf(k Kind) []string {
	if k == ReadAPI {
		return []string{"read_api"}
	}
	return []string{"api"}
}

// Revoke ends a token.
func (s *Server) Revoke(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revoke(token)
}

func (s *Server) revoke(token string) {
	cred := s.tokens[token]
	cred.kind = Revoked
	s.tokens[token] = cred
}

// Rotate rotates a token behind everybody's back, and gives the new one.
func (s *Server) Rotate(token string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.facts[token]
	if f == nil {
		panic("gitlabtest: describe a token before it is rotated")
	}
	return s.rotate(token, f, f.ExpiresAt)
}

// rotate ends a token and makes its successor; the caller holds the lock.
func (s *Server) rotate(old string, f *fact, until time.Time) (value string) {
	value = fmt.Sprintf("glpat-rotated-%d-of-%d", s.id(0), f.family)
	s.tokens[value] = s.tokens[old]
	s.revoke(old)
	next := &fact{Facts: f.Facts, family: f.family}
	next.ID, next.CreatedAt, next.ExpiresAt = s.id(0), time.Now(), until
	s.facts[value], f.next = next, value
	return value
}

// Rotated is what a token was rotated to, by one rotation; empty if it was not.
func (s *Server) Rotated(token string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.facts[token]; f != nil {
		return f.next
	}
	return ""
}

// Good says whether a token is accepted.
func (s *Server) Good(token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	cred, known := s.tokens[token]
	return known && cred.kind != Revoked && cred.kind != Expired
}

// fact is what is known of the token that asks; the zero one for a token that was
// never described.
func (c *call) fact() *fact {
	token := tokenOf(c.req)
	if f := c.facts[token]; f != nil {
		return f
	}
	f := &fact{Facts: Facts{ID: 1, Name: "bot", Scopes: scopesOf(c.kind), CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}}
	f.family = f.ID
	if c.facts == nil {
		c.facts = map[string]*fact{}
	}
	c.facts[token] = f
	return f
}

func (c *call) showToken(f *fact) fields {
	var expires any
	if !f.ExpiresAt.IsZero() {
		expires = f.ExpiresAt.UTC().Format(time.DateOnly)
	}
	shown := fields{
		"id": f.ID, "name": f.Name, "revoked": false, "created_at": f.CreatedAt.UTC(), "scopes": slices.Clone(f.Scopes),
		"user_id": c.user.ID, "last_used_at": time.Now().UTC(), "active": true, "expires_at": expires,
	}
	if f.Granular {
		shown["scopes"] = []string{"granular"}
		shown["granular_scopes"] = []fields{{"access": "selected_memberships", "permissions": []string{"create_commit_status"}}}
	}
	return shown
}

func (c *call) ownToken() reply {
	if c.user == nil || c.kind == Job {
		return unauthorized()
	}
	f := c.fact()
	if f.OAuth {
		return message(400, "400 Bad request - This endpoint requires token type to be a personal access token")
	}
	return ok(c.showToken(f))
}

// rotateToken makes a new token of the one that asks, which is refused from then
// on. Without expires_at the new one is good for a week.
func (c *call) rotateToken() reply {
	f := c.fact()
	if f.OAuth {
		return message(405, "405 Method Not Allowed")
	}
	until := time.Now().AddDate(0, 0, 7)
	if text := c.params.text("expires_at"); text != "" {
		day, err := time.Parse(time.DateOnly, text)
		if err != nil {
			return invalid("expires_at is invalid")
		}
		until = day
	}
	if today := time.Now().UTC().Truncate(24 * time.Hour); until.Before(today) || until.After(today.AddDate(0, 0, 365)) {
		return message(400, "400 Bad request - Expiration date must be before "+today.AddDate(0, 0, 366).Format(time.DateOnly))
	}
	value := c.rotate(tokenOf(c.req), f, until)
	shown := c.showToken(c.facts[value])
	shown["token"] = value
	return ok(shown)
}

// reused revokes the family of a token that was revoked and is used to rotate:
// someone else may hold it.
func (c *call) reused() {
	f := c.facts[tokenOf(c.req)]
	if f == nil || c.req.Method != "POST" || c.entry.Path != "/personal_access_tokens/self/rotate" {
		return
	}
	for token, other := range c.facts {
		if other.family == f.family {
			c.revoke(token)
		}
	}
}
