package command

import (
	"fmt"
	"strings"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/report"
)

// maxNamed bounds how many targets an answer names in a sentence.
const maxNamed = 30

// Marker is the hidden line by which the answer to a note is known.
func Marker(note int64) string { return fmt.Sprintf("<!-- remora:reply:%d -->", note) }

// Body is the whole text of the answer to a note.
func Body(note int64, answer string) string { return Marker(note) + "\n" + answer + "\n" }

// Head is the commit that a merge request is at.
type Head struct {
	Branch string
	SHA    string
}

func (h Head) String() string { return report.Code(h.Branch) + " at " + short(h.SHA) }

func short(sha string) string { return report.Code(delivery.ShortSHA(sha)) }

// Row is a delivery as status shows it.
type Row struct {
	Outcome delivery.Outcome
	Now     string // where it has not ended: what it does
}

// Help lists the commands.
func (c Config) Help() string { return "**Commands**\n\n" + c.list() }

func (c Config) list() string {
	var b strings.Builder
	b.WriteString("| command | what it does | for |\n|---|---|---|")
	for _, line := range []struct {
		verb       Verb
		args, does string
	}{
		{Sync, " [target …]", "delivers the head of this merge request, also if that was done before; to all targets, or to those that are named"},
		{Status, "", "shows what is known of the deliveries of the head"},
		{Allow, " [commit]", "lets the head of a fork's merge request be delivered; commits that come later need it again"},
		{Help, "", "shows this"},
	} {
		fmt.Fprintf(&b, "\n| `%s %s%s` | %s | %s |", c.Prefix, line.verb, line.args, line.does, orAbove(c.LevelFor(line.verb)))
	}
	return b.String() + "\n\nA command is the first line of a comment, and begins it."
}

// Usage answers a command that was not understood.
func (c Config) Usage(err error) string {
	return "❓ **Not understood**: " + report.Inline(err.Error()) + ".\n\n" + c.list()
}

func orAbove(level int) string {
	name := LevelName(level)
	if level < levels[len(levels)-1].level {
		name += " or above"
	}
	return name
}

// Refused answers somebody whose level does not reach; 0 is that of a stranger.
func (c Config) Refused(v Verb, level int) string {
	what, who := fmt.Sprintf("`%s`", c.Prefix), "you are no member of it"
	if v != "" {
		what = fmt.Sprintf("`%s %s`", c.Prefix, v)
	}
	if name := LevelName(level); name != "" {
		who = "your role is " + name
	} else if level > 0 {
		who = fmt.Sprintf("your role has the number %d", level)
	}
	return fmt.Sprintf("🚫 **Refused**: %s is for people with the role %s in this project, and %s. Ask one of them to write it.",
		what, orAbove(c.LevelFor(v)), who)
}

// NotDone answers a command that somebody may give and that leads to nothing. why
// may hold text from outside; remedy is ours.
func NotDone(why, remedy string) string {
	answer := "🚫 **Not done**: " + report.Inline(why) + "."
	if remedy != "" {
		answer += " " + remedy
	}
	return answer
}

// NotNeeded answers a command that changes nothing.
func NotNeeded(why string) string { return "👌 **Not needed**: " + report.Inline(why) + "." }

// Accepted answers a sync that is on its way.
func (c Config) Accepted(h Head, targets []string) string {
	return fmt.Sprintf("⏳ **On its way**: %s to %s. `%s status` shows how it went.", h, named(targets), c.Prefix)
}

// Allowed answers an allow that was obeyed.
func (c Config) Allowed(h Head, targets []string) string {
	return fmt.Sprintf("✅ **Allowed**: commit %s, and no other: what is pushed later needs `%s allow` again.\n\n%s",
		short(h.SHA), c.Prefix, c.Accepted(h, targets))
}

// named is a list of targets within a sentence.
func named(targets []string) string {
	var list []string
	for _, name := range targets[:min(len(targets), maxNamed)] {
		list = append(list, report.Code(name))
	}
	text := strings.Join(list, ", ")
	if more := len(targets) - maxNamed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// Known names the targets that there are, for a remedy.
func Known(targets []string) string { return "Targets here: " + named(targets) + "." }

// Status shows what is known of the deliveries of a commit.
func (c Config) Status(h Head, rows []Row) string {
	if len(rows) == 0 {
		return fmt.Sprintf("**Deliveries** · %s\n\nThere is none yet. `%s sync` delivers it.", h, c.Prefix)
	}
	outcomes := make([]delivery.Outcome, 0, len(rows))
	for _, r := range rows {
		o := r.Outcome
		if r.Now != "" {
			// Shown with the hourglass of what is under way, and these words.
			o = delivery.Outcome{Target: o.Target, Place: o.Place, State: delivery.Done, Receipt: delivery.Receipt{Started: true}, Err: &delivery.Fault{Summary: r.Now}}
		}
		outcomes = append(outcomes, o)
	}
	return fmt.Sprintf("**Deliveries** · %s\n\n%s", h, report.Table(outcomes))
}
