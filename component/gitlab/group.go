package gitlab

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"

	gl "gitlab.com/gitlab-org/api/client-go/v2"
)

// GroupInfo is a group as lists show it.
type GroupInfo struct {
	ID       int64
	Path     string // full path
	ParentID int64  // 0: a root group
	Leaving  bool   // marked for deletion, or archived: nothing may be changed there
}

// Groups are the groups that the user of the token is an Owner of, itself or by
// inheritance, by id, without those that are leaving:
// https://docs.gitlab.com/api/groups/#list-groups.
func (c *Client) Groups(ctx context.Context) iter.Seq2[GroupInfo, error] {
	all := pages(ctx, c, list[GroupInfo]{
		deed: "list groups", path: "groups",
		query:  url.Values{"all_available": {"true"}, "min_access_level": {"50"}, "order_by": {"id"}, "sort": {"asc"}},
		decode: plain(wireGroup.group),
	})
	return func(yield func(GroupInfo, error) bool) {
		for g, err := range all {
			if err == nil && g.Leaving {
				continue
			}
			if !yield(g, err) {
				return
			}
		}
	}
}

// withoutProjects are parameters that leave out the group's projects.
var withoutProjects = struct {
	WithProjects bool `url:"with_projects"`
}{}

// Group reads one group by its full path or id, also one that is leaving:
// https://docs.gitlab.com/api/groups/#retrieve-a-group.
func (c *Client) Group(ctx context.Context, path string) (GroupInfo, error) {
	const deed = "read group"
	var got wireGroup
	if err := c.call(ctx, deed, http.MethodGet, "groups/"+gl.PathEscape(path), withoutProjects, &got); err != nil {
		return GroupInfo{}, err
	}
	if got.ID == 0 {
		return GroupInfo{}, failed(deed, nil, errEmpty)
	}
	return got.group(), nil
}

// GroupProjects are the projects of a group and of its subgroups, by id, without
// those that are archived or only shared with it:
// https://docs.gitlab.com/api/groups/#list-projects.
func (c *Client) GroupProjects(ctx context.Context, group string) iter.Seq2[ProjectInfo, error] {
	return pages(ctx, c, list[ProjectInfo]{
		deed: "list projects of group", path: "groups/" + gl.PathEscape(group) + "/projects",
		query: url.Values{
			"include_subgroups": {"true"}, "with_shared": {"false"}, "archived": {"false"}, "simple": {"true"},
			"order_by": {"id"}, "sort": {"asc"},
		},
		decode: plain(projectOf),
	})
}

// Plan is the subscription of a root group, by its full path or id: on gitlab.com
// free, premium, ultimate and others; elsewhere always default. Group hooks of
// the free plan are never called. It is empty where GitLab does not tell the
// token: https://docs.gitlab.com/api/namespaces/#retrieve-namespace-details.
func (c *Client) Plan(ctx context.Context, group string) (string, error) {
	var got struct {
		Plan string `json:"plan"`
	}
	err := c.call(ctx, "read plan of group", http.MethodGet, "namespaces/"+gl.PathEscape(group), nil, &got)
	return got.Plan, err
}

// wireGroup is a group on the wire.
type wireGroup struct {
	ID       int64           `json:"id"`
	Path     string          `json:"full_path"`
	ParentID int64           `json:"parent_id"`
	Deleted  json.RawMessage `json:"marked_for_deletion_on"` // a day; null or absent: not marked
	Archived bool            `json:"archived"`
}

func (w wireGroup) group() GroupInfo {
	marked := len(w.Deleted) > 0 && string(w.Deleted) != "null"
	return GroupInfo{ID: w.ID, Path: w.Path, ParentID: w.ParentID, Leaving: marked || w.Archived}
}
