package hooks

import (
	"context"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab"
)

// scopes visits every scope where a hook is wanted.
func (w *walker) scopes(ctx context.Context) error {
	switch {
	case len(w.Tokens) == 0, w.Config.Kind == Off:
		return nil
	case w.Config.kind() == System:
		return w.visit(ctx, Scope{Kind: System, Path: w.Instance, Token: w.Tokens[0].Name, Events: flags(System, w.Config.Events)})
	case len(w.Config.Groups) > 0:
		return w.chosen(ctx)
	case w.Config.kind() == Project:
		return w.projects(ctx, func(gitlab.ProjectInfo) bool { return true })
	}
	if err := w.roots(ctx); err != nil {
		return err
	}
	return w.projects(ctx, func(p gitlab.ProjectInfo) bool { return p.Personal })
}

// owned are the groups that a token owns. What could not be listed is told.
func (w *walker) owned(ctx context.Context, t Token) ([]gitlab.GroupInfo, error) {
	groups, err := collect(t.GitLab.Groups(ctx))
	if err != nil {
		return nil, w.trouble(ctx, Scope{Kind: Group, Path: "all groups of token " + t.Name, Token: t.Name}, err)
	}
	return groups, nil
}

// roots visits the groups that are owned by a token and lie in no other one.
func (w *walker) roots(ctx context.Context) error {
	var all []Scope
	for _, t := range w.Tokens {
		groups, err := w.owned(ctx, t)
		if err != nil {
			return err
		}
		for _, g := range groups {
			if t.reaches(g.Path) {
				all = append(all, Scope{Kind: Group, ID: g.ID, Path: g.Path, Token: t.Name, Events: flags(Group, w.Config.Events)})
			}
		}
	}
	for _, s := range all {
		inner := func(o Scope) bool { return strings.HasPrefix(plainPath(s.Path), plainPath(o.Path)+"/") }
		if slices.ContainsFunc(all, inner) {
			continue // the hook of the outer group has its events
		}
		if err := w.visit(ctx, w.keeperOf(s, all)); err != nil {
			return err
		}
	}
	return nil
}

// keeperOf is the scope with the token that is for the group's projects, of those
// that own it.
func (w *walker) keeperOf(s Scope, all []Scope) Scope {
	best := w.TokenFor(s.Path + "/any")
	for _, o := range all {
		if o.ID == s.ID && o.Token == best {
			return o
		}
	}
	return s
}

// reaches says whether a project below a group may be one of those that a token
// is for.
func (t Token) reaches(group string) bool {
	return slices.ContainsFunc(t.Projects, func(glob string) bool { return reaches(plainPath(glob), plainPath(group)) })
}

func reaches(glob, group string) bool {
	if glob == "*" || strings.ContainsAny(glob, `{\`) {
		return true // a slash may lie in braces; rather one hook too many
	}
	globs := strings.Split(glob, "/")
	for i, name := range strings.Split(group, "/") {
		switch {
		case i < len(globs) && globs[i] == "**":
			return true
		case i >= len(globs)-1, !doublestar.MatchUnvalidated(globs[i], name):
			return false
		}
	}
	return true
}

// chosen visits the groups that the configuration names. One that was renamed is
// known by its id.
func (w *walker) chosen(ctx context.Context) error {
	for _, t := range w.Tokens {
		mine := slices.DeleteFunc(slices.Clone(w.Config.Groups), func(o Override) bool { return o.Token != t.Name })
		if len(mine) == 0 {
			continue
		}
		groups, err := w.owned(ctx, t)
		if err != nil {
			return err
		}
		if w.blind[t.Name] {
			continue
		}
		for _, o := range mine {
			if err := w.choose(ctx, o, groups); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *walker) choose(ctx context.Context, o Override, groups []gitlab.GroupInfo) error {
	events := o.Events
	if len(events) == 0 {
		events = w.Config.Events
	}
	id := int64(0)
	for _, h := range w.kept {
		if h.Kind == Group && h.Token == o.Token && plainPath(h.Path) == plainPath(o.Group) {
			id = h.Scope
		}
	}
	at := slices.IndexFunc(groups, func(g gitlab.GroupInfo) bool { return plainPath(g.Path) == plainPath(o.Group) })
	if at < 0 && id != 0 {
		at = slices.IndexFunc(groups, func(g gitlab.GroupInfo) bool { return g.ID == id })
	}
	s := Scope{Kind: Group, ID: id, Path: o.Group, Token: o.Token, Events: flags(Group, events)}
	if at < 0 {
		return w.trouble(ctx, s, delivery.Permanent(&delivery.Fault{
			Summary: "no such group", Cause: "token " + o.Token + " owns no group " + o.Group,
			Remedy: "make its user Owner of the group, or write the group's full path as it is now",
		}))
	}
	s.ID = groups[at].ID
	if w.Config.kind() == Project {
		return w.projectsOf(ctx, s)
	}
	return w.visit(ctx, s)
}

// projects visits the projects that a token maintains, of those that it is for and
// that something is done with.
func (w *walker) projects(ctx context.Context, keep func(gitlab.ProjectInfo) bool) error {
	for _, t := range w.Tokens {
		for p, err := range t.GitLab.MaintainedProjects(ctx) {
			if err != nil {
				if err := w.trouble(ctx, Scope{Kind: Project, Path: "all projects of token " + t.Name, Token: t.Name}, err); err != nil {
					return err
				}
				break
			}
			if !keep(p) {
				continue
			}
			if err := w.project(ctx, p, t.Name, w.Config.Events); err != nil {
				return err
			}
		}
	}
	return nil
}

// projectsOf visits the projects of a group in place of the group.
func (w *walker) projectsOf(ctx context.Context, s Scope) error {
	for p, err := range w.client(s.Token).GroupProjects(ctx, s.gitlab().Group) {
		if err != nil {
			return w.trouble(ctx, s, err)
		}
		if err := w.project(ctx, p, s.Token, s.Events); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) project(ctx context.Context, p gitlab.ProjectInfo, token string, events []string) error {
	if w.TokenFor(p.Path) != token || !w.Wanted(p.Path) {
		return nil
	}
	return w.visit(ctx, Scope{Kind: Project, ID: p.ID, Path: p.Path, Token: token, Events: flags(Project, events)})
}
