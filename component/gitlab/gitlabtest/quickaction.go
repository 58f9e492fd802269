package gitlabtest

import (
	"regexp"
	"slices"
	"strings"
)

// QuickAction is a command that a note carried and GitLab executed.
type QuickAction struct {
	UserID  int64
	Command string // close
	Args    string
}

// commands are those that GitLab executes on a merge request; any other line
// with a slash stays text.
var commands = strings.Fields(`approve unapprove assign assign_reviewer award cc clear_health_status close reopen confidential
	copy_metadata done draft due duplicate estimate label labels lock merge milestone ready react reassign reassign_reviewer
	rebase relabel remove_due_date remove_estimate remove_milestone remove_time_spent reply_to request_changes request_review
	reviewer shrug spend spent spend_time submit_review subscribe tableflip target_branch title todo unassign
	unassign_reviewer remove_reviewer unlabel remove_label unlock unsubscribe wip`)

var commandLine = regexp.MustCompile(`^/([A-Za-z_]+)(?:[ \t]+(.*))?$`)

// extract takes the quick actions out of a body, and gives what remains. Only
// lines between a fence and its end are safe from it: quotes, tables, <details>
// and an unclosed fence are not, and within a block of HTML, which goes on to
// the next empty line, nothing is a fence.
func extract(body string, user int64) (rest string, found []QuickAction) {
	lines := strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(body), "\n")
	var kept []string
	block := html{}
	for i := 0; i < len(lines); i++ {
		if end := fenceEnd(lines, i); end > i && !block.open {
			kept = append(kept, lines[i:end+1]...)
			i = end
			continue
		}
		block.read(lines[i])
		m := commandLine.FindStringSubmatch(strings.TrimRight(lines[i], " \t"))
		if m == nil || !slices.Contains(commands, strings.ToLower(m[1])) {
			kept = append(kept, lines[i])
			continue
		}
		found = append(found, QuickAction{UserID: user, Command: strings.ToLower(m[1]), Args: m[2]})
	}
	return strings.Join(kept, "\n"), found
}

// html follows blocks of HTML as CommonMark knows them: a comment to its end,
// another block to the next empty line.
type html struct{ open, comment bool }

var htmlStart = regexp.MustCompile(`^ {0,3}</?(?i:address|article|aside|blockquote|body|center|dd|details|dialog|div|dl|dt|figure|footer|form|h[1-6]|header|hr|html|li|main|nav|ol|p|pre|section|summary|table|tbody|td|tfoot|th|thead|tr|ul)(?:[\s/>]|$)`)

func (h *html) read(line string) {
	switch trimmed := strings.TrimSpace(line); {
	case h.comment:
		h.comment = !strings.Contains(line, "-->")
	case strings.HasPrefix(trimmed, "<!--"):
		h.comment = !strings.Contains(line, "-->")
	case trimmed == "":
		h.open = false
		return
	case htmlStart.MatchString(line):
		h.open = true
		return
	default:
		return
	}
	h.open = h.comment
}

// fenceEnd is the line that ends the fence that starts at line i; 0 if none
// starts there, or none ends it.
func fenceEnd(lines []string, i int) int {
	mark := fence(lines[i])
	if mark == "" || strings.Contains(lines[i][len(mark):], "`") {
		return 0
	}
	for j := i + 1; j < len(lines); j++ {
		if f := fence(lines[j]); len(f) >= len(mark) && f[0] == mark[0] && strings.TrimSpace(lines[j][len(f):]) == "" {
			return j
		}
	}
	return 0
}

// fence is the run of three or more backticks or tildes that a line starts with.
func fence(line string) string {
	for _, c := range []string{"`", "~"} {
		if run := len(line) - len(strings.TrimLeft(line, c)); run >= 3 {
			return line[:run]
		}
	}
	return ""
}

// execute does what a quick action says, so far as the fake knows it.
func (c *call) execute(found []QuickAction) {
	for _, q := range found {
		switch q.Command {
		case "close":
			c.mr.State = "closed"
		case "reopen":
			c.mr.State = "opened"
		case "merge":
			c.mr.State = "merged"
		case "lock":
			c.mr.Locked = true
		case "unlock":
			c.mr.Locked = false
		}
		c.mr.quick = append(c.mr.quick, q)
	}
}

// QuickActions are the commands that notes on a merge request executed.
func (s *Server) QuickActions(projectID, iid int64) (out []QuickAction) {
	s.in(projectID, func(p *project) { out = slices.Clone(p.mustMR(iid).quick) })
	return out
}
