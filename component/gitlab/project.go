package gitlab

import (
	"context"
	"iter"
	"maps"
	"net/url"

	gl "gitlab.com/gitlab-org/api/client-go/v2"
)

// ProjectInfo is a project as lists show it.
type ProjectInfo struct {
	ID            int64
	Path          string // group/sub/project
	URL           string // web URL
	DefaultBranch string // empty while the repository is
	Personal      bool   // it lies in the namespace of a user, not in a group
}

// Projects are the projects that the user of the token is a member of, without
// archived ones, by id: https://docs.gitlab.com/api/projects/#list-all-projects.
func (c *Client) Projects(ctx context.Context) iter.Seq2[ProjectInfo, error] {
	return c.projects(ctx, nil)
}

// MaintainedProjects are those of [Client.Projects] that the user is at least a
// Maintainer of.
func (c *Client) MaintainedProjects(ctx context.Context) iter.Seq2[ProjectInfo, error] {
	return c.projects(ctx, url.Values{"min_access_level": {"40"}})
}

func (c *Client) projects(ctx context.Context, more url.Values) iter.Seq2[ProjectInfo, error] {
	q := url.Values{"membership": {"true"}, "archived": {"false"}, "simple": {"true"}, "order_by": {"id"}, "sort": {"asc"}}
	maps.Copy(q, more)
	return pages(ctx, c, list[ProjectInfo]{deed: "list projects", path: "projects", query: q, decode: plain(projectOf)})
}

func projectOf(p gl.Project) ProjectInfo {
	info := ProjectInfo{ID: p.ID, Path: p.PathWithNamespace, URL: p.WebURL, DefaultBranch: p.DefaultBranch}
	info.Personal = p.Namespace != nil && p.Namespace.Kind == "user"
	return info
}

// Project reads one project. Of a moved one, asked for by its old path, it is where
// it is now: https://docs.gitlab.com/api/projects/#get-a-single-project.
func (c *Client) Project(ctx context.Context, p Project) (ProjectInfo, error) {
	answer, res, err := c.api.Projects.GetProject(string(p), nil, gl.WithContext(ctx))
	got, err := result("read project", answer, res, err)
	if err != nil {
		return ProjectInfo{}, err
	}
	return projectOf(got), nil
}

// Ref is a branch or tag and the commit that it points to.
type Ref struct {
	Name string // short
	SHA  string
}

// Refs are the branches of a project, or its tags:
// https://docs.gitlab.com/api/branches/#list-all-repository-branches,
// https://docs.gitlab.com/api/tags/#list-all-project-repository-tags.
func (c *Client) Refs(ctx context.Context, p Project, tags bool) iter.Seq2[Ref, error] {
	l := list[Ref]{deed: "list branches", path: p.path("repository/branches"), decode: plain(func(b gl.Branch) Ref { return refWith(b.Name, b.Commit) })}
	if tags {
		l.deed, l.path, l.decode = "list tags", p.path("repository/tags"), plain(func(t gl.Tag) Ref { return refWith(t.Name, t.Commit) })
	}
	return pages(ctx, c, l)
}

func refWith(name string, at *gl.Commit) Ref {
	if at == nil {
		return Ref{Name: name}
	}
	return Ref{Name: name, SHA: at.ID}
}
