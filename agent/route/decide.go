package route

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"gitlab.com/remora-ci/remora/component/delivery"
)

const (
	heads = "refs/heads/"
	tags  = "refs/tags/"

	mergeRequestPipeline = "merge_request_event"
	externalPipeline     = "external"
	childPipeline        = "parent_pipeline"
)

// Decide says what work f asks for, or why it asks for none: reason is set
// exactly where works is empty. Works come in the order of their keys, in which
// they are to be put.
func (t *Table) Decide(f Fact) (works []Work, reason string) {
	at, reason := t.instance(f)
	if reason == "" {
		reason = t.idle(f, at.BotUserID)
	}
	if reason != "" {
		return nil, plain(reason)
	}
	var no refusal
	taken := map[string]bool{} // keys: the first route to a target counts
	for _, ev := range events(f, at) {
		for _, w := range t.match(f, ev, &no) {
			if !taken[w.Key] {
				taken[w.Key] = true
				works = append(works, w)
			}
		}
	}
	if len(works) == 0 {
		return nil, plain(no.reason(t.prefix))
	}
	slices.SortFunc(works, func(a, b Work) int { return strings.Compare(a.Key, b.Key) })
	return works, ""
}

// instance is the configured instance that f comes from. An event without any
// address can only be of the one instance there is.
func (t *Table) instance(f Fact) (instance, string) {
	if f.Instance == "" {
		if len(t.instances) == 1 {
			return t.instances[0], ""
		}
		return instance{}, "the event names no instance"
	}
	u, err := url.Parse(f.Instance)
	if err == nil {
		for _, i := range t.instances {
			if i.host == host(u) && (u.Path == i.root || u.Path == "") {
				return i, ""
			}
		}
	}
	return instance{}, "instance " + f.Instance + " is not configured"
}

// events are the facts that f is made of: one for each ref that it moves.
func events(f Fact, at instance) []delivery.Event {
	var evs []delivery.Event
	for _, c := range f.Changes {
		ev := delivery.Event{
			Cause: delivery.CauseWebhook, Instance: at.URL, Project: f.Project,
			SHA: c.SHA, Before: c.Before, Deleted: c.Deleted, At: f.At,
		}
		if f.MergeRequest.Fork() {
			ev.Project = f.Source
		}
		var ok bool
		if ev.Ref, ok = strings.CutPrefix(c.Ref, heads); ok {
			ev.RefType = delivery.Branch
		} else if ev.Ref, ok = strings.CutPrefix(c.Ref, tags); ok {
			ev.RefType = delivery.Tag
		}
		if !ok || !refName(ev.Ref) {
			continue
		}
		ev.Project.URL = at.URL + "/" + ev.Project.Path
		if f.MergeRequest != nil {
			mr := *f.MergeRequest
			mr.URL = fmt.Sprintf("%s/%s/-/merge_requests/%d", at.URL, f.Project.Path, mr.IID)
			ev.MergeRequest = &mr
		}
		if f.Pipeline != nil && f.Pipeline.ID != 0 {
			p := *f.Pipeline
			p.URL = fmt.Sprintf("%s/%s/-/pipelines/%d", at.URL, f.Project.Path, p.ID)
			ev.Pipeline = &p
		}
		evs = append(evs, ev)
	}
	return evs
}

// match asks every route about one ref.
func (t *Table) match(f Fact, ev delivery.Event, no *refusal) []Work {
	var works []Work
	for _, r := range t.rules {
		switch {
		case !slices.Contains(r.On, kindOf(f, ev)):
			no.at(refusedKind, "event "+kindOf(f, ev))
		case !r.projects.fit(f.Project.Path):
			no.at(refusedProject, "project "+f.Project.Path)
		case !r.refs.fit(ev.Ref, ev.FullRef()):
			no.at(refusedRef, "ref "+ev.Ref)
		case f.Kind == Job && !f.Protected && !r.Open:
			no.at(refusedOpen, "ref "+ev.Ref)
		case ev.MergeRequest.Fork() && (r.Forks == ForksNever || r.Forks == ForksAllowed && !f.Allowed && !t.commands):
			no.at(refusedFork, ev.Project.Path)
		case ev.MergeRequest.Fork() && r.Forks != ForksAll && !f.Allowed:
			no.at(refusedAllow, ev.Project.Path)
		default:
			works = append(works, t.workOf(f, ev, r, no)...)
		}
	}
	return works
}

func (t *Table) workOf(f Fact, ev delivery.Event, r rule, no *refusal) []Work {
	var works []Work
	for _, target := range r.Sync {
		if ev.Deleted && !slices.Contains(t.deletes, target) {
			no.at(refusedDelete, string(ev.RefType))
			continue
		}
		w := Work{Key: Key(target, ev), Target: target, Project: strings.ToLower(ev.Project.Path), Event: ev, Paths: r.paths, Report: r.Report, Rule: r.Name,
			OnlyAllowed: ev.MergeRequest.Fork() && r.Forks != ForksAll}
		if f.Kind == Pipeline {
			w.Once = &Once{Name: "pipeline " + w.Key, Slot: time.UnixMicro(ev.Pipeline.ID).UTC()}
		}
		works = append(works, w)
	}
	return works
}

// kindOf is the kind by which routes know the event: the update of a repository
// is as many pushes.
func kindOf(f Fact, ev delivery.Event) string {
	switch {
	case f.Kind != Push && f.Kind != TagPush && f.Kind != repositoryUpdate:
		return f.Kind
	case ev.RefType == delivery.Tag:
		return TagPush
	}
	return Push
}

// refName says whether git could have a ref of this name, as far as keys, lines
// of a log and requests depend on it.
//
// https://git-scm.com/docs/git-check-ref-format
func refName(name string) bool {
	return name != "" && !strings.ContainsAny(name, " :?*[\\^~") && !strings.Contains(name, "..") &&
		!strings.ContainsFunc(name, unicode.IsControl)
}
