package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"gitlab.com/remora-ci/remora/agent"
	"gitlab.com/remora-ci/remora/agent/config"
	"gitlab.com/remora-ci/remora/agent/hooks"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component"
	"gitlab.com/remora-ci/remora/component/delivery"
)

const hooksHelp = `Which hooks are wanted is said by hooks: in the configuration file. Ours are known
by their id, which is kept in the agent's database; hooks of others are never
touched.

EXAMPLES:
`

const hooksExits = `

EXIT CODES:
   0 done, or nothing to do, 1 something could not be looked at or put right,
   2 misuse (nothing was changed)`

func (p *program) hooksCommand() *cli.Command {
	return group("hooks", "the webhooks in GitLab: show, make, mend and remove them", p.hooksPlan(), p.hooksApply(), p.hooksList(), p.hooksTest(), p.hooksRemove())
}

func (p *program) hooksPlan() *cli.Command {
	return &cli.Command{
		Name: "plan", Usage: "show what apply would change in GitLab, and change nothing",
		Description: hooksHelp + `   remora hooks plan --config /etc/remora/remora.yaml
   remora hooks plan --output json | jq -r 'select(.action != "keep") | .path'` + hooksExits,
		Flags:  storeFlags(),
		Action: p.planHooks,
	}
}

func (p *program) hooksApply() *cli.Command {
	return &cli.Command{
		Name: "apply", Usage: "bring the webhooks in GitLab to what is configured",
		Description: "The plan is shown before anything changes. One who is stopped in the middle calls\n" +
			"it again. From the first apply on the agent keeps the hooks by itself.\n\n" + hooksHelp + `   remora hooks apply
   remora hooks apply --yes               # in a pipeline
   remora hooks apply --rotate --yes      # new secrets; the old ones are taken a day more` + hooksExits,
		Flags: storeFlags(yesFlag(),
			&cli.BoolFlag{Name: "rotate", Usage: "replace the secrets that the agent made; refused where one is configured"}),
		Action: p.applyHooks,
	}
}

func (p *program) hooksList() *cli.Command {
	return &cli.Command{
		Name: "list", Usage: "list the hooks that are kept, as they were last found",
		Description: "A hook is right, behind (right, and the agent still makes up for lost calls), disabled\n" +
			"(by GitLab, after failures), failed (it could not be put right: the error says why),\n" +
			"or unlicensed: a group whose projects have hooks instead.\n\n" + storeHelp +
			`   remora hooks list
   remora hooks list --output json | jq 'select(.state != "right")'` + storeExits,
		Flags:  storeFlags(),
		Action: p.listHooks,
	}
}

func (p *program) hooksTest() *cli.Command {
	return &cli.Command{
		Name: "test", Usage: "have GitLab call the hooks that are kept, and show what came of it", ArgsUsage: "[PATH...]",
		Description: "GitLab allows five tests a minute for each project or group.\n\n" + hooksHelp + `   remora hooks test
   remora hooks test acme acme/app` + hooksExits,
		Flags:  storeFlags(),
		Action: p.testHooks,
	}
}

func (p *program) hooksRemove() *cli.Command {
	return &cli.Command{
		Name: "remove", Usage: "delete our webhooks in GitLab, and no others",
		Description: hooksHelp + `   remora hooks remove
   remora hooks remove --yes` + hooksExits,
		Flags:  storeFlags(yesFlag()),
		Action: p.removeHooks,
	}
}

func yesFlag() cli.Flag { return &cli.BoolFlag{Name: "yes", Usage: "do not ask"} }

// withHooks reads the configuration and opens the agent's database, which is made
// if there is none, for one command; wanted says that it needs hooks to be wanted.
func (p *program) withHooks(c *cli.Context, wanted bool, do func(*store.Store, []*hooks.Keeper) error) error {
	if err := p.format(c); err != nil {
		return err
	}
	env, dir := p.env, c.String("data-dir")
	if dir != "" {
		env = inFolder{env, dir}
	}
	settings, _, err := config.Load(c.Context, p.configFile(c), env)
	if err != nil {
		return misuse("%w", err)
	}
	if wanted && !settings.Hooks.Enabled() {
		return misuse("no hooks are wanted: write a section hooks in the configuration file, and url, where GitLab reaches the agent; then give --config")
	}
	scrub := delivery.NewScrubber(settings.Secrets()...)
	s, err := openBeside(c.Context, settings.Store)
	if err != nil {
		return component.Explained(err)
	}
	keepers, end, err := agent.HookKeepers(c.Context, settings, s, version())
	if err == nil {
		err = do(s, keepers)
		end()
	}
	_ = s.Close() // what closing tidies, the agent tidies too
	if err != nil {
		var m *component.Misuse
		if errors.As(err, &m) {
			return err
		}
		return errors.New(scrub.Text(component.Explained(err).Error()))
	}
	return nil
}

// hookLine is a change as JSON: what scripts read.
type hookLine struct {
	Instance string   `json:"instance"`
	Action   string   `json:"action"` // create, update, enable, delete, keep, skip, or error
	Kind     string   `json:"kind"`
	ID       int64    `json:"id"`
	Path     string   `json:"path"`
	Token    string   `json:"token"`
	Hook     int64    `json:"hook,omitempty"`
	Why      []string `json:"why,omitempty"`
	Diff     []string `json:"diff,omitempty"`
	Error    string   `json:"error,omitempty"`
	Remedy   string   `json:"remedy,omitempty"`
}

func hookLines(k *hooks.Keeper, v hooks.Visit, failed error) []hookLine {
	base := hookLine{Instance: k.Instance, Kind: v.Scope.Kind, ID: v.Scope.ID, Path: v.Scope.Path, Token: v.Scope.Token}
	var list []hookLine
	for _, c := range v.Changes {
		line := base
		line.Action, line.Hook, line.Why, line.Diff = string(c.Action), c.Hook.ID, c.Why, c.Diff
		list = append(list, line)
	}
	if failed != nil {
		line := base
		line.Action, line.Hook = "error", v.Kept.Hook
		list = append(list, line.failed(failed))
	}
	return list
}

// failed is the line with an error: what, why, and what helps.
func (l hookLine) failed(err error) hookLine {
	f := delivery.Explain(err)
	text := err.Error()
	if f.Cause != "" && f.Summary != "" && !strings.Contains(f.Cause, f.Summary) {
		text = f.Summary + ": " + f.Cause
	}
	l.Error, l.Remedy = (*delivery.Scrubber)(nil).Text(text), f.Remedy
	return l
}

// printHook shows a change, and with it what is different.
func (p *program) printHook(line hookLine) error {
	if p.json {
		return p.printLine(line)
	}
	if line.Action == string(hooks.Keep) {
		return nil
	}
	name := line.Path
	if line.Hook != 0 {
		name += fmt.Sprintf(" (hook %d)", line.Hook)
	}
	text := strings.Join(line.Why, "; ")
	if line.Error != "" {
		text = line.Error
	}
	_, err := fmt.Fprintf(p.stdout, "%-7s %-8s %s: %s\n", line.Action, line.Kind, inert(name), inert(text))
	for _, d := range line.Diff {
		if err == nil {
			_, err = fmt.Fprintf(p.stdout, "          %s\n", inert(d))
		}
	}
	if err == nil && line.Remedy != "" {
		_, err = fmt.Fprintf(p.stdout, "          try: %s\n", inert(line.Remedy))
	}
	return err
}

// found is a plan over all instances.
type found struct {
	keeper *hooks.Keeper
	visits []hooks.Visit
}

// lookAtHooks walks over all instances, writes nothing, and shows what is found where
// show is set.
func (p *program) lookAtHooks(ctx context.Context, keepers []*hooks.Keeper, show bool) (all []found, changes int, err error) {
	looked := 0
	for _, k := range keepers {
		f := found{keeper: k}
		k.Dry = true
		for v, err := range k.Walk(ctx, nil, true) {
			if err != nil {
				return nil, 0, err
			}
			if looked++; looked%100 == 0 {
				_, _ = fmt.Fprintf(p.stderr, "remora: looked at %d\n", looked)
			}
			if v.Err != nil {
				v.Err = hooks.Explain(v.Err, v.Scope)
				p.code = component.ExitFailed
			}
			changes += changesOf(v)
			f.visits = append(f.visits, v)
			if !show {
				continue
			}
			for _, line := range hookLines(k, v, v.Err) {
				if err := p.printHook(line); err != nil {
					return nil, 0, err
				}
			}
		}
		all = append(all, f)
	}
	if looked == 0 {
		p.code = component.ExitFailed
		_, _ = fmt.Fprintln(p.stderr, "remora: no place for a hook was found: make the users of the tokens Owner of a group, or, with hooks.kind project, Maintainer of a project that a route covers")
	}
	return all, changes, nil
}

// changesOf is how many hooks a visit found to be changed.
func changesOf(v hooks.Visit) int {
	n := 0
	for _, c := range v.Changes {
		if c.TellsSecrets() || c.Action == hooks.Delete && c.Hook.ID != 0 {
			n++
		}
	}
	return n
}

func (p *program) planHooks(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	return p.withHooks(c, true, func(_ *store.Store, keepers []*hooks.Keeper) error {
		_, changes, err := p.lookAtHooks(c.Context, keepers, true)
		if err == nil && !p.json {
			_, err = fmt.Fprintln(p.stdout, p.summary(changes))
		}
		return err
	})
}

func (p *program) summary(changes int) string {
	switch {
	case changes > 0:
		return fmt.Sprintf("remora hooks: %d to be put right, by: remora hooks apply", changes)
	case p.code != component.ExitDone:
		return "remora hooks: nothing to do where it could be seen"
	}
	return "remora hooks: nothing to do, all is right"
}

func (p *program) applyHooks(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	return p.withHooks(c, true, func(_ *store.Store, keepers []*hooks.Keeper) error {
		for _, k := range keepers {
			k.Rotate = c.Bool("rotate")
		}
		all, changes, err := p.lookAtHooks(c.Context, keepers, !p.json)
		if err != nil {
			return err
		}
		if changes > 0 {
			if err := p.mayChange(c, fmt.Sprintf("Change %d in GitLab?", changes)); err != nil {
				return err
			}
		} else if !p.json {
			_, _ = fmt.Fprintln(p.stdout, p.summary(0))
		}
		return p.changeHooks(c.Context, all, "changed; the agent keeps them from now on")
	})
}

// mayChange asks, unless --yes was given.
func (p *program) mayChange(c *cli.Context, question string) error {
	if c.Bool("yes") {
		return nil
	}
	info, err := os.Stdin.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 || p.json {
		return misuse("nobody can be asked here, so nothing was changed; look at the plan, then give --yes")
	}
	_, _ = fmt.Fprintf(p.stderr, "%s [y/N] ", question)
	answer, _ := bufio.NewReader(os.Stdin).ReadString('\n')
	if word := strings.ToLower(strings.TrimSpace(answer)); word != "y" && word != "yes" {
		return misuse("nothing was changed")
	}
	return nil
}

// changeHooks does what was found to be done, and tells what became of it; ended is
// how many were what.
func (p *program) changeHooks(ctx context.Context, all []found, ended string) error {
	done := 0
	for _, f := range all {
		if err := p.settle(ctx, f); err != nil {
			return err
		}
		for _, v := range f.visits {
			a, err := f.keeper.Apply(ctx, v)
			if err != nil {
				return err
			}
			if a.Err != nil {
				p.code = component.ExitFailed
			}
			if done += a.Done; a.Done > 0 && !p.json {
				_, _ = fmt.Fprintf(p.stderr, "remora: %s %s: %d done\n", v.Scope.Kind, inert(v.Scope.Path), a.Done)
			}
			if err := p.tellApplied(f.keeper, v, a); err != nil {
				return err
			}
		}
	}
	if done > 0 && !p.json {
		_, err := fmt.Fprintf(p.stdout, "remora hooks: %d %s\n", done, ended)
		return err
	}
	return nil
}

// tellApplied says what became of a visit: as JSON all of it, else what went wrong
// and was not told with the plan.
func (p *program) tellApplied(k *hooks.Keeper, v hooks.Visit, a hooks.Applied) error {
	lines := hookLines(k, v, a.Err)
	for _, line := range lines {
		if !p.json && (line.Action != "error" || v.Err != nil) {
			continue
		}
		if line.Hook == 0 {
			line.Hook = a.Row.Hook
		}
		if err := p.printHook(line); err != nil {
			return err
		}
	}
	return nil
}

// settle waits until every agent takes secrets that were just made.
func (p *program) settle(ctx context.Context, f found) error {
	if !slices.ContainsFunc(f.visits, func(v hooks.Visit) bool { return slices.ContainsFunc(v.Changes, hooks.Change.TellsSecrets) }) {
		return nil
	}
	wait, err := f.keeper.Settling(ctx)
	if err != nil || wait <= 0 {
		return err
	}
	_, _ = fmt.Fprintf(p.stderr, "remora: waiting %s, until every agent takes the new secrets\n", wait.Round(time.Second))
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
