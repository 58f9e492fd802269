package doctor

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"gitlab.com/remora-ci/remora/agent/command"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab"
	"gitlab.com/remora-ci/remora/component/rest"
)

// Roles, by GitLab's numbers.
const (
	developer  = command.Developer
	maintainer = command.Maintainer
	owner      = 50
)

// Token is a token to examine.
type Token struct {
	Subject string
	Client  *gitlab.Client
	Names   rest.Names // settings that remedies speak of
	Now     func() time.Time

	State  store.TokenState // of its rotation; zero if there was none
	Rotate bool             // the agent replaces it
	HasKey bool             // and can store the new one

	Need   int    // role in its projects
	Why    string // what for
	Sample func(context.Context) ([]gitlab.ProjectInfo, error)
}

// Examine says whose token it is, whether it lives and for how long, what it may do
// and how much of that GitLab lets it do at once.
func (t *Token) Examine(ctx context.Context) []delivery.Finding {
	if t.State.State == store.TokenLost {
		return []delivery.Finding{fail(t.Subject, "it was rotated and the new one never arrived: "+t.State.Error, "make a new token in GitLab and set "+t.Names.Token+" to it")}
	}
	info, err := t.Client.Token(ctx)
	var status *rest.StatusError
	switch {
	case errors.Is(err, gitlab.ErrNotPersonal):
		found := []delivery.Finding{warn(t.Subject, "it is an OAuth or job token: GitLab tells neither its scopes nor when it expires", "use a project, group or service account token with the scope api")}
		return append(append(found, t.identity(ctx)...), t.roles(ctx)...)
	case errors.As(err, &status) && status.Code == http.StatusUnauthorized:
		return []delivery.Finding{fail(t.Subject, "GitLab refuses it: "+status.Body, "make a new token in GitLab and set "+t.Names.Token+" to it")}
	case err != nil:
		return []delivery.Finding{delivery.Wrong(t.Subject, delivery.Fail, rest.Fault(err, t.Names))}
	}
	found := t.identity(ctx)
	if version, err := t.Client.Version(ctx); err == nil {
		found = append(found, pass(t.Subject, "GitLab has version "+version))
	}
	found = append(found, t.scopes(info), t.expiry(info))
	if t.State.State == store.TokenRefused {
		found = append(found, warn(t.Subject, "GitLab refused to rotate it: "+t.State.Error, "see what GitLab says; it is tried again once a day"))
	}
	found = append(found, headRoom(t.Subject, info)...)
	return append(found, t.roles(ctx)...)
}

var (
	resourceBot    = regexp.MustCompile(`^(project|group)_(\d+)_bot`)
	serviceAccount = regexp.MustCompile(`^service_account_`)
)

// identity says whose token it is.
func (t *Token) identity(ctx context.Context) []delivery.Finding {
	user, err := t.Client.User(ctx)
	var status *rest.StatusError
	switch {
	case errors.As(err, &status) && status.Code == http.StatusForbidden:
		return []delivery.Finding{warn(t.Subject, "whose it is may not be asked, so our own notes and pushes are not told from others'", "give it the permission to read its own user, or the scope api")}
	case err != nil:
		return []delivery.Finding{delivery.Wrong(t.Subject, delivery.Fail, rest.Fault(err, t.Names))}
	}
	kind := "a personal token of the user"
	if m := resourceBot.FindStringSubmatch(user.Username); m != nil {
		kind = "the bot of " + m[1] + " " + m[2] + ","
	} else if serviceAccount.MatchString(user.Username) {
		kind = "the service account"
	}
	return []delivery.Finding{pass(t.Subject, fmt.Sprintf("it is %s %s (id %d)", kind, user.Username, user.ID))}
}

func (t *Token) scopes(info gitlab.Token) delivery.Finding {
	has := func(scope string) bool { return slices.Contains(info.Scopes, scope) }
	switch {
	case has("api"):
		if t.Rotate && !t.HasKey {
			return fail(t.Subject, "it is to be rotated, and there is no key to store the new one with", "set REMORA_ENCRYPTION_KEY to a key of your own: openssl rand -base64 32")
		}
		return pass(t.Subject, "its scope is api")
	case info.Granular:
		return warn(t.Subject, "it is fine-grained: what it may do is seen when it does it", "see that it may create and read commit statuses, read and write merge request notes, and read projects, branches and commits, of all its projects")
	case has("read_api"):
		return fail(t.Subject, "it may only read: its scopes are "+strings.Join(info.Scopes, ", "), "make a token with the scope api and set "+t.Names.Token+" to it")
	}
	return fail(t.Subject, "its scopes do not reach: "+strings.Join(info.Scopes, ", "), "make a token with the scope api and set "+t.Names.Token+" to it")
}

// soon is when the end of a token is near.
const soon = 30 * 24 * time.Hour

func (t *Token) expiry(info gitlab.Token) delivery.Finding {
	left := info.ExpiresAt.Sub(t.Now())
	days := int(math.Floor(left.Hours() / 24))
	on := info.ExpiresAt.Format(time.DateOnly)
	remedy := "make a new token in GitLab and set " + t.Names.Token + " to it, or let the agent rotate it with rotate: true"
	switch {
	case info.ExpiresAt.IsZero():
		return pass(t.Subject, "it does not expire")
	case left <= 0:
		return fail(t.Subject, "it expired on "+on, remedy)
	case left <= soon && t.Rotate && t.HasKey:
		return pass(t.Subject, fmt.Sprintf("it expires in %d days, on %s, and the agent rotates it before", days, on))
	case left <= soon:
		return warn(t.Subject, fmt.Sprintf("it expires in %d days, on %s", days, on), remedy)
	}
	return pass(t.Subject, fmt.Sprintf("it expires in %d days, on %s", days, on))
}

// headRoom says what is left of the rate limit, where there is one.
func headRoom(subject string, info gitlab.Token) []delivery.Finding {
	if info.Limit <= 0 {
		return nil
	}
	text := fmt.Sprintf("%d of %d requests are left in this window of the rate limit", info.Remaining, info.Limit)
	if info.Remaining*10 < info.Limit {
		return []delivery.Finding{warn(subject, text, "give each program a token of its own user, or ask for a higher limit")}
	}
	return []delivery.Finding{pass(subject, text)}
}

// roles asks what the token may do in some of the projects that it is for.
func (t *Token) roles(ctx context.Context) []delivery.Finding {
	const invite = "invite its user as Developer or higher to the projects, or to a group around them"
	projects, err := t.Sample(ctx)
	if err != nil {
		return []delivery.Finding{delivery.Wrong(t.Subject, delivery.Fail, rest.Fault(err, t.Names))}
	}
	if len(projects) == 0 {
		return []delivery.Finding{warn(t.Subject, "it is a member of no project that it is configured for", invite)}
	}
	var found []delivery.Finding
	for _, p := range projects {
		role, err := t.Client.Role(ctx, gitlab.ProjectID(p.ID))
		name := command.LevelName(role)
		if name == "" {
			name = fmt.Sprintf("of access level %d", role)
		}
		switch {
		case err != nil:
			found = append(found, delivery.Wrong(t.Subject, delivery.Fail, fmt.Errorf("%s: %w", p.Path, rest.Fault(err, t.Names))))
		case role == 0:
			found = append(found, warn(t.Subject, "its role in "+p.Path+" is not told: it may come from a group that was invited", invite))
		case role < developer:
			found = append(found, fail(t.Subject, "it is only "+name+" in "+p.Path+", which may not write statuses", "make its user Developer there, or higher"))
		case role < t.Need:
			short := fail(t.Subject, "it is only "+name+" in "+p.Path+", and needs to be "+command.LevelName(t.Need)+" "+t.Why, "make its user "+command.LevelName(t.Need)+" there, or set hooks.kind to what it may keep")
			if t.Need == owner { // project hooks take the place of those of groups
				short.Level = delivery.Warn
			}
			found = append(found, short)
		default:
			found = append(found, pass(t.Subject, "it is "+name+" in "+p.Path))
		}
	}
	return found
}
