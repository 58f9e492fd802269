package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"gitlab.com/remora-ci/remora/agent/hooks"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component"
)

// keptLine is a hook that is kept, as JSON.
type keptLine struct {
	Instance  string    `json:"instance"`
	Kind      string    `json:"kind"`
	ID        int64     `json:"id"`
	Path      string    `json:"path"`
	Token     string    `json:"token"`
	Hook      int64     `json:"hook"`
	URL       string    `json:"url"`
	Events    []string  `json:"events"`
	State     string    `json:"state"`
	Error     string    `json:"error"`
	CheckedAt time.Time `json:"checked_at,omitzero"`
}

func (p *program) listHooks(c *cli.Context) error {
	if err := p.format(c); err != nil {
		return err
	}
	if err := noArguments(c); err != nil {
		return err
	}
	return p.withStore(c, func(s *store.Store) error {
		rows, err := s.Hooks(c.Context, "")
		if err != nil {
			return component.Explained(err)
		}
		if p.json {
			for _, h := range rows {
				line := keptLine{h.Instance, h.Kind, h.Scope, h.Path, h.Token, h.Hook, h.URL, h.Events, h.State, h.Error, h.CheckedAt}
				if err := p.printLine(line); err != nil {
					return err
				}
			}
			return nil
		}
		t := p.table("KIND", "PATH", "HOOK", "STATE", "CHECKED", "EVENTS", "TOKEN", "ERROR")
		for _, h := range rows {
			var id string
			if h.Hook != 0 {
				id = fmt.Sprint(h.Hook)
			}
			if err := t.row(h.Kind, h.Path, id, h.State, local(h.CheckedAt), strings.Join(short(h.Events), " "), h.Token, cut(h.Error, 100)); err != nil {
				return err
			}
		}
		return t.w.Flush()
	})
}

// short are events without the word that all of them end with.
func short(events []string) []string {
	list := slices.Clone(events)
	for i, e := range list {
		list[i] = strings.TrimSuffix(e, "_events")
	}
	return list
}

func (p *program) testHooks(c *cli.Context) error {
	paths := c.Args().Slice()
	if i := slices.IndexFunc(paths, func(a string) bool { return strings.HasPrefix(a, "-") }); i >= 0 {
		return misuse("flag %s behind a path: write flags first", paths[i])
	}
	return p.withHooks(c, true, func(s *store.Store, keepers []*hooks.Keeper) error {
		all, err := s.Hooks(c.Context, "")
		if err != nil {
			return err
		}
		all = slices.DeleteFunc(all, func(h store.Hook) bool { return h.Hook == 0 })
		for _, path := range paths {
			if !slices.ContainsFunc(all, func(h store.Hook) bool { return h.Path == path }) {
				return misuse("no hook is kept for %s; remora hooks list shows what there is, remora hooks apply makes them", path)
			}
		}
		tested := 0
		for _, k := range keepers {
			for _, h := range all {
				if h.Instance != k.Instance || len(paths) > 0 && !slices.Contains(paths, h.Path) {
					continue
				}
				tested++
				if err := p.testHook(c, k, h); err != nil {
					return err
				}
			}
		}
		if tested == 0 {
			return misuse("no hook is kept; remora hooks apply makes them")
		}
		return nil
	})
}

// testHook tests one hook and tells what came of it.
func (p *program) testHook(c *cli.Context, k *hooks.Keeper, h store.Hook) error {
	line := hookLine{Instance: k.Instance, Action: "test", Kind: h.Kind, ID: h.Scope, Path: h.Path, Token: h.Token, Hook: h.Hook}
	if err := k.Test(c.Context, h); err != nil {
		if c.Context.Err() != nil {
			return c.Context.Err()
		}
		p.code = component.ExitFailed
		line = line.failed(err)
	} else {
		line.Why = []string{"answered with 2xx"}
	}
	return p.printHook(line)
}

func (p *program) removeHooks(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	return p.withHooks(c, false, func(_ *store.Store, keepers []*hooks.Keeper) error {
		var all []found
		n := 0
		for _, k := range keepers {
			visits, err := k.Removals(c.Context)
			if err != nil {
				return err
			}
			all = append(all, found{k, visits})
			for _, v := range visits {
				n += changesOf(v)
				if v.Err != nil {
					p.code = component.ExitFailed
				}
				for _, line := range hookLines(k, v, v.Err) {
					if p.json || line.Hook == 0 {
						break // it is told when it is done, or is only to be forgotten
					}
					if err := p.printHook(line); err != nil {
						return err
					}
				}
			}
		}
		if n > 0 {
			if err := p.mayChange(c, fmt.Sprintf("Delete %d in GitLab?", n)); err != nil {
				return err
			}
		} else if p.code == component.ExitDone && !p.json {
			_, _ = fmt.Fprintln(p.stdout, "remora hooks: none are kept, nothing to remove")
		}
		if err := p.changeHooks(c.Context, all, "removed"); err != nil {
			return err
		}
		if p.code != component.ExitDone {
			_, _ = fmt.Fprintln(p.stderr, "remora: while some are kept, a running agent makes the others again: set hooks.kind to off there, and remove again")
		}
		return nil
	})
}
