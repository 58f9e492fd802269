package route

import (
	"cmp"
	"strings"
)

// Command says why f is no command that the agent obeys; empty if it is one, which
// was given on instance, by its base URL. Who may give it is not decided here.
func (t *Table) Command(f Fact) (instance, reason string) {
	at, reason := t.instance(f)
	switch {
	case reason != "":
	case f.Kind != Note:
		reason = "only a note can be a command"
	case at.BotUserID != 0 && f.UserID == at.BotUserID:
		reason = ownEvent
	default:
		reason = t.idleNote(f)
	}
	return at.URL, plain(reason)
}

// idleNote is why a note leads to nothing; empty if it is a command.
func (t *Table) idleNote(f Fact) string {
	switch {
	case f.System:
		return "a note of GitLab itself"
	case f.Action != "" && f.Action != "create":
		return "an edited note"
	case !t.isCommand(f.Text):
		return "note is not a command"
	case !t.commands:
		return "commands are not enabled"
	case f.Noteable != "" && f.Noteable != "MergeRequest", f.MergeRequest == nil:
		return "a command on " + noteable(f.Noteable) + ", and only merge requests take commands"
	case !projectPath(f.Project.Path):
		return "the event names no project"
	case f.NoteID == 0:
		return "the event names no note"
	case f.UserID == 0:
		return "the event does not say who wrote the note"
	}
	return ""
}

// isCommand says whether the first line of a note begins with our prefix. A
// quote begins with > and a fence with `, so neither can hold one.
func (t *Table) isCommand(text string) bool {
	line, _, _ := strings.Cut(text, "\n")
	rest, ok := strings.CutPrefix(strings.TrimRight(line, "\r"), t.prefix)
	return ok && (rest == "" || rest[0] == ' ' || rest[0] == '\t')
}

// noteable is what a note is on, as people say it.
func noteable(name string) string {
	return cmp.Or(map[string]string{
		"Issue": "an issue", "Commit": "a commit", "Snippet": "a snippet", "Epic": "an epic", "WorkItem": "a work item",
	}[name], "something else")
}
