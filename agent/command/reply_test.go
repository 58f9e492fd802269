package command_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/remora-ci/remora/agent/command"
	"gitlab.com/remora-ci/remora/component/delivery"
)

var update = flag.Bool("update", false, "write the golden files anew")

var (
	plain = command.Config{Enabled: true, Prefix: "/remora", AccessLevel: 30}
	head  = command.Head{Branch: "feature", SHA: "c0ffee1200000000000000000000000000000002"}
	evil  = command.Head{Branch: "/close`@all`|!7<!--#1", SHA: "c0ffee1200000000000000000000000000000002"}
)

func replies() map[string]string {
	owners := command.Config{Prefix: "/rem", AccessLevel: 50}
	var many []string
	for range 33 {
		many = append(many, "site")
	}
	rows := []command.Row{
		{Outcome: delivery.Outcome{Target: "direktiv", Place: "demo", State: delivery.Failed, Err: delivery.Permanent(&delivery.Fault{Summary: "reference not found"}), Took: 4 * time.Second}},
		{Outcome: delivery.Outcome{Target: "docs", State: delivery.Retry, Err: &delivery.Fault{Summary: "@all: status 503\n/close"}}},
		{Outcome: delivery.Outcome{Target: "mirror", Place: "git.example.com", State: delivery.Done, Receipt: delivery.Receipt{Result: "pushed", Revision: head.SHA}, Took: 2 * time.Second}},
		{Outcome: delivery.Outcome{Target: "old", State: delivery.Skipped, Err: delivery.Skip("overtaken by c0ffee13")}},
		{Outcome: delivery.Outcome{Target: "shop"}, Now: "running"},
		{Outcome: delivery.Outcome{Target: "site"}, Now: "waiting"},
	}
	return map[string]string{
		"help":               plain.Help(),
		"help-for-owners":    owners.Help(),
		"usage":              plain.Usage(errors.New("there is no such command")),
		"refused-stranger":   plain.Refused(command.Sync, 0),
		"refused-guest":      plain.Refused("", 10),
		"refused-developer":  plain.Refused(command.Allow, 30),
		"refused-odd-role":   plain.Refused(command.Sync, 25),
		"not-done":           command.NotDone("no route matches: ref @all/close #1 <b>", command.Known([]string{"docs", "site"})),
		"not-needed":         command.NotNeeded("this merge request comes from no fork"),
		"accepted":           plain.Accepted(head, []string{"docs", "site"}),
		"accepted-many":      plain.Accepted(head, many),
		"accepted-evil":      plain.Accepted(evil, []string{"docs"}),
		"allowed":            plain.Allowed(head, []string{"site"}),
		"status":             plain.Status(head, rows),
		"status-of-nothing":  plain.Status(evil, nil),
		"whole-with-its-key": command.Body(77, plain.Accepted(head, []string{"site"})),
	}
}

func TestReplies(t *testing.T) {
	t.Parallel()
	for name, got := range replies() {
		file := filepath.Join("testdata", name+".md")
		if *update {
			if err := os.WriteFile(file, []byte(got+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got+"\n"); diff != "" {
			t.Errorf("%s: want (-) and got (+) differ; with -update it is written anew:\n%s", file, diff)
		}
	}
}

// N8: nothing in an answer acts.
func TestRepliesAreInert(t *testing.T) {
	t.Parallel()
	for name, got := range replies() {
		for line := range strings.Lines(got) {
			if strings.HasPrefix(strings.TrimLeft(line, " \t>*-"), "/") {
				t.Errorf("%s: the line %q begins as a quick action does", name, line)
			}
			// What GitLab would take for a mention or a reference may stand in code alone.
			if rest := withoutCode(line); strings.ContainsAny(rest, "@#") {
				t.Errorf("%s: %q is not all in code", name, line)
			}
		}
	}
}

func TestTheMarkerIsThatOfItsNote(t *testing.T) {
	t.Parallel()
	if got := command.Body(7, "yes"); got != "<!-- remora:reply:7 -->\nyes\n" || strings.HasPrefix(got, command.Marker(77)) {
		t.Errorf("got %q", got)
	}
}

// withoutCode is a line without what stands in code: between two runs of as many
// backticks.
func withoutCode(line string) string {
	var out strings.Builder
	for {
		at := strings.IndexByte(line, '`')
		if at < 0 {
			return out.String() + line
		}
		out.WriteString(line[:at])
		line = line[at:]
		run := line[:len(line)-len(strings.TrimLeft(line, "`"))]
		line = line[len(run):]
		for end := 0; ; {
			i := strings.Index(line[end:], run)
			if i < 0 {
				return out.String() + run + line
			}
			rest := strings.TrimLeft(line[end+i:], "`")
			if length := len(line) - end - i - len(rest); length == len(run) {
				line = rest
				break
			}
			end = len(line) - len(rest)
		}
	}
}
