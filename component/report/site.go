package report

import (
	"cmp"
	"slices"
	"strings"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab"
)

// place is a commit in a project, and the pipeline that holds its statuses.
type place struct {
	project  gitlab.Project
	path     string // full path of the project, if known
	sha      string
	ref      string // only sent as long as there is no pipeline
	pipeline int64  // 0 until known; only ever of this project and commit

	merged bool // a merged result of sha may take its place
	asked  bool // GitLab was asked for the pipeline
	redone bool // the pipeline was found to be wrong once already
	stale  int64
	proven bool // a status was shown here
	tired  int  // finals, and the first of the others, that failed in spite of all tries
}

// site is where the statuses of one commit go: the places that may take them,
// best first, and the rows shown there.
type site struct {
	places []*place
	at     int      // the place in use; len(places) if all have refused
	tried  []string // those that refused

	rows  map[string]*row // by target
	total *row            // one status for the targets in folded, if there are any
	full  bool            // the pipeline takes no further statuses

	folded map[string]bool
	of     *site // another site that turned out to be the same commit
}

// here is the place in use, nil if every place has refused.
func (s *site) here() *place {
	if s.at < len(s.places) {
		return s.places[s.at]
	}
	return nil
}

// degraded says whether the best place refused: then only final states are sent.
func (s *site) degraded() bool { return s.at > 0 }

func newSite(places ...*place) *site {
	return &site{places: places, rows: map[string]*row{}, folded: map[string]bool{}}
}

// sitesOf are the sites that an event's statuses go to.
//
// Merged results have two commits, that of the pipeline and that of the source
// branch. A merge request from a fork has two projects: the fork, whose pipelines
// run there, and the one that shows the merge request. Where the pipeline is
// known, its own project comes first.
func sitesOf(c Config, ev delivery.Event) []*site {
	if c.Report == ReportOff || c.Report == ReportNote || ev.Deleted || delivery.ZeroSHA(ev.SHA) || home(ev).project == "" {
		return nil
	}
	if ev.Pipeline == nil || ev.Pipeline.ID == 0 {
		return sitesWithout(c, ev)
	}
	pipelineSHA := cmp.Or(ev.Pipeline.SHA, ev.SHA)
	if pipelineSHA == ev.SHA {
		first := home(ev)
		first.pipeline = ev.Pipeline.ID
		if c.StatusOn == OnSource {
			return []*site{newSite(withPipeline(sourcePlaces(ev), first)...)}
		}
		return []*site{newSite(withoutTwice(append([]*place{first}, sourcePlaces(ev)...))...)}
	}
	merged := home(ev)
	merged.sha, merged.pipeline, merged.ref = pipelineSHA, ev.Pipeline.ID, ""
	switch c.StatusOn {
	case OnSource:
		return []*site{newSite(sourcePlaces(ev)...)}
	case OnBoth:
		return []*site{newSite(merged), newSite(sourcePlaces(ev)...)}
	}
	return []*site{newSite(merged)}
}

// sitesWithout are the sites of an event whose pipeline is not known: outside of
// CI, where GitLab must be asked for it.
func sitesWithout(c Config, ev delivery.Event) []*site {
	source := newSite(sourcePlaces(ev)...)
	if c.StatusOn == OnSource || ev.MergeRequest == nil {
		return []*site{source}
	}
	first := newSite(sourcePlaces(ev)...)
	first.places[0].merged = true
	if c.StatusOn == OnBoth {
		source.of = first
		return []*site{first, source}
	}
	return []*site{first}
}

func home(ev delivery.Event) *place {
	return &place{project: projectOf(ev.Project.ID, ev.Project.Path), path: ev.Project.Path, sha: ev.SHA, ref: refOf(ev, ev.Ref)}
}

// sourcePlaces are the places that may know the event's commit: the project of
// the source branch, then that of the merge request.
func sourcePlaces(ev delivery.Event) []*place {
	own := home(ev)
	mr := ev.MergeRequest
	if mr == nil {
		return []*place{own}
	}
	target := &place{project: projectOf(mr.ProjectID, mr.ProjectPath), path: mr.ProjectPath, sha: ev.SHA}
	if target.project == "" || target.path != "" && target.path == own.path {
		target.project, target.path = own.project, own.path
	}
	source := own
	if mr.SourceProjectID != 0 && mr.SourceProjectID != ev.Project.ID {
		source = &place{project: gitlab.ProjectID(mr.SourceProjectID), sha: ev.SHA, ref: refOf(ev, mr.SourceBranch)}
	}
	if source.project == target.project {
		source.path = cmp.Or(source.path, target.path)
	}
	return withoutTwice([]*place{source, target})
}

// withPipeline puts the pipeline that known has into the place of its project.
func withPipeline(places []*place, known *place) []*place {
	for _, p := range places {
		if p.project == known.project {
			p.pipeline = known.pipeline
		}
	}
	return places
}

func withoutTwice(places []*place) []*place {
	var out []*place
	for _, p := range places {
		if !slices.ContainsFunc(out, func(o *place) bool { return o.project == p.project }) {
			out = append(out, p)
		}
	}
	return out
}

func projectOf(id int64, path string) gitlab.Project {
	if id != 0 {
		return gitlab.ProjectID(id)
	}
	return gitlab.Project(path)
}

// refOf is the ref to send while no pipeline is known. A detached head has none,
// and one that GitLab would not take is better left out than cut: half a name
// is another branch.
func refOf(ev delivery.Event, ref string) string {
	if ref == ev.SHA || strings.EqualFold(ref, "HEAD") || len([]rune(ref)) > maxText {
		return ""
	}
	return strings.TrimPrefix(strings.TrimPrefix(ref, "refs/heads/"), "refs/tags/")
}
