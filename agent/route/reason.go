package route

import (
	"cmp"
	"strings"
	"unicode"
)

// usualPrefix begins a note that is meant for us.
const usualPrefix = "/remora"

const ownEvent = "the bot's own event"

// idle is why f moves no ref, whatever the routes say; empty if it may.
func (t *Table) idle(f Fact, bot int64) string {
	if bot != 0 && f.UserID == bot {
		return ownEvent
	}
	switch f.Kind {
	case Push, TagPush, repositoryUpdate:
		return idlePush(f)
	case MergeRequest:
		return idleMergeRequest(f)
	case Note:
		return cmp.Or(t.idleNote(f), "a command, which moves no ref by itself")
	case Job:
		return idleJob(f)
	case Pipeline:
		return idlePipeline(f)
	case Deployment:
		return unless(f.Status == "success", "deployment "+cmp.Or(f.Status, "without a status"), f)
	case Release:
		return unless(f.Action == "create", "release "+cmp.Or(f.Action, "without an action"), f)
	case "":
		return "the event names no kind"
	}
	return "nothing is done for " + f.Kind + " events"
}

// unless is idle as said, unless ok: then it still depends on the ref.
func unless(ok bool, otherwise string, f Fact) string {
	if !ok {
		return otherwise
	}
	return idlePush(f)
}

// idlePush is why no ref of f can be delivered.
func idlePush(f Fact) string {
	if !projectPath(f.Project.Path) {
		return "the event names no project"
	}
	for _, c := range f.Changes {
		name, ok := strings.CutPrefix(c.Ref, heads)
		if !ok {
			name, ok = strings.CutPrefix(c.Ref, tags)
		}
		if ok && refName(name) {
			return ""
		}
	}
	if len(f.Changes) == 0 {
		return "no ref has changed"
	}
	return "ref " + cmp.Or(f.Changes[0].Ref, "without a name") + " is neither branch nor tag"
}

func idleMergeRequest(f Fact) string {
	switch action := f.Action; {
	case f.Status != "" && f.Status != "opened":
		return "merge request " + f.Status
	case f.SourceGone:
		return "the source project of the merge request is gone"
	case action == "open", action == "reopen", action == "":
	case action == "update" && !f.NewCommits && !f.Ready:
		return "merge request update without new commits"
	case action != "update":
		return "merge request " + action
	}
	if f.MergeRequest.Fork() && !projectPath(f.Source.Path) {
		return "the source project of the merge request is gone"
	}
	return idlePush(f)
}

func idleJob(f Fact) string {
	if f.MergeRequest.Fork() && !projectPath(f.Source.Path) {
		return "the source project of the merge request is gone"
	}
	return idlePush(f)
}

func idlePipeline(f Fact) string {
	switch {
	case f.Pipeline == nil || f.Pipeline.ID == 0:
		return "the event names no pipeline"
	case f.Pipeline.Source == externalPipeline:
		return "a pipeline of nothing but commit statuses"
	case f.Pipeline.Source == childPipeline:
		return "a child pipeline, whose parent's end is what counts"
	case f.Status != "success":
		return "pipeline " + cmp.Or(f.Status, "without a status")
	case f.MergeRequest.Fork():
		return "the pipeline of a fork's merge request, whose own event is what is delivered"
	}
	return idlePush(f)
}

// projectPath says whether path can be that of a project: a group and a name.
func projectPath(path string) bool {
	return strings.Contains(strings.Trim(path, "/"), "/") && !strings.ContainsAny(path, " :?#%\\") &&
		!strings.Contains(path, "..") && !strings.ContainsFunc(path, unicode.IsControl)
}

// NotProtected begins the reason why the routes refuse a job for its ref alone.
const NotProtected = "no route takes jobs of a ref that is not protected: "

// How far an event came before the routes refused it.
const (
	refusedKind = iota + 1
	refusedProject
	refusedRef
	refusedOpen
	refusedFork
	refusedAllow
	refusedDelete
)

// refusal keeps the reason of the route that came closest.
type refusal struct {
	stage int
	what  string
}

func (r *refusal) at(stage int, what string) {
	if stage > r.stage {
		r.stage, r.what = stage, what
	}
}

// reason is that of the route that came closest. prefix is that of commands.
func (r *refusal) reason(prefix string) string {
	switch r.stage {
	case 0:
		return "no route matches: there is none"
	case refusedDelete:
		return r.what + " deleted and no target deletes"
	case refusedOpen:
		return NotProtected + r.what
	case refusedAllow:
		return "commits of the fork " + r.what + " wait to be allowed, each by its own " + prefix + " allow in the merge request"
	case refusedFork:
		return "no route takes forks: merge request from " + r.what
	}
	if r.stage == refusedKind && r.what == "event "+Job {
		return "no route takes jobs: none has on: [job]"
	}
	return "no route matches: " + r.what
}

// plain is text from outside made fit for one line.
func plain(text string) string {
	const longest = 300
	clean := []rune(strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text), "?"))
	if len(clean) > longest {
		clean = append(clean[:longest-1], '…')
	}
	return string(clean)
}
