package paths

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab"
)

// patience bounds one decision: a filter that takes longer than the sync would
// is of no use.
const patience = 30 * time.Second

// Filter decides whether a change matters.
type Filter struct {
	globs []glob
	dir   string         // of the clone; may be empty or hold none
	api   *gitlab.Client // nil without a token
}

// Decision is whether to run the sync, and why, in one line.
type Decision struct {
	Run bool
	Why string
}

// New makes a filter that reads the clone in repoDir and asks gl, which is nil
// without a token. The error is that of [Config.Validate].
func New(c Config, repoDir string, gl *gitlab.Client) (*Filter, error) {
	globs, err := parse(c.Paths)
	if err != nil {
		return nil, err
	}
	return &Filter{globs: globs, dir: repoDir, api: gl}, nil
}

// Empty says whether there are no patterns, so that every change matters.
func (f *Filter) Empty() bool { return len(f.globs) == 0 }

// Decide says whether the change that ev tells of touches a path that matters.
// It fails to neither side: without proof that nothing matches, it is to run.
func (f *Filter) Decide(ctx context.Context, ev delivery.Event) Decision {
	if f.Empty() {
		return Decision{Run: true, Why: "paths: no filter"}
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r, err := f.rangeOf(ctx, ev)
	if err != nil {
		return unproven(err)
	}
	hit, err := f.changed(ctx, r)
	switch {
	case err != nil:
		return unproven(err)
	case hit != nil:
		return Decision{Run: true, Why: fmt.Sprintf("paths: %s changed and matches %s", show(hit.path), show(hit.by))}
	}
	return Decision{Why: fmt.Sprintf("paths: nothing between %s and %s matches", delivery.ShortSHA(r.from), delivery.ShortSHA(r.to))}
}

func unproven(err error) Decision {
	return Decision{Run: true, Why: "paths: " + strings.Join(strings.Fields(err.Error()), " ") + ": syncing"}
}

// span is a change: all that differs between two commits.
type span struct {
	project  gitlab.Project // where GitLab knows both
	from, to string
}

// rangeOf finds the change; its error is why it cannot be known.
func (f *Filter) rangeOf(ctx context.Context, ev delivery.Event) (span, error) {
	r := span{project: gitlab.ProjectID(ev.Project.ID), to: ev.SHA}
	switch {
	case ev.Deleted || delivery.ZeroSHA(ev.SHA):
		return r, errors.New("the ref was deleted")
	case ev.RefType == delivery.Tag:
		return r, errors.New("a tag has no range of changes")
	}
	var err error
	switch source := sourceOf(ev); {
	case source == "merge_request_event" && ev.MergeRequest != nil:
		err = f.mergeRequest(ctx, ev, &r)
	case (source == "push" || source == "parent_pipeline") && !delivery.ZeroSHA(ev.Before):
		r.from = ev.Before
	case source == "push":
		err = f.newBranch(ctx, ev, &r)
	default:
		return r, fmt.Errorf("a pipeline of source %s has no range of changes", show(source))
	}
	if err == nil && r.from == r.to {
		err = errors.New("both ends of the change are the same commit")
	}
	return r, err
}

// sourceOf is the kind of pipeline. Without one the event is that of a hook, and
// a hook that tells of a branch is a push.
func sourceOf(ev delivery.Event) string {
	switch {
	case ev.Pipeline != nil && ev.Pipeline.Source != "":
		return ev.Pipeline.Source
	case ev.Pipeline == nil && ev.Cause == delivery.CauseWebhook:
		return "push"
	}
	return "unknown"
}

// mergeRequest takes the change from the merge request's project: GitLab brings
// the commits of a fork there.
func (f *Filter) mergeRequest(ctx context.Context, ev delivery.Event, r *span) error {
	mr := ev.MergeRequest
	if mr.ProjectID != 0 {
		r.project = gitlab.ProjectID(mr.ProjectID)
	}
	if !delivery.ZeroSHA(mr.DiffBaseSHA) {
		r.from = mr.DiffBaseSHA
		return nil
	}
	return f.mergeBase(ctx, r, mr.TargetBranch)
}

func (f *Filter) newBranch(ctx context.Context, ev delivery.Event, r *span) error {
	if ev.Ref == ev.Project.DefaultBranch {
		return errors.New("the default branch is new")
	}
	return f.mergeBase(ctx, r, ev.Project.DefaultBranch)
}

func (f *Filter) mergeBase(ctx context.Context, r *span, branch string) error {
	switch {
	case branch == "":
		return errors.New("the branch to compare with is not known")
	case f.api == nil:
		return fmt.Errorf("no token to ask for the merge base with %s (REMORA_GITLAB_TOKEN)", show(branch))
	}
	base, err := f.api.MergeBase(ctx, r.project, "refs/heads/"+branch, r.to)
	if err != nil {
		return err
	}
	if delivery.ZeroSHA(base) {
		return errors.New("there is no merge base with " + show(branch))
	}
	r.from = base
	return nil
}

// hit is a path that matters, and the pattern that says so.
type hit struct{ path, by string }

// changed finds a changed path that matters; nil with a nil error is the proof
// that there is none.
func (f *Filter) changed(ctx context.Context, r span) (*hit, error) {
	var found *hit
	look := func(path string) (stop bool) {
		if by, ok := f.match(path); ok {
			found = &hit{path, by}
		}
		return found != nil
	}
	local := diffClone(ctx, f.dir, r.from, r.to, look)
	if local == nil || found != nil {
		return found, nil
	}
	if f.api == nil {
		return nil, fmt.Errorf("%w and no token for the compare API (REMORA_GITLAB_TOKEN)", local)
	}
	answer, err := f.api.Compare(ctx, r.project, r.from, r.to, true)
	if err != nil {
		return nil, fmt.Errorf("%w and %w", local, err)
	}
	for _, path := range answer.Paths {
		if look(path) {
			return found, nil
		}
	}
	switch {
	case answer.Truncated:
		return nil, fmt.Errorf("%w and the compare API did not tell all files", local)
	case answer.SameRef || len(answer.Paths) == 0:
		return nil, fmt.Errorf("%w and the compare API told no file", local)
	}
	return nil, nil
}

// show is text from outside, on one line and not too long.
func show(s string) string {
	if r := []rune(s); len(r) > 120 {
		s = string(r[:119]) + "…"
	}
	q := strconv.Quote(s)
	if plain := q[1 : len(q)-1]; plain == s && !strings.Contains(s, " ") && s != "" {
		return s
	}
	return q
}
