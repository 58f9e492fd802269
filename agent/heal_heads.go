package agent

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"gitlab.com/remora-ci/remora/agent/hooks"
	"gitlab.com/remora-ci/remora/agent/route"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab"
)

// heads makes deliveries of what the refs of a hook's projects are now, where that
// is not what was delivered last. It says how many. Doing it again is harmless.
func (h *healing) heads(ctx context.Context, row store.Hook) (int, error) {
	table, err := headTable(h.s, h.keeper.Instance)
	if err != nil || table == nil {
		return 0, err
	}
	who := h.s.tokens.byName[row.Token]
	if who == nil {
		return 0, nil
	}
	id, _, err := h.a.store.Append(ctx, store.Event{
		IdempotencyKey: fmt.Sprintf("%s%s:%s:%d:%s", firingPrefix, kindHeal, row.Kind, row.Scope, h.a.o.now().Format(time.RFC3339Nano)),
		Kind:           kindFiring, Instance: h.keeper.Instance, Body: []byte("{}"),
	})
	if err != nil {
		return 0, err
	}
	e := expansion{a: h.a, event: id, instance: h.keeper.Instance, table: table}
	for p, err := range projectsOf(ctx, who.gl, row) {
		if err != nil {
			return e.made, err
		}
		gl := h.s.tokens.For(h.keeper.Instance, p.Path)
		if gl == nil {
			continue
		}
		if err := e.heads(ctx, gl, p); err != nil {
			return e.made, fmt.Errorf("%s: %w", p.Path, err)
		}
	}
	return e.made, nil
}

// projectsOf are the projects that a hook is for.
func projectsOf(ctx context.Context, gl *gitlab.Client, row store.Hook) iter.Seq2[gitlab.ProjectInfo, error] {
	switch row.Kind {
	case hooks.System:
		return gl.Projects(ctx)
	case hooks.Group:
		return gl.GroupProjects(ctx, strconv.FormatInt(row.Scope, 10))
	}
	return func(yield func(gitlab.ProjectInfo, error) bool) {
		yield(gl.Project(ctx, gitlab.ProjectID(row.Scope)))
	}
}

// headTable are the routes that a push leads to; nil if there are none. What other
// events lead to cannot be told from a ref.
func headTable(s *setup, instance string) (*route.Table, error) {
	var rules []route.Rule
	for _, r := range s.Rules() {
		r.On = slices.DeleteFunc(onOf(r), func(kind string) bool { return kind != route.Push && kind != route.TagPush })
		if len(r.On) > 0 {
			rules = append(rules, r)
		}
	}
	if len(rules) == 0 {
		return nil, nil
	}
	return route.New(route.Config{Instances: []route.Instance{{URL: instance}}, Rules: rules})
}

// onOf are the kinds of event that a rule takes.
func onOf(r route.Rule) []string {
	if len(r.On) == 0 {
		return []string{route.Push, route.TagPush, route.MergeRequest}
	}
	var list []string
	for _, kind := range r.On {
		list = append(list, strings.ReplaceAll(strings.ToLower(strings.TrimSpace(kind)), "-", "_"))
	}
	return list
}

// heads makes the deliveries of one project.
func (e *expansion) heads(ctx context.Context, gl *gitlab.Client, p gitlab.ProjectInfo) error {
	if p.DefaultBranch == "" {
		return nil // the repository is empty
	}
	f := route.Fact{Kind: route.Push, Instance: e.instance, At: e.a.o.now(),
		Project: delivery.Project{ID: p.ID, Path: p.Path, URL: p.URL, DefaultBranch: p.DefaultBranch}}
	var works []route.Work
	for _, tags := range []bool{false, true} {
		prefix := map[bool]string{false: "refs/heads/", true: "refs/tags/"}[tags]
		for ref, err := range gl.Refs(ctx, gitlab.ProjectID(p.ID), tags) {
			if err != nil {
				return err
			}
			f.Changes = []route.Change{{Ref: prefix + ref.Name, SHA: ref.SHA}}
			wanted, _ := e.table.Decide(f)
			for _, w := range wanted {
				known, err := e.known(ctx, w.Key, ref.SHA)
				if err != nil {
					return err
				}
				if !known {
					works = append(works, w)
				}
			}
		}
	}
	return e.put(ctx, works)
}

// known says whether the newest delivery of a key is that of a commit.
func (e *expansion) known(ctx context.Context, key, sha string) (bool, error) {
	for d, err := range e.a.store.Deliveries(ctx, store.DeliveryFilter{Key: key, Limit: 1}) {
		return err == nil && d.SHA == sha, err
	}
	return false, nil
}
