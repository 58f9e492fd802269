package hooks

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"strings"
	"time"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component/gitlab"
	"gitlab.com/remora-ci/remora/component/rest"
)

// What a kept hook was last found to be.
const (
	StateRight      = "right"
	StateBehind     = "behind"     // it is right, and calls that failed are still to be made up for
	StateDisabled   = "disabled"   // GitLab does not call it, and the test did not bring it back
	StateFailed     = "failed"     // it could not be put right; Error says why
	StateUnlicensed = "unlicensed" // a group without group hooks: its projects have their own
)

// askAgain is when a group that had no group hooks is asked for them again.
const askAgain = 24 * time.Hour

// Token is a token that hooks are kept with.
type Token struct {
	Name     string
	Projects []string // globs of the projects that it is for
	GitLab   *gitlab.Client
}

// Keeper keeps the hooks of one instance. It may be used by one goroutine at a
// time.
type Keeper struct {
	Store    *store.Store
	Instance string // URL
	Config   Config // Events are those that are wanted, never empty
	Tokens   []Token
	TokenFor func(project string) string // name of the token for a project; "" for none
	Wanted   func(project string) bool   // whether anything is done with a project's events
	Vault    Vault
	Now      func() time.Time

	// Away is when calls may have failed last without anybody knowing: hooks that
	// were not looked at since are [Due].
	Away time.Time

	// Dry says that no secrets are made: what is shown is a plan. Rotate says that
	// they are to be replaced. [Keeper.Settling] does what they left out.
	Dry, Rotate bool

	pair Pair
}

// Visit is what was found at one scope.
type Visit struct {
	Scope   Scope
	Kept    store.Hook
	Changes []Change
	Err     error // why it could not be looked at; the walk goes on
}

// Walk compares every scope with what is wanted, and yields each as it was found.
// done says of what is remembered that it needs no look now; it may be nil. With
// leftovers, hooks that are kept and wanted no more come last. The error of the
// sequence ends it: ctx, the store, or no secret for the hooks.
func (k *Keeper) Walk(ctx context.Context, done func(store.Hook) bool, leftovers bool) iter.Seq2[Visit, error] {
	return func(yield func(Visit, error) bool) {
		if err := k.walk(ctx, done, leftovers, yield); err != nil && !errors.Is(err, errStopped) {
			yield(Visit{}, err)
		}
	}
}

// errStopped says that the reader of a sequence wants no more.
var errStopped = errors.New("stopped")

func (k *Keeper) walk(ctx context.Context, done func(store.Hook) bool, leftovers bool, yield func(Visit, error) bool) error {
	var err error
	if k.Dry {
		k.pair, err = k.Vault.Peek(ctx, k.Rotate)
	} else {
		k.pair, err = k.Vault.Current(ctx)
	}
	if err != nil {
		return err
	}
	rows, err := k.Store.Hooks(ctx, k.Instance)
	if err != nil {
		return err
	}
	w := &walker{Keeper: k, kept: map[place]store.Hook{}, done: done, yield: yield, seen: map[place]bool{}, blind: map[string]bool{}, people: leftovers}
	for _, h := range rows {
		w.kept[place{h.Kind, h.Scope}] = h
	}
	if err := w.scopes(ctx); err != nil || !leftovers {
		return err
	}
	return w.leftovers(ctx, rows)
}

// place names a scope of an instance.
type place struct {
	kind string
	id   int64
}

// walker is a walk on its way.
type walker struct {
	*Keeper
	kept  map[place]store.Hook
	done  func(store.Hook) bool
	yield func(Visit, error) bool
	seen  map[place]bool
	blind map[string]bool // tokens whose groups or projects could not be listed to the end

	// people says that a person sees the plan. Only then a group hook is given up for
	// hooks of the projects, and a group without a licence asked before a day is over.
	people bool
}

func (w *walker) tell(v Visit) error {
	if !w.yield(v, nil) {
		return errStopped
	}
	return nil
}

// trouble tells that something could not be looked at. What ends the walk is
// returned.
func (w *walker) trouble(ctx context.Context, s Scope, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	w.blind[s.Token] = true
	return w.tell(Visit{Scope: s, Kept: w.kept[place{s.Kind, s.ID}], Err: err})
}

// visit looks at a scope, once.
func (w *walker) visit(ctx context.Context, s Scope) error {
	at := place{s.Kind, s.ID}
	if w.seen[at] {
		return nil
	}
	w.seen[at] = true
	kept := w.kept[at]
	if s.Kind == Group && kept.State == StateUnlicensed && !w.people && w.Now().Sub(kept.CheckedAt) < askAgain {
		return w.projectsOf(ctx, s)
	}
	if w.done != nil && w.done(kept) {
		return nil
	}
	actual, err := collect(w.client(s.Token).Hooks(ctx, s.gitlab()))
	changing := kept.Hook == 0 || w.people // where there was a group hook, a person is to see that it goes
	switch {
	case err != nil && s.Kind == Group && gitlab.NoGroupHooks(err) && changing:
		return w.unlicensed(ctx, s, kept, nil)
	case err != nil:
		return w.trouble(ctx, s, err)
	case s.Kind == Group && changing && w.free(ctx, s):
		return w.unlicensed(ctx, s, kept, actual)
	}
	return w.tell(Visit{Scope: s, Kept: kept, Changes: Plan(w.want(s), actual, kept)})
}

// free says whether a group is of a plan whose group hooks GitLab takes and never
// calls. A token that may not know counts as one that is paid for.
func (w *walker) free(ctx context.Context, s Scope) bool {
	root, _, _ := strings.Cut(s.Path, "/")
	plan, err := w.client(s.Token).Plan(ctx, root)
	return err == nil && plan == "free"
}

// unlicensed visits the projects of a group that has no group hooks. One of ours
// that is there all the same goes.
func (w *walker) unlicensed(ctx context.Context, s Scope, kept store.Hook, actual []gitlab.Hook) error {
	v := Visit{Scope: s, Kept: kept}
	for _, h := range actual {
		if h.ID == kept.Hook || h.URL == w.Config.URL {
			v.Changes = append(v.Changes, Change{Scope: s, Action: Delete, Hook: h, Why: []string{"GitLab never calls it"}, Diff: []string{"- " + shown(h.URL)}})
		}
	}
	v.Changes = append(v.Changes, Change{Scope: s, Action: Skip, Why: []string{"its licence has no group hooks: its projects get hooks of their own"}})
	if err := w.tell(v); err != nil {
		return err
	}
	return w.projectsOf(ctx, s)
}

// want is what a scope is to have. Another program may have come to answer at a path
// beside ours, so hooks that send there go only when a person sees the plan.
func (w *walker) want(s Scope) Want {
	return Want{Scope: s, URL: w.Config.URL, OldURLs: w.Config.OldURLs, Paths: w.people, Pair: w.pair}
}

// client is that of a token of the instance.
func (k *Keeper) client(token string) *gitlab.Client {
	for _, t := range k.Tokens {
		if t.Name == token {
			return t.GitLab
		}
	}
	return nil
}

// leftovers yields what is kept and was not wanted, of tokens that could see all.
func (w *walker) leftovers(ctx context.Context, rows []store.Hook) error {
	for _, h := range rows {
		v := w.removal(h, "it is wanted no more")
		if w.seen[place{h.Kind, h.Scope}] || w.blind[v.Scope.Token] || h.Hook == 0 {
			continue
		}
		if err := w.tell(v); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// Settling is how long is to be waited before GitLab may be told of the secrets:
// every agent must take them first. It makes them if that was not done yet.
func (k *Keeper) Settling(ctx context.Context) (wait time.Duration, err error) {
	if k.Dry || k.pair.Version == "" {
		if k.Rotate {
			if err := k.Vault.Rotate(ctx); err != nil {
				return 0, err
			}
		}
		k.Dry, k.Rotate = false, false
		if k.pair, err = k.Vault.Current(ctx); err != nil {
			return 0, err
		}
	}
	if !k.pair.Own {
		return 0, nil
	}
	return max(0, Settle-k.Now().Sub(k.pair.Since)), nil
}

// collect reads a sequence to its end.
func collect[T any](all iter.Seq2[T, error]) ([]T, error) {
	var list []T
	for v, err := range all {
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

// status is the code of an answer of GitLab; 0 if there was none.
func status(err error) int {
	var s *rest.StatusError
	if errors.As(err, &s) {
		return s.Code
	}
	return 0
}

func gone(err error) bool { return status(err) == http.StatusNotFound }
