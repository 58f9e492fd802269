package gitlab

import (
	"context"
	"iter"
)

// GroupInfo is a group as lists show it.
type GroupInfo struct {
	ID       int64
	Path     string // full path
	ParentID int64  // 0: a root group
}

// Groups are the groups that the user of the token is an Owner of, itself or by
// inheritance, by id, without those that are marked for deletion or archived:
// https://docs.gitlab.com/api/groups/#list-all-groups.
func (c *Client) Groups(ctx context.Context) iter.Seq2[GroupInfo, error] {
	return func(yield func(GroupInfo, error) bool) { yield(GroupInfo{}, errNotYet) }
}

// Group reads one group by its full path or id; see [Client.Groups].
func (c *Client) Group(ctx context.Context, path string) (GroupInfo, error) {
	return GroupInfo{}, errNotYet
}

// GroupProjects are the projects of a group and of its subgroups, by id, without
// those that are archived or only shared with it:
// https://docs.gitlab.com/api/groups/#list-all-projects.
func (c *Client) GroupProjects(ctx context.Context, group string) iter.Seq2[ProjectInfo, error] {
	return func(yield func(ProjectInfo, error) bool) { yield(ProjectInfo{}, errNotYet) }
}

// MaintainedProjects are the projects that the user of the token is at least a
// Maintainer of, by id, without archived ones; see [Client.Projects].
func (c *Client) MaintainedProjects(ctx context.Context) iter.Seq2[ProjectInfo, error] {
	return func(yield func(ProjectInfo, error) bool) { yield(ProjectInfo{}, errNotYet) }
}
